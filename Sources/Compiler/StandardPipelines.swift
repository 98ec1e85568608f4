public import GraphIR
public import KernelIR
import Lowering
public import Passes

extension Pipeline<Graph> {
  /// `portable`, then the choices that read the machine. The result is only good for lowering.
  public static let tuned = Pipeline("tuned") {
    fused
    chainConvolutions
  }

  /// Up to one kernel for each anchor.
  private static let fused = Pipeline("fused") {
    portable
    delayDequantization
    simplifying
    chooseIntegerContractions
    keepNarrowWeights
    expandingComposites(except: [NarrowDot.name])
    simplifying
    addBiasesToSums
    foldRequantization
    layout
    simplifying
    divideBySums
    numberStrings
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
    fused
    // A chain would keep its operands f32: only what stays f32 anyway is chained.
    narrowToBF16
    chainConvolutions
  }
}

extension Pipeline<KernelProgram> {
  /// What follows lowering.
  public static let program = Pipeline<KernelProgram>("program") {
    shareConstants
    planMemory
  }
}
