import Compiler
import Foundation
import KernelIR

/// What a compilation did, as one HTML file.
struct CompilePage {
  private let report: CompileReport

  init(_ report: CompileReport) { self.report = report }

  var text: String {
    let model = report.model
    var content: [Markup] = [
      .tag("h1", "Compiling \(model.manifest.modelName)"),
      .tag("p", ["class": "sub"], "for \(model.manifest.target.name), \(model.manifest.precision), by ingot \(ingotVersion)"),
      ReportPage.cards([
        (Quantity.time(report.seconds), "to compile, with at most \(Quantity.bytes(report.peakMemoryBytes)) of memory"),
        (report.outputBytes.map { Quantity.bytes($0) } ?? "-", "in the file: weights \(Quantity.bytes(model.constantsByteCount)), code \(Quantity.bytes(model.code.image.count))"),
        ("\(report.runs.first?.nodesBefore ?? 0) → \(report.groups.count)", "nodes of the model, and kernels"),
        (model.manifest.arenaBytes.constant.map { Quantity.bytes($0) } ?? "\(model.manifest.arenaBytes)", "of scratch memory for a run"),
      ]),
    ]
    content += [passes, stages] + layers + [fusions] + refusals + kernels
    return ReportPage(title: "Compiling \(model.manifest.modelName)", content: content).text
  }

  private var passes: Markup {
    let summaries = Dictionary(Compiler.passes.map { ($0.name, $0.summary) }, uniquingKeysWith: { first, _ in first })
    let rows = report.changes.map { [$0.name, $0.nodes, $0.constants, Quantity.time($0.seconds), summaries[$0.name] ?? ""] }
    let vain = report.vainRuns
    let rest = "\(vain.count) other runs changed nothing, in \(Quantity.time(vain.seconds))." + (report.idle.isEmpty ? "" : " These passes never changed anything: \(report.idle.map(\.name).joined(separator: ", ")).")
    return ReportPage.section(
      "What each pass did", "The runs that changed something, in order: nodes (of passes on the finished program: steps) and bytes of constants before and after.",
      [ReportPage.table(["pass", "nodes", "constants", "time", "what it is for"], rows, texts: [0, 4]), .tag("p", ["class": "about"], rest)])
  }

  private var stages: Markup {
    let slowest = PassEffect.merged(report.runs).sorted { $0.seconds > $1.seconds }.prefix(8).map { ("pass \($0.name)", $0.seconds) }
    let time = TimeAxis(report.model.stageSeconds.map(\.seconds))
    let rows = (report.model.stageSeconds.map { ($0.name, $0.seconds) } + slowest).enumerated().map { index, entry in
      RowChart.Row(label: entry.0, title: "\(entry.0): \(Quantity.time(entry.1))", bars: [.init(value: entry.1 * time.perSecond, range: nil, text: Quantity.time(entry.1), style: index < report.model.stageSeconds.count ? "one" : "soft")])
    }
    let chart = RowChart(rows: rows, origin: 0, isLogarithmic: false, axis: time.unit, format: ComparisonPage.plain, label: "Where the time of the compilation went")
    return ReportPage.section("Where the time went", "Stages, and the slowest passes.", [ReportPage.figure(chart.markup, legend: [.init(style: "one", text: "stage"), .init(style: "soft", text: "pass, part of a stage")])])
  }

  private var layers: [Markup] {
    var parts: [Markup] = []
    if let quantization = report.model.revision?.quantization {
      let summary = QuantizationSummary(report: quantization)
      parts.append(ReportPage.section("Quantization", "", summary.lines.map { .tag("p", $0) }))
      if let chart = summary.json["layers"].flatMap({ LayerErrors($0) }) { parts.append(chart.section("Error of each layer")) }
    }
    if let obstacle = report.deviationObstacle {
      parts.append(ReportPage.section("Error to fp32", "Not measured, because the model did not run on \(report.deviationInputs) (--calibrate or --dim gives it others): \(obstacle)", []))
    }
    if let deviations = report.deviations {
      let rows = deviations.map { [$0.output, String(format: "%.2e", $0.relativeL2), String(format: "%.3g", $0.largest), String(format: "%.3g", $0.scale)] }
      parts.append(ReportPage.section("Error to fp32", "On \(report.deviationInputs).", [ReportPage.table(["output", "relative L2", "largest difference", "largest value"], rows)]))
    }
    return parts
  }

  private var fusions: Markup {
    let rows = report.groups.filter { !$0.wasRefused }.map { [$0.origin.isEmpty ? "-" : $0.origin, $0.template, $0.members, $0.result, $0.reason] }
    return ReportPage.section("What was fused into what", "A row for each kernel: the operations in it, in their order, and what it gives.", [ReportPage.table(["node", "kind", "operations", "result", "why"], rows, texts: [0, 1, 2, 3, 4])])
  }

  private var refusals: [Markup] {
    var parts: [Markup] = []
    let rows = report.groups.filter(\.wasRefused).map { [$0.origin.isEmpty ? "-" : $0.origin, $0.members, $0.result, $0.reason] }
    if !rows.isEmpty {
      parts.append(ReportPage.section("What was not fused, and why", "Elementwise work that is a kernel of its own, beside those that read it.", [ReportPage.table(["node", "operations", "result", "why"], rows, texts: [0, 1, 2, 3])]))
    }
    let others = report.refusals.map { [$0.pass, $0.nodes.count == 1 ? "" : "\($0.nodes.count)", $0.nodes.joined(separator: ", "), $0.reason] }
    if !others.isEmpty {
      parts.append(ReportPage.section("What else was not done, and why", "Passes and ways to write kernels that might have been expected, the nodes as they are named in the model's file.", [ReportPage.table(["pass", "nodes", "which", "why it was not done"], others, texts: [0, 2, 3])]))
    }
    return parts
  }

  private var kernels: [Markup] {
    let rows = report.model.program.calls.filter { $0.choice != nil }.map { call in [call.origin, call.note, call.choice?.explanation ?? ""] }
    if rows.isEmpty { return [] }
    return [ReportPage.section("How kernels were written", "Those that could be written in several ways.", [ReportPage.table(["node", "taken", "why"], rows, texts: [0, 1, 2])])]
  }
}
