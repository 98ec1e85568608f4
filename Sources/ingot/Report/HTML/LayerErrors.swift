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
  private let unit: String

  private static let most = 40

  /// - Parameter json: Objects with a name, and a signal-to-noise ratio (`sqnr_db`) or a relative error (`relative_l2`). Nil if there are none.
  init?(_ json: JSON) {
    let usesDecibels = json.array?.contains { $0["sqnr_db"]?.double != nil } ?? false
    unit = usesDecibels ? "signal to quantization noise, dB (less is worse)" : "relative L2 error to fp32"
    for entry in json.array ?? [] {
      guard let name = entry["name"]?.string, let value = entry[usesDecibels ? "sqnr_db" : "relative_l2"]?.double, value.isFinite else { continue }
      layers.append(Layer(name: name, value: value, about: entry["note"]?.string ?? ""))
    }
    layers.sort { usesDecibels ? $0.value < $1.value : $0.value > $1.value }
    if layers.isEmpty { return nil }
  }

  func section(_ title: String) -> Markup {
    let rows = layers.prefix(Self.most).map { layer in
      RowChart.Row(
        label: layer.name, title: "\(layer.name): \(ComparisonPage.plain(layer.value)) \(layer.about)",
        bars: [RowChart.Bar(value: layer.value, range: nil, text: ComparisonPage.plain(layer.value), style: layer.about.isEmpty ? "one" : "two")])
    }
    let chart = RowChart(rows: Array(rows), origin: 0, isLogarithmic: false, axis: unit, format: ComparisonPage.plain, label: title)
    return ReportPage.section(title, layers.count > Self.most ? "The worst \(Self.most) of \(layers.count)." : "Worst first.", [ReportPage.figure(chart.markup)])
  }
}
