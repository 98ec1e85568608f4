public import GraphIR
public import TensorTypes

/// Weights as i8, one scale for each position of an axis: `number = byte * scale`, the largest magnitude is 127.
public struct QuantizedWeights: Sendable {
  public let bytes: Tensor
  /// f32, a vector along the axis; a scalar if there is no axis.
  public let scale: Tensor

  /// - Parameters:
  ///   - weights: f32, finite.
  ///   - axis: Nil: one scale for all.
  public init(_ weights: Tensor, along axis: Int?) {
    let extent = axis.map { weights.dimensions[$0] } ?? 1
    let inner = axis.map { weights.dimensions[($0 + 1)...].reduce(1, *) } ?? max(weights.count, 1)
    var largest = [Float](repeating: 0, count: extent)
    weights.withBytes { source in
      for position in 0..<weights.count {
        let value = source.loadUnaligned(fromByteOffset: position * 4, as: Float.self).magnitude
        let place = position / max(inner, 1) % extent
        if value > largest[place] { largest[place] = value }
      }
    }
    let scales = largest.map { $0 / 127 < Float.leastNormalMagnitude ? 1 : $0 / 127 }
    bytes = Tensor(.i8, weights.dimensions) { target in
      weights.withBytes { source in
        for position in 0..<weights.count {
          let value = source.loadUnaligned(fromByteOffset: position * 4, as: Float.self) / scales[position / max(inner, 1) % extent]
          Tensor.store(Double(min(max(value, -127), 127).rounded(.toNearestOrEven)), .i8, target, position)
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

extension Tensor {
  /// The largest magnitude of the elements of a floating-point tensor; infinity if one of them is no finite number.
  var largestMagnitude: Float {
    guard element == .f32 else { return doubles.reduce(0) { $1.isFinite ? max($0, Float($1.magnitude)) : .infinity } }
    var most: UInt32 = 0
    // As bits, magnitudes are ordered like integers, and those of what is not finite are the largest.
    withBytes { bytes in for place in 0..<count { most = max(most, bytes.loadUnaligned(fromByteOffset: place * 4, as: UInt32.self) & 0x7fff_ffff) } }
    let value = Float(bitPattern: most)
    return value.isFinite ? value : .infinity
  }
}
