import Artifact
import Foundation

/// The error of each layer against fp32, worst first.
struct LayerErrors {
  private struct Layer {
    var name: String
    var value: Double
    var about: String
  }
  private var layers: [Layer] = []

  private static let most = 40

  /// - Parameter json: The layers of a report's `quantization`. Nil if the error of none was measured.
  init?(_ json: JSON) {
    for entry in json.array ?? [] {
      guard let name = entry["name"]?.string, let value = entry["sqnr_alone_db"]?.double, value.isFinite else { continue }
      layers.append(Layer(name: name, value: value, about: entry["reason"]?.string ?? ""))
    }
    layers.sort { $0.value < $1.value }
    if layers.isEmpty { return nil }
  }

  func section(_ title: String) -> Markup {
    let rows = layers.prefix(Self.most).map { layer in
      RowChart.Row(
        label: layer.name, title: "\(layer.name): \(ComparisonPage.plain(layer.value)) \(layer.about)",
        bars: [RowChart.Bar(value: layer.value, range: nil, text: String(format: "%.1f dB", layer.value), style: layer.about.isEmpty ? "one" : "two")])
    }
    let chart = RowChart(rows: Array(rows), origin: 0, isLogarithmic: false, axis: "signal over noise at the outputs with this layer alone quantized, dB: less is worse", format: ComparisonPage.plain, label: title)
    return ReportPage.section(title, layers.count > Self.most ? "The worst \(Self.most) of \(layers.count)." : "Worst first.", [ReportPage.figure(chart.markup, legend: [.init(style: "one", text: "quantized"), .init(style: "two", text: "kept in floating point")])])
  }
}
