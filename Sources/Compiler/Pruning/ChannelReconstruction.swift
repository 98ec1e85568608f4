import GraphIR
import Passes
import TensorTypes

/// Fits the contractions of a model whose channels are to go, one behind the other: each on what the model computes with everything in front of it
/// already pruned and fitted, to what makes the sum that its result is part of what it is in the dense model. So errors are made up for where
/// they are felt and do not pile up, in residual streams above all.
struct ChannelReconstruction {
  let compilation: CompileOptions
  let progress: @Sendable (Compiler.Progress) -> Void
  let samples: CalibrationSamples
  let variants: PictureVariants

  /// A contraction's new numbers.
  struct Found {
    var weights: Tensor
    var shift: [Double]
    var fit: FitMoments.Fit
  }

  /// Values of all samples that are kept between pieces of the model.
  private static let bytesOfStates = 1 << 30
  private static let bytesOfARound = 1 << 30
  /// Where the model has to be run from its inputs on, its contractions are fitted in this many rounds at least.
  private static let fewestRounds = 8

  private struct Layer {
    /// Among the graph's contractions.
    var number: Int
    var adjustable: Graph.Adjustable
    var form: ContractionRows
    var weights: PrunableWeights
    var original: [Double]
    var dimensions: [Int]
    /// Steps.
    var kept: [Int]
    /// When the contraction and the sum that its result is part of are computed.
    var start: Int
    var end: Int
    var sum: ValueID
  }

  /// What is known of every sample at a cut through the graph, in the dense model and in the pruned one; nil at the model's inputs.
  private struct States {
    var cut: [ValueID] = []
    var dense: [[Tensor]]?
    var pruned: [[Tensor]]?
  }

  private var count: Int { samples.count * variants.count }

  /// - Parameters:
  ///   - graph: Without dead nodes.
  ///   - removed: Classes of `dependencies`.
  /// - Returns: By number in `Graph.contractions()`.
  func run(_ graph: Graph, _ dependencies: ChannelDependencies, removing removed: Set<Int32>) throws(CompileError) -> [Int: Found] {
    var dense = graph
    let layers = try self.layers(&dense, dependencies, removed)
    if layers.isEmpty { return [:] }
    let order = ComputationOrder(dense)
    let isStatic = dense.symbols.isEmpty && !dense.topologicalOrder().contains { !dense.node($0).operation.definedSymbols.isEmpty }
    var pruned = dense
    var states = States()
    var found: [Int: Found] = [:]
    var done = 0
    for round in rounds(layers, isStatic: isStatic) {
      let own = round.map { layers[$0] }
      done += own.count
      // What is behind may need what is in front of it only once all that is fitted.
      let end = own.map(\.end).max() ?? 0
      var next: [ValueID]?
      if isStatic, done < layers.count, layers[done...].allSatisfy({ $0.start > end }) {
        let live = order.live(after: end)
        let bytes = live.reduce(0) { $0 + (dense.type(of: $1).byteCount.constant ?? 1 << 30) }
        if bytes <= Self.bytesOfStates / (2 * max(1, count)) { next = live }
      }
      var moments = own.map { FitMoments($0.form) }
      var ahead: [[Tensor]] = []
      let cut = Set(states.cut)
      let reference = try PieceRunner(dense, from: cut, to: Array(Set(own.map(\.sum) + (next ?? []))), options: compilation)
      let inputs = own.map { dense.node($0.adjustable.contraction).operands[0] }
      let probe = try PieceRunner(pruned, from: cut, to: Array(Set(inputs + own.map(\.sum))), options: compilation)
      for sample in 0..<count {
        let wanted = try reference.run(try known(states.dense, states.cut, sample, dense))
        let actual = try probe.run(try known(states.pruned, states.cut, sample, dense))
        for (number, layer) in own.enumerated() {
          guard let input = actual[inputs[number]], let before = actual[layer.sum], let after = wanted[layer.sum] else { continue }
          observe(layer, input, before, after, sample / max(1, variants.count), &moments[number])
        }
        if let next { ahead.append(next.compactMap { wanted[$0] }) }
      }
      for (number, layer) in own.enumerated() {
        guard let fit = moments[number].fitted(layer.original, keeping: layer.kept), let tensor = layer.weights.tensor(fit.weights, layer.dimensions) else { continue }
        // Nothing is lost here, and nothing in front.
        if layer.kept.count == layer.form.steps, fit.before < 1e-5 { continue }
        do throws(TypeError) { try pruned.adjust(layer.adjustable, tensor, shift: fit.shift) } catch { throw CompileError(error, stage: .pass("prune")) }
        found[layer.number] = Found(weights: tensor, shift: fit.shift, fit: fit)
      }
      moments = []
      if let next {
        let step = try PieceRunner(pruned, from: cut, to: next, options: compilation)
        var behind: [[Tensor]] = []
        for sample in 0..<count {
          let values = try step.run(try known(states.pruned, states.cut, sample, dense))
          behind.append(next.compactMap { values[$0] })
        }
        states = States(cut: next, dense: ahead, pruned: behind)
      }
      progress(Compiler.Progress(stage: "reconstruct", done: done, of: layers.count))
    }
    return found
  }

