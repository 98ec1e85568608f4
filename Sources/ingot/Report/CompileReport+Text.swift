import Compiler
import Foundation
import KernelIR
import Passes

extension CompileReport {
  /// The whole report for people: stages, what each pass did, what became one kernel and what did not.
  var text: String {
    var lines = [line, ""]
    lines.append("stages")
    var stages = TextTable(leftAlignedFrom: 1)
    for stage in model.stageSeconds { stages.rows.append([Quantity.time(stage.seconds), stage.name]) }
    lines += [stages.text, "", "passes: nodes before the first run, and what all runs together made of them"]
    var passes = TextTable(leftAlignedFrom: 4)
    passes.rows.append(["nodes", "constants", "time", "runs", "pass"])
    for effect in effects { passes.rows.append([effect.nodes, effect.constants, Quantity.time(effect.seconds), "\(effect.runs)", effect.name]) }
    lines += [passes.text, "", "fused: \(groups.count) kernels, and what is in them"]
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
    if model.program.calls.contains(where: { $0.choice != nil }) { lines += ["", "choices: kernels that could be written in several ways", ChoiceReport.table(model.program.calls)] }
    lines += quantizationText
    let widened = widenedWeights(in: model.source)
    if !widened.isEmpty { lines += ["", "constants of few bits that are widened"] + widened.map { "  \($0.origin): \($0.reason)" } }
    if let deviations { lines += ["", "error to fp32 on random inputs"] + deviations.lines }
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
