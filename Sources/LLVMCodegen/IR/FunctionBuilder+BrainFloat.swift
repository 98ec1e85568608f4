internal import CLLVM

/// bf16 on targets that have AVX512_BF16.
extension FunctionBuilder {
  /// f32 lanes, or one, as bf16 bits in i16: `vcvtneps2bf16`.
  ///
  /// Rounds to nearest even, keeps infinities and NaN, and takes subnormal numbers as zero, as the products of these numbers do
  /// anyway. Every number of lanes goes through this instruction, so that an element's bits do not depend on where a loop is cut.
  func narrowToBF16(_ value: IRValue) -> IRValue {
    let count = value.type.lanes
    let width = count > 8 ? 16 : 8
    let lanes = count == width ? value : value.type.isVector ? shuffle(value, (0..<width).map { min($0, count - 1) }) : splat(value, width)
    let rounded = intrinsic("llvm.x86.avx512bf16.cvtneps2bf16.\(width * 32)", [], [lanes])
    let words = IRValue(LLVMBuildBitCast(raw, rounded.raw, int(16).vector(width).raw, ""))
    if count == width { return words }
    return value.type.isVector ? shuffle(words, Array(0..<count)) : extract(words, 0)
  }
}
