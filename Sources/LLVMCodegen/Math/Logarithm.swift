internal import CLLVM

extension FunctionBuilder {
  /// Natural logarithm. f32: 0.83 ULP (all inputs); f64: 1 ULP. Zero gives minus infinity, a negative number NaN.
  ///
  /// x = 2^e m with m in [sqrt 1/2, sqrt 2); the logarithm of m by a polynomial in m - 1 (Cephes `logf`) or in
  /// (m - 1) / (m + 1) (fdlibm `log`).
  func logarithm(_ x: IRValue) -> IRValue {
    let isDouble = x.type.isDouble
    let (fraction, width) = isDouble ? (52, 64) : (23, 32)
    let smallest = isDouble ? 0x1p-1022 : 0x1p-126
    // Subnormal numbers get a normal exponent first.
    let isSubnormal = compare(LLVMRealOLT, x, smallest)
    let word = bits(select(isSubnormal, fmul(x, isDouble ? 0x1p54 : 0x1p24), x))
    // Moves the seam between exponents to sqrt 1/2.
    let offset = isDouble ? 0x3fe6_a09e_0000_0000 : 0x3f35_04f3
    let shifted = sub(word, integer(offset, word.type))
    var exponent = ashr(shifted, fraction)
    let m = float(add(and(shifted, (1 << fraction) - 1), offset))
    exponent = add(exponent, select(isSubnormal, integer(isDouble ? -54 : -24, word.type), integer(0, word.type)))
    let e = cast(LLVMSIToFP, width == 64 ? cast(LLVMTrunc, exponent, to: i32) : exponent, to: x.type.scalar)
    let f = fsub(m, 1)
    let value = isDouble ? logarithmDouble(f, e) : logarithmSingle(f, e)
    return logarithmLimits(value, x)
  }

  /// e ln 2 + ln(1 + f).
  private func logarithmSingle(_ f: IRValue, _ e: IRValue) -> IRValue {
    let z = fmul(f, f)
    let p = polynomial(
      f, [7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1])
    var low = fma(e, -2.12194440e-4, fmul(fmul(f, z), p))
    low = fma(z, -0.5, low)
    return fma(e, 0.693359375, fadd(f, low))
  }

  private func logarithmDouble(_ f: IRValue, _ e: IRValue) -> IRValue {
    let s = fdiv(f, fadd(f, 2))
    let z = fmul(s, s)
    let r = fmul(
      z,
      polynomial(
        z, [
          1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
          6.666666666666735130e-01,
        ]))
    let half = fmul(fmul(f, f), 0.5)
    let correction = fma(e, 1.90821492927058770002e-10, fmul(s, fadd(half, r)))
    return fma(e, 6.93147180369123816490e-01, fsub(f, fsub(half, correction)))
  }

  /// 0, infinity, NaN and negative numbers.
  private func logarithmLimits(_ value: IRValue, _ x: IRValue) -> IRValue {
    var result = select(compare(LLVMRealOEQ, x, .infinity), x, value)
    result = select(compare(LLVMRealOEQ, x, 0), -.infinity, result)
    // Negative or NaN: NaN.
    return select(compare(LLVMRealULT, x, 0), .nan, result)
  }

  /// ln(1 + x) in f64, 2 ULP: the logarithm of the rounded sum, corrected by what the rounding lost.
  func logarithmOfOnePlus(_ x: IRValue) -> IRValue {
    let u = fadd(x, 1)
    let lost = fsub(x, fsub(u, 1))
    let isFinite = compare(LLVMRealOLT, fabs(u), .infinity)
    let isPositive = compare(LLVMRealOGT, u, 0)
    return fadd(logarithm(u), select(and(isFinite, isPositive), fdiv(lost, u), real(0, x.type)))
  }

  /// asinh x. f32: 0.51 ULP; f64: 3 ULP.
  func inverseHyperbolicSine(_ x: IRValue) -> IRValue {
    inDouble(x) { x in
      let a = fabs(x)
      let square = fmul(a, a)
      let near = logarithmOfOnePlus(fadd(a, fdiv(square, fadd(sqrt(fadd(square, 1)), 1))))
      let far = fadd(logarithm(a), 0.693147180559945309417)
      return copysign(select(compare(LLVMRealOGT, a, 0x1p28), far, near), x)
    }
  }

  /// acosh x. f32: 0.51 ULP; f64: 3 ULP. NaN below 1.
  func inverseHyperbolicCosine(_ x: IRValue) -> IRValue {
    inDouble(x) { x in
      let t = fsub(x, 1)
      let near = logarithmOfOnePlus(fadd(t, sqrt(fma(t, t, fadd(t, t)))))
      let far = fadd(logarithm(x), 0.693147180559945309417)
      let value = select(compare(LLVMRealOGT, x, 0x1p28), far, near)
      return select(compare(LLVMRealULT, x, 1), .nan, value)
    }
  }

  /// atanh x. f32: 0.51 ULP; f64: 3 ULP. Infinite at 1 and -1, NaN beyond.
  func inverseHyperbolicTangent(_ x: IRValue) -> IRValue {
    inDouble(x) { x in
      let a = fabs(x)
      let value = fmul(logarithmOfOnePlus(fdiv(fadd(a, a), fsub(1, a))), 0.5)
      let limited = select(compare(LLVMRealOEQ, a, 1), .infinity, select(compare(LLVMRealOGT, a, 1), .nan, value))
      return copysign(limited, x)
    }
  }
}
