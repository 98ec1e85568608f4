import Artifact
import GraphIR
import Passes
import TensorTypes

/// Prunes a model: chooses what goes, fits what remains to what the layers computed before, and says what was done.
///
/// The choices and the changes to the graph are pure functions in `passes/Pruning`; what is here runs the model on samples for them.
struct ModelPruning {
  let options: PruningOptions
  let compilation: CompileOptions
  /// Inputs of the file that are no longer the graph's.
  let fixed: [Manifest.FixedInput]
  let progress: @Sendable (Compiler.Progress) -> Void

  /// - Parameter graph: In the portable form.
  /// - Throws: `CompileError`: `.usage` for a request that contradicts itself or fits nothing in the model.
  func run(_ graph: Graph) throws(CompileError) -> (graph: Graph, report: PruningReport) {
    try options.check(hasSamples: compilation.calibration != nil)
    let samples: CalibrationSamples? = if options.reconstructs, let calibration = compilation.calibration { try CalibrationSamples(calibration, for: graph, fixed: fixed) } else { nil }
    var (pruned, report) = if let pattern = options.weightPattern(multipliedTogether: compilation.stepsMultipliedTogether) { try weights(graph, pattern, samples) } else { try channels(graph, samples) }
    pruned.removeDeadNodes()
    report.refused += graph.nestedContractions().map { ($0.name, "it is inside of \($0.place): layers of branches and loops stay as they are") }
    report.bytesBefore = graph.constantBytes
    report.bytesAfter = pruned.constantBytes
    return (pruned, report)
  }

  private func nothing(in graph: Graph, _ refused: [(name: String, reason: String)]) -> CompileError {
    let areQuantized = graph.topologicalOrder().contains { graph.readsQuantizedWeights(graph.node($0)) }
    let reason = refused.isEmpty ? "it has no layer with constant weights" : refused.prefix(3).map { "\($0.name): \($0.reason)" }.joined(separator: "; ")
    return CompileError(
      .usage, "nothing in the model can be pruned by `\(options.method.rawValue)`", stage: .pass("prune"),
      hint: areQuantized ? "its weights are quantized already: prune the model that they were made of, and quantize it afterwards (--prune and --quantize together do so)" : reason)
  }

  // MARK: Weights

  private func weights(_ graph: Graph, _ pattern: SparsityPattern, _ samples: CalibrationSamples?) throws(CompileError) -> (Graph, PruningReport) {
    var report = PruningReport()
    var (layers, refused) = graph.prunableWeights()
    if options.method != .magnitude {
      refused += layers.filter(\.isConvolution).map { ($0.name, "convolutions have no sparse kernel: prune their channels") }
      layers.removeAll(where: \.isConvolution)
    }
    report.refused = refused
    if layers.isEmpty { throw nothing(in: graph, refused) }
    let choice = MaskChoice(pattern: pattern, sparsity: options.part, budget: options.usedBudget)
    let originals = layers.compactMap { graph.constant($0.value) }
    guard originals.count == layers.count else { throw nothing(in: graph, refused) }
    guard let samples else {
      let masks = choice.masks(for: layers, importance: zip(layers, originals).map { MaskChoice.magnitudes(of: $0, $1) })
      var constants: [ValueID: Tensor] = [:]
      for (layer, (mask, original)) in zip(layers, zip(masks, originals)) {
        constants[layer.value] = mask.applied(to: original)
        report.layers.append(.init(name: layer.name, before: original.dimensions, after: original.dimensions, kept: mask.density))
      }
      return (try replaced(graph, constants), report)
    }
    var masks: [PruningMask]?
    if options.usedBudget == .global {
      var importance = zip(layers, originals).map { MaskChoice.magnitudes(of: $0, $1) }
      for round in gathering.rounds(layers.map(\.steps)) {
        let found = try gathering.moments(of: round.map { layers[$0].nodes }, in: graph, samples)
        for (number, moments) in zip(round, found) {
          if let moments { importance[number] = saliency(layers[number], originals[number], moments) ?? importance[number] }
        }
      }
      masks = choice.masks(for: layers, importance: importance)
    }
    var current = graph
    report.layers = zip(layers, originals).map { .init(name: $0.name, before: $1.dimensions, after: $1.dimensions, kept: 1) }
    for round in gathering.rounds(layers.map(\.steps)) {
      let found = try gathering.moments(of: round.map { layers[$0].nodes }, in: current, samples)
      var constants: [ValueID: Tensor] = [:]
      for (number, moments) in zip(round, found) {
        let (layer, original) = (layers[number], originals[number])
        let importance = masks == nil ? moments.flatMap { saliency(layer, original, $0) } ?? MaskChoice.magnitudes(of: layer, original) : []
        guard let mask = masks?[number] ?? choice.masks(for: [layer], importance: [importance]).first else { continue }
        let (tensor, error) = moments.map { fitted(layer, original, mask, $0) } ?? (mask.applied(to: original), nil)
        constants[layer.value] = tensor
        report.layers[number].kept = mask.density
        report.layers[number].error = error
      }
      current = try replaced(current, constants)
      progress(Compiler.Progress(stage: "reconstruct", done: (round.last ?? 0) + 1, of: layers.count))
    }
    return (current, report)
  }

