import GraphIR
import TensorTypes

/// Permutes the rows of a constant matrix instead of the activations that meet it.
///
///     %t = transpose %x {permutation = [0, 3, 1, 2]} : f32[1,512,7,7]
///     %r = reshape %t {shape = [1, 25088]}
///     %y = dot %r, %w
/// ->
///     %r = reshape %x {shape = [1, 25088]}
///     %y = dot %r, %w'
///
/// This is what remains of channels-last where a classifier flattens its features. The transpose must only permute axes that the reshape
/// merges into the contracted one. Numerics: exact, but for the order of the sum.
public let absorbTransposes = rewrite(
  "absorb-transposes", "Permutes the rows of constant matrices instead of the activations that meet them.", Dot.self
) { match, rewriter throws(TypeError) in
  guard let matrix = rewriter.constant(match[1]), matrix.dimensions.count == 2,
    let (reshape, _) = rewriter.producer(of: match[0], as: Reshape.self),
    let (transpose, operation) = rewriter.producer(of: reshape.operands[0], as: Transpose.self)
  else { return .unchanged }
  let (flat, shape) = (rewriter.type(of: match[0]).shape, rewriter.type(of: reshape.operands[0]).shape)
  guard let group = ReshapeGroups(from: shape, to: flat)?.groups.first(where: { $0.after == [flat.rank - 1] }) else { return .unchanged }
  // Within the merged axes the order is free; the others must stay in theirs. Axes of extent 1 do not count.
  let merged = Set(group.before)
  let permutation = operation.permutation.indices.filter { shape[$0] != 1 }
  let others = permutation.filter { !merged.contains($0) }.map { operation.permutation[$0] }
  let inside = permutation.filter { merged.contains($0) }.map { operation.permutation[$0] }
  guard zip(others, others.dropFirst()).allSatisfy({ $0 < $1 }), others.allSatisfy({ other in inside.allSatisfy { other < $0 } }) else { return .unchanged }
  var dimensions: [Int] = []
  for axis in group.before {
    guard let extent = shape[axis].constant else { return .unchanged }
    dimensions.append(extent)
  }
  let order = group.before.indices.sorted { operation.permutation[group.before[$0]] < operation.permutation[group.before[$1]] }
  guard let split = matrix.reshaped(dimensions + [matrix.dimensions[1]]),
    let rows = split.transposed(order + [dimensions.count]).reshaped(matrix.dimensions)
  else { return .unchanged }
  let activations = try rewriter.reshape(transpose.operands[0], to: flat)
  return .replaced(with: try rewriter.insert(match.operation, activations, try rewriter.constant(rows)))
}
