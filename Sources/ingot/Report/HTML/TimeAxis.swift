/// The unit in which a chart's times are short numbers.
struct TimeAxis {
  let unit: String
  /// How many of them a second has.
  let perSecond: Double

  /// - Parameter seconds: All that is drawn.
  init(_ seconds: [Double]) {
    let largest = seconds.filter(\.isFinite).max() ?? 0
    (unit, perSecond) = largest >= 1 ? ("s", 1) : largest >= 1e-3 ? ("ms", 1e3) : largest >= 1e-6 ? ("µs", 1e6) : ("ns", 1e9)
  }
}
