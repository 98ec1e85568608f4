import GraphIR
import Passes

extension Quantizer {
  /// Stores the constant operands of matrix products, and tables, in 8 or 4 bits. It needs no samples; where there are some, the result is
  /// compared with the model as it came.
  func weightsAlone(_ graph: Graph, bits: Int) throws(CompileError) -> (graph: Graph, report: QuantizationReport) {
    var quantization = WeightQuantization(bits: bits, groupSize: wanted.groupSize, activations: wanted.activations)
    quantization.keptFloat = Set(wanted.floatNodes)
    var (quantized, context) = (graph, PassContext())
    if wanted.reconstructs { quantized = try reconstructed(graph, quantization) }
    _ = try quantizeWeights(quantization).run(&quantized, &context)
    var summary = wanted.scheme.rawValue
    if let size = quantization.groupSize { summary += " (groups of \(size))" }
    if wanted.reconstructs { summary += ", reconstructed" }
    if quantization.activations == .int8 { summary += ", activations rounded to 8 bits inside of products" }
    var report = QuantizationReport(summary: summary)
    report.layers = quantization.decisions(for: graph).map { .init(name: $0.name, operatorName: $0.operatorName, floatReason: $0.floatReason, decibelsAlone: nil) }
    for name in wanted.floatNodes where !report.layers.contains(where: { $0.name == name }) {
      let names = report.layers.map(\.name)
      throw CompileError(
        .usage, "--keep-float names `\(name)`, which is no product or table with constant weights", stage: .run,
        hint: "these are " + names.prefix(40).joined(separator: ", ") + (names.count > 40 ? ", ..." : ""))
    }
    let nested = graph.nestedContractions().filter { !$0.hasOwnWeights }.map { ($0.name, "its weights come into \($0.place) from outside") }
    if report.quantizedLayers == 0 { throw nothing(report.layers.map { ($0.name, $0.floatReason ?? "") } + nested) }
    report.layers += nested.map { .init(name: $0.0, operatorName: "", floatReason: $0.1) }
    if options.calibration != nil {
      let trial = try QuantizationTrial(graph, try samples(graph), options: options, progress: progress)
      try trial.check(quantized, &report)
    }
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
}
