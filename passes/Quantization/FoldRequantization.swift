import GraphIR
import TensorTypes

/// Divides the scales of sums by the scale of what is quantised from them, instead of every element.
///
///     %a = mul (convert %sum {to = f32}), %m
///     %b = add %a, %bias
///     %c = max %b, 0
///     %q = div %c, 0.05           rounded next
/// ->
///     %a = mul (convert %sum {to = f32}), %m / 0.05
///     %b = add %a, %bias / 0.05
///     %q = max %b, 0
///
/// Through additions, maxima and minima that nothing else reads, down to products with constants; the scale must be positive. For expanded composites. Numerics: each
/// product is rounded once with another constant; a byte can differ by one where the quotient is within some units in its last place of a
/// half, which is as close as the sum of f32 that the integer sum stands for comes to it.
public let foldRequantization = rewrite(
  "fold-requantization", "Divides the scales of integer sums by the scale that they are quantized with.", Binary.self
) { match, rewriter throws(TypeError) in
  guard match.operation.function == .divide, rewriter.type(of: match.result).element == .f32, rewriter.hasOneUse(match.result),
    let reader = rewriter.graph.uses(of: match.result).first, (rewriter.graph.node(reader.node).operation as? Unary)?.function == .round,
    let divisor = rewriter.graph.splat(match[1]), divisor > 0x1p-60, divisor < 0x1p60
  else { return .unchanged }
  guard RequantizationRules.readsIntegerSum(match[0], rewriter), RequantizationRules.isScalable(match[0], by: 1 / divisor, rewriter) else { return .unchanged }
  return .replaced(with: try RequantizationRules.scaled(match[0], by: 1 / divisor, &rewriter))
}

private enum RequantizationRules {
  /// More nodes than this are no requantisation.
  private static let mostNodes = 24

  /// True if the value is computed from an integer contraction by elementwise nodes: of anything else the division has a meaning of its own.
  static func readsIntegerSum(_ value: ValueID, _ rewriter: Rewriter) -> Bool {
    var (pending, visited): ([ValueID], Set<ValueID>) = ([value], [value])
    while let next = pending.popLast(), visited.count <= mostNodes {
      guard let node = rewriter.producer(of: next) else { continue }
      switch node.operation {
      case is Dot, is Convolution: return rewriter.type(of: next).element == .i32
      case is Binary, is Convert:
        for operand in node.operands where visited.insert(operand).inserted { pending.append(operand) }
      default: continue
      }
    }
    return false
  }

  static func isScalable(_ value: ValueID, by factor: Double, _ rewriter: Rewriter, depth: Int = 0) -> Bool {
    if let (_, vector) = rewriter.graph.axisVector(value) { return vector.map { $0 * factor }.isOrdinary(in: .f32) }
    guard depth < mostNodes, let (node, binary) = rewriter.producer(of: value, as: Binary.self), rewriter.type(of: value).element == .f32 else { return false }
    switch binary.function {
    case .multiply:
      guard let (_, vector) = rewriter.graph.axisVector(node.operands[1]) else { return false }
      return vector.map { $0 * factor }.isOrdinary(in: .f32)
    case .add, .maximum, .minimum:
      return rewriter.hasOneUse(value) && node.operands.allSatisfy { isScalable($0, by: factor, rewriter, depth: depth + 1) }
    default: return false
    }
  }

  static func scaled(_ value: ValueID, by factor: Double, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    let type = rewriter.type(of: value)
    if let (axis, vector) = rewriter.graph.axisVector(value) { return try rewriter.insert(vector.map { $0 * factor }, along: axis, as: type) }
    guard let (node, binary) = rewriter.producer(of: value, as: Binary.self) else { return value }
    if binary.function == .multiply { return try rewriter.insert(binary, node.operands[0], try scaled(node.operands[1], by: factor, &rewriter)) }
    return try rewriter.insert(binary, try scaled(node.operands[0], by: factor, &rewriter), try scaled(node.operands[1], by: factor, &rewriter))
  }
}
