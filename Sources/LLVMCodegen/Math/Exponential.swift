internal import CLLVM

extension FunctionBuilder {
  /// e^x. f32: 1.02 ULP (all inputs), subnormal results included; f64: 1 ULP.
  ///
  /// x = n ln 2 + r with |r| <= ln 2 / 2, so e^x = 2^n e^r (Cody and Waite 1980; coefficients for f32 from Cephes
  /// `expf`, for f64 Taylor's, whose remainder is below 2^-57).
  func exponential(_ x: IRValue) -> IRValue { exponential(x, timesPowerOfTwo: 0) }

  /// e^x * 2^k, without overflow on the way.
  func exponential(_ x: IRValue, timesPowerOfTwo k: Int) -> IRValue {
    let (reduced, n) = exponentialReduction(x, low: x.type.isDouble ? -746 : -104, high: x.type.isDouble ? 711 : 90)
    let value = fadd(exponentialMinusOne(reduced: reduced), 1)
    return scale(value, byPowerOfTwo: k == 0 ? n.integer : add(n.integer, k), float: k == 0 ? n.float : nil)
  }

  /// e^x - 1. f64: 2 ULP; f32: 2 ULP. The caller keeps |x| below 700 (f64) or 88 (f32).
  func exponentialMinusOne(_ x: IRValue) -> IRValue {
    let (reduced, n) = exponentialReduction(x, low: nil, high: nil)
    let power = powerOfTwo(n.integer)
    // 2^n (p + 1) - 1: exact but for one rounding, and p itself where n is 0.
    return fma(exponentialMinusOne(reduced: reduced), power, fsub(power, 1))
  }

  /// x - n ln 2 and n. Bounds keep n in the range that two factors reach; a NaN passes.
  private func exponentialReduction(_ x: IRValue, low: Double?, high: Double?) -> (IRValue, (float: IRValue, integer: IRValue)) {
    var x = x
    if let low { x = maximumOrSecond(real(low, x.type), x) }
    if let high { x = minimumOrSecond(real(high, x.type), x) }
    let n = nearestInteger(fmul(x, 1.44269504088896340736))
    // ln 2 in two parts, the first with trailing zeros, so that n times it is exact.
    let (first, second) = x.type.isDouble ? (6.93147180369123816490e-01, 1.90821492927058770002e-10) : (0.693359375, -2.12194440e-4)
    let reduced = fma(n.float, -second, fma(n.float, -first, x))
    return (reduced, n)
  }

  /// e^r - 1 for |r| <= 0.35.
  private func exponentialMinusOne(reduced r: IRValue) -> IRValue {
    if r.type.isDouble {
      var coefficients: [Double] = []
      var factorial = 1.0
      for k in 2...13 {
        factorial *= Double(k)
        coefficients.insert(1 / factorial, at: 0)
      }
      return fma(polynomial(r, coefficients), fmul(r, r), r)
    }
    let p = polynomial(r, [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1])
    return fma(p, fmul(r, r), r)
  }

  /// value * 2^n for value near 1 and any n that the reduction gives: one instruction of AVX-512, otherwise two
  /// factors, because 2^n alone may be subnormal or infinite.
  private func scale(_ value: IRValue, byPowerOfTwo n: IRValue, float: IRValue?) -> IRValue {
    if let float, target.hasAVX512, value.type == f32.vector(16) {
      return intrinsic("llvm.x86.avx512.mask.scalef.ps.512", [], [value, float, value, integer(-1, int(16)), integer(4, i32)])
    }
    let half = ashr(n, 1)
    return fmul(fmul(value, powerOfTwo(half)), powerOfTwo(sub(n, half)))
  }

  /// 1 / (1 + e^-x). f32: 2.83 ULP (all inputs), f64: 3 ULP; small results keep their precision down to the subnormals.
  func logistic(_ x: IRValue) -> IRValue {
    let power = exponential(fneg(fabs(x)))
    let upper = fdiv(1, fadd(power, 1))
    let value = select(compare(LLVMRealOLT, x, 0), fmul(power, upper), upper)
    return select(compare(LLVMRealUNO, x, x), x, value)
  }

  /// tanh x. f32: 2.42 ULP (all inputs); f64: 3 ULP.
  func hyperbolicTangent(_ x: IRValue) -> IRValue {
    // Beyond the limit the result is 1. The order of operands lets a NaN pass.
    let a = minimumOrSecond(real(x.type.isDouble ? 20 : 9.5, x.type), fabs(x))
    let t = exponentialMinusOne(fadd(a, a))
    return copysign(fdiv(t, fadd(t, 2)), x)
  }

  /// sinh x. f32: 0.51 ULP; f64: 4 ULP.
  func hyperbolicSine(_ x: IRValue) -> IRValue {
    inDouble(x) { x in
      let a = fabs(x)
      let small = exponentialMinusOne(minimumOrSecond(real(2, x.type), a))
      let near = fmul(fadd(small, fdiv(small, fadd(small, 1))), 0.5)
      let half = exponential(a, timesPowerOfTwo: -1)
      let far = fsub(half, fdiv(0.25, half))
      return copysign(select(compare(LLVMRealOLT, a, 1), near, far), x)
    }
  }

  /// cosh x. f32: 0.51 ULP; f64: 2 ULP.
  func hyperbolicCosine(_ x: IRValue) -> IRValue {
    inDouble(x) { x in
      let half = exponential(fabs(x), timesPowerOfTwo: -1)
      return fadd(half, fdiv(0.25, half))
    }
  }
}
