import Artifact
import Compiler
import Foundation
import Passes
import Runtime
import TensorTypes

/// What a compilation made and cost.
struct CompileReport {
  let model: CompiledModel
  let outputBytes: Int?
  let output: String?
  let seconds: Double
  /// How far the results are from fp32; nil for fp32.
  var deviations: [Deviation]?
  /// What the deviations are of.
  var deviationInputs = "random inputs"
  /// Why there are none, where they could not be found out.
  var deviationObstacle: String?
  /// The most memory the process had in use.
  let peakMemoryBytes: Int

  init(_ model: CompiledModel, output: String?, seconds: Double) {
    (self.model, self.output, self.seconds) = (model, output, seconds)
    outputBytes = output.flatMap { (try? FileManager.default.attributesOfItem(atPath: $0))?[.size] as? Int }
    peakMemoryBytes = PeakMemory.bytes ?? 0
  }

  /// Runs of passes, in order.
  var runs: [PassEffect] { PassEffect.runs(model.records) }
  /// The runs that changed something: what one leaves, the next one finds.
  var changes: [PassEffect] { runs.filter(\.hasChanged) }
  /// All runs of each pass that changed nothing at all.
  var idle: [PassEffect] {
    let effective = Set(changes.map(\.name))
    return PassEffect.merged(runs.filter { !effective.contains($0.name) })
  }
  /// What else passes did in vain.
  var vainRuns: (count: Int, seconds: Double) {
    let vain = runs.filter { !$0.hasChanged }
    return (vain.count, vain.reduce(0) { $0 + $1.seconds })
  }
  var groups: [FusionGroup] { FusionGroup.all(of: model.graph) }
  var refusals: [RefusedWork] { RefusedWork.all(of: model.refusals) }

  /// The line that ends a compilation.
  var line: String {
    let size = outputBytes.map { Quantity.bytes($0) } ?? "nothing"
    let calls = model.manifest.generalSteps.count
    let variants = model.manifest.variants.isEmpty ? "" : " and code of its own for " + model.manifest.variants.map(\.label).joined(separator: "; ")
      + " (weights of its own: \(Quantity.bytes(model.variantConstantBytes)))"
    return "\(output ?? model.manifest.modelName): \(size) (weights \(Quantity.bytes(model.constantsByteCount)), code \(Quantity.bytes(model.code.image.count))), "
      + "\(calls) kernel\(calls == 1 ? "" : "s") for \(model.manifest.target.name)\(variants), "
      + "\(Quantity.time(seconds)), at most \(Quantity.bytes(peakMemoryBytes)) of memory"
  }

  /// What pruning did; empty without it.
  var pruningLines: [String] { model.revision?.pruning.map { PruningSummary(report: $0).lines } ?? [] }

  /// What quantization did; empty without it.
  var quantizationLines: [String] { model.revision?.quantization.map { QuantizationSummary(report: $0).lines } ?? [] }

  var json: JSON {
    let manifest = model.manifest
    let quantization: JSON = model.revision?.quantization.map { QuantizationSummary(report: $0).json } ?? .null
    var members: [JSON.Member] = [
      .init("model", .string(manifest.modelName)), .init("target", .string(manifest.target.name)), .init("tool", .string(manifest.toolVersion)), .init("precision", .string(manifest.precision)),
      .init("deviation_from_fp32", deviations?.json ?? .null), .init("deviation_obstacle", deviationObstacle.map { .string($0) } ?? .null), .init("pruning", model.revision?.pruning.map { PruningSummary(report: $0).json } ?? .null), .init("quantization", quantization),
      .init("seconds", .number(seconds)), .init("peak_memory_bytes", .integer(peakMemoryBytes)),
      .init("output_bytes", outputBytes.map { .integer($0) } ?? .null), .init("weights_bytes", .integer(model.constantsByteCount)),
      .init("code_bytes", .integer(model.code.image.count)), .init("arena_bytes", number(manifest.arenaBytes)),
    ]
    members += [
      .init(
        "tuning",
        model.tuning.map {
          .object([
            .init("kernels", .integer($0.kernels)), .init("measured", .integer($0.measured)), .init("known", .integer($0.known)), .init("changed", .integer($0.changed)),
            .init("seconds", .number($0.seconds)), .init("by_estimate_seconds", .number($0.estimatedSeconds)), .init("by_measurement_seconds", .number($0.fastestSeconds)),
          ])
        } ?? .null),
      .init("cached_objects", .integer(model.cachedObjects)), .init("compiled_objects", .integer(model.compiledObjects)),
      // Nothing can need less: the most that is alive at once. Symbols count as 1.
      .init("arena_lower_bound_bytes", model.program.liveBytesBound(manifest.symbols.reduce(into: [:]) { $0[$1] = 1 }).map { .integer($0) } ?? .null),
    ]
    members.append(
      .init(
        "variants",
        .array(
          manifest.variants.map {
            .object([
              .init("lengths", .string($0.label)), .init("arena_bytes", number($0.arenaBytes)), .init("first_kernel", .integer($0.steps.lowerBound)),
              .init("kernels", .integer($0.steps.count)),
            ])
          })))
    members += [
      .init("variant_weights_bytes", .integer(model.variantConstantBytes)),
      .init("stages", .array(model.stageSeconds.map { .object([.init("name", .string($0.name)), .init("seconds", .number($0.seconds))]) })),
    ]
    members += [passesJSON, groupsJSON, kernelsJSON, refusalsJSON]
    return .object(members)
  }

  private var refusalsJSON: JSON.Member {
    .init(
      "refusals",
      .array(
        model.refusals.map {
          .object([.init("pass", .string($0.pass)), .init("node", .string($0.origin.node)), .init("operator", .string($0.origin.operatorName)), .init("reason", .string($0.reason))])
        }))
  }

  private var passesJSON: JSON.Member {
      .init(
        "passes",
        .array(
          model.records.map {
            .object([
              .init("name", .string($0.name)), .init("seconds", .number($0.seconds)), .init("nodes_before", .integer($0.nodesBefore)),
              .init("nodes_after", .integer($0.nodesAfter)), .init("constant_bytes_before", .integer($0.constantBytesBefore)),
              .init("constant_bytes_after", .integer($0.constantBytesAfter)), .init("changed", .bool($0.hasChanged)), .init("variant", .bool($0.isOfVariant)),
            ])
          }))
  }

  private var groupsJSON: JSON.Member {
      .init(
        "fusion_groups",
        .array(
          groups.map {
            .object([
              .init("template", .string($0.template)), .init("operations", .string($0.members)), .init("result", .string($0.result)),
              .init("origin", .string($0.origin)), .init("reason", .string($0.reason)), .init("refused", .bool($0.wasRefused)),
            ])
          }))
  }

  private var kernelsJSON: JSON.Member {
      .init(
        "kernels",
        .array(
          model.program.calls.map { call in
            .object([
              .init("name", .string(model.program.kernels[call.kernel].name)), .init("origin", .string(call.origin)), .init("flops", number(call.flops)),
              .init("bytes", number(call.bytes)), .init("note", .string(call.note)),
              .init("choice", ChoiceReport.json(call.choice)),
            ])
          }))
  }

  private func number(_ extent: Extent) -> JSON { extent.constant.map { .integer($0) } ?? .string("\(extent)") }
}
