import Artifact
import Compiler
import Foundation
import Runtime

/// A comparison as one HTML file.
struct ComparisonPage {
  private let report: ComparisonReport

  init(_ report: ComparisonReport) { self.report = report }

  var text: String {
    let kind = report.ablation == nil ? "ways to compile" : "what each pass gains in"
    var content: [Markup] = [
      .tag("h1", "\(report.ablation == nil ? "Ways to compile" : "What each pass gains:") \(name)"),
      .tag("p", ["class": "sub"], "\(report.machine.date), \(report.machine.processor), \(report.inputs.joined(separator: ", ")), \(threads)"),
      ReportPage.cards(summary),
    ]
    content += gains + scatter + accumulated + profile + layers + tables + [origin]
    return ReportPage(title: "\(kind) \(name)", content: content).text
  }

  /// The file's name; with its folder where many models have such a name.
  private var name: String {
    let path = URL(fileURLWithPath: report.path)
    return path.deletingPathExtension().lastPathComponent == "model" ? path.pathComponents.suffix(2).joined(separator: "/") : path.lastPathComponent
  }

  private var threads: String { "\(report.machine.threads) thread\(report.machine.threads == 1 ? "" : "s")" }
  private var baseline: VariantResult.Figures? { report.baseline?.figures }

  /// Those that were measured, the baseline not among them.
  private var others: [(result: VariantResult, figures: VariantResult.Figures)] {
    (report.named + report.choices).compactMap { result in result.figures.map { (result, $0) } }
  }

  /// Those of which it makes sense to say that they are fast, or small.
  private var usable: [(result: VariantResult, figures: VariantResult.Figures)] { others.filter { !report.isRuined($0.figures) } }

  /// How good the results are, beside those of the baseline.
  private func quality(_ figures: VariantResult.Figures) -> String {
    guard let accuracy = figures.accuracy else { return "error to fp32 \(ComparisonReport.error(figures))" }
    return Quantity.percent(accuracy.top1Share) + " right" + (baseline?.accuracy.map { ", baseline " + Quantity.percent($0.top1Share) } ?? "")
  }

  private var summary: [(figure: String, meaning: String)] {
    guard let baseline else { return [] }
    var cards = [(Quantity.time(baseline.latency.median), "baseline: median of one run, spread \(Quantity.percent(baseline.latency.spread))")]
    if let best = usable.max(by: { $0.figures.gain.median < $1.figures.gain.median }), best.figures.isSameAs == nil, best.figures.gain.median > 1 {
      cards.append((ComparisonReport.times(best.figures.gain.median), "faster: \(best.result.variant.name) (\(Quantity.time(best.figures.latency.median)), \(quality(best.figures)))"))
    }
    if report.ablation == nil, let small = usable.min(by: { $0.figures.artifactBytes < $1.figures.artifactBytes }), small.figures.artifactBytes < baseline.artifactBytes {
      cards.append((Quantity.bytes(small.figures.artifactBytes), "smallest artifact: \(small.result.variant.name) (baseline \(Quantity.bytes(baseline.artifactBytes)))"))
    }
    if let least = report.rows({ $0 == .least }).first?.figures {
      cards.append((ComparisonReport.times(least.gain.inverted.median), "faster by all passes together than the least that compiles (\(Quantity.time(least.latency.median)))"))
    }
    if let worth = report.leftOut.compactMap({ result in result.figures.map { (result, $0) } }).min(by: { $0.1.gain.median < $1.1.gain.median }), case .without(let pass) = worth.0.variant.role {
      cards.append((ComparisonReport.times(worth.1.gain.inverted.median), "slower without \(pass), which gains most"))
    }
    cards.append((Quantity.bytes(baseline.artifactBytes), "artifact of the baseline" + (baseline.residentBytes.map { "; \(Quantity.bytes($0)) of memory while it runs" } ?? "")))
    return cards
  }

  // MARK: Gains

  private var gains: [Markup] {
    (report.ablation == nil ? [] : [passGains]) + (report.ablation == nil || !report.named.isEmpty || !report.choices.isEmpty ? [variantGains] : [])
  }

