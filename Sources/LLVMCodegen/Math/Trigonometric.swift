internal import CLLVM

extension FunctionBuilder {
  /// sin x. f32: 1.6 ULP up to |x| = 2^40, then losing precision but within [-1, 1]; f64: 1 ULP up to 2^20.
  func sine(_ x: IRValue) -> IRValue { sineOrCosine(x, quarterTurns: 0) }

  /// cos x; precision as `sine`.
  func cosine(_ x: IRValue) -> IRValue { sineOrCosine(x, quarterTurns: 1) }

  /// sin(x + quarterTurns * pi / 2): the quadrant decides between the two polynomials and the sign.
  private func sineOrCosine(_ x: IRValue, quarterTurns: Int) -> IRValue {
    let (remainder, quadrant) = reduceByQuarterTurns(x)
    let quarter = add(quadrant, quarterTurns)
    let takesCosine = compare(LLVMIntNE, and(quarter, 1), 0)
    let isNegative = compare(LLVMIntNE, and(quarter, 2), 0)
    let value: IRValue
    if x.type.isDouble {
      value = select(takesCosine, cosineDouble(remainder), sineDouble(remainder))
    } else {
      let r = cast(LLVMFPTrunc, remainder, to: f32)
      let z = fmul(r, r)
      let sine = fma(fmul(polynomial(z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]), z), r, r)
      let cosine = fma(polynomial(z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]), fmul(z, z), fma(z, -0.5, 1))
      value = select(takesCosine, cosine, sine)
    }
    return select(isNegative, fneg(value), value)
  }

  /// x - n pi/2 in f64 and n modulo 4 in i32. pi/2 is taken in three parts.
  private func reduceByQuarterTurns(_ x: IRValue) -> (remainder: IRValue, quadrant: IRValue) {
    let wide = x.type.isDouble ? x : cast(LLVMFPExt, x, to: f64)
    let n = roundEven(fmul(wide, 0.636619772367581343076))
    let parts =
      target.hasFMA
      ? [1.57079632679489655800e+00, 6.12323399573676603587e-17, -1.4973849048591833e-33]
      : [1.57079632673412561417e+00, 6.07710050630396597660e-11, 2.02226624879595063154e-21]
    var r = wide
    for part in parts { r = fma(n, -part, r) }
    // Only beyond the stated range is it larger than pi/4; an infinity becomes NaN in the products above.
    r = maximumOrSecond(real(-0.7853981633974484, r.type), minimumOrSecond(real(0.7853981633974484, r.type), r))
    let modulo = fma(floor(fmul(n, 0.25)), -4, n)
    let isNumber = compare(LLVMRealOLT, modulo, 4)
    let safe = select(isNumber, modulo, real(0, modulo.type))
    return (r, cast(LLVMFPToSI, maximumOrSecond(real(0, safe.type), safe), to: i32))
  }

  /// fdlibm's kernels for |r| <= pi/4.
  private func sineDouble(_ r: IRValue) -> IRValue {
    let z = fmul(r, r)
    let p = polynomial(
      z, [
        1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06, -1.98412698298579493134e-04, 8.33333333332248946124e-03,
        -1.66666666666666324348e-01,
      ])
    return fma(fmul(z, r), p, r)
  }

  private func cosineDouble(_ r: IRValue) -> IRValue {
    let z = fmul(r, r)
    let p = polynomial(
      z, [
        -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07, 2.48015872894767294178e-05, -1.38888888888741095749e-03,
        4.16666666666666019037e-02,
      ])
    let half = fmul(z, 0.5)
    let w = fsub(1, half)
    return fadd(w, fma(fmul(z, z), p, fsub(fsub(1, w), half)))
  }

  /// tan x = sin x / cos x in f64. f32: 0.51 ULP up to 2^40; f64: 3 ULP up to 2^20.
  func tangent(_ x: IRValue) -> IRValue {
    inDouble(x) { x in
      let (r, quadrant) = reduceByQuarterTurns(x)
      let (sine, cosine) = (sineDouble(r), cosineDouble(r))
      let isOdd = compare(LLVMIntNE, and(quadrant, 1), 0)
      return fdiv(select(isOdd, fneg(cosine), sine), select(isOdd, sine, cosine))
    }
  }

  /// atan x. f32: 0.51 ULP; f64: 1 ULP. Cephes `atan`: three ranges brought to |x| <= 0.66.
  func arctangent(_ x: IRValue) -> IRValue { inDouble(x, arctangentDouble) }

  private func arctangentDouble(_ x: IRValue) -> IRValue {
    let a = fabs(x)
    let isLarge = compare(LLVMRealOGT, a, 2.41421356237309504880)
    let isMiddle = compare(LLVMRealOGT, a, 0.66)
    let middle = fdiv(fsub(a, 1), fadd(a, 1))
    let t = select(isLarge, fdiv(-1, a), select(isMiddle, middle, a))
    let base = select(isLarge, 1.57079632679489661923, select(isMiddle, real(0.78539816339744830962, x.type), real(0, x.type)))
    let tail = select(isLarge, 6.123233995736765886130e-17, select(isMiddle, real(3.061616997868382943065e-17, x.type), real(0, x.type)))
    let z = fmul(t, t)
    let p = polynomial(
      z, [-8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1, -1.228866684490136173410e2, -6.485021904942025371773e1])
    let q = polynomial(
      z, [1, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2, 4.853903996359136964868e2, 1.945506571482613964425e2])
    let value = fadd(base, fadd(fma(fmul(z, fdiv(p, q)), t, t), tail))
    return copysign(value, x)
  }

  /// asin x = atan(x / sqrt(1 - x^2)). f32: 0.51 ULP; f64: 3 ULP. NaN beyond 1.
  func arcsine(_ x: IRValue) -> IRValue {
    inDouble(x) { x in arctangentDouble(fdiv(x, sqrt(fmul(fsub(1, x), fadd(x, 1))))) }
  }

  /// acos x = 2 atan(sqrt((1 - x) / (1 + x))). f32: 0.51 ULP; f64: 2 ULP. NaN beyond 1.
  func arccosine(_ x: IRValue) -> IRValue {
    inDouble(x) { x in fmul(arctangentDouble(sqrt(fdiv(fsub(1, x), fadd(x, 1)))), 2) }
  }
}
