import GraphIR
import TensorTypes

/// Makes one matrix product of a batch of products that share their right side.
///
///     %w' = broadcast %w {shape = [batch, 768, 3072]}
///     %y = dot %x, %w'                             : f32[batch,128,3072]
/// ->
///     %r = reshape %x {shape = [batch*128, 768]}
///     %d = dot %r, %w
///     %y = reshape %d {shape = [batch, 128, 3072]}
///
/// Also where the batch axes of the right side have an extent of 1. Numerics: exact; each element is the same sum.
public let flattenBatches = rewrite(
  "flatten-batches", "Makes one matrix product of a batch of products that share their right side.", Dot.self
) { match, rewriter throws(TypeError) in
  let (left, right) = (rewriter.type(of: match[0]).shape, rewriter.type(of: match[1]).shape)
  guard left.rank > 2 else { return .unchanged }
  var shared = match[1]
  if let (node, _) = rewriter.producer(of: shared, as: Broadcast.self) { shared = node.operands[0] }
  let source = rewriter.type(of: shared).shape
  guard source.rank >= 2, source.dropLast(2).allSatisfy({ $0 == 1 }), source.suffix(2).elementsEqual(right.suffix(2)) else { return .unchanged }
  let (rows, depth, columns) = (left.dropLast().reduce(Extent(1)) { $0 * $1 }, right[right.rank - 2], right[right.rank - 1])
  if rows.isOverflow { return .unchanged }
  let flatLeft = try rewriter.reshape(match[0], to: [rows, depth])
  let flatRight = try rewriter.reshape(shared, to: [depth, columns])
  let product = try rewriter.insert(match.operation, flatLeft, flatRight)
  return .replaced(with: try rewriter.reshape(product, to: rewriter.type(of: match.result).shape))
}
