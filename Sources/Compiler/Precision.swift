import LLVMCodegen
public import GraphIR

/// The numbers that a compiled model computes with.
public enum Precision: String, Sendable, Hashable, CaseIterable {
  /// As the model says: within 1e-4 of the reference.
  case fp32
  /// Contractions of bf16 operands summed up in f32, and bf16 between kernels: half the weights and up to twice the speed.
  case bf16

  /// Refuses a machine that would only be slower and less exact.
  func check(_ target: Target) throws(CompileError) {
    guard self == .bf16, !target.hasBF16 else { return }
    throw CompileError(
      .usage, "`\(target.cpu)` has no bf16 arithmetic (AVX512_BF16); bf16 would be slower than fp32 there, and less exact", stage: .emit,
      hint: "leave out --precision bf16, or compile for a machine that has it, such as znver4 or sapphirerapids")
  }
}
