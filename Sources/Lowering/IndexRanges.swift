import KernelIR
import TensorTypes

/// What is known of the variables of a loop nest, and index arithmetic that uses it.
///
/// Reshapes and transposes turn into divisions and remainders of loop indices. Most of them vanish once the
/// ranges of the loops are known: `(i*64 + j) / 64` is `i` for `0 <= j < 64`.
struct IndexRanges {
  /// Constant bounds, both inclusive.
  struct Range { var lower: Int, upper: Int }
  private var known: [Int: Range] = [:]
  /// Variables that are always a multiple of a constant (the base of a tile).
  private var multiples: [Int: Int] = [:]
  /// Exclusive symbolic upper bounds, for loops over symbolic extents.
  private var symbolicUpper: [Int: Extent] = [:]

  /// Records the range of a loop variable.
  mutating func set(_ variable: Variable, from lower: Int = 0, to upper: Extent, multipleOf multiple: Int = 1) {
    if let constant = upper.constant { known[variable.id] = Range(lower: lower, upper: max(lower, constant - 1)) } else {
      symbolicUpper[variable.id] = upper
    }
    multiples[variable.id] = multiple
  }

  /// Constant bounds of an index expression, if they follow from the loops around it.
  func range(_ expression: Expression) -> Range? {
    switch expression {
    case .index(let value): return Range(lower: value, upper: value)
    case .variable(let variable): return known[variable.id]
    case .binary(.add, let a, let b):
      guard let x = range(a), let y = range(b) else { return nil }
      return Range(lower: x.lower &+ y.lower, upper: x.upper &+ y.upper)
    case .binary(.multiply, let a, let b):
      guard let x = range(a), let y = range(b), x.lower >= 0, y.lower >= 0, !x.upper.multipliedReportingOverflow(by: y.upper).overflow else { return nil }
      return Range(lower: x.lower &* y.lower, upper: x.upper &* y.upper)
    case .binary(.divide, let a, .index(let divisor)) where divisor > 0:
      guard let x = range(a), x.lower >= 0 else { return nil }
      return Range(lower: x.lower / divisor, upper: x.upper / divisor)
    case .binary(.remainder, let a, .index(let divisor)) where divisor > 0:
      if let x = range(a), x.lower >= 0, x.upper < divisor { return x }
      return Range(lower: 0, upper: divisor - 1)
    default: return nil
    }
  }

  /// The sum's terms: an expression times a positive constant each, and the constant part.
  private func terms(_ expression: Expression) -> (products: [(Expression, Int)], constant: Int) {
    switch expression {
    case .index(let value): return ([], value)
    case .binary(.add, let a, let b):
      let (x, y) = (terms(a), terms(b))
      return (x.products + y.products, x.constant &+ y.constant)
    case .binary(.multiply, let a, .index(let factor)) where factor > 0: return ([(a, factor)], 0)
    default: return ([(expression, 1)], 0)
    }
  }

  private func stride(_ expression: Expression) -> Int {
    if case .variable(let variable) = expression { return multiples[variable.id] ?? 1 }
    return 1
  }

  private func sum(_ products: [(Expression, Int)], _ constant: Int) -> Expression {
    products.reduce(.index(0)) { $0 + $1.0 * .index($1.1) } + .index(constant)
  }

  /// Quotient and remainder of a non-negative index by a positive extent.
  func quotientAndRemainder(_ expression: Expression, by divisor: Extent) -> (quotient: Expression, remainder: Expression) {
    guard let constant = divisor.constant else { return symbolic(expression, by: divisor) }
    if constant <= 1 { return (expression, .index(0)) }
    if let range = range(expression), range.lower >= 0, range.upper < constant { return (.index(0), expression) }
    // Terms that the divisor divides leave the division; the rest stays, and is often small.
    let (products, offset) = terms(expression)
    var whole: [(Expression, Int)] = [], rest: [(Expression, Int)] = []
    for product in products {
      if product.1 % constant == 0 { whole.append((product.0, product.1 / constant)) } else if (product.1 * stride(product.0)) % constant == 0, case .variable = product.0 {
        // base * c with base = multiple * k: exact, but only as a division of the base.
        whole.append((product.0.dividedByIndex(.index(constant / product.1)), 1))
      } else { rest.append(product) }
    }
    guard offset >= 0 else { return (expression.dividedByIndex(.index(constant)), expression.remainderByIndex(.index(constant))) }
    let quotientPart = sum(whole, offset / constant)
    let remaining = sum(rest, offset % constant)
    if let range = range(remaining), range.lower >= 0, range.upper < constant { return (quotientPart, remaining) }
    // a*g + r with g dividing the divisor and 0 <= r < g: r does not carry.
    if let split = splitWithoutCarry(rest, offset % constant, constant) {
      let coarse = split.high.dividedByIndex(.index(constant / split.granule))
      let within = split.high.remainderByIndex(.index(constant / split.granule)) * .index(split.granule) + split.low
      return (quotientPart + coarse, within)
    }
    return (quotientPart + remaining.dividedByIndex(.index(constant)), remaining.remainderByIndex(.index(constant)))
  }

  private func splitWithoutCarry(_ rest: [(Expression, Int)], _ offset: Int, _ divisor: Int) -> (high: Expression, granule: Int, low: Expression)? {
    for candidate in Set(rest.map { $0.1 * stride($0.0) }).sorted(by: >) where candidate > 1 && divisor % candidate == 0 {
      var high: [(Expression, Int)] = [], low: [(Expression, Int)] = []
      for product in rest {
        if product.1 % candidate == 0 { high.append((product.0, product.1 / candidate)) } else if (product.1 * stride(product.0)) % candidate == 0 {
          high.append((product.0.dividedByIndex(.index(candidate / product.1)), 1))
        } else { low.append(product) }
      }
      let lowSum = sum(low, offset)
      if !high.isEmpty, let range = range(lowSum), range.lower >= 0, range.upper < candidate { return (sum(high, 0), candidate, lowSum) }
    }
    return nil
  }

  private func symbolic(_ expression: Expression, by divisor: Extent) -> (Expression, Expression) {
    // A loop variable that runs below the divisor is its own remainder.
    if case .variable(let variable) = expression, symbolicUpper[variable.id] == divisor { return (.index(0), expression) }
    if case .index(0) = expression { return (.index(0), .index(0)) }
    // x * divisor + y, with y a variable below the divisor.
    if case .binary(.add, let a, let b) = expression {
      for (product, rest) in [(a, b), (b, a)] {
        if case .binary(.multiply, let x, .extent(let y)) = product, y == divisor, case (.index(0), let remainder) = symbolic(rest, by: divisor) { return (x, remainder) }
      }
    }
    return (expression.dividedByIndex(.of(divisor)), expression.remainderByIndex(.of(divisor)))
  }
}
