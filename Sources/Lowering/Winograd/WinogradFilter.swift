import TensorTypes

/// A constant 3x3 filter in the form that the products of a Winograd convolution read.
enum WinogradFilter {
  /// False for a filter with NaNs, infinities, or weights so large that the transform overflows: its results belong to the direct method.
  static func isTransformable(_ filter: Tensor) -> Bool {
    guard filter.element == .f32 else { return false }
    let largest = filter.withBytes { bytes in
      // As integers, magnitudes keep their order, and infinities and NaNs follow all numbers.
      bytes.assumingMemoryBound(to: UInt32.self).reduce(0) { max($0, $1 & 0x7fff_ffff) }
    }
    return largest < Float(0x1p100).bitPattern
  }

  /// G g G' for every pair of channels, computed in f64 and rounded once, as panels: one matrix of [input channels, output channels] for
  /// each element of a transformed tile, those of a group one after the other.
  ///
  /// - Parameter filter: [3, 3, input channels of a group, output channels of all groups] in f32.
  /// - Returns: nil if the filter has another size.
  static func packed(_ filter: Tensor, _ transform: WinogradTransform, groups: Int, inputs: Int, outputs: Int, _ layout: PanelLayout) -> Tensor? {
    let places = transform.extent * transform.extent, columns = groups * outputs
    guard let matrixElements = layout.matrixElements.constant, let count = elementCount(of: [groups, places, matrixElements]) else { return nil }
    guard filter.element == .f32, filter.count == elementCount(of: [9, inputs, columns]), inputs > 0, outputs > 0 else { return nil }
    let (rows, extent) = (transform.filterRows, transform.extent)
    // Eight columns at a time if panels are cut so; they lie in one panel.
    let chunk = layout.width % 8 == 0 ? 8 : 4
    guard layout.width % chunk == 0 else { return nil }
    return Tensor(.f32, [count]) { target in
      filter.withBytes { source in
        let from = source.assumingMemoryBound(to: Float.self), to = target.assumingMemoryBound(to: Float.self)
        withUnsafeTemporaryAllocation(of: SIMD8<Double>.self, capacity: 9 + 3 * extent) { work in
          for group in 0..<groups {
            for step in 0..<inputs {
              for first in stride(from: 0, to: outputs, by: chunk) {
                let used = min(chunk, outputs - first), start = step * columns + group * outputs + first
                for tap in 0..<9 {
                  var values = SIMD8<Double>()
                  for lane in 0..<used { values[lane] = Double(from[tap * inputs * columns + start + lane]) }
                  work[tap] = values
                }
                let panel = first / layout.width
                let width = (panel + 1) * layout.width <= outputs ? layout.width : layout.tailWidth
                let position = group * places * matrixElements + panel * inputs * layout.width + step * width + first - panel * layout.width
                transform3x3(work, rows) { place, values in
                  let rounded = SIMD8<Float>(values)
                  for lane in 0..<used { to[position + place * matrixElements + lane] = rounded[lane] }
                }
              }
            }
          }
        }
      }
    }
  }

  /// G g G', row-major. `work` holds g, and room for G g.
  @inline(__always)
  private static func transform3x3(_ work: UnsafeMutableBufferPointer<SIMD8<Double>>, _ rows: [[Double]], _ store: (Int, SIMD8<Double>) -> Void) {
    for (place, row) in rows.enumerated() {
      for tap in 0..<3 { work[9 + 3 * place + tap] = row[0] * work[tap] + row[1] * work[3 + tap] + row[2] * work[6 + tap] }
    }
    for place in rows.indices {
      let (x, y, z) = (work[9 + 3 * place], work[10 + 3 * place], work[11 + 3 * place])
      for (column, row) in rows.enumerated() { store(place * rows.count + column, row[0] * x + row[1] * y + row[2] * z) }
    }
  }
}
