internal import CLLVM

/// What the functions of this folder share: they are straight-line code on scalars and vectors of f32 and f64, and
/// errors are stated in units in the last place (ULP) as measured against glibc in higher precision.
extension FunctionBuilder {
  /// Horner's rule, highest power first.
  func polynomial(_ x: IRValue, _ coefficients: [Double]) -> IRValue {
    guard let first = coefficients.first else { return real(0, x.type) }
    return coefficients.dropFirst().reduce(real(first, x.type)) { fma($0, x, $1) }
  }

  /// Computes in f64 whatever the type is: for functions that are not worth an f32 version of their own. The f32
  /// result is then within 0.51 ULP.
  func inDouble(_ x: IRValue, _ function: (IRValue) -> IRValue) -> IRValue {
    if x.type.isDouble { return function(x) }
    return cast(LLVMFPTrunc, function(cast(LLVMFPExt, x, to: f64)), to: f32)
  }

  /// -1, 0 or 1; a NaN and the sign of zero stay.
  func sign(_ x: IRValue) -> IRValue { select(compare(LLVMRealONE, x, 0), copysign(real(1, x.type), x), x) }

  /// 2^n for integer lanes with n in the range of normal exponents.
  func powerOfTwo(_ n: IRValue) -> IRValue {
    let isDouble = n.type.bitWidth == 64
    return float(shl(add(n, isDouble ? 1023 : 127), isDouble ? 52 : 23))
  }

  /// The nearest integer of a number of at most 2^22 (f32) or 2^51 (f64), as a float and as an integer, without a
  /// conversion: adding 1.5 * 2^m leaves the integer in the low bits. A NaN stays one.
  func nearestInteger(_ x: IRValue) -> (float: IRValue, integer: IRValue) {
    let magic = x.type.isDouble ? 0x1.8p52 : 0x1.8p23
    let shifted = fadd(x, magic)
    let low = sub(bits(shifted), bits(real(magic, x.type)))
    return (fsub(shifted, magic), low)
  }
}
