import Artifact
import Foundation

/// What pruning did to each layer: the error of its result as the weights were left, and after their reconstruction; worst first.
struct PrunedLayers {
  private struct Layer {
    var name: String
    var kept: Double
    var error: Double
    var reconstructed: Double
    var kernel: String
  }
  private var layers: [Layer] = []

  private static let most = 40

  /// - Parameter json: The layers of a report's `pruning`. Nil if the error of none was measured.
  init?(_ json: JSON) {
    for entry in json.array ?? [] {
      guard let name = entry["name"]?.string, let error = entry["error"]?.double, error.isFinite else { continue }
      let reconstructed = entry["error_reconstructed"]?.double ?? error
      layers.append(Layer(name: name, kept: entry["kept"]?.double ?? 1, error: error, reconstructed: reconstructed.isFinite ? reconstructed : error, kernel: entry["kernel"]?.string ?? ""))
    }
    layers.sort { ($1.reconstructed, $0.name) < ($0.reconstructed, $1.name) }
    if layers.isEmpty { return nil }
  }

  func section(_ title: String) -> Markup {
    let isReconstructed = layers.contains { $0.error != $0.reconstructed }
    let rows = layers.prefix(Self.most).map { layer in
      let kept = String(format: "%.0f %% kept", layer.kept * 100)
      var bars = [RowChart.Bar(value: layer.error * 100, range: nil, text: String(format: "%.1f %%", layer.error * 100), style: "two")]
      if isReconstructed { bars.append(RowChart.Bar(value: layer.reconstructed * 100, range: nil, text: String(format: "%.1f %%", layer.reconstructed * 100), style: "one")) }
      return RowChart.Row(label: "\(layer.name), \(kept)", title: "\(layer.name): \(kept). \(layer.kernel)", bars: bars)
    }
    let chart = RowChart(rows: Array(rows), origin: 0, isLogarithmic: false, axis: "error of its result on the samples, % of the result: shorter is better", format: ComparisonPage.plain, label: title)
    let legend = [ReportPage.Key(style: "two", text: "as the weights were left")] + (isReconstructed ? [.init(style: "one", text: "after their reconstruction")] : [])
    return ReportPage.section(title, layers.count > Self.most ? "The worst \(Self.most) of \(layers.count)." : "Worst first.", [ReportPage.figure(chart.markup, legend: legend)])
  }
}
