#if canImport(Glibc)
import Glibc
#endif
public import TensorTypes

/// The range that all but a small part of the numbers lie in: one in ten thousand is cut off at each end.
///
/// Source: Wu et al., Integer quantization for deep learning inference (2020), 3.3; Li et al., Fully quantized network (CVPR 2019).
public struct PercentileObserver: Observer {
  private var histogram = GrowingHistogram()
  /// The part that is cut off at each end.
  private let tail = 1e-4
  public init() {}

  public mutating func observe(_ tensor: Tensor) { histogram.add(tensor) }

  public var range: ValueRange? {
    guard let extremes = histogram.extremes else { return nil }
    let most = Double(histogram.total) * tail
    var (low, high) = (0, histogram.counts.count - 1)
    var cut = 0
    while low < high, Double(cut + histogram.counts[low]) <= most {
      cut += histogram.counts[low]
      low += 1
    }
    cut = 0
    while high > low, Double(cut + histogram.counts[high]) <= most {
      cut += histogram.counts[high]
      high -= 1
    }
    return ValueRange(max(extremes.lower, histogram.edge(low)), min(extremes.upper, histogram.edge(high + 1)))
  }
}

/// The range whose quantised numbers have the distribution that is nearest to that of the numbers themselves.
///
/// For each threshold the numbers beyond it are put at the threshold, the rest is merged into 128 steps of equal size and spread out
/// again over the bins that held anything; the threshold whose outcome has the least Kullback-Leibler divergence wins. It cuts both
/// ends of the range at the same magnitude.
///
/// Source: Migacz, 8-bit inference with TensorRT (GTC 2017).
public struct EntropyObserver: Observer {
  private var histogram = GrowingHistogram()
  private static let steps = 128
  public init() {}

  public mutating func observe(_ tensor: Tensor) { histogram.add(tensor) }

  public var range: ValueRange? {
    guard let extremes = histogram.extremes else { return nil }
    // Counts by magnitude.
    let reach = max(histogram.first + histogram.counts.count, -histogram.first)
    var magnitudes = [Double](repeating: 0, count: max(reach, 1))
    for (bin, count) in histogram.counts.enumerated() {
      let number = histogram.first + bin
      magnitudes[number >= 0 ? number : -number - 1] += Double(count)
    }
    // Zeros are exact in any range; a rectified value has so many that they would drown the rest.
    if histogram.first <= 0, magnitudes.count > 1 { magnitudes[0] = min(magnitudes[0], magnitudes[1]) }
    var best = (divergence: Double.infinity, bins: magnitudes.count)
    var bins = magnitudes.count
    let stride = max(1, magnitudes.count / 512)
    while bins >= min(Self.steps, magnitudes.count) {
      let divergence = Self.divergence(of: magnitudes, below: bins)
      // Of equal ones the wider.
      if divergence < best.divergence { best = (divergence, bins) }
      bins -= stride
    }
    let threshold = Double(best.bins) * histogram.width
    return ValueRange(max(extremes.lower, -threshold), min(extremes.upper, threshold))
  }

  private static func divergence(of magnitudes: [Double], below bins: Int) -> Double {
    let outside = magnitudes[bins...].reduce(0, +)
    let total = magnitudes.reduce(0, +)
    guard total > 0 else { return 0 }
    var sum = 0.0
    var (kept, spread) = (total, magnitudes[..<bins].reduce(0, +))
    if spread == 0 { return .infinity }
    (kept, spread) = (1 / kept, 1 / spread)
    for step in 0..<steps {
      let (begin, end) = (bins * step / steps, bins * (step + 1) / steps)
      if begin == end { continue }
      var (inside, occupied) = (0.0, 0)
      for bin in begin..<end where magnitudes[bin] > 0 || (bin == bins - 1 && outside > 0) {
        inside += magnitudes[bin]
        occupied += 1
      }
      if occupied == 0 { continue }
      let q = max(inside / Double(occupied) * spread, 1e-12)
      for bin in begin..<end {
        let p = (magnitudes[bin] + (bin == bins - 1 ? outside : 0)) * kept
        if p > 0 { sum += p * log(p / q) }
      }
    }
    return sum
  }
}

/// The range whose 256 steps give the least squared error on the histogram, rounding and cutting off together.
///
/// Both ends are moved in turn to the best of a row of places, until neither gains.
///
/// Source: Sung, Shin and Hwang, Resiliency of deep neural networks under quantization (2015), 3; Banner et al., Post training 4-bit
/// quantization (NeurIPS 2019) for the trade of rounding against cutting off.
public struct SquaredErrorObserver: Observer {
  private var histogram = GrowingHistogram()
  private static let places = 64
  public init() {}

  public mutating func observe(_ tensor: Tensor) { histogram.add(tensor) }

  public var range: ValueRange? {
    guard let extremes = histogram.extremes else { return nil }
    let whole = ValueRange(extremes.lower, extremes.upper)
    var best = (range: whole, error: error(of: whole))
    for _ in 0..<3 {
      let before = best.error
      for place in 1..<Self.places {
        let part = Double(place) / Double(Self.places)
        for candidate in [ValueRange(best.range.lower, whole.upper * part), ValueRange(whole.lower * part, best.range.upper)] where candidate.width > 0 {
          let error = error(of: candidate)
          if error < best.error { best = (candidate, error) }
        }
      }
      if best.error == before { break }
    }
    return best.range
  }

  private func error(of range: ValueRange) -> Double {
    let scale = ByteScale(covering: range)
    var sum = 0.0
    for (bin, count) in histogram.counts.enumerated() where count > 0 {
      let centre = histogram.centre(bin)
      let difference = centre - scale.rounded(centre)
      // Inside a bin numbers are as good as uniform: its width adds the same to every range, and is left out.
      sum += Double(count) * difference * difference
    }
    return sum
  }
}
