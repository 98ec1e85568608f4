import Foundation

/// Points by two figures, with the line of those that no other point beats in both.
struct ScatterChart {
  struct Point {
    var x: Double
    var y: Double
    /// What x counts as where points are compared: the same for all that noise alone keeps apart.
    var comparedX: Double
    /// Beside the point, if it has room there.
    var label: String
    var title: String
    var shape: Drawing.Shape
    var style: String
  }

  var points: [Point]
  var xAxis: String
  var yAxis: String
  var xFormat: (Double) -> String
  var yFormat: (Double) -> String
  /// Whether more of y is better; less of x always is.
  var higherIsBetter: Bool
  /// Whether y is drawn logarithmically; zeros then have a line of their own below.
  var isLogarithmic: Bool
  /// Points that are named even if they are not on the front.
  var namesAll: Bool
  var label: String

  /// Positions of the points that no other one beats: none is faster and at least as good, or as fast and better. Of equals the first one counts.
  static func front(_ points: [Point], higherIsBetter: Bool) -> [Int] {
    func good(_ point: Point) -> Double { higherIsBetter ? point.y : -point.y }
    return points.indices.filter { index in
      let (x, y) = (points[index].comparedX, good(points[index]))
      return !points.indices.contains { other in
        let (otherX, otherY) = (points[other].comparedX, good(points[other]))
        return (otherX < x && otherY >= y) || (otherX <= x && otherY > y) || (otherX == x && otherY == y && other < index)
      }
    }.sorted { points[$0].comparedX < points[$1].comparedX }
  }

  var markup: [Markup] { Drawing.widths.map { drawing(width: $0.width).markup(class: $0.name, label: label) } }

  private struct Box {
    var x: Double, y: Double, width: Double, height: Double
    func meets(_ other: Box) -> Bool { x < other.x + other.width && other.x < x + width && y < other.y + other.height && other.y < y + height }
  }

  private func drawing(width: Double) -> Drawing {
    var drawing = Drawing(width: width)
    let isNarrow = width < 600
    let (top, bottom) = (34.0, isNarrow ? 300.0 : 380.0)
    let zeros = isLogarithmic && points.contains { $0.y <= 0 }
    let low = zeros ? bottom - 26 : bottom
    var ys = points.map(\.y).filter { !isLogarithmic || $0 > 0 }
    // Whole decades, so that there are round numbers to write.
    if isLogarithmic, let least = ys.min(), let most = ys.max() { ys += [pow(10, floor(log10(least))), pow(10, ceil(log10(most)))] }
    let yScale = ChartScale(ys, isLogarithmic: isLogarithmic, from: low, to: top)
    let yTicks = yScale.ticks(least: 6) { _ in 14 }
    let left = (yTicks.map { Drawing.width(of: yFormat($0), size: 11.5) } + [zeros ? 20.0 : 0]).reduce(20) { max($0, $1) } + 20
    // Half of the last number stands right of its tick, and numbers between the points may have a digit more.
    let lastHalf = points.map { Drawing.width(of: xFormat($0.x) + "0", size: 11.5) / 2 + 4 }.reduce(12) { max($0, $1) }
    let xScale = ChartScale(points.map(\.x), from: left + 12, to: width - lastHalf - 4)
    let xTicks = xScale.ticks(least: 14) { Drawing.width(of: xFormat($0), size: 11.5) }
    func place(_ point: Point) -> (x: Double, y: Double) { (xScale.position(point.x), isLogarithmic && point.y <= 0 ? bottom - 6 : yScale.position(point.y)) }

    drawing.text(Drawing.fitting(yAxis, width - 8, size: 11.5), x: 4, y: 14, class: "tick", size: 11.5)
    for tick in yTicks {
      drawing.line(x1: left, y1: yScale.position(tick), x2: width - 4, y2: yScale.position(tick), class: "grid")
      drawing.text(yFormat(tick), x: left - 6, y: yScale.position(tick) + 4, anchor: .end, class: "tick", size: 11.5)
    }
    if zeros {
      drawing.line(x1: left, y1: bottom - 6, x2: width - 4, y2: bottom - 6, class: "grid")
      drawing.text("0", x: left - 6, y: bottom - 2, anchor: .end, class: "tick", size: 11.5)
    }
    for tick in xTicks {
      drawing.line(x1: xScale.position(tick), y1: top - 6, x2: xScale.position(tick), y2: bottom + 4, class: "grid")
      drawing.text(xFormat(tick), x: xScale.position(tick), y: bottom + 18, anchor: .middle, class: "tick", size: 11.5)
    }
    drawing.line(x1: left, y1: top - 6, x2: left, y2: bottom + 4, class: "axis")
    drawing.line(x1: left, y1: bottom + 4, x2: width - 4, y2: bottom + 4, class: "axis")
    drawing.text(Drawing.fitting(xAxis, width - 8, size: 11.5), x: width - 4, y: bottom + 38, anchor: .end, class: "tick", size: 11.5)

    let front = Self.front(points, higherIsBetter: higherIsBetter)
    if front.count > 1 { drawing.path(front.map { place(points[$0]) }, class: "front") }
    var taken = points.map { point -> Box in
      let (x, y) = place(point)
      return Box(x: x - 6, y: y - 6, width: 12, height: 12)
    }
    // Names do not lie on the line.
    let line = front.count > 1 ? front.map { place(points[$0]) } : []
    for (from, to) in zip(line, line.dropFirst()) {
      let steps = max(1, Int((abs(to.x - from.x) + abs(to.y - from.y)) / 6))
      taken += (1..<max(2, steps)).map { Box(x: from.x + (to.x - from.x) * Double($0) / Double(steps) - 1, y: from.y + (to.y - from.y) * Double($0) / Double(steps) - 1, width: 2, height: 2) }
    }
    for (index, point) in points.enumerated() {
      let (x, y) = place(point)
      drawing.point(point.shape, x: x, y: y, radius: front.contains(index) ? 6 : 4.5, class: "point \(point.style)", title: point.title)
    }
    // Those on the front first: they have to be named.
    let order = front + (namesAll ? points.indices.filter { !front.contains($0) } : [])
    for index in order {
      let (x, y) = place(points[index])
      let text = Drawing.fitting(points[index].label, isNarrow ? 150 : 260)
      // Strong letters are wider.
      let (w, h) = (Drawing.width(of: text) * (front.contains(index) ? 1.1 : 1) + 2, 16.0)
      let candidates: [(Double, Double)] = [(9.0, -8.0), (-w - 9, -8.0), (-w / 2, -24.0), (-w / 2, 9.0), (9, -24), (-w - 9, -24), (9, 8), (-w - 9, 8), (9, -41), (9, -58), (9, -75)]
      for (dx, dy) in candidates {
        let box = Box(x: x + dx, y: y + dy, width: w, height: h)
        guard box.x >= left + 2, box.x + box.width <= width - 2, box.y >= top - 14, box.y + box.height <= bottom + 2, !taken.contains(where: { $0.meets(box) }) else { continue }
        taken.append(box)
        drawing.text(text, x: box.x, y: box.y + 12.5, class: front.contains(index) ? "label strong" : "label", title: points[index].title)
        break
      }
    }
    drawing.height = bottom + 46
    return drawing
  }
}
