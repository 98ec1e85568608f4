import GraphIR
import TensorTypes

extension Unary: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    let (x, y) = (node.operands[0], node.results[0])
    switch function {
    case .negate: return [try s.unary(.negate, g)]
    case .absolute: return [try s.binary(.multiply, g, s.unary(.sign, x))]
    // Constant between their steps.
    case .sign, .ceiling, .floor, .round, .not, .isNaN, .isInfinite: return [nil]
    case .exponential: return [try s.binary(.multiply, g, y)]
    case .logarithm: return [try s.binary(.divide, g, x)]
    case .squareRoot: return [try s.binary(.divide, g, s.binary(.multiply, y, 2))]
    case .reciprocal: return [try s.unary(.negate, s.binary(.multiply, g, s.binary(.multiply, y, y)))]
    case .sine: return [try s.binary(.multiply, g, s.unary(.cosine, x))]
    case .cosine: return [try s.unary(.negate, s.binary(.multiply, g, s.unary(.sine, x)))]
    case .tangent: return [try s.binary(.multiply, g, s.binary(.add, s.binary(.multiply, y, y), 1))]
    case .arcsine: return [try s.binary(.divide, g, s.unary(.squareRoot, oneMinusSquare(x, &s)))]
    case .arccosine: return [try s.unary(.negate, s.binary(.divide, g, s.unary(.squareRoot, oneMinusSquare(x, &s))))]
    case .arctangent: return [try s.binary(.divide, g, s.binary(.add, s.binary(.multiply, x, x), 1))]
    case .hyperbolicSine: return [try s.binary(.multiply, g, s.unary(.hyperbolicCosine, x))]
    case .hyperbolicCosine: return [try s.binary(.multiply, g, s.unary(.hyperbolicSine, x))]
    case .hyperbolicTangent: return [try s.binary(.multiply, g, oneMinusSquare(y, &s))]
    case .inverseHyperbolicSine: return [try s.binary(.divide, g, s.unary(.squareRoot, s.binary(.add, s.binary(.multiply, x, x), 1)))]
    case .inverseHyperbolicCosine: return [try s.binary(.divide, g, s.unary(.squareRoot, s.binary(.subtract, s.binary(.multiply, x, x), 1)))]
    case .inverseHyperbolicTangent: return [try s.binary(.divide, g, oneMinusSquare(x, &s))]
    case .logistic: return [try s.binary(.multiply, g, s.binary(.multiply, y, s.binary(.subtract, s.filled(1, s.type(y)), y)))]
    case .errorFunction:
      let bell = try s.unary(.exponential, s.unary(.negate, s.binary(.multiply, x, x)))
      return [try s.binary(.multiply, g, s.binary(.multiply, bell, 1.1283791670955126))]  // 2 / sqrt(pi)
    }
  }

  private func oneMinusSquare(_ x: ValueID, _ s: inout BackwardSweep) throws(CompileError) -> ValueID {
    try s.binary(.subtract, s.filled(1, s.type(x)), s.binary(.multiply, x, x))
  }
}

extension Binary: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil, nil] }
    let (a, b, y) = (node.operands[0], node.operands[1], node.results[0])
    switch function {
    case .add: return [g, g]
    case .subtract: return [g, try s.unary(.negate, g)]
    case .multiply: return [try s.binary(.multiply, g, b), try s.binary(.multiply, g, a)]
    case .divide:
      let first = try s.binary(.divide, g, b)
      return [first, try s.unary(.negate, s.binary(.multiply, first, y))]
    // a - n * b with the whole number n, which is constant between its steps.
    case .remainder, .modulo:
      let whole = try s.unary(.round, s.binary(.divide, s.binary(.subtract, a, y), b))
      return [g, try s.unary(.negate, s.binary(.multiply, g, whole))]
    case .power: return try power(g, a, b, y, &s)
    // Of equal operands the second one is taken: the derivative of max(x, 0) at 0 is 0.
    case .maximum, .minimum:
      let isFirst = try s.compare(function == .maximum ? .greater : .less, a, b)
      return [try s.masked(g, by: isFirst), try s.select(isFirst, s.filled(0, s.type(g)), g)]
    case .and, .or, .xor, .shiftLeft, .shiftRight: return [nil, nil]
    }
  }

  /// b a^(b - 1), which is 0 where b is; and a^b ln a, which is taken as 0 where a is not positive.
  private func power(_ g: ValueID, _ a: ValueID, _ b: ValueID, _ y: ValueID, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    let zero = try s.filled(0, s.type(a))
    let slope = try s.binary(.multiply, b, s.binary(.power, a, s.binary(.subtract, b, 1)))
    let first = try s.binary(.multiply, g, s.select(s.compare(.equal, b, zero), zero, slope))
    let isPositive = try s.compare(.greater, a, zero)
    let logarithm = try s.unary(.logarithm, s.select(isPositive, a, s.filled(1, s.type(a))))
    return [first, try s.binary(.multiply, g, s.binary(.multiply, y, logarithm))]
  }
}

extension Compare: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] { [nil, nil] }
}

extension Select: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil, nil, nil] }
    let condition = node.operands[0]
    return [nil, try s.masked(g, by: condition), try s.select(condition, s.filled(0, s.type(g)), g)]
  }
}

extension Convert: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    let source = s.element(node.operands[0])
    guard let g = results[0], source.isFloatingPoint else { return [nil] }
    return [try s.convert(g, to: source)]
  }
}
