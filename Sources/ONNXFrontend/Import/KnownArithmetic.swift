import TensorTypes

// Arithmetic on elements known at import. Every function returns nil where the result is not known; the caller then
// computes the tensor at run time.

extension KnownElement {
  /// Keeps integers inside their element type and expressions of bearable size.
  func checked(as element: ElementType) -> KnownElement? {
    switch self {
    case .number(let value):
      if element.isFloatingPoint { return self }
      return value.isFinite ? .init(Int(clamping: value)) : nil
    case .extent(let extent, let divisor):
      if extent.isOverflow || extent.complexity > Extent.maximumComplexity { return nil }
      if element.isFloatingPoint { return self }
      guard divisor == 1 else { return nil }
      if let value = extent.constant, let range = element.integerRange, !range.contains(value) { return nil }
      return self
    }
  }

  private static func fraction(_ extent: Extent, _ divisor: Int) -> KnownElement? {
    if divisor == 1 { return .extent(extent, over: 1) }
    if let exact = extent.dividedExactly(by: Extent(divisor)) { return .extent(exact, over: 1) }
    return divisor > 1 << 20 ? nil : .extent(extent, over: divisor)
  }

  static func apply(_ function: BinaryFunction, _ a: KnownElement, _ b: KnownElement, element: ElementType) -> KnownElement? {
    if let x = a.integer, let y = b.integer, !element.isFloatingPoint { return integers(function, x, y, element: element)?.checked(as: element) }
    if element == .bool { return nil }
    guard case .extent(let x, let p) = a, case .extent(let y, let q) = b else {
      guard let x = a.constant, let y = b.constant else { return nil }
      return numbers(function, x, y).map { .number(element.rounded($0)) }
    }
    let result: KnownElement?
    switch function {
    case .add: result = fraction(x * Extent(q) + y * Extent(p), p * q)
    case .subtract: result = fraction(x * Extent(q) - y * Extent(p), p * q)
    case .multiply: result = fraction(x * y, p * q)
    case .divide where element.isFloatingPoint:
      if let n = x.constant, let d = y.constant { return .init(element.rounded((Double(n) / Double(p)) / (Double(d) / Double(q)))) }
      if let d = y.constant, d > 0 { result = fraction(x * Extent(q), p * d) } else { result = (x * Extent(q)).dividedExactly(by: y * Extent(p)).map { .extent($0, over: 1) } }
    case .divide:
      // Rounded toward zero, which is downward where nothing is negative.
      guard p == 1, q == 1, (x.lowerBound ?? -1) >= 0, (y.lowerBound ?? -1) >= 0, y.constant != 0 else {
        return x.dividedExactly(by: y).flatMap { KnownElement.extent($0, over: 1).checked(as: element) }
      }
      result = .extent(x.floorDivided(by: y), over: 1)
    case .modulo, .remainder:
      guard p == 1, q == 1, (x.lowerBound ?? -1) >= 0, (y.lowerBound ?? -1) >= 0, y.constant != 0 else { return nil }
      result = .extent(x.modulo(y), over: 1)
    case .maximum: result = p == q ? .extent(.greatest(x, y), over: p) : nil
    case .minimum: result = p == q ? .extent(.least(x, y), over: p) : nil
    case .power:
      guard let exponent = y.constant, q == 1, p == 1, (0...4).contains(exponent) else {
        guard let n = a.constant, let e = b.constant, let value = numbers(.power, n, e) else { return nil }
        return .number(element.rounded(value))
      }
      result = .extent((0..<exponent).reduce(Extent(1)) { power, _ in power * x }, over: 1)
    case .and, .or, .xor, .shiftLeft, .shiftRight: result = nil
    }
    return result?.checked(as: element)
  }

  private static func integers(_ function: BinaryFunction, _ x: Int, _ y: Int, element: ElementType) -> KnownElement? {
    func exact(_ result: (partialValue: Int, overflow: Bool)) -> KnownElement? { result.overflow ? nil : .init(result.partialValue) }
    switch function {
    case .add: return exact(x.addingReportingOverflow(y))
    case .subtract: return exact(x.subtractingReportingOverflow(y))
    case .multiply: return exact(x.multipliedReportingOverflow(by: y))
    case .divide: return y == 0 ? nil : exact(x.dividedReportingOverflow(by: y))
    case .remainder: return y == 0 || y == -1 ? nil : .init(x % y)
    case .modulo:
      guard y != 0, y != -1 else { return nil }
      let rest = x % y
      return .init(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest)
    case .maximum: return .init(max(x, y))
    case .minimum: return .init(min(x, y))
    case .and: return .init(x & y)
    case .or: return .init(x | y)
    case .xor: return element == .bool ? .init(x == y ? 0 : 1) : .init(x ^ y)
    case .power:
      guard y >= 0, y <= 64 else { return nil }
      var power = 1
      for _ in 0..<y {
        let (product, overflowed) = power.multipliedReportingOverflow(by: x)
        if overflowed { return nil }
        power = product
      }
      return .init(power)
    case .shiftLeft, .shiftRight: return nil
    }
  }

