public import GraphIR
public import TensorTypes

/// Weights as i8, one scale for each position of an axis: `number = byte * scale`, the largest magnitude is 127.
public struct QuantizedWeights: Sendable {
  public let bytes: Tensor
  /// f32, a vector along the axis; a scalar if there is no axis.
  public let scale: Tensor

  /// - Parameter axis: Nil: one scale for all.
  public init(_ weights: Tensor, along axis: Int?) {
    let extent = axis.map { weights.dimensions[$0] } ?? 1
    let inner = axis.map { weights.dimensions[($0 + 1)...].reduce(1, *) } ?? max(weights.count, 1)
    var largest = [Float](repeating: 0, count: extent)
    weights.withBytes { source in
      for position in 0..<weights.count {
        let value = source.loadUnaligned(fromByteOffset: position * 4, as: Float.self).magnitude
        let place = position / max(inner, 1) % extent
        if value.isFinite, value > largest[place] { largest[place] = value }
      }
    }
    let scales = largest.map { $0 / 127 < Float.leastNormalMagnitude ? 1 : $0 / 127 }
    bytes = Tensor(.i8, weights.dimensions) { target in
      weights.withBytes { source in
        for position in 0..<weights.count {
          let value = source.loadUnaligned(fromByteOffset: position * 4, as: Float.self) / scales[position / max(inner, 1) % extent]
          Tensor.store(Double(min(max(value.isNaN ? 0 : value, -127), 127).rounded(.toNearestOrEven)), .i8, target, position)
        }
      }
    }
    scale = Tensor(.f32, axis == nil ? [] : [extent], scales.map { Double($0) })
  }

  /// The axis of a contraction's weights that its outputs lie along; nil for a batch of matrices, which share one scale.
  public static func outputAxis(of operation: any Operation, rank: Int) -> Int? {
    if let convolution = operation as? Convolution { return convolution.filterAxes(rank: rank).output }
    return rank == 2 ? 1 : nil
  }
}
