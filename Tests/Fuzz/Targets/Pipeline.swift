import GraphIR
import KernelIR
import Lowering
import Passes

/// What follows loading: the passes and the lowering to kernels, as the compiler runs them.
enum CompilerPipeline {
  private static let tuned = Pipeline<Graph>("tuned") {
    Pipeline<Graph>.portable
    expandComposites
    Pipeline<Graph>.simplifying
    Pipeline<Graph>.layout
    Pipeline<Graph>.simplifying
    divideBySums
    fuseAttention
    formFusionGroups
    chainConvolutions
  }
  private static let program = Pipeline<KernelProgram>("program") {
    shareConstants
    planMemory
  }
  private static let machine = LoweringTarget(lanes: 8, registers: 16, threads: 2)

  /// Refusals are what hostile models are meant to get; everything else is a finding.
  static func run(_ graph: Graph) {
    do throws(CompileError) {
      try graph.verify(stage: .load)
      var graph = graph
      var passes = PassRunner<Graph>(options: PassOptions())
      try passes.run(tuned, on: &graph)
      var kernels = try lower(graph, for: machine)
      var programPasses = PassRunner<KernelProgram>(options: PassOptions())
      try programPasses.run(program, on: &kernels)
      try kernels.verify(stage: .lower)
    } catch { _ = error.description }
  }
}
