import TensorTypes

/// The numbers of 8 bits that a constant matrix is made of, if there are some: every element of a column is a whole number, at most 127 in magnitude,
/// times one factor, to the last bit.
///
/// Filters that were quantized are such matrices after all that happens to them between the quantizer and here (folding, transposing, padding).
/// They are stored in 8 bits for that reason alone, whoever quantized them, and nothing about a result changes.
struct WeightGrid {
  /// [steps, columns]
  let numbers: Tensor
  /// [1, columns]
  let scale: Tensor

  /// Fewer elements do not pay for their unpacking.
  private static let leastElements = 1 << 10
  private static let leastExtent = 8
  private static let largest = 127

  /// - Returns: Nil if the matrix has elements that are on no such grid, or is no single matrix of f32.
  init?(_ source: PanelSource) {
    let (steps, columns) = (source.steps, source.columns)
    guard source.matrices == 1, source.element == .f32, source.tensor.element == .f32, source.isInside, steps >= Self.leastExtent, columns >= Self.leastExtent else { return nil }
    let (count, overflow) = steps.multipliedReportingOverflow(by: columns)
    guard !overflow, count >= Self.leastElements else { return nil }
    var factors: [Float] = []
    source.tensor.withBytes { bytes in
      let values = bytes.assumingMemoryBound(to: Float.self)
      for column in 0..<columns {
        guard let factor = Self.factor(steps, { values[$0 * source.stepStride + column * source.columnStride] }) else { return }
        factors.append(factor)
      }
    }
    guard factors.count == columns else { return nil }
    scale = Tensor(.f32, [1, columns]) { target in for (column, factor) in factors.enumerated() { target.storeBytes(of: factor, toByteOffset: column * 4, as: Float.self) } }
    numbers = Tensor(.i8, [steps, columns]) { target in
      source.tensor.withBytes { bytes in
        let values = bytes.assumingMemoryBound(to: Float.self)
        for step in 0..<steps {
          for column in 0..<columns {
            let number = Self.number(values[step * source.stepStride + column * source.columnStride], factors[column])
            target[step * columns + column] = UInt8(bitPattern: Int8(number))
          }
        }
      }
    }
  }

  /// The factor of a column: its largest magnitude is some whole multiple of it.
  private static func factor(_ count: Int, _ value: (Int) -> Float) -> Float? {
    var most: Float = 0
    for place in 0..<count {
      let magnitude = abs(value(place))
      if !magnitude.isFinite { return nil }
      most = max(most, magnitude)
    }
    if most == 0 { return 0 }
    for multiple in stride(from: largest, through: 1, by: -1) {
      let quotient = most / Float(multiple)
      // The product was rounded, so the quotient may be a neighbour of the factor.
      for factor in [quotient, quotient.nextUp, quotient.nextDown] where factor.isNormal {
        if (0..<count).allSatisfy({ Float(number(value($0), factor)) * factor == value($0) }) { return factor }
      }
    }
    return nil
  }

  private static func number(_ value: Float, _ factor: Float) -> Int {
    if factor == 0 { return 0 }
    let quotient = (value / factor).rounded()
    return abs(quotient) <= Float(largest) ? Int(quotient) : 0
  }

  /// The matrix as a source of panels, of numbers and of factors.
  func panels(of tensor: Tensor) -> PanelSource {
    let (steps, columns) = (tensor.dimensions[0], tensor.dimensions[1])
    return PanelSource(
      tensor: tensor, element: tensor.element, matrices: 1, steps: steps, columns: columns, matrixStride: 0, stepStride: columns, columnStride: 1)
  }
}
