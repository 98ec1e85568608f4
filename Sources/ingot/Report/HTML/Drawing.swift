import Foundation

/// An SVG picture in the making. Colours come from the page's style sheet by class, so that it follows light and dark.
struct Drawing {
  enum Anchor: String { case start, middle, end }

  let width: Double
  var height = 0.0
  private var parts: [Markup] = []

  static let fontSize = 12.5

  /// The widths that every chart is drawn for, with the classes by which the style sheet shows one of them.
  static let widths: [(name: String, width: Double)] = [("wide", 960), ("middle", 600), ("narrow", 380)]

  init(width: Double) { self.width = width }

  /// Room for a text that no usual sans-serif font exceeds.
  static func width(of text: String, size: Double = fontSize) -> Double {
    text.reduce(0) { sum, letter in
      let wide = letter.unicodeScalars.contains { $0.value > 0x2e7f }
      let factor = wide ? 1.05 : "mwMW@%#".contains(letter) ? 0.92 : letter.isUppercase ? 0.72 : "iljt.,:;|' -/()".contains(letter) ? 0.4 : 0.6
      return sum + factor
    } * size
  }

  /// The text, or its two ends where it does not fit.
  static func fitting(_ text: String, _ width: Double, size: Double = fontSize) -> String {
    if Self.width(of: text, size: size) <= width { return text }
    var (head, tail) = (text.count / 2, text.count - text.count / 2)
    while head + tail > 2 {
      if head >= tail { head -= 1 } else { tail -= 1 }
      let cut = text.prefix(head) + "…" + text.suffix(tail)
      if Self.width(of: String(cut), size: size) <= width { return String(cut) }
    }
    return "…"
  }

  mutating func text(_ words: String, x: Double, y: Double, anchor: Anchor = .start, class name: String = "label", size: Double = fontSize, title: String? = nil) {
    parts.append(
      .tag(
        "text", ["x": Self.number(x), "y": Self.number(y), "text-anchor": anchor.rawValue, "class": name, "font-size": Self.number(size)],
        (title.map { [.tag("title", $0)] } ?? []) + [.text(words)]))
  }

  mutating func bar(x: Double, y: Double, width: Double, height: Double, class name: String, title: String) {
    parts.append(
      .tag(
        "rect", ["x": Self.number(x), "y": Self.number(y), "width": Self.number(max(width, 0.5)), "height": Self.number(height), "rx": "1.5", "class": name], [.tag("title", title)]))
  }

  mutating func line(x1: Double, y1: Double, x2: Double, y2: Double, class name: String) {
    parts.append(.tag("line", ["x1": Self.number(x1), "y1": Self.number(y1), "x2": Self.number(x2), "y2": Self.number(y2), "class": name]))
  }

  mutating func path(_ points: [(x: Double, y: Double)], class name: String) {
    let steps = points.enumerated().map { "\($0.offset == 0 ? "M" : "L")\(Self.number($0.element.x)) \(Self.number($0.element.y))" }
    parts.append(.tag("path", ["d": steps.joined(), "class": name]))
  }

  /// What tells kinds of points apart without colour.
  enum Shape { case circle, square, diamond, triangle }

  mutating func point(_ shape: Shape, x: Double, y: Double, radius r: Double, class name: String, title: String) {
    let corners: [(Double, Double)]
    switch shape {
    case .circle:
      parts.append(.tag("circle", ["cx": Self.number(x), "cy": Self.number(y), "r": Self.number(r), "class": name], [.tag("title", title)]))
      return
    case .square: corners = [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]
    case .diamond: corners = [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)]
    case .triangle: corners = [(0, -1.2), (1.15, 0.9), (-1.15, 0.9)]
    }
    let points = corners.map { "\(Self.number(x + $0.0 * r)),\(Self.number(y + $0.1 * r))" }.joined(separator: " ")
    parts.append(.tag("polygon", ["points": points, "class": name], [.tag("title", title)]))
  }

  /// - Parameter label: What it shows, for those who cannot see it.
  func markup(class name: String, label: String) -> Markup {
    .tag(
      "svg",
      ["xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 \(Self.number(width)) \(Self.number(height))", "class": name, "role": "img", "aria-label": label, "style": "max-width:\(Self.number(width * 1.15))px"],
      parts)
  }

  private static func number(_ value: Double) -> String {
    let text = String(format: "%.1f", value.isFinite ? value : 0)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
