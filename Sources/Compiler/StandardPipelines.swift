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