  /// From the first contraction that loses something on, made adjustable.
  private func layers(_ graph: inout Graph, _ dependencies: ChannelDependencies, _ removed: Set<Int32>) throws(CompileError) -> [Layer] {
    let contractions = graph.contractions()
    let original = graph
    var found: [(number: Int, adjustable: Graph.Adjustable, kept: [Int]?)] = []
    for (number, id) in contractions.enumerated() {
      let node = original.node(id)
      let kept = dependencies.keptInputs(of: node, original, without: removed)
      if found.isEmpty, kept == nil { continue }
      do throws(TypeError) {
        if ContractionRows(node, graph) != nil, let adjustable = try graph.makeAdjustable(graph.node(id)) { found.append((number, adjustable, kept)) }
      } catch { throw CompileError(error, stage: .pass("prune"), origin: node.origin) }
    }
    let order = ComputationOrder(graph)
    return found.compactMap { number, adjustable, kept in
      let node = graph.node(adjustable.contraction), sum = graph.sum(with: adjustable.result)
      guard let form = ContractionRows(node, graph), let tensor = graph.constant(node.operands[1]), let weights = PrunableWeights(node, tensor, graph),
        weights.steps == form.steps, weights.columns == form.columns, let result = node.results.first, let start = order.place(result), let end = order.place(sum)
      else { return nil }
      // A position of the input axis is a step, or a window of them.
      let taps = form.steps / max(1, graph.inputChannels(of: node) ?? form.steps)
      let steps = kept.map { $0.flatMap { position in position * taps..<(position + 1) * taps } } ?? Array(0..<form.steps)
      return Layer(
        number: number, adjustable: adjustable, form: form, weights: weights, original: weights.matrix(tensor), dimensions: tensor.dimensions, kept: steps, start: start, end: end, sum: sum)
    }
  }

  /// Layers that are fitted at the same time: one at a time where the model can be run piece by piece.
  private func rounds(_ layers: [Layer], isStatic: Bool) -> [[Int]] {
    if isStatic { return layers.indices.map { [$0] } }
    let most = (layers.count + Self.fewestRounds - 1) / Self.fewestRounds
    var (rounds, bytes): ([[Int]], Int) = ([], 0)
    for (number, layer) in layers.enumerated() {
      let own = FitMoments.bytes(layer.form)
      if rounds.isEmpty || (rounds.last?.count ?? 0) >= most || bytes + own > Self.bytesOfARound {
        rounds.append([])
        bytes = 0
      }
      rounds[rounds.count - 1].append(number)
      bytes += own
    }
    return rounds
  }

  private func known(_ states: [[Tensor]]?, _ cut: [ValueID], _ sample: Int, _ graph: Graph) throws(CompileError) -> [ValueID: Tensor] {
    if let states { return Dictionary(zip(cut, states[sample])) { first, _ in first } }
    let tensors = variants.tensors(try samples.tensors(sample / max(1, variants.count)), sample % max(1, variants.count))
    return Dictionary(zip(graph.inputs, tensors)) { first, _ in first }
  }

  /// The result wanted is the one there is, and what the sum lacks.
  private func observe(_ layer: Layer, _ input: Tensor, _ before: Tensor, _ after: Tensor, _ sample: Int, _ moments: inout FitMoments) {
    let (places, rows) = layer.form.rows(of: input)
    guard !places.isEmpty, let now = layer.form.results(before, at: places), let wanted = layer.form.results(after, at: places) else { return }
    var results = SymmetricMatrix.product(rows, width: layer.form.steps + 1, layer.original, columns: layer.form.columns, count: places.count)
    for place in results.indices { results[place] += wanted[place] - now[place] }
    moments.observe(rows, results, sample: sample)
  }
}