  private var variantGains: Markup {
    let all = [report.baseline].compactMap { $0 } + report.choices + report.named
    let time = TimeAxis(all.compactMap { $0.figures?.latency.median })
    let rows = all.compactMap { result -> RowChart.Row? in
      guard let figures = result.figures else { return nil }
      let isBase = result.variant.role == .baseline
      return RowChart.Row(
        label: result.variant.name, title: "\(result.variant.name): \(Quantity.time(figures.latency.median)), \(ComparisonReport.times(figures.gain.median)) \(result.variant.line)",
        bars: [
          RowChart.Bar(
            value: figures.latency.median * time.perSecond, range: middleHalf(figures, time),
            text: ([Quantity.time(figures.latency.median)] + (isBase ? [] : [figures.isSameAs == nil ? ComparisonReport.times(figures.gain.median) : "same code"]) + [Self.shortQuality(figures) + (report.isRuined(figures) ? ", \(ComparisonReport.ruined)" : "")]).filter { !$0.isEmpty }.joined(separator: "   "),
            style: isBase || figures.isSameAs == "baseline" || figures.gain.isWithinNoise ? "soft" : figures.gain.median >= 1 && !report.isRuined(figures) ? "good" : "bad")
        ])
    }
    return ReportPage.section(
      report.named.isEmpty ? "Other choices" : "Latency of each variant", "The median of one run: shorter is better. The line through a bar's end is the middle half of all runs. Behind it: how many times faster than the baseline, measured by turns, and \(report.hasAccuracy ? "how many answers are right" : "the error to fp32").",
      [
        ReportPage.figure(
          RowChart(rows: rows, origin: 0, isLogarithmic: false, axis: "median of one run, \(time.unit): shorter is better", format: Self.plain, label: "Latency of each variant").markup,
          legend: [.init(style: "soft", text: "baseline, or within the noise of it"), .init(style: "good", text: "faster"), .init(style: "bad", text: "slower, or \(ComparisonReport.ruined)")])
      ])
  }

  /// From the first to the third quartile of the runs.
  private func middleHalf(_ figures: VariantResult.Figures, _ time: TimeAxis) -> ClosedRange<Double> {
    let first = figures.latency.quantile(0.25)
    return first * time.perSecond...max(first, figures.latency.quantile(0.75)) * time.perSecond
  }

  /// For the end of a bar.
  private static func shortQuality(_ figures: VariantResult.Figures) -> String { figures.accuracy.map { Quantity.percent($0.top1Share) } ?? ComparisonReport.error(figures) }

  private var passGains: Markup {
    // What gains most first; what makes no difference last.
    func rank(_ result: VariantResult) -> Double { result.figures.map { $0.isSameAs == "baseline" ? .infinity : $0.gain.median } ?? 0 }
    let rows = report.leftOut.sorted { rank($0) < rank($1) }.compactMap { result -> RowChart.Row? in
      guard let figures = result.figures else { return nil }
      let ratio = figures.gain.inverted
      let label = if case .without(let pass) = result.variant.role { pass } else { result.variant.name }
      // Within the noise of the measurement a pass neither gains nor costs.
      let isClear = !ratio.isWithinNoise
      return RowChart.Row(
        label: label, title: "\(result.variant.name): \(Quantity.time(figures.latency.median)), \(ComparisonReport.times(ratio.median)) the baseline's time (\(ComparisonReport.quartiles(ratio)))",
        bars: [
          RowChart.Bar(
            value: ratio.median, range: ratio.lower...max(ratio.lower, ratio.upper), text: figures.isSameAs == "baseline" ? "same code" : Self.percentage(ratio.median),
            style: !isClear ? "soft" : ratio.median >= 1 ? "good" : "bad")
        ])
    }
    return ReportPage.section(
      "Each pass left out in turn",
      "How much longer the model takes without the pass, everything else on: to the right the pass gains, to the left it costs. The line through a bar's end is the middle half of the rounds (of fewer than eight: all), in each of which every variant was measured once; here were \(baseline?.slices.count ?? 0).",
      [
        ReportPage.figure(
          RowChart(rows: rows, origin: 1, isLogarithmic: nil, axis: "time without it / time of the baseline", format: Self.ratio, label: "Gain of each pass").markup,
          legend: [.init(style: "good", text: "gains"), .init(style: "bad", text: "costs"), .init(style: "soft", text: "within the noise")])
      ] + passNotes)
  }

