import GraphIR
import TensorTypes

/// Runs a model on samples to see what its contractions multiply.
struct MomentGathering {
  let compilation: CompileOptions
  let progress: @Sendable (Compiler.Progress) -> Void

  /// Layers are fitted in this many rounds at least, in the order of the model, each to what the layers before it give by then.
  private static let fewestRounds = 8
  /// Moments that are gathered at the same time.
  private static let bytesOfARound = 768 << 20

  /// Consecutive layers whose moments fit into memory together.
  ///
  /// - Parameter steps: Those of each layer's sum.
  func rounds(_ steps: [Int]) -> [[Int]] {
    let most = (steps.count + Self.fewestRounds - 1) / Self.fewestRounds
    var (rounds, bytes): ([[Int]], Int) = ([], 0)
    for (number, count) in steps.enumerated() {
      let own = (count + 1) * (count + 1) * 8
      if rounds.isEmpty || (rounds.last?.count ?? 0) >= most || bytes + own > Self.bytesOfARound {
        rounds.append([])
        bytes = 0
      }
      rounds[rounds.count - 1].append(number)
      bytes += own
    }
    return rounds
  }

  /// What contractions see on the samples; nil for those for which it is not known how.
  ///
  /// - Parameter nodes: For each layer the contractions that share its weights.
  func moments(of nodes: [[NodeID]], in graph: Graph, _ samples: CalibrationSamples) throws(CompileError) -> [InputMoments?] {
    var moments = nodes.map { $0.first.flatMap { InputMoments(graph.node($0), graph) } }
    var readers: [ValueID: [Int]] = [:]
    for (number, nodes) in nodes.enumerated() where moments[number] != nil {
      for node in nodes { readers[graph.node(node).operands[0], default: []].append(number) }
    }
    let calibration = try Calibration(graph, watching: Array(readers.keys), options: compilation, progress: progress)
    try calibration.run(samples, stage: "reconstruct") { _, value, tensor throws(CompileError) in
      for number in readers[value] ?? [] { moments[number]?.observe(tensor) }
    }
    return moments
  }
}
