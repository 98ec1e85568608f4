import GraphIR
import Passes
import TensorTypes

/// Finds out on samples what the loss of each channel costs, group by group.
struct ChannelRanking {
  let compilation: CompileOptions
  let progress: @Sendable (Compiler.Progress) -> Void

  /// Moments that are gathered at the same time.
  private static let bytesOfARound = 768 << 20

  /// What is gathered of one contraction.
  private struct Sight {
    var node: NodeID
    var form: ContractionRows
    var moments: InputMoments
    var original: [Double]
    /// The sum that the result is part of, and by column what its numbers and their squares add up to.
    var sum: ValueID
    var sums: [Double]
    var squares: [Double]
    var rows = 0

    init?(_ node: Node, _ graph: Graph) {
      guard let form = ContractionRows(node, graph), let moments = InputMoments(node, graph), let result = node.results.first, let tensor = graph.constant(node.operands[1]),
        let weights = PrunableWeights(node, tensor, graph), weights.steps == form.steps, weights.columns == form.columns
      else { return nil }
      (self.node, self.form, self.moments, original, sum) = (node.id, form, moments, weights.matrix(tensor), graph.sum(with: result))
      (sums, squares) = ([Double](repeating: 0, count: form.columns), [Double](repeating: 0, count: form.columns))
    }

    mutating func observe(sum tensor: Tensor, at places: [Int]) {
      guard let numbers = form.results(tensor, at: places) else { return }
      rows += places.count
      for place in numbers.indices {
        let number = Double(numbers[place])
        sums[place % form.columns] += number
        squares[place % form.columns] += number * number
      }
    }

    var variance: Double {
      let count = Double(max(1, rows))
      return zip(sums, squares).reduce(0) { $0 + max(0, $1.1 / count - $1.0 / count * $1.0 / count) }
    }
  }

  /// Ranks the channels of all groups whose readers' inputs can be seen.
  ///
  /// - Parameter most: The part of a group that will be removed at most.
  func rank(_ groups: inout ChannelGroups, in graph: Graph, _ samples: CalibrationSamples, removing most: Double) throws(CompileError) {
    var rounds: [[Int]] = []
    var bytes = 0
    for (number, group) in groups.groups.enumerated() where !group.readers.isEmpty {
      let own = group.readers.reduce(0) { sum, reader in
        let steps = ContractionRows(graph.node(reader.node), graph)?.steps ?? 0
        return sum + steps * steps * 8
      }
      if rounds.isEmpty || bytes + own > Self.bytesOfARound {
        rounds.append([])
        bytes = 0
      }
      rounds[rounds.count - 1].append(number)
      bytes += own
    }
    for round in rounds { try rank(round, of: &groups, in: graph, samples, removing: most) }
  }

  private func rank(_ round: [Int], of groups: inout ChannelGroups, in graph: Graph, _ samples: CalibrationSamples, removing most: Double) throws(CompileError) {
    var sights: [Sight] = []
    for node in Set(round.flatMap { groups.groups[$0].readers.map(\.node) }).sorted(by: { $0.index < $1.index }) { if let sight = Sight(graph.node(node), graph) { sights.append(sight) } }
    var inputs: [ValueID: Tensor] = [:]
    let watched = Set(sights.flatMap { [graph.node($0.node).operands[0], $0.sum] })
    let calibration = try Calibration(graph, watching: Array(watched), options: compilation)
    for sample in 0..<samples.count {
      progress(Compiler.Progress(stage: "rank channels", done: sample, of: samples.count))
      inputs = [:]
      try calibration.run(try samples.tensors(sample)) { value, tensor throws(CompileError) in inputs[value] = tensor }
      for number in sights.indices {
        guard let input = inputs[graph.node(sights[number].node).operands[0]], let sum = inputs[sights[number].sum] else { continue }
        let places = sights[number].moments.observe(input)
        sights[number].observe(sum: sum, at: places)
      }
    }
    for number in round {
      let group = groups.groups[number]
      var readers: [ChannelElimination.Reader] = []
      for reader in group.readers {
        guard let sight = sights.first(where: { $0.node == reader.node }), sight.rows > 0, let channels = graph.inputChannels(of: graph.node(reader.node)), channels > 0 else { continue }
        let taps = sight.form.steps / channels, rows = Double(sight.rows)
        var moments = sight.moments.centred
        for place in moments.elements.indices { moments.elements[place] /= rows }
        readers.append(
          ChannelElimination.Reader(
            moments: moments, weights: sight.original, columns: sight.form.columns, steps: reader.positions.map { $0.flatMap { position in position * taps..<(position + 1) * taps } },
            variance: sight.variance, rows: rows))
      }
      guard readers.count == group.readers.count, readers.allSatisfy({ $0.variance > 0 }) else { continue }
      let count = group.channels.count
      if let order = ChannelElimination().order(count, readers, removing: min(count - 1, Int(Double(count) * most) + 8)) { groups.rank(number, by: order) }
    }
  }
}
