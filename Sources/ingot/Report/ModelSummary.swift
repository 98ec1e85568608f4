import Artifact
import Compiler
import GraphIR
import KernelIR
import Passes
import TensorTypes

/// A model in figures: its interface, what is in the file, what the passes made of it.
struct ModelSummary {
  private let plan: Compiler.Plan
  private let path: String
  /// Operators of the file by name, most frequent first. Operators that are evaluated on import are not among them.
  private let operators: [(name: String, count: Int)]
  private let parameterCount: Int
  private let parameterBytes: Int
  private let work: (flops: Extent, bytes: Extent)

  init(_ plan: Compiler.Plan, path: String) {
    (self.plan, self.path) = (plan, path)
    var seen: Set<NodeOrigin> = []
    var counts: [String: Int] = [:]
    var (elements, bytes) = (0, 0)
    for id in plan.source.topologicalOrder() {
      let node = plan.source.node(id)
      if let constant = node.operation(as: Constant.self) {
        elements += constant.tensor.count
        bytes += constant.tensor.byteCount
      }
      let name = node.origin.operatorName.isEmpty ? node.operation.mnemonic : node.origin.operatorName
      // One operator may have become several nodes of the same origin.
      if node.operation is Constant || node.origin.isKnown && !seen.insert(node.origin).inserted { continue }
      counts[name, default: 0] += 1
    }
    operators = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
    (parameterCount, parameterBytes) = (elements, bytes)
    work = KernelProgram.calls(of: plan.program.steps).reduce((Extent(0), Extent(0))) { ($0.0 + $1.flops, $0.1 + $1.bytes) }
  }

  var text: String {
    let graph = plan.source
    var lines = ["\(path)"]
    for input in graph.inputs { lines.append("  input       \(graph.value(input).name)  \(graph.type(of: input))") }
    for (name, output) in zip(graph.outputNames, graph.outputs) { lines.append("  output      \(name)  \(graph.type(of: output))") }
    if !plan.program.symbols.isEmpty { lines.append("  symbols     \(plan.program.symbols.joined(separator: ", ")) (fix them with --dim)") }
    if !plan.program.computedSymbols.isEmpty { lines.append("  computed    \(plan.program.computedSymbols.joined(separator: ", ")) (lengths that a run finds)") }
    lines.append("  parameters  \(Quantity.count(parameterCount)) (\(Quantity.bytes(parameterBytes)))")
    lines.append("  work        \(figure(work.flops, "FLOP")), at least \(figure(work.bytes, "B")) moved" + condition)
    let bound = plan.program.liveBytesBound(plan.program.symbols.reduce(into: [:]) { $0[$1] = 1 })
    lines.append("  scratch     \(figure(plan.program.arenaBytes, "B"))\(bound.map { ", at least \(figure(Extent($0), "B")) are alive at once" } ?? "")" + condition)
    lines.append("  operators   " + operators.map { "\($0.name) \($0.count)" }.joined(separator: ", "))
    for variant in plan.program.variants {
      lines.append("  code for    \(variant.lengths): \(KernelProgram.calls(of: variant.steps).count) kernel calls, scratch \(figure(variant.arenaBytes, "B"))")
    }
    if !plan.program.variants.isEmpty { lines.append("              their weights add \(Quantity.bytes(plan.variantConstantBytes)) to those of the code for all lengths") }
    let size = graph.topologicalOrder().count
    lines.append("  passes      \(size) core operations become \(KernelProgram.calls(of: plan.program.steps).count) kernel calls of \(plan.program.kernels.count) kernels:")
    var table = TextTable(leftAlignedFrom: 0)
    for group in FusionGroup.all(of: plan.graph) { table.rows.append([group.template, group.result, group.members, group.origin, group.reason]) }
    lines.append(table.text)
    if plan.program.calls.contains(where: { $0.choice != nil }) {
      lines.append("  choices     kernels that could be written in several ways, and why they are as they are:")
      lines.append(ChoiceReport.table(plan.program.calls))
    }
    return lines.joined(separator: "\n")
  }

