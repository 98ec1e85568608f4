import GraphIR
import TensorTypes

/// Brings reductions next to what they reduce.
///
///     %y = reduce (transpose %x)     ->  reduce %x               (behind it a smaller transpose, if the order of the rest needs one)
///     %y = reduce (reshape %x)       ->  reduce %x               (where whole groups of axes are reduced)
///     %y = reduce (reduce %x)        ->  reduce %x
///     %y = reduce over extents of 1  ->  reshape %x
///
/// Numerics: the order in which elements are combined changes, which `reduce` leaves open anyway; the sum of a single -0.0 may be either zero.
public let simplifyReductions = rewrite(
  "simplify-reductions", "Merges reductions with the reshapes, transposes and reductions before them.", Reduce.self
) { match, rewriter throws(TypeError) in
  let reduce = match.operation
  let type = rewriter.type(of: match.result)
  let shape = rewriter.type(of: match[0]).shape
  if reduce.axes.allSatisfy({ shape[$0] == 1 }) { return .replaced(with: try rewriter.reshape(match[0], to: type.shape)) }
  if let (node, inner) = rewriter.producer(of: match[0], as: Reduce.self), inner.reducer == reduce.reducer, rewriter.hasOneUse(match[0]) {
    let kept = (0..<rewriter.type(of: node.operands[0]).rank).filter { !inner.axes.contains($0) }
    let axes = inner.axes + reduce.axes.map { kept[$0] }
    return .replaced(with: try rewriter.insert(Reduce(reduce.reducer, axes: axes), node.operands[0]))
  }
  if let (node, transpose) = rewriter.producer(of: match[0], as: Transpose.self) {
    let small = try rewriter.insert(Reduce(reduce.reducer, axes: reduce.axes.map { transpose.permutation[$0] }), node.operands[0])
    let kept = transpose.permutation.indices.filter { !reduce.axes.contains($0) }.map { transpose.permutation[$0] }
    let rank = kept.sorted()
    let rest = Transpose(kept.compactMap { rank.firstIndex(of: $0) })
    return .replaced(with: rest.isIdentity ? small : try rewriter.insert(rest, small))
  }
  if let (node, _) = rewriter.producer(of: match[0], as: Reshape.self) {
    let source = rewriter.type(of: node.operands[0]).shape
    guard let groups = ReshapeGroups(from: source, to: shape)?.groups else { return .unchanged }
    var axes: [Int] = []
    for group in groups {
      let reduced = group.after.filter { reduce.axes.contains($0) }
      if reduced.isEmpty { continue }
      guard reduced == group.after else { return .unchanged }
      axes += group.before
    }
    let small = try rewriter.insert(Reduce(reduce.reducer, axes: axes), node.operands[0])
    return .replaced(with: try rewriter.reshape(small, to: type.shape))
  }
  return .unchanged
}
