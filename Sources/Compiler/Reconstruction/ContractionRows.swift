package import GraphIR
import TensorTypes

/// A contraction as a product of matrices: which rows it multiplies with its weights, and where the results of each lie.
///
/// A convolution's rows are the windows that it looks at, in the order of its filter: input channel, then place in the window.
package struct ContractionRows: Sendable {
  /// Steps of the sum.
  package let steps: Int
  /// Channels of the result.
  package let columns: Int
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
      guard window.count == filter.rank - 2, let channels = filter[1].constant, let columns = filter[0].constant else { return nil }
      steps = window.reduce(channels, *)
      self.columns = columns
    } else {
      guard node.operation is Dot, filter.rank >= 2, let count = filter[filter.rank - 2].constant, let columns = filter[filter.rank - 1].constant else { return nil }
      (convolution, window, steps) = (nil, [], count)
      self.columns = columns
    }
    guard steps > 0, steps <= 16_384 else { return nil }
    self.steps = steps
  }

  /// Some rows of a left operand: which ones, and their numbers, each row followed by a one.
  func rows(of tensor: Tensor) -> (places: [Int], numbers: [Float]) {
    guard tensor.element == .f32, tensor.count > 0 else { return ([], []) }
    if let convolution { return windows(tensor, convolution) }
    guard tensor.dimensions.last == steps else { return ([], []) }
    let places = Self.spread(tensor.count / steps, width: 1)
    var numbers: [Float] = []
    numbers.reserveCapacity(places.count * (steps + 1))
    tensor.withBytes { bytes in
      for row in places {
        for step in 0..<steps { numbers.append(bytes.loadUnaligned(fromByteOffset: (row * steps + step) * 4, as: Float.self)) }
        numbers.append(1)
      }
    }
    return (places, numbers)
  }

  /// What a tensor with the shape of the result (or, behind a dot, the same elements in the same order) holds for some rows, row by row.
  func results(_ tensor: Tensor, at places: [Int]) -> [Float]? {
    guard tensor.element == .f32, columns > 0, tensor.count % columns == 0, let last = places.last, last < tensor.count / columns else { return nil }
    var area = 1
    if convolution != nil {
      guard tensor.dimensions.count == window.count + 2, tensor.dimensions[1] == columns else { return nil }
      area = tensor.dimensions.dropFirst(2).reduce(1, *)
    }
    return tensor.withBytes { bytes in
      [Float](unsafeUninitializedCapacity: places.count * columns) { target, initialized in
        var next = 0
        for place in places {
          let first = place / area * columns * area + place % area
          for column in 0..<columns {
            (target.baseAddress! + next).initialize(to: bytes.loadUnaligned(fromByteOffset: (first + column * area) * 4, as: Float.self))
            next += 1
          }
        }
        initialized = next
      }
    }
  }

  /// Numbers below a bound, not too many, evenly spread and not always in the same column of a picture of that width.
  private static func spread(_ count: Int, width: Int) -> [Int] {
    var stride = (count + mostRowsPerSample - 1) / mostRowsPerSample
    func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : divisor(b, a % b) }
    while stride > 1, width > 1, divisor(stride, width) > 1 { stride += 1 }
    return Array(Swift.stride(from: 0, to: count, by: max(1, stride)))
  }

  private func windows(_ tensor: Tensor, _ convolution: Convolution) -> (places: [Int], numbers: [Float]) {
    let dimensions = tensor.dimensions
    guard dimensions.count == window.count + 2 else { return ([], []) }
    let (images, channels, size) = (dimensions[0], dimensions[1], Array(dimensions.dropFirst(2)))
    guard channels * window.reduce(1, *) == steps else { return ([], []) }
    let form = convolution.window
    let result = size.indices.map { axis -> Int in
      let span = (window[axis] - 1) * form.dilations[axis] + 1
      return max(0, (size[axis] + form.padsLow[axis] + form.padsHigh[axis] - span) / max(1, form.strides[axis]) + 1)
    }
    let count = images * result.reduce(1, *), area = size.reduce(1, *), taps = window.reduce(1, *)
    guard count > 0 else { return ([], []) }
    /// The digits of a number in a mixed base.
    func digits(_ number: Int, _ base: [Int]) -> [Int] {
      var (rest, digits) = (number, base)
      for axis in base.indices.reversed() { (rest, digits[axis]) = rest.quotientAndRemainder(dividingBy: max(1, base[axis])) }
      return digits
    }
    let tapPlaces = (0..<taps).map { digits($0, window) }
    let places = Self.spread(count, width: result.last ?? 1)
    var numbers: [Float] = []
    numbers.reserveCapacity(places.count * (steps + 1))
    tensor.withBytes { bytes in
      for row in places {
        let place = digits(row, [images] + result)
        /// Where each tap of the window lies in a channel; -1 in the padding.
        let offsets = tapPlaces.map { tap -> Int in
          var offset = 0
          for axis in size.indices {
            let position = place[axis + 1] * form.strides[axis] - form.padsLow[axis] + tap[axis] * form.dilations[axis]
            guard (0..<size[axis]).contains(position) else { return -1 }
            offset = offset * size[axis] + position
          }
          return offset
        }
        for channel in 0..<channels {
          let start = (place[0] * channels + channel) * area
          for offset in offsets { numbers.append(offset < 0 ? 0 : bytes.loadUnaligned(fromByteOffset: (start + offset) * 4, as: Float.self)) }
        }
        numbers.append(1)
      }
    }
    return (places, numbers)
  }
}
