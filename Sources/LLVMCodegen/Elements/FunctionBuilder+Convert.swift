internal import CLLVM
import TensorTypes

extension FunctionBuilder {
  /// The graph's `convert`: floating point to integer truncates and clamps, NaN gives 0; integers wrap; narrower floating
  /// point rounds to nearest even; to bool tests against zero.
  func convert(_ x: IRValue, _ from: ElementType, _ to: ElementType) -> IRValue {
    if from == to { return x }
    let result = registerType(to)
    if to == .bool { return from.isFloatingPoint ? compare(LLVMRealUNE, x, 0) : compare(LLVMIntNE, x, 0) }
    if from.isFloatingPoint {
      if to.isFloatingPoint { return convertFloat(x, from, to) }
      return floatToInteger(x, to)
    }
    if to.isFloatingPoint {
      let opcode = from.isSignedInteger ? LLVMSIToFP : LLVMUIToFP
      return rounded(cast(opcode, x, to: result), to: to)
    }
    let (narrow, wide) = (x.type.bitWidth, result.bitWidth)
    if narrow == wide { return lowBits(x, to) }
    return lowBits(cast(narrow > wide ? LLVMTrunc : from.isSignedInteger ? LLVMSExt : LLVMZExt, x, to: result), to)
  }

  /// What memory holds for one type, as what it holds for another of the same width.
  func reinterpret(_ x: IRValue, _ from: ElementType, as to: ElementType) -> IRValue {
    let (source, target) = (memoryType(from), memoryType(to))
    return source.raw == target.raw ? x : bitcast(x, to: target)
  }

  private func convertFloat(_ x: IRValue, _ from: ElementType, _ to: ElementType) -> IRValue {
    switch (from, to) {
    case (.f64, .f32): cast(LLVMFPTrunc, x, to: f32)
    case (.f64, _): rounded(truncatedToOdd(x), to: to)
    case (_, .f64): cast(LLVMFPExt, x, to: f64)
    default: rounded(x, to: to)
    }
  }

  /// An f64 as the f32 next to it whose last bit is odd unless it is exact, so that rounding it once more is right.
  private func truncatedToOdd(_ x: IRValue) -> IRValue {
    let nearest = cast(LLVMFPTrunc, x, to: f32)
    let back = cast(LLVMFPExt, nearest, to: f64)
    let word = bits(nearest)
    let isTooLarge = compare(LLVMRealOGT, fabs(back), fabs(x))
    let toward = select(isTooLarge, sub(word, integer(1, word.type)), word)
    let isInexact = compare(LLVMRealONE, back, x)
    return float(select(isInexact, or(toward, 1), word))
  }

  /// An f32 rounded to even, shifted and held within the range of u8, which it then is; NaN gives 0.
  ///
  /// The conversion that rounds gives -2^31 for what is too large, which as a number without sign is too large again.
  func roundedByte(_ x: IRValue, plus zero: Int, _ target: Target) -> IRValue {
    var number = maximumOrSecond(x, real(Double(-zero), x.type))
    if !target.hasAVX512 || x.type.lanes == 1 { number = minimumOrSecond(number, real(Double(255 - zero), x.type)) }
    let whole = i32.vector(x.type.lanes)
    let rounded = intrinsic("llvm.lrint", [whole, x.type], [number])
    let shifted = zero == 0 ? rounded : add(rounded, integer(zero, whole))
    return cast(LLVMTrunc, umin(shifted, integer(255, whole)), to: i8)
  }

  private func floatToInteger(_ x: IRValue, _ to: ElementType) -> IRValue {
    let type = registerType(to).vector(x.type.lanes)
    // 4 and 2 bits: the low ones of an i32.
    if to.bitCount < 8 { return lowBits(cast(LLVMTrunc, floatToInteger(x, .i32), to: i8), to) }
    // Small types through i32: the clamp is two instructions, and the conversion one.
    if let range = to.integerRange, to.byteCount < 4 {
      let low = maximumOrSecond(real(Double(range.lowerBound), x.type), x)
      let clamped = minimumOrSecond(real(Double(range.upperBound), x.type), low)
      let isNaN = compare(LLVMRealUNO, x, x)
      let word = cast(LLVMFPToSI, select(isNaN, 0, clamped), to: i32)
      return cast(LLVMTrunc, word, to: type.scalar)
    }
    if to == .i32, x.type.scalar.raw == f32.raw {
      // The intrinsic becomes scalar code for vectors.
      let low = maximumOrSecond(real(-2_147_483_648, x.type), x)
      let clamped = minimumOrSecond(real(2_147_483_520, x.type), low)
      let word = cast(LLVMFPToSI, select(compare(LLVMRealUNO, x, x), 0, clamped), to: i32)
      return select(compare(LLVMRealOGT, x, 2_147_483_520), integer(Int(Int32.max), word.type), word)
    }
    return intrinsic(to.isSignedInteger ? "llvm.fptosi.sat" : "llvm.fptoui.sat", [type, x.type], [x])
  }
}