  /// What the chart does not show.
  private var passNotes: [Markup] {
    guard let switches = report.ablation?.switches else { return [] }
    var notes: [Markup] = []
    let required = switches.filter { if case .required = $0.kind { true } else { false } }.map(\.pass)
    if !required.isEmpty { notes.append(.tag("p", ["class": "about"], "The model does not compile without: \(required.joined(separator: ", ")).")) }
    let idle = switches.filter { $0.kind == .idle }.map(\.pass)
    if !idle.isEmpty { notes.append(.tag("p", ["class": "about"], "Changed nothing in this model, so that leaving them out makes no difference: \(idle.joined(separator: ", ")).")) }
    return notes
  }

  private var accumulated: [Markup] {
    let steps = report.addedInTurn
    guard let ablation = report.ablation, !steps.isEmpty else { return [] }
    let time = TimeAxis(steps.compactMap { $0.figures?.latency.median })
    var rows: [RowChart.Row] = []
    var before: VariantResult?
    for step in steps {
      guard let figures = step.figures else { continue }
      let gain = ComparisonReport.gain(of: step, .step, after: before)
      let isNoise = gain?.isWithinNoise ?? false
      rows.append(
        RowChart.Row(
          label: step.variant.name, title: "\(step.variant.name): \(Quantity.time(figures.latency.median))",
          bars: [
            RowChart.Bar(
              value: figures.latency.median * time.perSecond, range: middleHalf(figures, time),
              text: Quantity.time(figures.latency.median), style: gain == nil || isNoise ? "soft" : (gain?.median ?? 1) >= 1 ? "good" : "bad")
          ]))
      before = step
    }
    return [
      ReportPage.section(
        "Passes added in turn", "From the least that compiles (\(ablation.leastPasses.joined(separator: ", "))) to all: the time with this pass and all above it; shorter is better.",
        [
          ReportPage.figure(
            RowChart(rows: rows, origin: 0, isLogarithmic: false, axis: "median of one run, \(time.unit): shorter is better", format: Self.plain, label: "Time with passes added in turn").markup,
            legend: [.init(style: "good", text: "faster than one step before"), .init(style: "bad", text: "slower"), .init(style: "soft", text: "no clear difference")])
        ])
    ]
  }

  // MARK: Latency and accuracy

  private var scatter: [Markup] {
    let usesAccuracy = report.hasAccuracy
    let time = TimeAxis(report.results.compactMap { $0.figures?.latency.median })
    let points = report.results.compactMap { result -> ScatterChart.Point? in
      guard let figures = result.figures, figures.isSameAs == nil, figures.error.isFinite || usesAccuracy else { return nil }
      let y = usesAccuracy ? (figures.accuracy?.top1Share ?? 0) * 100 : figures.error
      let (shape, style): (Drawing.Shape, String) =
        switch result.variant.role {
        case .baseline: (.diamond, "two")
        case .named: (.circle, "one")
        case .choice: (.square, "one")
        case .without: (.circle, "soft")
        case .least, .added: (.triangle, "three")
        }
      if report.isRuined(figures) {
        return ScatterChart.Point(
          x: figures.latency.median * time.perSecond, y: y, comparedX: .infinity, label: "\(result.variant.name), \(ComparisonReport.ruined)",
          title: "\(result.variant.name): \(ComparisonReport.ruined)", shape: shape, style: "soft")
      }
      // Where the rounds do not agree on which is faster, neither is.
      let isNoise = figures.gain.isWithinNoise
      return ScatterChart.Point(
        x: figures.latency.median * time.perSecond, y: y, comparedX: (isNoise ? baseline?.latency.median ?? 0 : figures.latency.median) * time.perSecond, label: result.variant.name,
        title: "\(result.variant.name): \(Quantity.time(figures.latency.median)), \(usesAccuracy ? String(format: "%.1f %%", y) : "error \(ComparisonReport.error(figures))")", shape: shape, style: style)
    }
    guard points.count > 1 else { return [] }
    var legend = [ReportPage.Key(style: "two", text: "baseline", sign: "◆")]
    if !report.named.isEmpty { legend.append(.init(style: "one", text: "variants", sign: "●")) }
    if !report.choices.isEmpty { legend.append(.init(style: "one", text: "other choices", sign: "■")) }
    if !report.leftOut.isEmpty { legend.append(.init(style: "soft", text: "a pass left out", sign: "●")) }
    if !report.addedInTurn.isEmpty { legend.append(.init(style: "three", text: "passes added in turn", sign: "▲")) }
    let title = usesAccuracy ? "Latency and accuracy" : "Latency and error"
    var about = "To the left is faster, \(usesAccuracy ? "up is more often right" : "down is nearer to fp32"). The dashed line joins the variants that no other one beats in both (the Pareto front); those that noise alone keeps apart from the baseline count as equally fast."
    if !usesAccuracy { about += " Errors are relative to fp32 without Winograd's method, for the same inputs; 0 means the same bits." }
    let format: (Double) -> String = { usesAccuracy ? Self.plain($0) : Self.power($0) }
    let chart = ScatterChart(
      points: points, xAxis: "median of one run, \(time.unit): left is better", yAxis: usesAccuracy ? "right answers (top 1), %: up is better" : "error to fp32, relative L2: down is better", xFormat: Self.plain,
      yFormat: format, higherIsBetter: usesAccuracy, isLogarithmic: !usesAccuracy, namesAll: points.count <= 24, label: title)
    return [ReportPage.section(title, about, [ReportPage.figure(chart.markup, legend: legend)])]
  }

