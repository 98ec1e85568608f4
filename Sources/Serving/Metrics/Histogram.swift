/// Counts of durations by upper bound, as Prometheus wants them.
struct Histogram: Sendable {
  /// Upper bounds in seconds: 50 µs, where tiny models answer, to 10 s.
  static let bounds: [Double] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]

  /// One more than the bounds: the last one counts what is longer than all.
  private var counts = [Int](repeating: 0, count: bounds.count + 1)
  private(set) var count = 0
  private var sumSeconds = 0.0

  mutating func record(seconds: Double) {
    counts[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
    count += 1
    sumSeconds += seconds
  }

  /// Lines in the Prometheus text format. `labels` is empty or ends without a comma.
  func write(_ name: String, labels: String, to text: inout String) {
    var total = 0
    let prefix = labels.isEmpty ? "" : labels + ","
    for (bound, count) in zip(Self.bounds, counts) {
      total += count
      text += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(total)\n"
    }
    text += "\(name)_bucket{\(prefix)le=\"+Inf\"} \(count)\n"
    let suffix = labels.isEmpty ? "" : "{\(labels)}"
    text += "\(name)_sum\(suffix) \(sumSeconds)\n\(name)_count\(suffix) \(count)\n"
  }
}
