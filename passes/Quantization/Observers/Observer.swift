public import TensorTypes

/// Learns from samples of a value which range of numbers its quantised form should hold.
public protocol Observer: Sendable {
  /// Takes in one sample. Tensors of other types than f32 are read as numbers.
  mutating func observe(_ tensor: Tensor)
  /// What 256 numbers should cover; nil if no number was seen.
  var range: ValueRange? { get }
}

/// The observers there are, by the name that the command line uses.
///
/// A new one is a type that conforms to `Observer`, and a case here.
public enum ObserverKind: String, Sendable, Hashable, CaseIterable {
  case minmax
  case movingAverage = "moving-average"
  case percentile, entropy, mse

  public func makeObserver() -> any Observer {
    switch self {
    case .minmax: ExtremesObserver()
    case .movingAverage: MovingAverageObserver()
    case .percentile: PercentileObserver()
    case .entropy: EntropyObserver()
    case .mse: SquaredErrorObserver()
    }
  }

  /// What it does, in a few words.
  public var summary: String {
    switch self {
    case .minmax: "everything seen"
    case .movingAverage: "the average of the samples' extremes"
    case .percentile: "all but one number in ten thousand at each end"
    case .entropy: "the least information lost (Kullback and Leibler)"
    case .mse: "the least squared error"
    }
  }
}

/// The smallest and largest finite numbers of a tensor.
public struct Extremes: Sendable {
  public private(set) var lower = Double.infinity
  public private(set) var upper = -Double.infinity

  /// True if there was no finite number.
  public var isEmpty: Bool { lower > upper }

  public init(_ tensor: Tensor) {
    tensor.withBytes { bytes in
      guard tensor.element == .f32 else {
        for position in 0..<tensor.count { take(Tensor.double(bytes, tensor.element, position)) }
        return
      }
      // Eight at a time: this sees every number of every sample.
      var (low, high) = (SIMD8<Float>(repeating: .infinity), SIMD8<Float>(repeating: -.infinity))
      var position = 0
      while position + 8 <= tensor.count {
        let part = bytes.loadUnaligned(fromByteOffset: position * 4, as: SIMD8<Float>.self)
        let isFinite = (part - part) .== SIMD8<Float>()
        low.replace(with: pointwiseMin(low, part), where: isFinite)
        high.replace(with: pointwiseMax(high, part), where: isFinite)
        position += 8
      }
      for lane in 0..<8 {
        lower = min(lower, Double(low[lane]))
        upper = max(upper, Double(high[lane]))
      }
      for position in position..<tensor.count { take(Double(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self))) }
    }
  }

  /// Of the numbers of both.
  public func union(_ other: Extremes) -> Extremes {
    var both = self
    (both.lower, both.upper) = (min(lower, other.lower), max(upper, other.upper))
    return both
  }

  private mutating func take(_ value: Double) {
    guard value.isFinite else { return }
    lower = min(lower, value)
    upper = max(upper, value)
  }
}

/// The smallest and largest number of all samples. Nothing is cut off, and one outlier widens every step.
///
/// Source: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference (2018), 3.1.
public struct ExtremesObserver: Observer {
  public private(set) var range: ValueRange?
  public init() {}

  public mutating func observe(_ tensor: Tensor) {
    let found = Extremes(tensor)
    if found.isEmpty { return }
    let own = ValueRange(found.lower, found.upper)
    range = range?.union(own) ?? own
  }
}

/// Exponential averages of the samples' smallest and largest numbers, so that one unusual sample counts little.
///
/// Source: Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-only inference (CVPR 2018), 3.1;
/// the first samples are weighed up as in Kingma and Ba, Adam (ICLR 2015), 3, since there are few.
public struct MovingAverageObserver: Observer {
  /// The weight of a new sample.
  private let momentum = 0.05
  private var (lower, upper, weight) = (0.0, 0.0, 0.0)
  public init() {}

  public mutating func observe(_ tensor: Tensor) {
    let found = Extremes(tensor)
    if found.isEmpty { return }
    lower += momentum * (found.lower - lower)
    upper += momentum * (found.upper - upper)
    weight += momentum * (1 - weight)
  }

  public var range: ValueRange? { weight == 0 ? nil : ValueRange(lower / weight, upper / weight) }
}
