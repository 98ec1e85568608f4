import Artifact
import Compiler
import Foundation

/// What quantization did, for people and for programs.
struct QuantizationSummary {
  let report: QuantizationReport

  /// Layers in floating point that the text names.
  private static let mostNamed = 8

  var lines: [String] {
    var first = "\(report.summary): \(report.quantizedLayers) of \(report.layers.count) layers"
    if report.tables > 0 { first += " and \(report.tables) table\(report.tables == 1 ? "" : "s")" }
    if report.samples > 0 { first += ", from \(report.samples) sample\(report.samples == 1 ? "" : "s")" }
    if report.smoothedValues > 0 { first += ", outliers of \(report.smoothedValues) input\(report.smoothedValues == 1 ? "" : "s") moved into weights" }
    if let decibels = report.decibels { first += ", \(Self.text(decibels)) at the outputs" }
    if let (exact, quantized, count) = report.accuracy { first += ", \(quantized) of \(count) samples right (fp32: \(exact))" }
    let kept = report.floatLayers
    let chosen = kept.filter { $0.decibelsAlone != nil }, others = kept.filter { $0.decibelsAlone == nil }
    var lines = [first] + chosen.prefix(Self.mostNamed).map { "  fp32  \($0.name): \($0.floatReason ?? "")" }
    if chosen.count > Self.mostNamed { lines.append("  fp32  \(chosen.count - Self.mostNamed) more that hurt less") }
    // What cannot be quantised at all is often of one kind.
    for (reason, layers) in Dictionary(grouping: others, by: { $0.floatReason ?? "" }).sorted(by: { $0.key < $1.key }) {
      lines.append("  left  \(layers.count == 1 ? layers[0].name : "\(layers.count) layers, such as \(layers[0].name)"): \(reason)")
    }
    return lines + report.notes.map { "  note  \($0)" }
  }

  var json: JSON {
    func number(_ value: Double?) -> JSON { value.map { $0.isFinite ? .number($0) : .null } ?? .null }
    var members: [JSON.Member] = [
      .init("summary", .string(report.summary)), .init("samples", .integer(report.samples)), .init("quantized_layers", .integer(report.quantizedLayers)), .init("smoothed_inputs", .integer(report.smoothedValues)),
      .init("quantized_tables", .integer(report.tables)), .init("sqnr_db", number(report.decibels)),
    ]
    if let (exact, quantized, count) = report.accuracy {
      members.append(.init("accuracy", .object([.init("fp32", .integer(exact)), .init("quantized", .integer(quantized)), .init("samples", .integer(count))])))
    }
    if !report.notes.isEmpty { members.append(.init("notes", .array(report.notes.map { .string($0) }))) }
    members.append(
      .init(
        "layers",
        .array(
          report.layers.map { layer in
            .object([
              .init("name", .string(layer.name)), .init("operator", .string(layer.operatorName)), .init("quantized", .bool(layer.floatReason == nil)),
              .init("reason", layer.floatReason.map { .string($0) } ?? .null), .init("sqnr_alone_db", number(layer.decibelsAlone)),
            ])
          })))
    return .object(members)
  }

  private static func text(_ decibels: Double) -> String { decibels.isFinite ? String(format: "%.1f dB", decibels) : decibels > 0 ? "no difference" : "nothing but noise" }
}
