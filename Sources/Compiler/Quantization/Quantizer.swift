import Artifact
import Foundation
import GraphIR
import Passes
import TensorTypes

/// Quantises a portable graph as its options say: learns ranges from samples, and keeps in floating point what hurts too much.
struct Quantizer {
  let options: CompileOptions
  let wanted: QuantizationOptions
  let fixed: [Manifest.FixedInput]
  let progress: @Sendable (Compiler.Progress) -> Void

  func run(_ graph: Graph) throws(CompileError) -> (graph: Graph, report: QuantizationReport) {
    switch wanted.scheme {
    case .int8: try learned(graph)
    case .dynamicInt8: try measuredInEachRun(graph)
    case .weightsInt8: try weightsAlone(graph, bits: 8)
    case .weightsInt4: try weightsAlone(graph, bits: 4)
    }
  }

  // MARK: Schemes

  private func measuredInEachRun(_ graph: Graph) throws(CompileError) -> (graph: Graph, report: QuantizationReport) {
    let all = try self.plan(graph)
    // Two ranges would be measured, and two operands laid out, for a product that has few steps.
    let products = all.layers.filter(\.isProduct).reduce(into: [:]) { $0[$1.node] = "its right operand is not constant" }
    let plan = QuantizationPlan(graph, without: { products[$0.node] != nil || isNamed($0) })
    if plan.layers.isEmpty { throw nothing(all.layers.map { ($0.name, "its right operand is not constant") } + plan.refused + Self.nested(in: graph)) }
    let samples = options.calibration == nil ? nil : try self.samples(graph)
    let choice = try choose(graph, samples, compares: true, names: plan.layers.map(\.name), switched: { name throws(CompileError) in
      try insertSwitchedQuantization(graph, plan, ranges: nil, switchName: name)
    }, build: { keeping throws(CompileError) in
      let nodes = Set(keeping.map { plan.layers[$0].node })
      return try withTables(try insertDynamicQuantization(graph, QuantizationPlan(graph, without: { products[$0.node] != nil || nodes.contains($0.node) || isNamed($0) })))
    })
    var kept = products
    for (layer, reason) in choice.kept { kept[plan.layers[layer].node] = reason }
    let quantized = try withTables(try insertDynamicQuantization(graph, QuantizationPlan(graph, without: { kept[$0.node] != nil || isNamed($0) })))
    var report = self.report(wanted.scheme.rawValue, graph, plan, kept: kept, choice)
    try choice.check(quantized, &report)
    return (quantized, report)
  }

  private func learned(_ source: Graph) throws(CompileError) -> (graph: Graph, report: QuantizationReport) {
    guard options.calibration != nil else {
      throw CompileError(
        .usage, "--quantize int8 learns from samples which range each value has, and none are given", stage: .run,
        hint: "--calibrate FOLDER names them: a .npy, .pb, .json, .jpg or .png file for each sample; --quantize dynamic-int8 needs none")
    }
    let samples = try self.samples(source)
    var graph = source
    if wanted.equalizes { graph = try equalizeLayers(graph) }
    var smoothedValues = 0
    if let smoothing = wanted.smoothing { (graph, smoothedValues) = try smoothed(graph, samples, smoothing) }
    let all = try self.plan(graph)
    let facts = try observe(graph, all, samples)
    var kept = try withoutRanges(all, facts.ranges, samples)
    let plan = kept.isEmpty ? all : QuantizationPlan(graph, without: { kept[$0.node] != nil || isNamed($0) })
    let corrections = wanted.correctsBias ? biasCorrections(graph, plan, means: facts.means) : [:]

    let blind = kept
    let choice = try choose(source, samples, compares: false, names: plan.layers.map(\.name), switched: { name throws(CompileError) in
      try insertSwitchedQuantization(graph, plan, ranges: facts.ranges, corrections: corrections, switchName: name)
    }, build: { keeping throws(CompileError) in
      let nodes = Set(keeping.map { plan.layers[$0].node })
      let part = QuantizationPlan(graph, without: { nodes.contains($0.node) || blind[$0.node] != nil || isNamed($0) })
      return try withTables(try insertQuantization(graph, part, ranges: facts.ranges, corrections: corrections.filter { !nodes.contains($0.key) }))
    })
    for (layer, reason) in choice.kept { kept[plan.layers[layer].node] = reason }
    let final = QuantizationPlan(graph, without: { kept[$0.node] != nil || isNamed($0) })
    let quantized = try withTables(try insertQuantization(graph, final, ranges: facts.ranges, corrections: corrections.filter { kept[$0.key] == nil }))
    var summary = "\(wanted.scheme.rawValue) (\(wanted.observer.rawValue)"
    if wanted.equalizes { summary += ", equalized" }
    if case .strength(let strength)? = wanted.smoothing { summary += ", smoothed \(strength)" }
    if !wanted.correctsBias { summary += ", biases as they were" }
    var report = self.report(summary + ")", graph, plan, kept: kept, choice)
    (report.samples, report.smoothedValues) = (samples.count, smoothedValues)
    try choice.check(quantized, &report)
    return (quantized, report)
  }

  // MARK: Parts

  /// The layers that no range was found for, and why.
  ///
  /// - Throws: `CompileError`: `.badInput` if these are all.
  private func withoutRanges(_ plan: QuantizationPlan, _ ranges: [ValueID: ValueRange], _ samples: CalibrationSamples) throws(CompileError) -> [NodeID: String] {
    let merged = plan.merged(ranges)
    let blind = plan.layers.filter { merged[plan.root(of: $0)] == nil || $0.isProduct && merged[plan.rightRoot(of: $0)] == nil }
    guard blind.count < plan.layers.count else {
      throw CompileError(
        .badInput, "no layer reads a finite number on the samples in `\(samples.path)`: no range can be learned from them", stage: .run,
        hint: "calibrate with data like that which the model is for")
    }
    return blind.reduce(into: [:]) { $0[$1.node] = "it reads no finite number on the samples" }
  }

