import Artifact
import Compiler
import Foundation
import Runtime

/// What `bench --compare` and `bench --ablate` found, as text and as JSON. `ComparisonPage` is the same with pictures.
struct ComparisonReport {
  var path: String
  /// The command line that repeats it.
  var command: String
  /// The baseline first.
  var results: [VariantResult]
  /// Nil without `--ablate`.
  var ablation: Ablation?
  var machine: MachineFacts
  /// What all variants ran with.
  var inputs: [String]

  init(path: String, command: String, findings: Comparison.Findings, ablation: Ablation?, machine: MachineFacts) {
    (self.path, self.command, self.results, self.ablation, self.machine) = (path, command, findings.results, ablation, machine)
    inputs = findings.tensors.map { "\($0.type)" }
  }

  /// The rows of one table: the baseline, and all variants of some roles.
  func rows(_ isWanted: (Variant.Role) -> Bool) -> [VariantResult] { results.filter { isWanted($0.variant.role) } }

  var named: [VariantResult] { rows { $0 == .named } }
  var leftOut: [VariantResult] { rows { if case .without = $0 { true } else { false } } }
  var choices: [VariantResult] { rows { if case .choice = $0 { true } else { false } } }
  var addedInTurn: [VariantResult] {
    rows { role in
      switch role {
      case .least, .added: true
      case .baseline, .named, .without, .choice: false
      }
    }
  }
  var baseline: VariantResult? { results.first }

  var hasAccuracy: Bool { results.contains { $0.figures?.accuracy != nil } }

  /// True if a variant's results are no longer those of the model, however fast it is: right less than half as often as the baseline, or, without
  /// labels, as far from fp32 as zeros would be.
  func isRuined(_ figures: VariantResult.Figures) -> Bool {
    if let own = figures.accuracy, let base = baseline?.figures?.accuracy { return own.top1Share * 2 < base.top1Share }
    return !(figures.error < 1)
  }
  static let ruined = "ruined"

  // MARK: Text

  var text: String {
    var lines = ["\(path) on \(machine.processor), \(machine.processors) processor\(machine.processors == 1 ? "" : "s"); inputs \(inputs.joined(separator: ", "))"]
    let base = Array(results.prefix(1))
    if ablation == nil || !named.isEmpty { lines += ["", "variants", table(base + named)] }
    if let ablation {
      lines += ["", "each pass left out in turn (it gains: the time without it over the time of the baseline)", table(base + leftOut, gainOf: .pass)]
      if !choices.isEmpty { lines += ["", "other choices", table(base + choices)] }
      let required = ablation.switches.compactMap { item in if case .required(let reason) = item.kind { (item.pass, reason) } else { nil } }
      if !required.isEmpty { lines += ["", "required: the model does not compile without"] + required.map { "  \($0.0)  \($0.1.split(separator: "\n").first ?? "")" } }
      lines += sentence("changed nothing in this model", ablation.switches.filter { $0.kind == .idle }.map(\.pass))
      lines += sentence("no part of this pipeline", ablation.switches.filter { $0.kind == .absent }.map(\.pass))
      if !addedInTurn.isEmpty {
        lines += ["", "added in turn to the least that compiles (\(ablation.leastPasses.joined(separator: ", ")))", table(addedInTurn, gainOf: .step)]
      }
    }
    lines += ["", legend]
    return lines.joined(separator: "\n")
  }

  private func sentence(_ words: String, _ passes: [String]) -> [String] { passes.isEmpty ? [] : ["", "\(words): \(passes.joined(separator: ", "))"] }

  /// What the column "gain" compares.
  enum Gain {
    case variant, pass, step

    var heading: String {
      switch self {
      case .variant: "faster"
      case .pass: "it gains"
      case .step: "faster than before"
      }
    }
  }

