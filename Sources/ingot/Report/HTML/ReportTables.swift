import Foundation

/// All figures of a comparison.
struct ReportTables {
  private let report: ComparisonReport

  init(_ report: ComparisonReport) { self.report = report }

  var variants: Markup {
    var head = ["variant", "median", "times as fast as the baseline", "middle half", "spread"]
    if report.hasAccuracy { head += ["top 1", "top 5"] }
    head += ["error to fp32", "artifact", "memory", "runs/s", "compiled in", "largest difference", "fastest", "99th percentile", "weights", "code", "scratch", "kernel calls"]
    let firstText = head.count
    head += ["options", "what they did"]
    let rows = report.results.compactMap { result -> [String]? in result.figures.map { row(result, $0) } }
    return ReportPage.table(head, rows, texts: [0, firstText, firstText + 1])
  }

  private func row(_ result: VariantResult, _ figures: VariantResult.Figures) -> [String] {
    let latency = figures.latency
    var cells = [result.variant.name, Quantity.time(latency.median)]
    cells += [ComparisonReport.times(figures.gain.median), ComparisonReport.quartiles(figures.gain), Quantity.percent(latency.spread)]
    if report.hasAccuracy {
      cells.append(figures.accuracy.map { "\($0.top1) of \($0.samples)" } ?? "")
      cells.append(figures.accuracy?.top5.map { "\($0)" } ?? "")
    }
    cells += [ComparisonReport.error(figures), Quantity.bytes(figures.artifactBytes), figures.residentBytes.map { Quantity.bytes($0) } ?? "?", Quantity.significant(figures.runsPerSecond)]
    cells += [Quantity.time(figures.compileSeconds), String(format: "%.2e", figures.largestDifference), Quantity.time(latency.minimum), Quantity.time(latency.p99)]
    cells += [figures.weightsBytes, figures.codeBytes, figures.arenaBytes].map(Quantity.bytes) + ["\(figures.kernelCalls)"]
    return cells + [result.variant.line + (figures.isSameAs.map { " (same code as \($0))" } ?? ""), figures.remarks.joined(separator: "; ")]
  }

  /// What could not be compiled or run; nothing if all could.
  var failures: [Markup] {
    let rows = report.results.compactMap { result in result.failure.map { [result.variant.name, $0, result.variant.line] } }
    return rows.isEmpty ? [] : [ReportPage.table(["failed", "why", "options"], rows, texts: [0, 1, 2])]
  }

  /// Every pass, what it is here, and what it did.
  var passes: [Markup] {
    guard let ablation = report.ablation else { return [] }
    let effects = report.baseline?.figures?.passes ?? []
    let rows = ablation.switches.map { item -> [String] in
      let effect = effects.first { $0.name == item.pass }
      let gain = report.leftOut.first { $0.variant.role == .without(item.pass) }?.figures.map { ComparisonPage.percentage($0.gain.inverted.median) }
      let kind =
        switch item.kind {
        case .optional: "can be left out"
        case .required(let reason): "required: " + ComparisonReport.firstLine(reason)
        case .idle: "changed nothing here"
        case .absent: "not in this pipeline"
        }
      return [item.pass, gain ?? "", effect?.change ?? "", effect?.constants ?? "", effect.map { Quantity.time($0.seconds) } ?? "", kind, item.summary]
    }
    return [
      ReportPage.section(
        "Passes", "What all runs of a pass together did: nodes that it added or took away, bytes of constants before its first run and what they came to. It gains as many percent as a run takes longer without it.",
        [ReportPage.table(["pass", "it gains", "nodes", "constants", "time", "here", "what it does"], rows, texts: [0, 5, 6])])
    ]
  }
}
