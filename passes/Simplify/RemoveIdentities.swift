import GraphIR
import TensorTypes

/// Removes elementwise operations that change nothing.
///
///     %y = mul %x, %one        ->  %x
///     %y = neg (neg %x)        ->  %x
///     %y = max (max %x, 0), 1  ->  max %x, 1
///
/// Numerics: exact, NaN and infinities included, with one choice about zeros. `x + (+0.0)` is `x` except for `x` = -0.0, which it turns
/// into +0.0; so it is removed only behind operations that have no -0.0 to give or do not define which zero they give
/// (contractions, sums, `abs`, `exp`, `logistic`). `x + (-0.0)` and `x - (+0.0)` are always `x`. `x * 0` stays, because it is NaN for
/// infinite `x`, except on integers.
public let removeIdentities = rewrite(
  "remove-identities", "Removes elementwise operations that change nothing.",
  [
    .on(Binary.self) { match, rewriter throws(TypeError) in try IdentityRules.binary(match, &rewriter) },
    .on(Unary.self) { match, rewriter throws(TypeError) in try IdentityRules.unary(match, &rewriter) },
    .on(Convert.self) { match, rewriter throws(TypeError) in try IdentityRules.convert(match, &rewriter) },
    .on(Select.self) { match, rewriter throws(TypeError) in try IdentityRules.select(match, &rewriter) },
    .on(Compare.self) { match, rewriter throws(TypeError) in
      guard match[0] == match[1], !rewriter.type(of: match[0]).element.isFloatingPoint else { return .unchanged }
      let holds = [.equal, .lessOrEqual, .greaterOrEqual].contains(match.operation.comparison)
      return .replaced(with: try rewriter.splat(holds ? 1 : 0, as: rewriter.type(of: match.result)))
    },
  ])

private enum IdentityRules {
  static func binary(_ match: Match<Binary>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let function = match.operation.function
    if match[0] == match[1], [.maximum, .minimum, .and, .or].contains(function) { return .replaced(with: match[0]) }
    if let right = rewriter.graph.splat(match[1]) {
      if let outcome = try withConstant(right, on: match[1], other: match[0], function, match, &rewriter) { return outcome }
    }
    if function.isCommutative, let left = rewriter.graph.splat(match[0]) {
      if let outcome = try withConstant(left, on: match[0], other: match[1], function, match, &rewriter) { return outcome }
    }
    return try clamp(match, &rewriter)
  }

  /// Rules for `function(other, number)`, where `number` is every element of `constant`.
  private static func withConstant(
    _ number: Double, on constant: ValueID, other: ValueID, _ function: BinaryFunction, _ match: Match<Binary>, _ rewriter: inout Rewriter
  ) throws(TypeError) -> Rewrite? {
    let type = rewriter.type(of: match.result)
    let isFloat = type.element.isFloatingPoint
    let same = Rewrite.replaced(with: other)
    switch function {
    case .add:
      if number != 0 { return nil }
      return !isFloat || number.sign == .minus || hasNoNegativeZero(other, rewriter.graph) ? same : nil
    case .subtract:
      if number != 0 { return nil }
      return !isFloat || number.sign == .plus || hasNoNegativeZero(other, rewriter.graph) ? same : nil
    case .multiply:
      if number == 1 { return same }
      return number == 0 && !isFloat ? .replaced(with: constant) : nil
    case .divide: return number == 1 ? same : nil
    case .power:
      if number == 1 { return same }
      return number == 0 ? .replaced(with: try rewriter.splat(1, as: type)) : nil
    case .maximum: return number == -.infinity || (type.element == .bool && number == 0) ? same : nil
    case .minimum: return number == .infinity || (type.element == .bool && number == 1) ? same : nil
    case .and:
      guard type.element == .bool else { return number == 0 ? .replaced(with: constant) : nil }
      return number == 1 ? same : .replaced(with: constant)
    case .or:
      guard type.element == .bool else { return number == 0 ? same : nil }
      return number == 0 ? same : .replaced(with: constant)
    case .xor:
      if number == 0 { return same }
      return type.element == .bool ? .replaced(with: try rewriter.insert(Unary(.not), other)) : nil
    case .shiftLeft, .shiftRight: return number == 0 ? same : nil
    case .remainder, .modulo: return nil
    }
  }

  /// True if no element can be -0.0, or if the operation leaves open which zero it gives.
  private static func hasNoNegativeZero(_ id: ValueID, _ graph: Graph) -> Bool {
    guard let node = graph.producer(of: id) else { return false }
    switch node.operation {
    case is Dot, is Convolution: return true
    case let reduce as Reduce: return reduce.reducer == .sum
    case let window as ReduceWindow: return window.reducer == .sum
    case let unary as Unary: return [.absolute, .exponential, .logistic].contains(unary.function)
    case let convert as Convert: return !convert.keepsBits && convert.element.isFloatingPoint && !graph.type(of: node.operands[0]).element.isFloatingPoint
    case is Reshape, is Transpose, is Broadcast, is Slice: return hasNoNegativeZero(node.operands[0], graph)
    default: return false
    }
  }

