import Foundation

/// All figures of a comparison.
struct ReportTables {
  private let report: ComparisonReport

  init(_ report: ComparisonReport) { self.report = report }

  var variants: Markup {
    var head = ["variant", "median", "fastest", "99th percentile", "spread", "gain", "middle half", "runs/s", "artifact", "weights", "code", "scratch", "memory", "compiled in", "kernel calls"]
    if report.hasAccuracy { head += ["top 1", "top 5"] }
    head += ["error to fp32", "largest difference", "options"]
    let rows = report.results.compactMap { result -> [String]? in result.figures.map { row(result, $0) } }
    return ReportPage.table(head, rows, texts: [0, head.count - 1])
  }

  private func row(_ result: VariantResult, _ figures: VariantResult.Figures) -> [String] {
    let latency = figures.latency
    var cells = [result.variant.name] + [latency.median, latency.minimum, latency.p99].map(Quantity.time)
    cells += [Quantity.percent(latency.spread), ComparisonReport.times(figures.gain.median), ComparisonReport.quartiles(figures.gain), Quantity.significant(figures.runsPerSecond)]
    cells += [figures.artifactBytes, figures.weightsBytes, figures.codeBytes, figures.arenaBytes, figures.residentBytes].map(Quantity.bytes)
    cells += [Quantity.time(figures.compileSeconds), "\(figures.kernelCalls)"]
    if report.hasAccuracy {
      cells.append(figures.accuracy.map { "\($0.top1) of \($0.samples)" } ?? "")
      cells.append(figures.accuracy?.top5.map { "\($0)" } ?? "")
    }
    cells += [ComparisonReport.error(figures), String(format: "%.2e", figures.largestDifference)]
    cells.append(result.variant.line + (figures.isSameAs.map { " (same code as \($0))" } ?? ""))
    return cells
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
      return [item.pass, gain ?? "", effect?.nodes ?? "", effect?.constants ?? "", effect.map { Quantity.time($0.seconds) } ?? "", kind, item.summary]
    }
    return [
      ReportPage.section(
        "Passes", "Nodes and bytes of constants are those before the pass first ran, and what all its runs together made of them.",
        [ReportPage.table(["pass", "gain", "nodes", "constants", "time", "here", "what it does"], rows, texts: [0, 5, 6])])
    ]
  }
}
