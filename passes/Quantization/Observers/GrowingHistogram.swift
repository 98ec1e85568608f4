public import TensorTypes

/// Counts of numbers in bins of equal width, of a range that nobody has to know before.
///
/// Bins are `width` wide and lie at multiples of it, so that 0 is an edge; `width` is a power of two. When numbers come that more than
/// `mostBins` bins would hold, pairs of neighbours become one bin: what was counted stays exact, and one pass over the samples is enough.
public struct GrowingHistogram: Sendable {
  public static let mostBins = 4096
  /// Bins that the first sample gets at least. As many are left where bins are merged, so that the order of samples does not matter.
  private static let firstBins = mostBins / 2

  public private(set) var counts: [Int] = []
  /// The number of the first bin; it holds `first * width ..< (first + 1) * width`.
  public private(set) var first = 0
  public private(set) var width = 0.0
  public private(set) var extremes: (lower: Double, upper: Double)?
  public private(set) var total = 0

  public init() {}

  /// Counts the finite numbers of a tensor.
  public mutating func add(_ tensor: Tensor) {
    let found = Extremes(tensor)
    if found.isEmpty { return }
    makeRoom(found.lower, found.upper)
    extremes = (min(extremes?.lower ?? found.lower, found.lower), max(extremes?.upper ?? found.upper, found.upper))
    let (inverse, offset) = (1 / width, Double(first))
    let last = counts.count - 1
    var seen = 0
    counts.withUnsafeMutableBufferPointer { counts in
      tensor.withBytes { bytes in
        for position in 0..<tensor.count {
          let value = tensor.element == .f32 ? Double(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self)) : Tensor.double(bytes, tensor.element, position)
          guard value.isFinite else { continue }
          // Bins are powers of two wide, so the product is exact.
          counts[min(max(Int((value * inverse).rounded(.down) - offset), 0), last)] += 1
          seen += 1
        }
      }
    }
    total += seen
  }

  /// The middle of a bin.
  public func centre(_ bin: Int) -> Double { (Double(first + bin) + 0.5) * width }

  /// Where a bin begins.
  public func edge(_ bin: Int) -> Double { Double(first + bin) * width }

  private mutating func makeRoom(_ lower: Double, _ upper: Double) {
    // From 0 on, which every quantised range contains: numbers of bins stay as small as their count.
    let (low, high) = (min(lower, extremes?.lower ?? lower, 0), max(upper, extremes?.upper ?? upper, 0))
    if width == 0 {
      let size = max(high - low, 0x1p-120)
      width = Double(sign: .plus, exponent: (size / Double(Self.firstBins)).exponent, significand: 1)
      first = Int((low / width).rounded(.down))
      counts = [Int](repeating: 0, count: 1)
    }
    // The numbers of bins may be beyond Int until the width fits.
    while (high / width).rounded(.down) - (low / width).rounded(.down) >= Double(Self.mostBins) { merge() }
    let (begin, end) = (Int((low / width).rounded(.down)), Int((high / width).rounded(.down)))
    let (newFirst, newLast) = (min(begin, first), max(end, first + counts.count - 1))
    if newFirst < first || newLast >= first + counts.count {
      let before = [Int](repeating: 0, count: first - newFirst)
      counts = before + counts + [Int](repeating: 0, count: newLast - (first + counts.count) + 1)
      first = newFirst
    }
  }

  /// Makes bins twice as wide.
  private mutating func merge() {
    width *= 2
    let newFirst = first >> 1
    var merged = [Int](repeating: 0, count: (first + counts.count - 1) >> 1 - newFirst + 1)
    for (position, count) in counts.enumerated() { merged[(first + position) >> 1 - newFirst] += count }
    (counts, first) = (merged, newFirst)
  }
}
