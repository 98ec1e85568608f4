import TensorTypes

/// A constant 3x3 filter in the form that the products of a Winograd convolution read.
enum WinogradFilter {
  /// G g G' for every pair of channels, computed in f64 and rounded once, as panels: one matrix of [input channels, output channels] for
  /// each element of a transformed tile, those of a group one after the other.
  ///
  /// - Parameter filter: [3, 3, input channels of a group, output channels of all groups] in f32.
  /// - Returns: nil if the filter has another size.
  static func packed(_ filter: Tensor, _ transform: WinogradTransform, groups: Int, inputs: Int, outputs: Int, _ layout: PanelLayout) -> Tensor? {
    let places = transform.extent * transform.extent, columns = groups * outputs
    guard let matrixElements = layout.matrixElements.constant, let count = elementCount(of: [groups, places, matrixElements]) else { return nil }
    guard filter.element == .f32, filter.count == elementCount(of: [9, inputs, columns]), inputs > 0, outputs > 0 else { return nil }
    let rows = transform.filterRows.flatMap { $0 }, extent = transform.extent
    return Tensor(.f32, [count]) { target in
      filter.withBytes { source in
        let from = source.assumingMemoryBound(to: Float.self), to = target.assumingMemoryBound(to: Float.self)
        withUnsafeTemporaryAllocation(of: Double.self, capacity: 9 + 3 * extent + 3 * extent) { work in
          for place in 0..<3 * extent { work[9 + 3 * extent + place] = rows[place] }
          for group in 0..<groups {
            for step in 0..<inputs {
              for column in 0..<outputs {
                let start = step * columns + group * outputs + column
                for tap in 0..<9 { work[tap] = Double(from[tap * inputs * columns + start]) }
                let panel = column / layout.width, lane = column - panel * layout.width
                let isFull = (panel + 1) * layout.width <= outputs
                let position = group * places * matrixElements + panel * inputs * layout.width + step * (isFull ? layout.width : layout.tailWidth) + lane
                transformed(work, extent) { place, value in to[position + place * matrixElements] = Float(value) }
              }
            }
          }
        }
      }
    }
  }

  /// G g G'. `work` holds g, room for G g, and G.
  @inline(__always)
  private static func transformed(_ work: UnsafeMutableBufferPointer<Double>, _ extent: Int, _ store: (Int, Double) -> Void) {
    let half = 9, rows = 9 + 3 * extent
    for row in 0..<extent {
      let (a, b, c) = (work[rows + 3 * row], work[rows + 3 * row + 1], work[rows + 3 * row + 2])
      for tap in 0..<3 { work[half + 3 * row + tap] = a * work[tap] + b * work[3 + tap] + c * work[6 + tap] }
    }
    for row in 0..<extent {
      let (x, y, z) = (work[half + 3 * row], work[half + 3 * row + 1], work[half + 3 * row + 2])
      for column in 0..<extent { store(row * extent + column, x * work[rows + 3 * column] + y * work[rows + 3 * column + 1] + z * work[rows + 3 * column + 2]) }
    }
  }
}
