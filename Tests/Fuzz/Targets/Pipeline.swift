import GraphIR
import KernelIR
import Lowering
import Passes

/// What follows loading: the passes and the lowering to kernels, as the compiler runs them.
enum CompilerPipeline {
  /// As `Sources/Compiler/StandardPipelines.swift` has it.
  private static let tuned = Pipeline<Graph>("tuned") {
    Pipeline<Graph>.portable
    delayDequantization
    Pipeline<Graph>.simplifying
    chooseIntegerContractions
    keepNarrowWeights
    expandingComposites(except: [NarrowDot.name])
    Pipeline<Graph>.simplifying
    addBiasesToSums
    foldRequantization
    Pipeline<Graph>.layout
    Pipeline<Graph>.simplifying
    divideBySums
    numberStrings
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
      try compile(graph)
      try passes.run(.portable, on: &graph)
      // One way to make it smaller for each model, so that a run stays short.
      switch graph.topologicalOrder().count % 5 {
      case 0: try compile(quantized(graph))
      case 1: try compile(insertDynamicQuantization(graph, QuantizationPlan(graph)))
      case 2: try compile(narrowed(graph, bits: 8))
      case 3: try compile(narrowed(graph, bits: 4))
      default: try compile(pruned(graph))
      }
    } catch { _ = error.description }
  }

  private static func compile(_ graph: Graph) throws(CompileError) {
    var graph = graph
    var passes = PassRunner<Graph>(options: PassOptions())
    try passes.run(tuned, on: &graph)
    var kernels = try lower(graph, for: machine)
    var programPasses = PassRunner<KernelProgram>(options: PassOptions())
    try programPasses.run(program, on: &kernels)
    try kernels.verify(stage: .lower)
  }

  // MARK: Quantization and pruning

  private static func quantized(_ graph: Graph) throws(CompileError) -> Graph {
    let plan = QuantizationPlan(graph)
    return try insertQuantization(graph, plan, ranges: Dictionary(uniqueKeysWithValues: plan.roots.map { ($0, ValueRange(-1, 3)) }))
  }

  private static func narrowed(_ graph: Graph, bits: Int) throws(CompileError) -> Graph {
    var weights = WeightQuantization(bits: bits)
    weights.leastElements = 1
    var (graph, passes) = (graph, PassRunner<Graph>(options: PassOptions()))
    try passes.run(Pipeline("narrowing") { quantizeWeights(weights) }, on: &graph)
    return graph
  }

  private static func pruned(_ graph: Graph) throws(CompileError) -> Graph {
    let groups = try ChannelGroups(graph)
    return try graph.removing(channels: groups.channels(removing: 0.5, budget: .layer, isRounded: false), groups.dependencies)
  }
}