  private func table(_ rows: [VariantResult], gainOf gain: Gain = .variant) -> String {
    var table = TextTable(leftAlignedFrom: hasAccuracy ? 9 : 8)
    table.rows.append(
      ["latency", "spread", gain.heading, "(middle half)", "runs/s", "artifact", "memory", "compiled in"] + (hasAccuracy ? ["top-1"] : []) + ["error to fp32", "variant", "options"])
    var before: VariantResult?
    for row in rows {
      guard let figures = row.figures else {
        table.rows.append(["-", "", "", "", "", "", "", ""] + (hasAccuracy ? [""] : []) + ["", row.variant.name, Self.firstLine(row.failure ?? "")])
        continue
      }
      let ratio = Self.gain(of: row, gain, after: before)
      var cells = [Quantity.time(figures.latency.median), Quantity.percent(figures.latency.spread)]
      cells += [ratio.map { Self.times($0.median) } ?? "", ratio.map(Self.quartiles) ?? "", Quantity.significant(figures.runsPerSecond)]
      cells += [Quantity.bytes(figures.artifactBytes), figures.residentBytes.map { Quantity.bytes($0) } ?? "?", Quantity.time(figures.compileSeconds)]
      if hasAccuracy { cells.append(figures.accuracy.map { Quantity.percent($0.top1Share) } ?? "") }
      cells += [Self.error(figures), row.variant.name, row.variant.line + (isRuined(figures) ? "  (\(Self.ruined))" : "") + (figures.isSameAs.map { "  (same code as \($0))" } ?? "")]
      table.rows.append(cells)
      before = row
    }
    return table.text
  }

  /// The ratio that a row's gain is; nil where there is nothing to compare with.
  static func gain(of row: VariantResult, _ gain: Gain, after before: VariantResult?) -> AlternatingMeasurement.Ratio? {
    guard let figures = row.figures else { return nil }
    switch gain {
    case .variant: return figures.gain
    case .pass: return row.variant.role == .baseline ? nil : figures.gain.inverted
    case .step:
      guard let earlier = before?.figures else { return nil }
      return AlternatingMeasurement.Ratio(earlier.slices, over: figures.slices)
    }
  }

  /// What the figures are.
  var legend: String {
    let clients = baseline?.figures?.clients ?? 1, rounds = baseline?.figures?.slices.count ?? 0
    let half = rounds < AlternatingMeasurement.Ratio.fewestForQuartiles ? "all rounds, as there are few of them (--seconds makes more)" : "the middle half of the rounds"
    return """
    latency: median of runs in alternating slices, \(rounds) round\(rounds == 1 ? "" : "s"); spread: interquartile range over median. faster: how many times as fast as the baseline, round by round; behind it \(half).
    runs/s: \(clients == 1 ? "one run at a time, which takes all processors" : "\(clients) runs at the same time, one to a processor"). artifact: the executable file. memory: the most that its own process had in use for one run,
    mapped weights included. compiled in: no cached objects. error: relative L2 to fp32 without Winograd's method, largest output.
    """
      + (results.contains { $0.figures.map(isRuined) ?? false } ? "\n\(Self.ruined): \(hasAccuracy ? "right less than half as often as the baseline" : "as far from fp32 as zeros would be"); its speed is no gain." : "")
  }

  static func firstLine(_ text: String) -> String { text.split(separator: "\n").first.map(String.init) ?? "" }
  static func times(_ ratio: Double) -> String { String(format: ratio >= 10 ? "%.1fx" : "%.3fx", ratio) }
  static func quartiles(_ ratio: AlternatingMeasurement.Ratio) -> String { String(format: "%.3f-%.3f", ratio.lower, ratio.upper) }
  static func error(_ figures: VariantResult.Figures) -> String { figures.error == 0 ? "0" : String(format: "%.1e", figures.error) }
}

extension AlternatingMeasurement.Ratio {
  var inverted: Self { Self(median: median > 0 ? 1 / median : 0, lower: upper > 0 ? 1 / upper : 0, upper: lower > 0 ? 1 / lower : 0, rounds: rounds) }
}