  /// `max(max(x, a), b)` -> `max(x, max(a, b))`, and `max(min(max(x, a), b), c)` -> the inside where c <= a <= b.
  private static func clamp(_ match: Match<Binary>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let function = match.operation.function
    guard function == .maximum || function == .minimum, let outer = rewriter.graph.splat(match[1]), !outer.isNaN,
      let (inner, operation) = rewriter.producer(of: match[0], as: Binary.self), let bound = rewriter.graph.splat(inner.operands[1]), !bound.isNaN
    else { return .unchanged }
    let opposite: BinaryFunction = function == .maximum ? .minimum : .maximum
    if operation.function == function {
      let isKept = function == .maximum ? bound >= outer : bound <= outer
      if isKept { return .replaced(with: match[0]) }
      return .replaced(with: try rewriter.insert(Binary(function), inner.operands[0], match[1]))
    }
    guard operation.function == opposite, let (first, firstOperation) = rewriter.producer(of: inner.operands[0], as: Binary.self),
      firstOperation.function == function, let start = rewriter.graph.splat(first.operands[1])
    else { return .unchanged }
    let isInside = function == .maximum ? outer <= start && start <= bound : outer >= start && start >= bound
    return isInside ? .replaced(with: match[0]) : .unchanged
  }

  static func unary(_ match: Match<Unary>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let function = match.operation.function
    if let (node, convert) = rewriter.producer(of: match[0], as: Convert.self), !convert.keepsBits,
      [.ceiling, .floor, .round].contains(function), rewriter.type(of: node.operands[0]).element.isInteger
    {
      return .replaced(with: match[0])
    }
    guard let (node, inner) = rewriter.producer(of: match[0], as: Unary.self) else { return .unchanged }
    let (before, rounding) = (inner.function, [UnaryFunction.ceiling, .floor, .round])
    if function == before, [.negate, .not].contains(function) { return .replaced(with: node.operands[0]) }
    if function == before, [.absolute, .sign].contains(function) { return .replaced(with: match[0]) }
    if rounding.contains(function), rounding.contains(before) { return .replaced(with: match[0]) }
    if function == .absolute, before == .negate { return .replaced(with: try rewriter.insert(Unary(.absolute), node.operands[0])) }
    if function == .absolute, [.exponential, .logistic].contains(before) { return .replaced(with: match[0]) }
    return .unchanged
  }

  static func convert(_ match: Match<Convert>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let target = match.operation.element
    if rewriter.type(of: match[0]).element == target { return .replaced(with: match[0]) }
    guard !match.operation.keepsBits, let (node, inner) = rewriter.producer(of: match[0], as: Convert.self), !inner.keepsBits else { return .unchanged }
    let source = rewriter.type(of: node.operands[0]).element
    let middle = inner.element
    // The way over `middle` must neither lose a value nor change which rule (wrap, clamp, round) the last step follows.
    let isSameKind = source.isFloatingPoint == middle.isFloatingPoint || target.isFloatingPoint || source == .bool
    guard middle.holdsEveryValue(of: source), isSameKind || target == source || target == .bool else { return .unchanged }
    if target == source { return .replaced(with: node.operands[0]) }
    return .replaced(with: try rewriter.insert(Convert(to: target), node.operands[0]))
  }

  static func select(_ match: Match<Select>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    if match[1] == match[2] { return .replaced(with: match[1]) }
    if let condition = rewriter.graph.splat(match[0]) { return .replaced(with: match[condition != 0 ? 1 : 2]) }
    if let (node, unary) = rewriter.producer(of: match[0], as: Unary.self), unary.function == .not {
      return .replaced(with: try rewriter.insert(Select(), node.operands[0], match[2], match[1]))
    }
    return .unchanged
  }
}

extension ElementType {
  /// True if converting every value of `other` to this type and back gives it again.
  func holdsEveryValue(of other: ElementType) -> Bool {
    if self == other { return true }
    switch (self, other) {
    case (_, .bool): return isInteger || isFloatingPoint && self != .f8e8m0
    case (.bool, _): return false
    case (.f64, .f32): return true
    case (.f64, _) where other.isNarrowFloat, (.f32, _) where other.isNarrowFloat: return true
    // The smallest powers of two are beyond f16; bf16 has all numbers of the others.
    case (.f16, _) where other.smallFloat != nil, (.bf16, _) where other.isNarrowFloat && other.byteCount == 1: return true
    case (.f64, .i32), (.f64, .u32): return true
    case (.f64, _) where other.isInteger && other.bitCount <= 16, (.f32, _) where other.isInteger && other.bitCount <= 16: return true
    case (.f16, _) where other.isInteger && other.bitCount <= 8, (.bf16, _) where other.isInteger && other.bitCount <= 8: return true
    default:
      guard isInteger, other.isInteger else { return false }
      return other.isUnsignedInteger ? bitCount > other.bitCount || (isUnsignedInteger && bitCount == other.bitCount)
        : isSignedInteger && bitCount >= other.bitCount
    }
  }
}