  private func replaced(_ graph: Graph, _ constants: [ValueID: Tensor]) throws(CompileError) -> Graph {
    do throws(TypeError) { return try graph.replacing(constants: constants) } catch { throw CompileError(error, stage: .pass("prune")) }
  }

  private var gathering: MomentGathering { MomentGathering(compilation: compilation, progress: progress) }

  private func saliency(_ layer: PrunableWeights, _ original: Tensor, _ moments: InputMoments) -> [Float]? {
    guard let found = LayerFit(moments, weights: layer.matrix(original), columns: layer.columns).saliency() else { return nil }
    return layer.tensorOrder(found).map { $0.isFinite ? Float($0) : .greatestFiniteMagnitude }
  }

  private func fitted(_ layer: PrunableWeights, _ original: Tensor, _ mask: PruningMask, _ moments: InputMoments) -> (Tensor?, (before: Double, after: Double)?) {
    let fit = LayerFit(moments, weights: layer.matrix(original), columns: layer.columns)
    var isKept = [Bool](repeating: false, count: layer.count)
    for step in 0..<layer.steps { for column in 0..<layer.columns { isKept[step * layer.columns + column] = mask.isKept[layer.position(step: step, column: column)] } }
    let plain = zip(fit.weights, isKept).map { $1 ? $0 : 0 }
    let before = fit.error(of: plain)
    guard let weights = fit.fitted(keeping: isKept) else { return (mask.applied(to: original), (before, before)) }
    let after = fit.error(of: weights)
    // Rounding, or a matrix that is nearly singular, must not make it worse.
    if after >= before { return (mask.applied(to: original), (before, before)) }
    return (layer.tensor(weights, original.dimensions), (before, after))
  }

  // MARK: Channels

  private func channels(_ graph: Graph, _ samples: CalibrationSamples?) throws(CompileError) -> (Graph, PruningReport) {
    // What happens inside of a composite decides what can be removed; those of quantisation mean something as a whole.
    var expanded = graph
    var runner = PassRunner<Graph>(options: PassOptions())
    try runner.run(
      Pipeline("channels") {
        expandingComposites(except: ["quantize_linear", "dequantize_linear"])
        Pipeline.simplifying
      }, on: &expanded)
    expanded = try expanded.separatingShared()
    // What is found on samples of one length holds for all.
    let working = try samples?.binding(expanded) ?? expanded
    var groups = try ChannelGroups(working)
    var report = PruningReport()
    report.refused = groups.refused
    if groups.groups.isEmpty { throw nothing(in: graph, groups.refused) }
    var found: [Int: ChannelReconstruction.Found] = [:]
    let removed: Set<Int32>
    if let samples {
      let most = options.usedBudget == .global ? ChannelGroups.mostOfAGroup : options.part
      try ChannelRanking(compilation: compilation, progress: progress).rank(&groups, in: working, samples, removing: most)
      removed = groups.channels(removing: options.part, budget: options.usedBudget)
      let variants = PictureVariants(count: PictureVariants.exist(for: working.types(of: working.inputs)) ? options.variants : 1)
      found = try ChannelReconstruction(compilation: compilation, progress: progress, samples: samples, variants: variants).run(working, groups.dependencies, removing: removed)
    } else {
      removed = groups.channels(removing: options.part, budget: options.usedBudget)
    }
    let contractions = expanded.contractions()
    var current = expanded
    for (number, numbers) in found.sorted(by: { $0.key < $1.key }) where contractions.indices.contains(number) {
      do throws(TypeError) { try current.refit(current.node(contractions[number]), numbers.weights, shift: numbers.shift) } catch {
        throw CompileError(error, stage: .pass("prune"), origin: expanded.node(contractions[number]).origin)
      }
    }
    let dependencies = try ChannelDependencies(current)
    let pruned = try current.removing(channels: dependencies.classes(of: groups.positions(of: removed, working), in: current), dependencies)
    let all = groups.groups.reduce(0) { $0 + $1.channels.count * $1.width }
    let gone = groups.groups.reduce(0) { sum, group in sum + group.channels.count { removed.contains($0) } * group.width }
    report.channels = (removed: gone, of: all)
    var simplified = pruned
    try runner.run(.simplifying, on: &simplified)
    for (number, (before, after)) in zip(contractions, pruned.contractions()).enumerated() {
      let (old, new) = (expanded.node(before), pruned.node(after))
      let shapes = (expanded.type(of: old.operands[1]).shape.evaluated([:]) ?? [], pruned.type(of: new.operands[1]).shape.evaluated([:]) ?? [])
      if shapes.0 == shapes.1 { continue }
      let kept = Double(shapes.1.reduce(1, *)) / Double(max(1, shapes.0.reduce(1, *)))
      report.layers.append(.init(name: old.origin.node, before: shapes.0, after: shapes.1, kept: kept, error: found[number].map { ($0.fit.before, $0.fit.after) }, heldOut: found[number]?.fit.heldOut))
    }
    return (simplified, report)
  }
}
