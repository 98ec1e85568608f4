public import GraphIR
public import TensorTypes

/// The average and the largest magnitude of each channel of a value, over samples.
public struct ChannelStatistics: Sendable {
  /// The axis that channels lie along, counted from the end, since samples may differ in rank no more than in what is before it.
  private let axis: Int
  private var sums: [Double] = []
  public private(set) var magnitudes: [Double] = []
  /// Elements that each channel has had so far.
  private var count = 0

  /// - Parameter axis: Of the value.
  public init(axis: Int) { self.axis = axis }

  /// For the left operand of a contraction: its last axis, or the channels of a convolution.
  public init(forInputOf operation: any Operation, rank: Int) {
    self.init(axis: (operation as? Convolution)?.axes(rank: rank).channel ?? rank - 1)
  }

  public var means: [Double] { sums.map { $0 / Double(max(count, 1)) } }

  /// Takes in one sample of f32; samples with another number of channels than the first are left out.
  public mutating func observe(_ tensor: Tensor) {
    guard tensor.element == .f32, tensor.dimensions.indices.contains(axis), tensor.count > 0 else { return }
    let channels = tensor.dimensions[axis]
    let inner = tensor.dimensions[(axis + 1)...].reduce(1, *)
    if sums.isEmpty { (sums, magnitudes) = ([Double](repeating: 0, count: channels), [Double](repeating: 0, count: channels)) }
    guard sums.count == channels else { return }
    tensor.withBytes { bytes in
      var position = 0
      while position < tensor.count {
        for channel in 0..<channels {
          var (sum, largest) = (0.0, 0.0)
          for _ in 0..<inner {
            let value = Double(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self))
            position += 1
            guard value.isFinite else { continue }
            sum += value
            largest = max(largest, value.magnitude)
          }
          sums[channel] += sum
          magnitudes[channel] = max(magnitudes[channel], largest)
        }
      }
    }
    count += tensor.count / channels
  }
}
