public import GraphIR
public import KernelIR
import Lowering
public import Passes

extension Pipeline<Graph> {
  /// `portable`, then the choices that read the machine. The result is only good for lowering.
  public static let tuned = Pipeline("tuned") {
    portable
    expandComposites
    simplifying
    layout
    simplifying
    divideBySums
    fuseAttention
    formFusionGroups
  }
}

extension Pipeline<Graph> {
  /// `tuned`, with the numbers that a precision asks for.
  static func tuned(for precision: Precision) -> Pipeline {
    switch precision {
    case .fp32: tuned
    case .bf16: tunedForBF16
    }
  }

  private static let tunedForBF16 = Pipeline("tuned") {
    tuned
    narrowToBF16
  }
}

extension Pipeline<KernelProgram> {
  /// What follows lowering.
  public static let program = Pipeline<KernelProgram>("program") { planMemory }
}
