import GraphIR
import TensorTypes

/// Divides by the sum of a softmax once for each row, and multiplies the row's elements.
///
///     %e = exp (sub %x, (broadcast (reduce %x {with = max})))
///     %y = div %e, (broadcast (reduce %e {with = sum}))
/// ->
///     %y = mul %e, (broadcast (reciprocal (reduce %e {with = sum})))
///
/// Measured: a division of 16 lanes takes ten times as long as a multiplication.
/// Numerics: 1 ulp more. The sum is at least 1, because the largest element gives 1, or NaN: so its reciprocal neither
/// overflows nor underflows.
public let divideBySums = rewrite("divide-by-sums", "Divides by the sum of a softmax once for each row.", Binary.self) { match, rewriter throws(TypeError) in
  guard match.operation.function == .divide, rewriter.type(of: match.result).element.isFloatingPoint,
    let (exponential, unary) = rewriter.producer(of: match[0], as: Unary.self), unary.function == .exponential,
    let (repeated, _) = rewriter.producer(of: match[1], as: Broadcast.self),
    let sum = reduction(behind: repeated.operands[0], .sum, rewriter), sum.operand == match[0],
    let (difference, minus) = rewriter.producer(of: exponential.operands[0], as: Binary.self), minus.function == .subtract,
    let (repeatedMaximum, _) = rewriter.producer(of: difference.operands[1], as: Broadcast.self),
    let maximum = reduction(behind: repeatedMaximum.operands[0], .maximum, rewriter), maximum.operand == difference.operands[0], maximum.axes == sum.axes
  else { return .unchanged }
  let reciprocal = try rewriter.insert(Unary(.reciprocal), repeated.operands[0])
  let factor = try rewriter.broadcast(reciprocal, to: rewriter.type(of: match.result).shape)
  return .replaced(with: try rewriter.insert(Binary(.multiply), match[0], factor))
}

/// The reduction that a value is a reshape of.
private func reduction(behind value: ValueID, _ reducer: Reducer, _ rewriter: Rewriter) -> (operand: ValueID, axes: [Int])? {
  var value = value
  while let (node, _) = rewriter.producer(of: value, as: Reshape.self) { value = node.operands[0] }
  guard let (node, reduce) = rewriter.producer(of: value, as: Reduce.self), reduce.reducer == reducer else { return nil }
  return (node.operands[0], reduce.axes)
}