  private static func numbers(_ function: BinaryFunction, _ x: Double, _ y: Double) -> Double? {
    switch function {
    case .add: x + y
    case .subtract: x - y
    case .multiply: x * y
    case .divide: x / y
    case .maximum: x.isNaN || y.isNaN ? .nan : max(x, y)
    case .minimum: x.isNaN || y.isNaN ? .nan : min(x, y)
    case .power: y == 2 ? x * x : y == 0.5 && x >= 0 ? x.squareRoot() : nil
    default: nil
    }
  }

  static func apply(_ function: UnaryFunction, _ a: KnownElement, element: ElementType) -> KnownElement? {
    switch function {
    case .negate: return apply(.subtract, .init(0), a, element: element)
    case .absolute:
      if let value = a.constant { return element.isFloatingPoint ? .init(value.magnitude) : a.integer.flatMap { $0 == .min ? nil : .init(abs($0)) } }
      if case .extent(let extent, _) = a, (extent.lowerBound ?? -1) >= 0 { return a }
      return nil
    case .floor: return a.rounded(.down)
    case .ceiling: return a.rounded(.up)
    case .round: return a.constant.map { .init($0.rounded(.toNearestOrEven)) } ?? (a.extent == nil ? nil : a)
    case .squareRoot: return a.constant.flatMap { $0 >= 0 ? .init(element.rounded($0.squareRoot())) : nil }
    case .reciprocal: return a.constant.map { .init(element.rounded(1 / $0)) }
    case .not: return element == .bool ? a.integer.map { .init($0 == 0 ? 1 : 0) } : a.integer.map { .init(~$0) }
    default: return nil
    }
  }

  private func rounded(_ rule: FloatingPointRoundingRule) -> KnownElement? {
    switch self {
    case .number(let value): return .init(value.rounded(rule))
    case .extent(_, 1): return self
    case .extent(let extent, let divisor):
      let quotient = rule == .down ? extent.floorDivided(by: Extent(divisor)) : extent.ceilDivided(by: Extent(divisor))
      return .extent(quotient, over: 1)
    }
  }

  static func compare(_ comparison: Comparison, _ a: KnownElement, _ b: KnownElement) -> KnownElement? {
    if let x = a.integer, let y = b.integer { return truth(comparison, x < y, x == y) }
    if let x = a.constant, let y = b.constant { return x.isNaN || y.isNaN ? nil : truth(comparison, x < y, x == y) }
    guard case .extent(let n, let p) = a, case .extent(let m, let q) = b else { return nil }
    let (x, y) = (n * Extent(q), m * Extent(p))
    if x == y { return truth(comparison, false, true) }
    if x.isProvablyAtLeast(y + 1) { return truth(comparison, false, false) }
    if y.isProvablyAtLeast(x + 1) { return truth(comparison, true, false) }
    if x.isProvablyAtLeast(y), comparison == .less || comparison == .greaterOrEqual { return .init(comparison == .less ? 0 : 1) }
    if y.isProvablyAtLeast(x), comparison == .greater || comparison == .lessOrEqual { return .init(comparison == .greater ? 0 : 1) }
    return nil
  }

  private static func truth(_ comparison: Comparison, _ isLess: Bool, _ isEqual: Bool) -> KnownElement {
    let holds =
      switch comparison {
      case .equal: isEqual
      case .notEqual: !isEqual
      case .less: isLess
      case .lessOrEqual: isLess || isEqual
      case .greater: !isLess && !isEqual
      case .greaterOrEqual: !isLess
      }
    return .init(holds ? 1 : 0)
  }

  func converted(to element: ElementType, from source: ElementType) -> KnownElement? {
    if element == .bool {
      if let value = constant { return .init(value != 0 ? 1 : 0) }
      if case .extent(let extent, _) = self, extent.isProvablyDifferent(from: 0) { return .init(1) }
      return nil
    }
    if element.isFloatingPoint {
      if let value = constant { return .init(element.rounded(value)) }
      return self
    }
    switch self {
    case .number(let value): return value.isFinite ? KnownElement(Int(clamping: value)).checked(as: element) : nil
    case .extent(_, 1): return checked(as: element)
    case .extent(let extent, let divisor):
      if let value = constant { return KnownElement(Int(clamping: value)).checked(as: element) }
      guard (extent.lowerBound ?? -1) >= 0 else { return nil }
      return KnownElement.extent(extent.floorDivided(by: Extent(divisor)), over: 1).checked(as: element)
    }
  }
}
