internal import CLLVM

extension FunctionBuilder {
  /// x to the power y with the special cases of IEEE 754 `pow`. f32: 0.51 ULP; f64: relative error about
  /// |y ln x| * 2^-53, so 1e-13 at the ends of the range.
  func power(_ x: IRValue, _ y: IRValue) -> IRValue {
    if let exponent = literal(y), let value = power(x, literal: exponent) { return value }
    if x.type.isDouble { return powerDouble(x, y) }
    return cast(LLVMFPTrunc, powerDouble(cast(LLVMFPExt, x, to: f64), cast(LLVMFPExt, y, to: f64)), to: f32)
  }

  /// Exponents that models are full of, by multiplication: within 1 ULP of the exact value.
  private func power(_ x: IRValue, literal exponent: Double) -> IRValue? {
    switch exponent {
    case 1: x
    case 2: fmul(x, x)
    case 3: fmul(fmul(x, x), x)
    case -1: fdiv(1, x)
    // The sum turns -0 into 0, and minus infinity is the one case where the root differs.
    case 0.5: select(compare(LLVMRealOEQ, x, -.infinity), .infinity, sqrt(fadd(x, 0)))
    default: nil
    }
  }

  /// The value of a floating-point literal, the same in all lanes.
  private func literal(_ value: IRValue) -> Double? {
    guard value.isConstant else { return nil }
    let first = extract(value, 0)
    guard first.isConstantNumber, !value.type.isVector || (1..<value.type.lanes).allSatisfy({ extract(value, $0) == first }) else { return nil }
    var lost: LLVMBool = 0
    return LLVMConstRealGetDouble(first.raw, &lost)
  }

  private func powerDouble(_ x: IRValue, _ y: IRValue) -> IRValue {
    let magnitude = exponential(fmul(y, logarithm(fabs(x))))
    let half = fmul(y, 0.5)
    let isInteger = compare(LLVMRealOEQ, floor(y), y)
    let isOdd = and(isInteger, compare(LLVMRealUNE, floor(half), half))
    // The sign bit counts for -0 as well.
    let isNegative = compare(LLVMIntSLT, bits(x), 0)
    var result = select(and(isNegative, isOdd), fneg(magnitude), magnitude)
    let isUndefined = and(compare(LLVMRealOLT, x, 0), not(isInteger))
    let isFinite = compare(LLVMRealOGT, x, -.infinity)
    result = select(and(isUndefined, isFinite), .nan, result)
    // 1 to any power, -1 to an infinite one, and anything to the power 0 are 1, NaN included.
    let isUnit = and(compare(LLVMRealOEQ, x, -1), compare(LLVMRealOEQ, fabs(y), .infinity))
    let isOne = or(or(compare(LLVMRealOEQ, x, 1), compare(LLVMRealOEQ, y, 0)), isUnit)
    return select(isOne, 1, result)
  }

  /// C `fmod`: x - trunc(x / y) y, exact.
  ///
  /// Takes the quotient away in pieces of at most 2^21, largest first, so that each product and difference is
  /// exact; one round is enough unless x / y is larger. In f64, a subnormal divisor may cost the exactness.
  func floatRemainder(_ x: IRValue, _ y: IRValue) -> IRValue {
    if !x.type.isDouble {
      return cast(LLVMFPTrunc, floatRemainder(cast(LLVMFPExt, x, to: f64), cast(LLVMFPExt, y, to: f64)), to: f32)
    }
    let (a, b) = (fabs(x), fabs(y))
    let isValid = and(compare(LLVMRealOLT, a, .infinity), compare(LLVMRealOGT, b, 0))
    let start = select(isValid, a, real(0, a.type))
    // y * 2^k, as large as it gets without passing x by more than 2^20; k from the exponents.
    let (entry, header, exit) = (currentBlock, block("fmod"), block("fmod.exit"))
    branch(to: header)
    position(atEndOf: header)
    let rest = phi(a.type)
    let difference = sub(lshr(bits(rest), 52), lshr(bits(b), 52))
    let k = smax(sub(difference, integer(20, difference.type)), integer(0, difference.type))
    // Two factors: y may be subnormal and k up to 2098.
    let halfway = lshr(k, 1)
    let scaled = fmul(fmul(b, powerOfTwo(halfway)), powerOfTwo(sub(k, halfway)))
    let quotient = trunc(fdiv(rest, scaled))
    var next = exactDifference(rest, quotient, scaled)
    // The quotient may have been rounded up to the next integer.
    next = select(compare(LLVMRealOLT, next, 0), fadd(next, scaled), next)
    let again = and(compare(LLVMRealOGE, next, b), isValid)
    let kept = select(isValid, next, real(0, a.type))
    branch(if: any(again), to: header, else: exit)
    addIncoming(rest, start, from: entry)
    addIncoming(rest, kept, from: header)
    position(atEndOf: exit)
    let isFinite = compare(LLVMRealOLT, a, .infinity)
    let isNumber = and(isFinite, and(compare(LLVMRealONE, y, 0), compare(LLVMRealORD, y, y)))
    let value = select(compare(LLVMRealOEQ, b, .infinity), a, next)
    return select(isNumber, copysign(value, x), .nan)
  }

  /// a - q b for an integer q of at most 21 bits, where the result is exact. Without FMA, b is split in halves of 26 bits.
  private func exactDifference(_ a: IRValue, _ q: IRValue, _ b: IRValue) -> IRValue {
    if target.hasFMA { return fma(fneg(q), b, a) }
    let high = float(and(bits(b), ~0x7ff_ffff))
    return fsub(fsub(a, fmul(q, high)), fmul(q, fsub(b, high)))
  }

  /// Python's `%` on floats: the remainder takes the sign of the divisor.
  func floatModulo(_ x: IRValue, _ y: IRValue) -> IRValue {
    let rest = floatRemainder(x, y)
    let isZero = compare(LLVMRealOEQ, rest, 0)
    let signsDiffer = compare(LLVMIntSLT, xor(bits(rest), bits(y)), 0)
    let adjusted = select(and(signsDiffer, compare(LLVMRealONE, rest, 0)), fadd(rest, y), rest)
    return select(isZero, copysign(rest, y), adjusted)
  }
}