  // MARK: Kernels

  /// Before and after: the baseline and the fastest variant; for passes alone, the least that compiles and the baseline.
  private var profile: [Markup] {
    guard let baseline else { return [] }
    let before: (String, VariantResult.Figures), after: (String, VariantResult.Figures)
    if let best = usable.filter({ $0.figures.isSameAs == nil && $0.result.variant.role == .named }).max(by: { $0.figures.gain.median < $1.figures.gain.median }) {
      (before, after) = (("baseline", baseline), (best.result.variant.name, best.figures))
    } else if let least = report.rows({ $0 == .least }).first?.figures {
      (before, after) = (("least that compiles", least), ("baseline", baseline))
    } else { return [] }
    return [KernelComparison(before: before, after: after).section]
  }

  /// Errors of single layers, where a variant has them.
  private var layers: [Markup] {
    report.results.flatMap { result -> [Markup] in
      guard let figures = result.figures, figures.isSameAs == nil else { return [] }
      let quantized = figures.layers.flatMap { LayerErrors($0) }?.section("Error of each layer: \(result.variant.name)")
      let pruned = figures.prunedLayers.flatMap { PrunedLayers($0) }?.section("What pruning did to each layer: \(result.variant.name)")
      return [quantized, pruned].compactMap { $0 }
    }
  }

  // MARK: Tables

  private var tables: [Markup] {
    let table = ReportTables(report)
    return [ReportPage.section("All figures", report.legend, [table.variants] + table.failures)] + table.passes
  }

  private var origin: Markup {
    let peak = report.machine.peak
    let facts: [(String, String)] = [
      ("processor", "\(report.machine.processor) (compiled for \(report.machine.cpu)), \(report.machine.processors) for this process"),
      ("memory", Quantity.bytes(report.machine.memoryBytes)),
      ("peak", "\(Quantity.significant(peak.flops / 1e9)) GFLOP/s of fp32 multiply-adds on \(threads), measured in this run with code of the same generator"),
      ("bandwidth", "\(Quantity.significant(peak.bandwidth / 1e9)) GB/s read from memory on \(threads), measured in this run"), ("tool", "ingot \(ingotVersion)"),
    ]
    return ReportPage.section(
      "Where the figures come from", "Variants alternate in short slices of one run of the tool, so that what disturbs the machine for a while disturbs all of them. Each was compiled in a process of its own and measured as the artifact that would be shipped.",
      [.tag("dl", [:], facts.flatMap { [.tag("dt", $0.0), .tag("dd", $0.1)] }), .tag("p", ["class": "about"], "The same again:"), .tag("pre", [:], [.tag("code", report.command)])])
  }

  // MARK: Numbers

  static func plain(_ value: Double) -> String { String(format: abs(value) >= 1000 ? "%.0f" : "%.4g", value) }
  static func power(_ value: Double) -> String { String(format: "%.0e", value) }
  static func ratio(_ value: Double) -> String { String(format: "%.4g×", value) }
  static func percentage(_ ratio: Double) -> String { ratio >= 3 ? String(format: "%.1f×", ratio) : String(format: "%+.1f %%", (ratio - 1) * 100) }
}