  var json: JSON {
    func ports(_ ports: [KernelProgram.Port]) -> JSON { .array(ports.map { .object([.init("name", .string($0.name)), .init("type", .string("\($0.type)"))]) }) }
    func number(_ extent: Extent) -> JSON { extent.constant.map { .integer($0) } ?? .string("\(extent)") }
    return .object([
      .init("model", .string(path)), .init("inputs", ports(plan.program.inputs)), .init("outputs", ports(plan.program.outputs)),
      .init("symbols", .array(plan.program.symbols.map { .string($0) })), .init("parameters", .integer(parameterCount)),
      .init("parameter_bytes", .integer(parameterBytes)), .init("flops", number(work.flops)), .init("bytes", number(work.bytes)),
      .init("arena_bytes", number(plan.program.arenaBytes)),
      .init("arena_lower_bound_bytes", plan.program.liveBytesBound(plan.program.symbols.reduce(into: [:]) { $0[$1] = 1 }).map { .integer($0) } ?? .null),
      .init(
        "variants",
        .array(
          plan.program.variants.map {
            .object([
              .init("lengths", .string("\($0.lengths)")), .init("arena_bytes", number($0.arenaBytes)),
              .init("kernel_calls", .integer(KernelProgram.calls(of: $0.steps).count)),
            ])
          })),
      .init("variant_weights_bytes", .integer(plan.variantConstantBytes)),
      .init("operators", .object(operators.map { .init($0.name, .integer($0.count)) })),
      .init(
        "fusion_groups",
        .array(
          FusionGroup.all(of: plan.graph).map {
            .object([
              .init("template", .string($0.template)), .init("operations", .string($0.members)), .init("result", .string($0.result)),
              .init("origin", .string($0.origin)), .init("reason", .string($0.reason)),
            ])
          })),
      .init("choices", .array(plan.program.calls.filter { $0.choice != nil }.map { ChoiceReport.json($0.choice) })),
    ])
  }

  /// Which lengths the figures hold for.
  private var condition: String {
    plan.program.symbols.isEmpty ? "" : " for " + plan.program.symbols.map { "\($0) = 1" }.joined(separator: ", ")
  }

  private func figure(_ extent: Extent, _ unit: String) -> String {
    let ones = plan.program.symbols.reduce(into: [:]) { $0[$1] = 1 }
    guard let value = extent.evaluated(ones) else { return "\(extent) \(unit)" }
    let text = Quantity.count(value)
    return text.contains(" ") ? text + unit : "\(text) \(unit)"
  }
}

/// What an artifact says about itself.
struct ArtifactSummary {
  let text: String

  init(_ manifest: Manifest) {
    var lines = ["\(manifest.modelName), version \(manifest.modelVersion) (a compiled artifact)"]
    for port in manifest.inputs { lines.append("  input       \(port.name)  \(port.type)") }
    for structure in manifest.inputStructures { lines.append("  input       \(structure.text)") }
    for input in manifest.fixedInputs { lines.append("  fixed       \(input.name)  \(input.type) \(input.text)") }
    for port in manifest.outputs { lines.append("  output      \(port.name)  \(port.type)") }
    for structure in manifest.outputStructures { lines.append("  output      \(structure.text)") }
    lines.append("  target      \(manifest.target.name)" + (manifest.target.requiredFeatures.isEmpty ? "" : ": " + manifest.target.requiredFeatures.joined(separator: ", ")))
    lines.append("  scratch     \(manifest.arenaBytes) bytes" + (manifest.computedSymbols.isEmpty ? "" : ", and what the lengths need that a run finds"))
    let general = manifest.steps[manifest.generalSteps]
    lines.append("  work        \(general.reduce(Extent(0)) { $0 + $1.flops }) FLOP in \(general.count) kernel calls")
    for variant in manifest.variants {
      let flops = manifest.steps[variant.steps].reduce(Extent(0)) { $0 + $1.flops }
      lines.append("  code for    \(variant.label): \(flops) FLOP in \(variant.steps.count) kernel calls, scratch \(variant.arenaBytes) bytes")
    }
    if !manifest.labels.isEmpty { lines.append("  labels      \(manifest.labels.count), from \(manifest.labels.first ?? "")") }
    lines.append("  pipeline    \(manifest.pipeline)")
    lines.append("  source      \(manifest.sourceDigest), by ingot \(manifest.toolVersion)")
    text = lines.joined(separator: "\n")
  }
}
