package import GraphIR
package import TensorTypes

/// What a contraction's left operand is like on some samples: X^T X over all rows that the contraction multiplies, with a column of ones behind the
/// others, so that sums are known, too.
///
/// A convolution's rows are the windows that it looks at, in the order of its filter: input channel, then place in the window.
package struct InputMoments: Sendable {
  /// Steps of the sum, and one for the column of ones.
  private(set) var products: SymmetricMatrix
  private(set) var rows = 0
  package let steps: Int
  private let convolution: Convolution?
  private let window: [Int]

  /// More rows of one sample tell little that is new; they are taken evenly spread.
  private static let mostRowsPerSample = 2048

  /// - Parameter node: A dot, or a convolution in one group, channels first.
  package init?(_ node: Node, _ graph: Graph) {
    guard node.operands.count == 2 else { return nil }
    let filter = graph.type(of: node.operands[1]).shape
    var steps = 1
    if let convolution = node.operation as? Convolution {
      guard convolution.groups == 1, convolution.layout == .channelsFirst, filter.rank >= 3, convolution.inputDilations.allSatisfy({ $0 == 1 }) else { return nil }
      (self.convolution, window) = (convolution, filter.extents.dropFirst(2).compactMap(\.constant))
      guard window.count == filter.rank - 2, let channels = filter[1].constant else { return nil }
      steps = window.reduce(channels, *)
    } else {
      guard node.operation is Dot, filter.rank >= 2, let count = filter[filter.rank - 2].constant else { return nil }
      (convolution, window, steps) = (nil, [], count)
    }
    guard steps > 0, steps <= 16_384 else { return nil }
    self.steps = steps
    products = SymmetricMatrix(order: steps + 1, elements: [Double](repeating: 0, count: (steps + 1) * (steps + 1)))
  }

  /// Takes in the left operand of one sample.
  package mutating func observe(_ tensor: Tensor) {
    guard tensor.element == .f32, tensor.count > 0 else { return }
    let order = steps + 1
    var numbers: [Float] = []
    if let convolution { numbers = windows(tensor, convolution) } else {
      guard tensor.dimensions.last == steps else { return }
      let count = tensor.count / steps
      let stride = (count + Self.mostRowsPerSample - 1) / Self.mostRowsPerSample
      numbers.reserveCapacity(count / stride * order + order)
      tensor.withBytes { bytes in
        for row in Swift.stride(from: 0, to: count, by: stride) {
          for step in 0..<steps { numbers.append(bytes.loadUnaligned(fromByteOffset: (row * steps + step) * 4, as: Float.self)) }
          numbers.append(1)
        }
      }
    }
    let count = numbers.count / order
    products.accumulate(rows: numbers, count: count)
    rows += count
  }

  /// The windows of an image, row by row.
  private func windows(_ tensor: Tensor, _ convolution: Convolution) -> [Float] {
    let dimensions = tensor.dimensions
    guard dimensions.count == window.count + 2 else { return [] }
    let (images, channels, size) = (dimensions[0], dimensions[1], Array(dimensions.dropFirst(2)))
    guard channels * window.reduce(1, *) == steps else { return [] }
    let places = convolution.window
    let result = size.indices.map { axis -> Int in
      let span = (window[axis] - 1) * places.dilations[axis] + 1
      return max(0, (size[axis] + places.padsLow[axis] + places.padsHigh[axis] - span) / max(1, places.strides[axis]) + 1)
    }
    let count = images * result.reduce(1, *), area = size.reduce(1, *), taps = window.reduce(1, *)
    guard count > 0 else { return [] }
    let stride = (count + Self.mostRowsPerSample - 1) / Self.mostRowsPerSample
    /// The digits of a number in a mixed base.
    func digits(_ number: Int, _ base: [Int]) -> [Int] {
      var (rest, digits) = (number, base)
      for axis in base.indices.reversed() { (rest, digits[axis]) = rest.quotientAndRemainder(dividingBy: max(1, base[axis])) }
      return digits
    }
    let tapPlaces = (0..<taps).map { digits($0, window) }
    var numbers: [Float] = []
    numbers.reserveCapacity((count / stride + 1) * (steps + 1))
    tensor.withBytes { bytes in
      for row in Swift.stride(from: 0, to: count, by: stride) {
        let place = digits(row, [images] + result)
        /// Where each tap of the window lies in a channel; nil in the padding.
        let offsets = tapPlaces.map { tap -> Int? in
          var offset = 0
          for axis in size.indices {
            let position = place[axis + 1] * places.strides[axis] - places.padsLow[axis] + tap[axis] * places.dilations[axis]
            guard (0..<size[axis]).contains(position) else { return nil }
            offset = offset * size[axis] + position
          }
          return offset
        }
        for channel in 0..<channels {
          let start = (place[0] * channels + channel) * area
          for offset in offsets { numbers.append(offset.map { bytes.loadUnaligned(fromByteOffset: (start + $0) * 4, as: Float.self) } ?? 0) }
        }
        numbers.append(1)
      }
    }
    return numbers
  }

  /// The mean square of each step.
  package var energies: [Double] { (0..<steps).map { rows == 0 ? 0 : products[$0, $0] / Double(rows) } }
}
