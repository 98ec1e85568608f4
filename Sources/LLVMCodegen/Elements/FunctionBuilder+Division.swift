internal import CLLVM

/// Division that never traps: by zero it gives 0, and the smallest integer by -1 wraps.
extension FunctionBuilder {
  func divide(_ x: IRValue, _ y: IRValue, isSigned: Bool) -> IRValue {
    if let divisor = divisor(y), divisor != 0, divisor != -1 { return isSigned ? sdiv(x, y) : udiv(x, y) }
    let zero = integer(0, x.type)
    let isZero = compare(LLVMIntEQ, y, zero)
    if x.type.isVector, let quotient = divideByFloat(x, select(isZero, integer(1, x.type), y), isSigned: isSigned) {
      return select(isZero, zero, quotient)
    }
    guard isSigned else { return select(isZero, zero, udiv(x, select(isZero, integer(1, x.type), y))) }
    let isMinusOne = compare(LLVMIntEQ, y, -1)
    let safe = select(or(isZero, isMinusOne), integer(1, x.type), y)
    return select(isZero, zero, select(isMinusOne, neg(x), sdiv(x, safe)))
  }

  /// Remainder with the sign of the dividend.
  func remainder(_ x: IRValue, _ y: IRValue, isSigned: Bool) -> IRValue {
    if let divisor = divisor(y), divisor != 0, divisor != -1 { return isSigned ? srem(x, y) : urem(x, y) }
    let result = sub(x, mul(divide(x, y, isSigned: isSigned), y))
    return select(compare(LLVMIntEQ, y, 0), integer(0, x.type), result)
  }

  /// Remainder with the sign of the divisor.
  func modulo(_ x: IRValue, _ y: IRValue, isSigned: Bool) -> IRValue {
    let rest = remainder(x, y, isSigned: isSigned)
    guard isSigned else { return rest }
    let signsDiffer = compare(LLVMIntSLT, xor(rest, y), 0)
    let adjust = and(compare(LLVMIntNE, rest, 0), signsDiffer)
    return add(rest, select(adjust, y, integer(0, x.type)))
  }

  /// The value of a literal divisor, the same in all lanes.
  private func divisor(_ y: IRValue) -> Int? {
    guard y.isConstant else { return nil }
    guard y.type.isVector else { return y.constantInteger }
    let lanes = (0..<y.type.lanes).map { extract(y, $0).constantInteger }
    guard let first = lanes[0], lanes.allSatisfy({ $0 == first }) else { return nil }
    return first
  }

  /// There is no vector division of integers. Up to 16 bits f32 has room for the exact quotient, up to 32 bits f64:
  /// a quotient that is no integer differs from the next one by at least 1/y, which is more than the rounding.
  private func divideByFloat(_ x: IRValue, _ y: IRValue, isSigned: Bool) -> IRValue? {
    let width = x.type.bitWidth
    guard width <= 32 else { return nil }
    let type = width <= 16 ? f32 : f64
    let wide = width <= 16 ? i32 : i64
    let (toFloat, extend) = isSigned ? (LLVMSIToFP, LLVMSExt) : (LLVMUIToFP, LLVMZExt)
    if width == 32 {
      let quotient = trunc(fdiv(cast(toFloat, x, to: type), cast(toFloat, y, to: type)))
      // INT_MIN / -1 is 2^31, which i32 does not hold; through i64 it wraps.
      return cast(LLVMTrunc, cast(LLVMFPToSI, quotient, to: wide), to: x.type.scalar)
    }
    let (a, b) = (cast(extend, x, to: i32), cast(extend, y, to: i32))
    let quotient = fdiv(cast(LLVMSIToFP, a, to: type), cast(LLVMSIToFP, b, to: type))
    return cast(LLVMTrunc, cast(LLVMFPToSI, quotient, to: i32), to: x.type.scalar)
  }

  /// x to the power y by squaring; wraps. A negative exponent gives the truncated result: 0 unless x is 1 or -1.
  func integerPower(_ x: IRValue, _ y: IRValue, isSigned: Bool) -> IRValue {
    let type = x.type
    let one = integer(1, type)
    let (entry, header, exit) = (currentBlock, block("power"), block("power.exit"))
    branch(to: header)
    position(atEndOf: header)
    let (result, base, exponent) = (phi(type), phi(type), phi(type))
    let isOdd = compare(LLVMIntNE, and(exponent, one), integer(0, type))
    let nextResult = select(isOdd, mul(result, base), result)
    let nextBase = mul(base, base)
    let nextExponent = lshr(exponent, 1)
    branch(if: any(compare(LLVMIntNE, nextExponent, integer(0, type))), to: header, else: exit)
    for (phi, start, next) in [(result, one, nextResult), (base, x, nextBase), (exponent, y, nextExponent)] {
      addIncoming(phi, start, from: entry)
      addIncoming(phi, next, from: header)
    }
    position(atEndOf: exit)
    guard isSigned else { return nextResult }
    let parity = select(compare(LLVMIntNE, and(y, one), integer(0, type)), integer(-1, type), one)
    var reciprocal = select(compare(LLVMIntEQ, x, one), one, integer(0, type))
    reciprocal = select(compare(LLVMIntEQ, x, integer(-1, type)), parity, reciprocal)
    return select(compare(LLVMIntSLT, y, integer(0, type)), reciprocal, nextResult)
  }
}
