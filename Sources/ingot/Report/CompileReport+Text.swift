import Compiler
import Foundation
import KernelIR

extension CompileReport {
  /// The whole report for people: stages, what each pass did, what became one kernel and what did not.
  var text: String {
    var lines = [line, ""]
    lines.append("stages")
    var stages = TextTable(leftAlignedFrom: 1)
    for stage in model.stageSeconds { stages.rows.append([Quantity.time(stage.seconds), stage.name]) }
    lines += [stages.text, "", "what passes did, in order: nodes (behind `lower`: buffers and calls) and bytes of constants before and after"]
    var passes = TextTable(leftAlignedFrom: 3)
    passes.rows.append(["nodes", "constants", "time", "pass"])
    for run in changes { passes.rows.append([run.nodes, run.constants, Quantity.time(run.seconds), run.name]) }
    lines += [passes.text, "  \(vainRuns.count) other runs changed nothing, in \(Quantity.time(vainRuns.seconds))" + (idle.isEmpty ? "" : "; never anything: \(idle.map(\.name).joined(separator: ", "))")]
    lines += ["", "fused: \(groups.count) kernels, and what is in them"]
    var fused = TextTable(leftAlignedFrom: 0)
    for group in groups where !group.wasRefused { fused.rows.append([group.template, group.result, group.members, group.origin, group.reason]) }
    lines.append(fused.text)
    let refused = groups.filter(\.wasRefused)
    if !refused.isEmpty {
      lines += ["", "not fused into what reads it, and why"]
      var table = TextTable(leftAlignedFrom: 0)
      for group in refused { table.rows.append([group.members, group.result, group.origin, group.reason]) }
      lines.append(table.text)
    }
    if !refusals.isEmpty {
      lines += ["", "not done, and why"]
      var table = TextTable(leftAlignedFrom: 0)
      for refusal in refusals { table.rows.append([refusal.pass, refusal.shortNodes, refusal.reason]) }
      lines.append(table.text)
    }
    if model.program.calls.contains(where: { $0.choice != nil }) { lines += ["", "choices: kernels that could be written in several ways", ChoiceReport.table(model.program.calls)] }
    lines += quantizationText
    if let deviationObstacle { lines += ["", "error to fp32: not measured, because the model did not run on \(deviationInputs) (--calibrate or --dim gives it others)", "  " + deviationObstacle] }
    if let deviations { lines += ["", "error to fp32 on \(deviationInputs)"] + deviations.lines }
    return lines.joined(separator: "\n")
  }

  /// What quantization did, and its layers, the worst first; nothing without it.
  private var quantizationText: [String] {
    guard let quantization = model.revision?.quantization else { return [] }
    var lines = ["", "quantization"] + quantizationLines.map { "  " + $0 }
    let measured = quantization.measuredLayers
    if measured.isEmpty { return lines }
    lines += ["", "layers by what each alone costs: signal over noise at the outputs, the worst first"]
    var table = TextTable(leftAlignedFrom: 1)
    for layer in measured { table.rows.append([String(format: "%.1f dB", layer.decibelsAlone ?? 0), layer.name, layer.operatorName, layer.floatReason.map { "fp32: \($0)" } ?? ""]) }
    return lines + [table.text]
  }

  /// As the file's name asks for it: `.html`, `.txt` for people, anything else JSON.
  func contents(for path: String) -> String {
    switch (path as NSString).pathExtension.lowercased() {
    case "html", "htm": CompilePage(self).text
    case "txt", "text": text + "\n"
    default: json.text() + "\n"
    }
  }
}
