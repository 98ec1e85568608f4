import GraphIR
import TensorTypes

/// A graph as a picture: one box a node, in layers by distance from the inputs, tensors as lines from top to bottom.
///
/// Layers are ordered by the mean position of what a box reads (Sugiyama, Tagawa, Toda 1981, one downward sweep), which is
/// enough for the chains with branches that models are.
struct GraphDrawing {
  let svg: String

  private struct Box {
    var title: String
    var detail: String
    var kind: String
    var layer: Int
    var sources: [Int]
    var x = 0.0
    var width: Double { Double(max(title.count, detail.count)) * Self.characterWidth + 20 }
    static let characterWidth = 6.7
  }

  private static let boxHeight = 38.0
  private static let layerHeight = 74.0
  private static let gap = 24.0

  init(_ graph: Graph) {
    var boxes: [Box] = []
    var boxOf: [ValueID: Int] = [:]
    for input in graph.inputs {
      boxOf[input] = boxes.count
      boxes.append(Box(title: graph.value(input).name, detail: "\(graph.type(of: input))", kind: "input", layer: 0, sources: []))
    }
    for id in graph.topologicalOrder() {
      let node = graph.node(id)
      if node.operation is Constant { continue }
      let sources = Set(node.operands.compactMap { boxOf[$0] }).sorted()
      let fusion = node.operation(as: Fusion.self)
      let name = node.origin.node.isEmpty ? "" : " " + node.origin.node
      for result in node.results { boxOf[result] = boxes.count }
      boxes.append(
        Box(
          title: Self.shortened((fusion.map { $0.template.rawValue } ?? node.operation.mnemonic) + name),
          detail: Self.shortened(node.results.map { "\(graph.type(of: $0))" }.joined(separator: " ")), kind: fusion?.template.rawValue ?? "plain",
          layer: (sources.map { boxes[$0].layer }.max() ?? -1) + 1, sources: sources))
    }
    let last = (boxes.map(\.layer).max() ?? -1) + 1
    for (name, output) in zip(graph.outputNames, graph.outputs) {
      boxes.append(Box(title: Self.shortened(name), detail: "\(graph.type(of: output))", kind: "output", layer: last, sources: boxOf[output].map { [$0] } ?? []))
    }
    Self.place(&boxes)
    svg = Self.draw(boxes)
  }

  private static func shortened(_ text: String) -> String { text.count > 48 ? text.prefix(46) + "..." : text }

  private static func place(_ boxes: inout [Box]) {
    var layers = [[Int]](repeating: [], count: (boxes.map(\.layer).max() ?? -1) + 1)
    for index in boxes.indices { layers[boxes[index].layer].append(index) }
    for layer in layers {
      func wish(_ index: Int) -> Double {
        let sources = boxes[index].sources
        return sources.isEmpty ? 0 : sources.reduce(0) { $0 + boxes[$1].x } / Double(sources.count)
      }
      let wishes = layer.map { (index: $0, x: wish($0)) }.sorted { ($0.x, $0.index) < ($1.x, $1.index) }
      var right = -Double.infinity
      for (index, x) in wishes {
        boxes[index].x = max(x, right + gap + boxes[index].width / 2)
        right = boxes[index].x + boxes[index].width / 2
      }
      // Boxes that had to move aside are centred again over where they wanted to be.
      let shift = zip(wishes.map(\.x), wishes.map { boxes[$0.index].x }).reduce(0) { $0 + $1.0 - $1.1 } / Double(max(1, wishes.count))
      for (index, _) in wishes { boxes[index].x += shift }
    }
  }

  private static func draw(_ boxes: [Box]) -> String {
    let left = (boxes.map { $0.x - $0.width / 2 }.min() ?? 0) - 20
    let right = (boxes.map { $0.x + $0.width / 2 }.max() ?? 0) + 20
    let height = Double((boxes.map(\.layer).max() ?? 0) + 1) * layerHeight + 20
    func y(_ box: Box) -> Double { Double(box.layer) * layerHeight + 20 }
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(number(right - left))" height="\(number(height))" \
      viewBox="\(number(left)) 0 \(number(right - left)) \(number(height))" font-family="monospace" font-size="11">
      <style>
        rect { fill: #eef1f5; stroke: #66717f; rx: 5px } path { fill: none; stroke: #98a2ae } .small { fill: #5b6570; font-size: 10px }
        .input, .output { fill: #fff6d6 } .dot, .convolution { fill: #dbe9ff } .reduction, .window { fill: #e0f4e2 } .special { fill: #ffe3dc }
      </style>

      """
    for box in boxes {
      for source in box.sources {
        let from = boxes[source]
        let (top, bottom) = (y(from) + boxHeight, y(box))
        let middle = (top + bottom) / 2
        text += "<path d=\"M\(number(from.x)) \(number(top))C\(number(from.x)) \(number(middle)) \(number(box.x)) \(number(middle)) \(number(box.x)) \(number(bottom))\"/>\n"
      }
    }
    for box in boxes {
      text += "<rect class=\"\(box.kind)\" x=\"\(number(box.x - box.width / 2))\" y=\"\(number(y(box)))\" width=\"\(number(box.width))\" height=\"\(number(boxHeight))\"/>"
      text += "<text text-anchor=\"middle\" x=\"\(number(box.x))\" y=\"\(number(y(box) + 16))\">\(escaped(box.title))</text>"
      text += "<text class=\"small\" text-anchor=\"middle\" x=\"\(number(box.x))\" y=\"\(number(y(box) + 30))\">\(escaped(box.detail))</text>\n"
    }
    return text + "</svg>\n"
  }

  private static func number(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

  /// Names come from the model: markup characters are escaped, control characters have no place in XML.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.unicodeScalars.append(scalar.value < 32 || (0xfffe...0xffff).contains(scalar.value) ? "?" : scalar)
      }
    }
    return result
  }
}