  func samples(_ graph: Graph) throws(CompileError) -> CalibrationSamples {
    guard let calibration = options.calibration else { throw CompileError(.usage, "no samples are given", stage: .run, hint: "--calibrate FOLDER names them") }
    return try CalibrationSamples(calibration, for: graph, fixed: fixed)
  }

  private func isNamed(_ layer: QuantizableLayer) -> Bool { wanted.floatNodes.contains(layer.name) }

  /// What can be quantised, without the nodes that `--keep-float` names.
  private func plan(_ graph: Graph) throws(CompileError) -> QuantizationPlan {
    let all = QuantizationPlan(graph)
    let tables = tables.decisions(for: graph).filter(\.isTable).map(\.name)
    for name in wanted.floatNodes where !all.layers.contains(where: { $0.name == name }) && !tables.contains(name) {
      let names = all.layers.map(\.name) + tables
      throw CompileError(
        .usage, "--keep-float names `\(name)`, which is no layer that would be quantized", stage: .run,
        hint: "the layers are " + names.prefix(40).joined(separator: ", ") + (names.count > 40 ? ", ..." : ""))
    }
    let plan = QuantizationPlan(graph, without: isNamed)
    if plan.layers.isEmpty { throw nothing(all.layers.map { ($0.name, "--keep-float names it") } + plan.refused + Self.nested(in: graph)) }
    return plan
  }

  /// What becomes of tables that rows are looked up in: 8 bits with a scale for each row, which are far less of an error than bytes of activations.
  private var tables: WeightQuantization {
    var tables = WeightQuantization(bits: 8)
    tables.keptFloat = Set(wanted.floatNodes)
    return tables
  }

  private func withTables(_ graph: Graph) throws(CompileError) -> Graph {
    var (graph, context) = (graph, PassContext())
    _ = try quantizeTables(tables).run(&graph, &context)
    return graph
  }

  /// Layers inside of loops and branches, which stay as they are.
  static func nested(in graph: Graph) -> [(name: String, reason: String)] {
    graph.nestedContractions().map { ($0.name, "it is inside of \($0.place): layers of branches and loops stay as they are") }
  }

  func nothing(_ refused: [(name: String, reason: String)]) -> CompileError {
    CompileError(
      .usage, "nothing in the model can be quantized to `\(wanted.scheme.rawValue)`", stage: .pass("quantize"),
      hint: refused.isEmpty ? "it has no matrix product" + (wanted.scheme.isWeightsOnly ? "" : " or convolution") + " with constant weights" : refused.prefix(3).map { "\($0.name): \($0.reason)" }.joined(separator: "; "))
  }

  private struct Facts {
    var ranges: [ValueID: ValueRange] = [:]
    var means: [ValueID: [Double]] = [:]
  }

  /// Ranges of the roots, and averages of the layers' inputs where they are needed.
  private func observe(_ graph: Graph, _ plan: QuantizationPlan, _ samples: CalibrationSamples) throws(CompileError) -> Facts {
    var observers: [ValueID: any Observer] = [:]
    for root in plan.roots { observers[root] = wanted.observer.makeObserver() }
    var channels: [ValueID: ChannelStatistics] = [:]
    if wanted.correctsBias { for layer in plan.layers { channels[layer.activation] = statistics(graph, layer) } }
    try Calibration(graph, watching: plan.roots + channels.keys, options: options, progress: progress).run(samples) { _, value, tensor in
      observers[value]?.observe(tensor)
      channels[value]?.observe(tensor)
    }
    return Facts(ranges: observers.compactMapValues(\.range), means: channels.mapValues(\.means))
  }

  private func statistics(_ graph: Graph, _ layer: QuantizableLayer) -> ChannelStatistics {
    ChannelStatistics(forInputOf: graph.node(layer.node).operation, rank: graph.type(of: layer.activation).rank)
  }

  private func smoothed(_ graph: Graph, _ samples: CalibrationSamples, _ smoothing: Smoothing) throws(CompileError) -> (graph: Graph, count: Int) {
    let plan = try self.plan(graph)
    var channels: [ValueID: ChannelStatistics] = [:]
    for layer in plan.layers where graph.node(layer.node).operation is Dot { channels[layer.activation] = statistics(graph, layer) }
    if channels.isEmpty { return (graph, 0) }
    try Calibration(graph, watching: Array(channels.keys), options: options, progress: progress).run(samples, stage: "find outliers") { _, value, tensor in channels[value]?.observe(tensor) }
    return try smoothActivations(graph, plan, channels: channels, smoothing)
  }

  private func report(_ summary: String, _ graph: Graph, _ plan: QuantizationPlan, kept: [NodeID: String], _ choice: LayerChoice) -> QuantizationReport {
    let alone = Dictionary(zip(plan.layers.map(\.node), choice.decibelsAlone), uniquingKeysWith: { first, _ in first })
    var report = QuantizationReport(summary: summary)
    report.layers = QuantizationPlan(graph).layers.map { layer in
      let reason = kept[layer.node] ?? (isNamed(layer) ? "--keep-float names it" : nil)
      return QuantizationReport.Layer(name: layer.name, operatorName: layer.operatorName, floatReason: reason, decibelsAlone: alone[layer.node])
    }
    report.tables = tables.decisions(for: graph).count { $0.isTable && $0.floatReason == nil }
    for (name, reason) in plan.refused + Self.nested(in: graph) { report.layers.append(.init(name: name, operatorName: "", floatReason: reason)) }
    return report
  }
}
