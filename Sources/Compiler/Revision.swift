import Artifact
public import GraphIR
import Passes

/// A model whose numbers were changed on request, in the portable form.
public struct Revision: Sendable {
  public var graph: Graph
  /// What pruning did; nil without it.
  public var pruning: PruningReport?
  /// What quantization did; nil without it.
  public var quantization: QuantizationReport?
  /// What was done, step by step, as if pruning and quantization were passes.
  var records: [PassRecord] = []
}

extension CompileOptions {
  /// The same model with the numbers that its file holds, in fp32.
  public var exact: CompileOptions {
    var options = self
    options.precision = .fp32
    options.quantization = nil
    options.pruning = nil
    options.calibration = nil
    return options
  }

  /// True if results are not those of fp32: an error against it can be stated.
  public var isInexact: Bool { precision != .fp32 || changesModel }

  /// True if the model's numbers are changed before it is compiled.
  var changesModel: Bool { quantization != nil || pruning != nil }

  /// What a manifest says of the numbers that a model computes with.
  func precisionText(_ quantization: QuantizationReport?) -> String {
    guard let quantization else { return precision.rawValue }
    return precision == .fp32 ? quantization.summary : "\(quantization.summary), \(precision.rawValue)"
  }
}

extension Compiler {
  /// Does to a model what its options ask for beside compiling it.
  ///
  /// - Parameters:
  ///   - source: As loaded.
  ///   - fixed: Inputs that are no longer the graph's.
  func revise(_ source: Graph, fixed: [Manifest.FixedInput]) throws(CompileError) -> Revision {
    var options = options
    if options.changesModel { try options.calibration?.readPipe() }
    var runner = PassRunner<Graph>(options: options.passes.withoutOutput, write: { _ in })
    var revision = Revision(graph: source)
    try runner.run(.portable.replacing(constantFolding(within: options.limits.folding)), on: &revision.graph)
    revision.records = runner.records
    if let wanted = options.pruning {
      let pruning = ModelPruning(options: wanted, compilation: options, fixed: fixed, progress: report)
      try revision.step("prune") { revision throws(CompileError) in (revision.graph, revision.pruning) = try pruning.run(revision.graph) }
    }
    if let wanted = options.quantization {
      let quantizer = Quantizer(options: options, wanted: wanted, fixed: fixed, progress: report)
      try revision.step("quantize") { revision throws(CompileError) in (revision.graph, revision.quantization) = try quantizer.run(revision.graph) }
      revision.records[revision.records.count - 1].seconds -= revision.measuringSeconds
    }
    try revision.graph.verify(stage: .load)
    return revision
  }
}

extension Revision {
  /// What was measured for the report alone.
  var measuringSeconds: Double { quantization?.measuringSeconds ?? 0 }

  /// Changes the graph and keeps a record of it.
  fileprivate mutating func step(_ name: String, _ change: (inout Revision) throws(CompileError) -> Void) throws(CompileError) {
    let (nodes, bytes) = (graph.size, graph.constantBytes)
    var clock = StageClock()
    try change(&self)
    clock.finish(name)
    var record = PassRecord(name: name, seconds: clock.stages[0].seconds, nodesBefore: nodes, nodesAfter: graph.size, hasChanged: true)
    (record.constantBytesBefore, record.constantBytesAfter) = (bytes, graph.constantBytes)
    record.hasChanged = record.nodesBefore != record.nodesAfter || record.constantBytesBefore != record.constantBytesAfter
    records.append(record)
  }
}

extension PassOptions {
  /// The same passes, without what is printed and checked between them.
  fileprivate var withoutOutput: PassOptions {
    var options = self
    options.printAfter = []
    options.verifiesEach = false
    return options
  }
}
