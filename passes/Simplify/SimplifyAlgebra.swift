import GraphIR
import TensorTypes

/// Brings arithmetic into one form, with cheaper functions where there are any.
///
///     %y = add %constant, %x   ->  add %x, %constant        (the constant comes second, for every commutative function)
///     %y = sub %x, %constant   ->  add %x, -constant
///     %y = div %x, %constant   ->  mul %x, 1 / constant
///     %y = pow %x, 2           ->  mul %x, %x
///     %y = add %x, (neg %y)    ->  sub %x, %y
///     %y = select (%x < 0), (mul %x, slope), %x  ->  max %x, (mul %x, slope)     (0 < slope <= 1)
///
/// Numerics: exact but for these, each of which is stated where it is made: a division by a constant that is no power of two becomes a
/// multiplication by the rounded reciprocal (1 ulp more), unless the quotient is rounded to an integer next; `pow(x, 0.5)` becomes `sqrt(x)`, which differs for -0.0 and for
/// minus infinity; `pow(x, 3)` becomes two multiplications (1 ulp); `pow(x, -0.5)` becomes `1 / sqrt(x)` (1 ulp); `mul(x, -1)` becomes `neg`, exact.
public let simplifyAlgebra = rewrite(
  "simplify-algebra", "Brings arithmetic into one form, with cheaper functions where there are any.",
  [
    .on(Binary.self) { match, rewriter throws(TypeError) in try AlgebraRules.splatOperand(match, &rewriter) },
    .on(Binary.self) { match, rewriter throws(TypeError) in try AlgebraRules.binary(match, &rewriter) },
    .on(Select.self) { match, rewriter throws(TypeError) in try AlgebraRules.leakyMaximum(match, &rewriter) },
    .on(Unary.self) { match, rewriter throws(TypeError) in
      // exp(log(x)) and their like stay: they differ outside of the domain.
      guard match.operation.function == .negate, let (node, inner) = rewriter.producer(of: match[0], as: Binary.self),
        inner.function == .subtract, rewriter.hasOneUse(match[0]), !rewriter.type(of: match[0]).element.isFloatingPoint
      else { return .unchanged }
      return .replaced(with: try rewriter.insert(Binary(.subtract), node.operands[1], node.operands[0]))
    },
  ])

private enum AlgebraRules {
  /// A constant operand whose elements are all the same becomes a repeated scalar.
  static func splatOperand(_ match: Match<Binary>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    if rewriter.graph.isConstantLike(match[0]), rewriter.graph.isConstantLike(match[1]) { return .unchanged }
    for position in 0..<2 {
      guard let tensor = rewriter.constant(match[position]), tensor.count > 1, tensor.isUniform, let first = tensor.firstElement else { continue }
      var operands = match.operands
      operands[position] = try rewriter.broadcast(rewriter.constant(first), to: rewriter.type(of: match[position]).shape)
      return .replaced(with: try rewriter.insert(match.operation, operands[0], operands[1]))
    }
    return .unchanged
  }

  static func binary(_ match: Match<Binary>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let function = match.operation.function
    let type = rewriter.type(of: match.result)
    let (isLeftConstant, isRightConstant) = (rewriter.graph.isConstantLike(match[0]), rewriter.graph.isConstantLike(match[1]))
    if function.isCommutative, isLeftConstant, !isRightConstant {
      return .replaced(with: try rewriter.insert(match.operation, match[1], match[0]))
    }
    switch function {
    case .subtract:
      if isRightConstant, !isLeftConstant, type.element.isFloatingPoint { return try addingNegative(match, type, &rewriter) }
      if let inner = negated(match[1], rewriter.graph) { return .replaced(with: try rewriter.insert(Binary(.add), match[0], inner)) }
    case .add:
      if let inner = negated(match[1], rewriter.graph) { return .replaced(with: try rewriter.insert(Binary(.subtract), match[0], inner)) }
      if let inner = negated(match[0], rewriter.graph), !isRightConstant {
        return .replaced(with: try rewriter.insert(Binary(.subtract), match[1], inner))
      }
    case .multiply:
      if rewriter.graph.splat(match[1]) == -1, type.element.isFloatingPoint { return .replaced(with: try rewriter.insert(Unary(.negate), match[0])) }
    case .divide:
      if type.element.isFloatingPoint, !isLeftConstant, !isRounded(match.result, rewriter.graph) { return try multiplyingByReciprocal(match, type, &rewriter) }
      if type.element.isFloatingPoint, rewriter.graph.splat(match[0]) == 1 { return .replaced(with: try rewriter.insert(Unary(.reciprocal), match[1])) }
    case .power:
      if type.element.isFloatingPoint, let exponent = rewriter.graph.splat(match[1]) { return try power(match[0], exponent, &rewriter) }
    default: break
    }
    return .unchanged
  }

