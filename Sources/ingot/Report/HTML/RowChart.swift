/// Horizontal bars, one row for each thing, with its name before them and its figure behind them.
struct RowChart {
  /// One bar of a row.
  struct Bar {
    var value: Double
    /// The middle half of what was measured; nil draws none.
    var range: ClosedRange<Double>?
    /// Behind the bar.
    var text: String
    /// A class of the style sheet: `one` and `two` for a pair, `good` and `bad` for gains.
    var style: String
  }
  struct Row {
    var label: String
    /// What is shown when the row is pointed at, and read aloud.
    var title: String
    var bars: [Bar]
  }

  var rows: [Row]
  /// Where bars begin.
  var origin: Double
  var isLogarithmic: Bool?
  /// What the axis shows, with its unit.
  var axis: String
  /// A number of the axis.
  var format: (Double) -> String
  var label: String

  /// For a screen, half of one, and a phone.
  var markup: [Markup] { Drawing.widths.map { drawing(width: $0.width).markup(class: $0.name, label: label) } }

  private func drawing(width: Double) -> Drawing {
    var drawing = Drawing(width: width)
    let isNarrow = width < 600
    let size = Drawing.fontSize
    let barHeight = 13.0, gap = 3.0
    let labelWidth = isNarrow ? 0 : min(width * 0.4, (rows.map { Drawing.width(of: $0.label) }.max() ?? 0) + 10)
    let textWidth = (rows.flatMap(\.bars).map { Drawing.width(of: $0.text) }.max() ?? 0) + 10
    let left = labelWidth + 4, right = width - textWidth - 4
    let values = rows.flatMap(\.bars).flatMap { [$0.value] + ($0.range.map { [$0.lowerBound, $0.upperBound] } ?? []) }
    let scale = ChartScale(values, isLogarithmic: isLogarithmic, includes: origin, from: left + 2, to: right)
    let ticks = scale.ticks(least: 14) { Drawing.width(of: format($0), size: 11.5) }

    let top = 8.0
    var y = top
    var heights: [Double] = []
    for row in rows {
      let bars = Double(row.bars.count) * (barHeight + gap)
      heights.append(bars + 7 + (isNarrow ? size + 4 : 0))
    }
    let bottom = top + heights.reduce(0, +)
    for tick in ticks {
      let x = scale.position(tick)
      drawing.line(x1: x, y1: top - 4, x2: x, y2: bottom + 4, class: "grid")
      // Fonts differ: some are wider than reckoned.
      let half = Drawing.width(of: format(tick), size: 11.5) / 2 + 4
      guard x - half >= 0, x + half <= width else { continue }
      drawing.text(format(tick), x: x, y: bottom + 18, anchor: .middle, class: "tick", size: 11.5)
    }
    let start = scale.position(origin)
    drawing.line(x1: start, y1: top - 4, x2: start, y2: bottom + 4, class: "axis")
    for (row, height) in zip(rows, heights) {
      var line = y + 3
      if isNarrow {
        drawing.text(Drawing.fitting(row.label, width - 8), x: 4, y: line + size - 1, class: "label", title: row.title)
        line += size + 4
      } else {
        let middle = line + Double(row.bars.count) * (barHeight + gap) / 2 - gap / 2
        drawing.text(Drawing.fitting(row.label, labelWidth - 6), x: labelWidth - 6, y: middle + size * 0.36, anchor: .end, class: "label", title: row.title)
      }
      for bar in row.bars {
        let end = scale.position(bar.value)
        drawing.bar(x: min(start, end), y: line, width: abs(end - start), height: barHeight, class: "bar \(bar.style)", title: row.title)
        if let range = bar.range, range.upperBound > range.lowerBound {
          let (a, b, middle) = (scale.position(range.lowerBound), scale.position(range.upperBound), line + barHeight / 2)
          if b - a > 1 {
            drawing.line(x1: a, y1: middle, x2: b, y2: middle, class: "whisker")
            for end in [a, b] { drawing.line(x1: end, y1: middle - 3, x2: end, y2: middle + 3, class: "whisker") }
          }
        }
        drawing.text(bar.text, x: width - 4, y: line + barHeight - 2.5, anchor: .end, class: "value")
        line += barHeight + gap
      }
      y += height
    }
    drawing.text(Drawing.fitting(axis, width - 8, size: 11.5), x: isNarrow ? 4 : left, y: bottom + 38, class: "tick", size: 11.5)
    drawing.height = bottom + 46
    return drawing
  }
}
