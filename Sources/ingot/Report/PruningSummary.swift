import Artifact
import Compiler
import Foundation

/// What pruning did, for people and for programs.
struct PruningSummary {
  let report: PruningReport

  /// Layers that the text names.
  private static let mostNamed = 8

  var lines: [String] {
    var first = "pruned \(report.layers.count) layer\(report.layers.count == 1 ? "" : "s"): constants \(Quantity.bytes(report.bytesBefore)) -> \(Quantity.bytes(report.bytesAfter)), \(Self.percent(report.kept)) of their weights kept"
    let sparse = report.layers.count { $0.kernel?.hasPrefix("sparse") == true }
    if let (removed, all) = report.channels { first += ", \(removed) of \(all) channels removed" }
    if sparse > 0 { first += ", \(sparse) with a sparse kernel" }
    var lines = [first]
    lines += report.layers.prefix(Self.mostNamed).map(Self.line)
    if report.layers.count > Self.mostNamed { lines.append("  \(report.layers.count - Self.mostNamed) more (--report)") }
    lines += report.refused.prefix(Self.mostNamed).map { "  left  \($0.name): \($0.reason)" }
    if report.refused.count > Self.mostNamed { lines.append("  left  \(report.refused.count - Self.mostNamed) more") }
    return lines
  }

  private static func line(_ layer: PruningReport.Layer) -> String {
    func shape(_ dimensions: [Int]) -> String { dimensions.map(String.init).joined(separator: "x") }
    var line = "  \(layer.name): " + (layer.before == layer.after ? shape(layer.before) : "\(shape(layer.before)) -> \(shape(layer.after))") + ", \(percent(layer.kept)) kept"
    if let error = layer.error { line += ", error of its result \(percent(error.before)), reconstructed \(percent(error.after))" }
    if let heldOut = layer.heldOut { line += " (\(percent(heldOut)) on samples left out of the fit)" }
    if let kernel = layer.kernel { line += "; \(kernel)" }
    return line
  }

  private static func percent(_ part: Double) -> String { String(format: "%.1f %%", part * 100) }

  var json: JSON {
    func shape(_ dimensions: [Int]) -> JSON { .array(dimensions.map { .integer($0) }) }
    func number(_ value: Double?) -> JSON { value.map { $0.isFinite ? .number($0) : .null } ?? .null }
    return .object([
      .init("channels_removed", report.channels.map { .integer($0.removed) } ?? .null), .init("channels", report.channels.map { .integer($0.of) } ?? .null),
      .init("constant_bytes_before", .integer(report.bytesBefore)), .init("constant_bytes_after", .integer(report.bytesAfter)),
      .init(
        "layers",
        .array(
          report.layers.map { layer in
            .object([
              .init("name", .string(layer.name)), .init("shape_before", shape(layer.before)), .init("shape_after", shape(layer.after)), .init("kept", .number(layer.kept)),
              .init("error", number(layer.error?.before)), .init("error_reconstructed", number(layer.error?.after)),
              .init("error_held_out", number(layer.heldOut)),
              .init("kernel", layer.kernel.map { .string($0) } ?? .null),
            ])
          })),
      .init("left", .array(report.refused.map { .object([.init("name", .string($0.name)), .init("reason", .string($0.reason))]) })),
    ])
  }
}