  /// `x` if the value is `neg(x)`.
  private static func negated(_ id: ValueID, _ graph: Graph) -> ValueID? {
    guard let (node, unary) = graph.producer(of: id, as: Unary.self), unary.function == .negate else { return nil }
    return node.operands[0]
  }

  private static func addingNegative(_ match: Match<Binary>, _ type: TensorType, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let (axis, vector) = rewriter.graph.axisVector(match[1]) else { return .unchanged }
    let negative = try rewriter.insert(vector.map { -$0 }, along: axis, as: type)
    return .replaced(with: try rewriter.insert(Binary(.add), match[0], negative))
  }

  private static func multiplyingByReciprocal(_ match: Match<Binary>, _ type: TensorType, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let source = rewriter.graph.constantSource(match[1]), source.count > 0, source.count <= 1 << 20 else { return .unchanged }
    let divisor = AxisVector(values: source.doubles)
    let reciprocal = divisor.map { 1 / $0 }
    guard !divisor.values.contains(0), divisor.isOrdinary(in: type.element), reciprocal.isOrdinary(in: type.element) else { return .unchanged }
    let factor = try rewriter.constant(Tensor(type.element, source.dimensions, reciprocal.values))
    return .replaced(with: try rewriter.insert(Binary(.multiply), match[0], try rewriter.broadcast(factor, to: type.shape)))
  }

  /// True if the value goes on to be rounded to an integer, where the last bit of a quotient decides between two.
  private static func isRounded(_ id: ValueID, _ graph: Graph) -> Bool {
    graph.uses(of: id).contains { use in
      switch graph.node(use.node).operation {
      case let unary as Unary: [.round, .floor, .ceiling].contains(unary.function)
      case let convert as Convert: convert.element.isInteger
      default: false
      }
    }
  }

  private static func power(_ base: ValueID, _ exponent: Double, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    switch exponent {
    case 2: return .replaced(with: try rewriter.insert(Binary(.multiply), base, base))
    case 3:
      let square = try rewriter.insert(Binary(.multiply), base, base)
      return .replaced(with: try rewriter.insert(Binary(.multiply), square, base))
    case 0.5: return .replaced(with: try rewriter.insert(Unary(.squareRoot), base))
    case -1: return .replaced(with: try rewriter.insert(Unary(.reciprocal), base))
    case -0.5: return .replaced(with: try rewriter.insert(Unary(.reciprocal), try rewriter.insert(Unary(.squareRoot), base)))
    default: return .unchanged
    }
  }

  /// A leaky ReLU as a maximum, which needs no comparison.
  static func leakyMaximum(_ match: Match<Select>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let (test, compare) = rewriter.producer(of: match[0], as: Compare.self), [.less, .lessOrEqual].contains(compare.comparison),
      test.operands[0] == match[2], rewriter.graph.splat(test.operands[1]) == 0,
      let (scaled, product) = rewriter.producer(of: match[1], as: Binary.self), product.function == .multiply, scaled.operands[0] == match[2],
      let slopes = rewriter.graph.constantSource(scaled.operands[1]), slopes.element.isFloatingPoint, slopes.count <= 1 << 20,
      slopes.doubles.allSatisfy({ $0 > 0 && $0 <= 1 })
    else { return .unchanged }
    return .replaced(with: try rewriter.insert(Binary(.maximum), match[2], match[1]))
  }
}
