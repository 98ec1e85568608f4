import Artifact
import Compiler

extension ComparisonReport {
  var json: JSON {
    var members: [JSON.Member] = [
      .init("model", .string(path)), .init("command", .string(command)), .init("tool", .string("ingot \(ingotVersion)")), .init("date", .string(machine.date)),
      .init(
        "machine",
        .object([
          .init("processor", .string(machine.processor)), .init("target", .string(machine.cpu)), .init("processors", .integer(machine.processors)),
          .init("memory_bytes", .integer(machine.memoryBytes)), .init("threads", .integer(machine.threads)), .init("peak_flops_per_second", .number(machine.peak.flops)),
          .init("peak_bytes_per_second", .number(machine.peak.bandwidth)),
        ])),
      .init("inputs", .array(inputs.map { .string($0) })), .init("object_cache", .bool(false)),
      .init("memory", .string("peak resident bytes of the artifact's own process for one run, mapped weights included")),
      .init("variants", .array(results.map(Self.json))),
    ]
    if let ablation {
      members.append(
        .init(
          "passes",
          .array(
            ablation.switches.map { item in
              var members: [JSON.Member] = [.init("name", .string(item.pass)), .init("summary", .string(item.summary))]
              switch item.kind {
              case .optional: members.append(.init("kind", "optional"))
              case .required(let reason): members += [.init("kind", "required"), .init("reason", .string(reason))]
              case .idle: members.append(.init("kind", "idle"))
              case .absent: members.append(.init("kind", "absent"))
              }
              return .object(members)
            })))
      members.append(.init("least_passes", .array(ablation.leastPasses.map { .string($0) })))
    }
    return .object(members)
  }

  private static func json(_ result: VariantResult) -> JSON {
    let (role, subject): (JSON, JSON) =
      switch result.variant.role {
      case .baseline: ("baseline", .null)
      case .named: ("variant", .null)
      case .without(let pass): ("without", .string(pass))
      case .least: ("least", .null)
      case .added(let pass): ("added", .string(pass))
      case .choice(let choice): ("choice", .string(choice))
      }
    let head: [JSON.Member] = [
      .init("name", .string(result.variant.name)), .init("role", role), .init("subject", subject), .init("options", .string(CommandWords.quoted(result.variant.words))),
    ]
    guard let figures = result.figures else { return .object(head + [.init("error", .string(result.failure ?? ""))]) }
    return .object(head + figures.json)
  }
}

extension VariantResult.Figures {
  fileprivate var json: [JSON.Member] {
    [
      .init("same_as", isSameAs.map { .string($0) } ?? .null), .init("median_seconds", .number(latency.median)), .init("minimum_seconds", .number(latency.minimum)),
      .init("p99_seconds", .number(latency.p99)), .init("spread", .number(latency.spread)), .init("samples", .integer(latency.samples.count)),
      .init("runs_per_sample", .integer(latency.runsPerSample)), .init("gain", .number(gain.median)), .init("gain_lower_quartile", .number(gain.lower)),
      .init("gain_upper_quartile", .number(gain.upper)), .init("rounds", .integer(slices.count)), .init("runs_per_second", .number(runsPerSecond)), .init("clients", .integer(clients)),
      .init("threads", .integer(threads)), .init("artifact_bytes", .integer(artifactBytes)), .init("weights_bytes", .integer(weightsBytes)),
      .init("code_bytes", .integer(codeBytes)), .init("arena_bytes", .integer(arenaBytes)), .init("resident_bytes", residentBytes.map { .integer($0) } ?? .null),
      .init("compile_seconds", .number(compileSeconds)), .init("compile_peak_bytes", .integer(compilePeakBytes)),
      .init("stages", .array(stages.map { .object([.init("name", .string($0.name)), .init("seconds", .number($0.seconds))]) })),
      .init("deviation_from_fp32", deviations.json),
      .init(
        "accuracy",
        accuracy.map {
          .object([.init("samples", .integer($0.samples)), .init("top1", .integer($0.top1)), .init("top5", $0.top5.map { .integer($0) } ?? .null)])
        } ?? .null),
      .init(
        "passes",
        .array(
          passes.map {
            .object([
              .init("name", .string($0.name)), .init("seconds", .number($0.seconds)), .init("nodes_before", .integer($0.nodesBefore)),
              .init("nodes_after", .integer($0.nodesAfter)), .init("changed", .bool($0.hasChanged)),
            ])
          })),
      .init(
        "kernels",
        .array(
          kernels.map {
            .object([
              .init("name", .string($0.name)), .init("origin", .string($0.origin)), .init("seconds", .number($0.seconds)),
              .init("flops", $0.flops.map { .integer($0) } ?? .null), .init("bytes", $0.bytes.map { .integer($0) } ?? .null), .init("note", .string($0.note)),
            ])
          })),
      .init("layers", layers ?? .null), .init("pruned_layers", prunedLayers ?? .null), .init("remarks", .array(remarks.map { .string($0) })),
    ]
  }
}
