import Artifact
import Compiler
import Foundation
import KernelIR
import Runtime
import TensorTypes

/// What `bench` found, as text and as JSON.
struct BenchReport {
  var manifest: Manifest
  /// The steps that the run takes.
  var steps: [Manifest.Step]
  /// The calls that those steps are, in the same order; nil for an artifact.
  var calls: [KernelProgram.Call]?
  /// The lengths whose code serves the run; nil for the code that serves all.
  var variant: String?
  var threads: Int
  var result: Benchmark.Result
  var work: [KernelWork]
  /// Nil without `--profile`.
  var secondsPerStep: [Double]?
  var peak: MachinePeak
  var sgemm: Double?
  /// How far the results are from fp32; nil for fp32, and where the model itself is not there.
  var deviations: [Deviation]?

  var text: String {
    var lines = [
      "\(manifest.modelName): median \(Quantity.time(result.median)), fastest \(Quantity.time(result.minimum)), p99 \(Quantity.time(result.p99)), "
        + "spread \(Quantity.percent(result.spread)) on \(threads) thread\(threads == 1 ? "" : "s") (\(result.samples.count * result.runsPerSample) runs)"
    ]
    if !manifest.variants.isEmpty { lines.append("  code for    \(variant ?? "all lengths")") }
    if result.spread > 0.05 { lines.append("  the middle half of the runs differs by \(Quantity.percent(result.spread)): this machine is not quiet") }
    let total = KernelWork.total(work)
    let (flops, bytes) = (total.flops / result.median, total.bytes / result.median)
    lines.append("  arithmetic  \(Self.giga(flops)) GFLOP/s, \(Quantity.percent(flops / peak.flops)) of the \(Self.giga(peak.flops)) this machine reaches in fp32")
    lines.append("  memory      \(Self.giga(bytes)) GB/s; this machine reads \(Self.giga(peak.bandwidth)) GB/s from memory, more from its caches")
    if let sgemm { lines.append("  yardstick   OpenBLAS sgemm 1024x1024x1024: \(Self.giga(sgemm)) GFLOP/s, \(Quantity.percent(sgemm / peak.flops)) of the peak") }
    if let deviations { lines += ["  precision   \(manifest.precision); on these inputs"] + deviations.lines }
    if let secondsPerStep { lines.append(profileTable(secondsPerStep)) }
    return lines.joined(separator: "\n")
  }

  /// Slowest first; what is below 0.1 % of the time is summed up.
  private func profileTable(_ seconds: [Double]) -> String {
    let total = seconds.reduce(0, +)
    var table = TextTable(leftAlignedFrom: 6)
    table.rows.append(["share", "time", "GFLOP/s", "of peak", "GB/s", "of mem", "kernel", "from", "how"])
    var rest = (count: 0, seconds: 0.0)
    for index in seconds.indices.sorted(by: { seconds[$0] > seconds[$1] }) {
      let time = seconds[index]
      guard time > total * 0.001 else {
        rest = (rest.count + 1, rest.seconds + time)
        continue
      }
      let flops = work[index].flops.map { Double($0) / time }, bytes = work[index].bytes.map { Double($0) / time }
      table.rows.append([
        Quantity.percent(time / total), Quantity.time(time), flops.map(Self.giga) ?? "?", flops.map { Quantity.percent($0 / peak.flops) } ?? "?",
        bytes.map(Self.giga) ?? "?", bytes.map { Quantity.percent($0 / peak.bandwidth) } ?? "?", steps[index].name, steps[index].origin,
        calls.map { ChoiceReport.text($0[index]) } ?? "",
      ])
    }
    if rest.count > 0 {
      table.rows.append([Quantity.percent(rest.seconds / total), Quantity.time(rest.seconds), "", "", "", "", "\(rest.count) more, below 0.1% each"])
    }
    return table.text
  }

  var json: JSON {
    let total = KernelWork.total(work)
    var members: [JSON.Member] = [
      .init("model", .string(manifest.modelName)), .init("threads", .integer(threads)), .init("median_seconds", .number(result.median)),
      .init("minimum_seconds", .number(result.minimum)), .init("mean_seconds", .number(result.mean)), .init("p99_seconds", .number(result.p99)),
      .init("spread", .number(result.spread)), .init("samples", .integer(result.samples.count)), .init("runs_per_sample", .integer(result.runsPerSample)),
      .init("flops", .number(total.flops)), .init("bytes", .number(total.bytes)), .init("flops_per_second", .number(total.flops / result.median)),
      .init("bytes_per_second", .number(total.bytes / result.median)), .init("peak_flops_per_second", .number(peak.flops)),
      .init("peak_bytes_per_second", .number(peak.bandwidth)),
    ]
    if !manifest.variants.isEmpty { members.append(.init("variant", variant.map { .string($0) } ?? .null)) }
    members.append(.init("precision", .string(manifest.precision)))
    if let deviations { members.append(.init("deviation_from_fp32", deviations.json)) }
    if let sgemm { members.append(.init("openblas_sgemm_flops_per_second", .number(sgemm))) }
    if let secondsPerStep {
      members.append(
        .init(
          "steps",
          .array(
            secondsPerStep.indices.map { index in
              .object([
                .init("name", .string(steps[index].name)), .init("origin", .string(steps[index].origin)),
                .init("seconds", .number(secondsPerStep[index])), .init("flops", work[index].flops.map { .integer($0) } ?? .null),
                .init("bytes", work[index].bytes.map { .integer($0) } ?? .null), .init("note", .string(calls?[index].note ?? "")),
                .init("choice", ChoiceReport.json(calls?[index].choice)),
              ])
            })))
    }
    return .object(members)
  }

  private static func giga(_ value: Double) -> String { Quantity.significant(value / 1e9) }
}
