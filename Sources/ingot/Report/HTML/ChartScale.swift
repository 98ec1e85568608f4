import Foundation

/// Where a number lies along an axis, and which numbers are written beside it.
struct ChartScale {
  private(set) var lower: Double
  private(set) var upper: Double
  let isLogarithmic: Bool
  /// Places of `lower` and `upper`.
  let from: Double
  let to: Double

  /// - Parameters:
  ///   - values: All that has to be seen. Those that are not above 0 are left out of a logarithmic axis.
  ///   - isLogarithmic: Nil chooses: if the largest is many times the smallest.
  ///   - includes: A number that has to be seen too, such as where bars begin.
  init(_ values: [Double], isLogarithmic wanted: Bool? = nil, includes origin: Double? = nil, from: Double, to: Double) {
    let known = (values + (origin.map { [$0] } ?? [])).filter(\.isFinite)
    let positive = known.filter { $0 > 0 }
    let isWide = positive.count == known.count && (positive.max() ?? 1) / (positive.min() ?? 1) > 6
    isLogarithmic = wanted ?? isWide
    (self.from, self.to) = (from, to)
    let used = isLogarithmic ? positive : known
    (lower, upper) = (used.min() ?? 0, used.max() ?? 1)
    if isLogarithmic {
      if upper / lower < 1.2 { (lower, upper) = (lower / 1.5, upper * 1.5) } else { (lower, upper) = (lower / Self.margin(lower, origin), upper * Self.margin(upper, origin)) }
    } else {
      let room = upper > lower ? (upper - lower) * 0.06 : max(abs(upper) * 0.1, 1e-9)
      if lower != origin { lower -= room }
      if upper != origin { upper += room }
    }
  }

  /// An end that is where bars begin needs no room behind it.
  private static func margin(_ end: Double, _ origin: Double?) -> Double { end == origin ? 1 : 1.15 }

  func position(_ value: Double) -> Double {
    let share = isLogarithmic ? log(max(value, lower) / lower) / log(upper / lower) : (value - lower) / (upper - lower)
    return from + (to - from) * min(max(share, 0), 1)
  }

  /// Round numbers, not more of them than have room.
  ///
  /// - Parameters:
  ///   - least: Distance between two of them.
  ///   - room: What the number's text takes along the axis.
  func ticks(least: Double, room: (Double) -> Double) -> [Double] {
    for step in 0..<Self.densities {
      let candidates = isLogarithmic ? logarithmicTicks(step) : linearTicks(step)
      let places = candidates.map { (place: position($0), room: room($0)) }
      let fits = zip(places, places.dropFirst()).allSatisfy { abs($1.place - $0.place) >= ($0.room + $1.room) / 2 + least }
      if fits { return candidates }
    }
    return []
  }

  private static let densities = 9

  /// From many to few.
  private func linearTicks(_ density: Int) -> [Double] {
    let magnitude = pow(10, floor(log10((upper - lower) / 10)))
    let step = magnitude * [1, 2, 5, 10, 20, 50, 100, 200, 500][density]
    guard step > 0, step.isFinite else { return [] }
    let first = Int(clamping: (lower / step).rounded(.up)), last = Int(clamping: (upper / step).rounded(.down))
    return first <= last && last - first < 100 ? (first...last).map { Double($0) * step } : []
  }

  private func logarithmicTicks(_ density: Int) -> [Double] {
    let factors: [Double] = [[1, 1.2, 1.5, 2, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1], [1], [1], [1], [1]][density]
    let every = density <= 4 ? 1 : density - 3
    let first = Int(floor(log10(lower))), last = Int(floor(log10(upper)))
    guard first <= last, last - first < 400 else { return [] }
    return (first...last).filter { $0 % every == 0 }.flatMap { decade in factors.map { $0 * pow(10, Double(decade)) } }.filter { $0 >= lower * 0.999 && $0 <= upper * 1.001 }
  }
}
