import GraphIR
import TensorTypes

extension Suppress: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let boxes = operands[0].doubles.map { Float($0) }, scores = operands[1].doubles.map { Float($0) }
    let overlap = Float(operands[2].doubles[0]), least = Float(operands[3].doubles[0])
    let (classes, count) = (operands[1].dimensions[1], operands[1].dimensions[2])
    let most = results[0].dimensions[2]
    var chosen: [Int] = []
    for line in 0..<operands[1].dimensions[0] * classes {
      let score = { (box: Int) in scores[line * count + box] }
      let area = { (box: Int) in Box(boxes, (line / classes) * count + box, isCentered: isCentered) }
      // Stable: of equal scores the first box stays first.
      var left = (0..<count).filter { score($0) > least }.sorted { score($0) != score($1) ? score($0) > score($1) : $0 < $1 }
      var kept: [Int] = []
      while kept.count < most, let best = left.first {
        kept.append(best)
        let box = area(best)
        left.removeAll { $0 == best || box.overlap(area($0)) > overlap }
      }
      chosen += kept + [Int](repeating: -1, count: most - kept.count)
    }
    return [Tensor(chosen, dimensions: results[0].dimensions)]
  }
}

/// A rectangle with its sides in order.
private struct Box {
  let low: (x: Float, y: Float)
  let high: (x: Float, y: Float)

  init(_ numbers: [Float], _ position: Int, isCentered: Bool) {
    let (a, b, c, d) = (numbers[position * 4], numbers[position * 4 + 1], numbers[position * 4 + 2], numbers[position * 4 + 3])
    if isCentered {
      (low, high) = ((a - c / 2, b - d / 2), (a + c / 2, b + d / 2))
    } else {
      (low, high) = ((min(b, d), min(a, c)), (max(b, d), max(a, c)))
    }
  }

  var area: Float { (high.x - low.x) * (high.y - low.y) }

  /// The intersection as a part of the union; 0 if one of them is empty.
  func overlap(_ other: Box) -> Float {
    let (width, height) = (min(high.x, other.high.x) - max(low.x, other.low.x), min(high.y, other.high.y) - max(low.y, other.low.y))
    if width <= 0 || height <= 0 { return -.infinity }
    let shared = width * height
    let union = area + other.area - shared
    return area <= 0 || other.area <= 0 || union <= 0 ? -.infinity : shared / union
  }
}
