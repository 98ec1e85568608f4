import GraphIR
import Passes
import TensorTypes

extension Quantizer {
  /// Stores the constant operands of matrix products, and tables, in 8 or 4 bits. It needs no samples; where there are some, the result is
  /// compared with the model as it came.
  func weightsAlone(_ source: Graph, bits: Int) throws(CompileError) -> (graph: Graph, report: QuantizationReport) {
    var (graph, context) = (source, PassContext())
    _ = try wholeWindows.run(&graph, &context)
    var quantization = WeightQuantization(bits: bits, groupSize: wanted.groupSize, activations: wanted.activations)
    quantization.keptFloat = Set(wanted.floatNodes)
    let fitted = wanted.reconstructs ? try reconstructed(graph, quantization) : graph
    // What was moved towards its numbers and is kept is as it was.
    let exact = wanted.reconstructs ? Self.weights(of: graph, quantization) : [:]
    let layers = quantization.layers(of: graph).map(\.origin.node)
    func build(_ names: Set<String>) throws(CompileError) -> Graph {
      var (quantized, context, own) = (try fitted.replacingWeights(exact.filter { names.contains($0.key) }), PassContext(), quantization)
      own.keptFloat.formUnion(names)
      _ = try quantizeWeights(own).run(&quantized, &context)
      return quantized
    }
    let decisions = quantization.decisions(for: graph)
    var summary = wanted.scheme.rawValue
    let narrow = decisions.filter { $0.floatReason == nil }, hasProducts = narrow.contains { !$0.isTable && !$0.isFilter }
    if let size = quantization.groupSize, hasProducts { summary += " (groups of \(size))" }
    if bits < 8, narrow.contains(where: { $0.isTable || $0.isFilter }) { summary += ", tables and filters in 8 bits" }
    if wanted.reconstructs { summary += ", reconstructed" }
    if quantization.activations == .int8, hasProducts { summary += ", activations rounded to 8 bits inside of products" }
    let names = decisions.map(\.name)
    for name in wanted.floatNodes where !names.contains(name) {
      throw CompileError(
        .usage, "--keep-float names `\(name)`, which is no product or table with constant weights", stage: .run,
        hint: "these are " + names.prefix(40).joined(separator: ", ") + (names.count > 40 ? ", ..." : ""))
    }
    let nested = graph.nestedContractions().filter { !$0.hasOwnWeights }.map { ($0.name, "its weights come into \($0.place) from outside") }
    if narrow.isEmpty { throw nothing(decisions.map { ($0.name, $0.floatReason ?? "") } + nested) }
    let samples = options.calibration == nil ? nil : try self.samples(graph)
    let choice = try choose(source, samples, compares: true, names: layers, switched: { name throws(CompileError) in
      try insertSwitchedWeights(fitted, quantization, exact: exact, switchName: name)
    }, build: { keeping throws(CompileError) in try build(Set(keeping.map { layers[$0] })) })
    let alone = Dictionary(zip(layers, choice.decibelsAlone), uniquingKeysWith: min)
    let kept = Dictionary(choice.kept.map { (layers[$0.key], $0.value) }, uniquingKeysWith: { first, _ in first })
    var report = QuantizationReport(summary: summary)
    report.layers = decisions.map { .init(name: $0.name, operatorName: $0.operatorName, floatReason: $0.floatReason ?? kept[$0.name], decibelsAlone: alone[$0.name]) }
    report.layers += nested.map { .init(name: $0.0, operatorName: "", floatReason: $0.1) }
    let quantized = try build(Set(kept.keys))
    try choice.check(quantized, &report)
    return (quantized, report)
  }

  /// The weights moved to numbers that `quantize-weights` finds again, each making up for the rounding of those before it.
  private func reconstructed(_ graph: Graph, _ quantization: WeightQuantization) throws(CompileError) -> Graph {
    let names = Set(quantization.decisions(for: graph).filter { $0.floatReason == nil }.map(\.name))
    let form = GroupQuantization(bits: quantization.bits, block: quantization.groupSize, isSymmetric: quantization.isSymmetric)
    let rounding = WeightRounding(form: form, compilation: options, progress: progress)
    // A graph that was written by hand has nodes without names.
    return try rounding.run(graph, try samples(graph)) { names.contains($0) || $0.hasPrefix("%") && names.contains("") }.graph
  }

  /// The weights of what is quantised, by the name of the node.
  private static func weights(of graph: Graph, _ quantization: WeightQuantization) -> [String: Tensor] {
    quantization.layers(of: graph).reduce(into: [:]) { weights, node in
      if node.operation is Dot, let tensor = graph.constant(node.operands[1]) { weights[node.origin.node] = tensor }
    }
  }
}

extension Graph {
  /// The same with the constant right operands of some products, by the names of their nodes.
  fileprivate func replacingWeights(_ weights: [String: Tensor]) throws(CompileError) -> Graph {
    if weights.isEmpty { return self }
    var constants: [ValueID: Tensor] = [:]
    for node in topologicalOrder().map({ node($0) }) where node.operation is Dot {
      if let tensor = weights[node.origin.node], constant(node.operands[1])?.dimensions == tensor.dimensions { constants[node.operands[1]] = tensor }
    }
    do throws(TypeError) { return try replacing(constants: constants) } catch { throw CompileError(error, stage: .pass("quantize-weights")) }
  }
}
