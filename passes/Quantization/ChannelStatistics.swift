public import GraphIR
public import TensorTypes

/// Average, average square and extremes of each channel of a value, over samples.
public struct ChannelStatistics: Sendable {
  private struct Channel: Sendable {
    var sum = 0.0
    var squares = 0.0
    var lower = 0.0
    var upper = 0.0
  }

  /// The axis that channels lie along, counted from the end, since samples may differ in rank no more than in what is before it.
  private let axis: Int
  private var channels: [Channel] = []
  /// Elements that each channel has had so far.
  private var count = 0

  /// - Parameter axis: Of the value.
  public init(axis: Int) { self.axis = axis }

  /// For the left operand of a contraction: its last axis, or the channels of a convolution.
  public init(forInputOf operation: any Operation, rank: Int) {
    self.init(axis: (operation as? Convolution)?.axes(rank: rank).channel ?? rank - 1)
  }

  public var means: [Double] { channels.map { $0.sum / Double(max(count, 1)) } }
  /// The averages of the squares.
  public var squares: [Double] { channels.map { $0.squares / Double(max(count, 1)) } }
  /// The smallest number of each channel, or 0.
  public var lowers: [Double] { channels.map(\.lower) }
  /// The largest number of each channel, or 0.
  public var uppers: [Double] { channels.map(\.upper) }
  public var magnitudes: [Double] { channels.map { max(-$0.lower, $0.upper) } }

  /// Takes in one sample of f32; samples with another number of channels than the first are left out.
  public mutating func observe(_ tensor: Tensor) {
    guard tensor.element == .f32, tensor.dimensions.indices.contains(axis), tensor.count > 0 else { return }
    let width = tensor.dimensions[axis]
    let inner = tensor.dimensions[(axis + 1)...].reduce(1, *)
    if channels.isEmpty { channels = [Channel](repeating: Channel(), count: width) }
    guard channels.count == width else { return }
    channels.withUnsafeMutableBufferPointer { channels in
      tensor.withBytes { bytes in
        var position = 0
        while position < tensor.count {
          for number in 0..<width {
            var channel = channels[number]
            for _ in 0..<inner {
              let value = Double(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self))
              position += 1
              guard value.isFinite else { continue }
              channel.sum += value
              channel.squares += value * value
              channel.lower = min(channel.lower, value)
              channel.upper = max(channel.upper, value)
            }
            channels[number] = channel
          }
        }
      }
    }
    count += tensor.count / width
  }
}
