import GraphIR
import KernelIR
import TensorTypes

/// The quotient of a sum of two scaled whole numbers, as a residual of quantised networks has it, with one product less each:
///
///     (p * s + q * t) / d        rounded to even, held within a range
/// ->
///     fma(p, s / d, q * (t / d))
///
/// The factors are looked for that give the same whole number for every `p` and `q`; there are at most 2^17 pairs, as both are bytes or nearly.
struct ByteSumQuotient: Hashable {
  private let first: Term
  private let second: Term
  private let divisor: Float
  private let low: Float
  private let high: Float

  private struct Term: Hashable {
    let numbers: ClosedRange<Int>
    let scale: Float
  }
  struct Factors: Hashable {
    var first: Float
    var second: Float
  }

  /// - Returns: The quotient, and its two whole numbers; nil if the dividend is no such sum.
  static func found(in dividend: Expression, by divisor: Float, _ range: ClosedRange<Int>) -> (ByteSumQuotient, Expression, Expression)? {
    guard case .binary(.add, .binary(.multiply, let p, .number(let s, .f32)), .binary(.multiply, let q, .number(let t, .f32))) = dividend,
      let first = wholeNumbers(p), let second = wholeNumbers(q), first.count * second.count <= 1 << 17, divisor > 0
    else { return nil }
    let quotient = ByteSumQuotient(
      first: Term(numbers: first, scale: Float(s)), second: Term(numbers: second, scale: Float(t)), divisor: divisor, low: Float(range.lowerBound), high: Float(range.upperBound))
    return (quotient, p, q)
  }

  /// The whole numbers that an f32 can be: a converted byte, possibly less a constant, or bits that were held within a range.
  private static func wholeNumbers(_ expression: Expression) -> ClosedRange<Int>? {
    switch expression {
    case .convert(let x, .f32) where x.element.isByte: return x.element.integerRange
    case .convert(.convert(let x, .i32), .f32) where x.element.isByte: return x.element.integerRange
    case .convert(.binary(.subtract, .convert(let x, .i32), .number(let zero, .i32)), .f32) where x.element.isByte:
      guard let range = x.element.integerRange, let zero = Int(exactly: zero), zero.magnitude <= 255 else { return nil }
      return range.lowerBound - zero...range.upperBound - zero
    case .binary(.subtract, .bits(.binary(.maximum, .binary(.minimum, _, .number(let high, .i32)), .number(let low, .i32)), .f32), .number(let magic, .f32)):
      guard let highBits = UInt32(exactly: high), let lowBits = UInt32(exactly: low),
        let least = Int(exactly: Float(bitPattern: lowBits) - Float(magic)), let most = Int(exactly: Float(bitPattern: highBits) - Float(magic)),
        least <= most, most - least <= 511, abs(least) <= 1 << 12
      else { return nil }
      return least...most
    default: return nil
    }
  }

  /// Factors that give the same for every pair of numbers; nil if none of those tried do.
  func factors() -> Factors? {
    let (a, b) = (Float(Double(first.scale) / Double(divisor)), Float(Double(second.scale) / Double(divisor)))
    guard a.isNormal, b.isNormal, abs(a) < 0x1p20, abs(b) < 0x1p20 else { return nil }
    for (x, y) in [(a, b), (a, b.nextUp), (a, b.nextDown), (a.nextUp, b), (a.nextDown, b), (a.nextUp, b.nextDown), (a.nextDown, b.nextUp), (a.nextUp, b.nextUp), (a.nextDown, b.nextDown)] {
      let factors = Factors(first: x, second: y)
      if isSame(factors) { return factors }
    }
    return nil
  }

  private func isSame(_ factors: Factors) -> Bool {
    func rounded(_ x: Float) -> Float { max(low, min(high, x.rounded(.toNearestOrEven))) }
    for p in first.numbers {
      let (part, exact) = (Float(p), Float(p) * first.scale)
      for q in second.numbers {
        let wanted = rounded((exact + Float(q) * second.scale) / divisor)
        if wanted != rounded((Float(q) * factors.second).addingProduct(part, factors.first)) { return false }
      }
    }
    return true
  }
}
