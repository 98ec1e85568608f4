import TensorTypes

/// A result for people: type, first values, and for classifiers the largest values of each row.
struct OutputText {
  let text: String

  /// Rows beyond these are counted, not printed.
  private static let shownRows = 8
  private static let shownValues = 8

  init(_ name: String, _ tensor: Tensor, top: Int?, labels: [String]) {
    let columns = tensor.dimensions.last ?? 1
    guard let top, tensor.count > 0, columns > 1, labels.isEmpty || labels.count == columns else {
      let values = (0..<min(Self.shownValues, tensor.count)).map { Self.value(tensor, $0) }
      text = "\(name)  \(tensor.type)  \(values.joined(separator: " "))" + (tensor.count > Self.shownValues ? " ..." : "")
      return
    }
    var lines = ["\(name)  \(tensor.type)"]
    let rows = tensor.count / columns
    for row in 0..<min(rows, Self.shownRows) {
      if rows > 1 { lines.append("  row \(row)") }
      let positions = row * columns..<(row + 1) * columns
      let values = tensor.withBytes { bytes in positions.map { Tensor.double(bytes, tensor.element, $0) } }
      // NaN sorts last, so that a broken result is seen and not ranked; ties keep the lower class first.
      func rank(_ value: Double) -> Double { value.isNaN ? -.infinity : value }
      let best = values.indices.sorted { (rank(values[$0]), $1) > (rank(values[$1]), $0) }.prefix(top)
      for column in best {
        lines.append("  \(Self.value(tensor, positions.lowerBound + column))  \(labels.isEmpty ? "class \(column)" : "\(labels[column]) (\(column))")")
      }
    }
    if rows > Self.shownRows { lines.append("  ... \(rows - Self.shownRows) more rows") }
    text = lines.joined(separator: "\n")
  }

  private static func value(_ tensor: Tensor, _ position: Int) -> String {
    if tensor.element == .string { return tensor.text(at: position).string.debugDescription }
    return tensor.withBytes { bytes in
      tensor.element.isFloatingPoint ? "\(Float(Tensor.double(bytes, tensor.element, position)))" : "\(Tensor.integer(bytes, tensor.element, position))"
    }
  }
}
