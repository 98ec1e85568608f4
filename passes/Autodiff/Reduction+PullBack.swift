import GraphIR
import TensorTypes

extension Reduce: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    let x = node.operands[0]
    let spread = try s.spread(g, over: axes, of: s.shape(x))
    switch reducer {
    case .sum: return [spread]
    case .maximum, .minimum:
      // Equal elements share.
      let isBest = try s.compare(.equal, x, s.spread(node.results[0], over: axes, of: s.shape(x)))
      let count = try s.reduce(.sum, s.convert(isBest, to: s.element(x)), axes: axes)
      return [try s.masked(s.binary(.divide, spread, s.spread(count, over: axes, of: s.shape(x))), by: isBest)]
    case .product: return [try s.binary(.multiply, spread, productOfOthers(x, &s))]
    case .and, .or: return [nil]
    }
  }

  /// For each element the product of all others that it is combined with, also where some are 0: those before it by those behind it.
  private func productOfOthers(_ x: ValueID, _ s: inout BackwardSweep) throws(CompileError) -> ValueID {
    let shape = s.shape(x)
    let order = Transpose((0..<shape.rank).filter { !axes.contains($0) } + axes)
    let moved = try s.transpose(x, order.permutation)
    let outer = shape.rank - axes.count
    let count = axes.reduce(Extent(1)) { $0 * shape[$1] }
    let rows = try s.reshape(moved, to: Shape(Array(s.shape(moved).extents[..<outer]) + [count]))
    let before = try s.add(Cumulative(.product, axis: outer, isExclusive: true), rows)
    let behind = try s.add(Cumulative(.product, axis: outer, isExclusive: true, isReverse: true), rows)
    return try s.transpose(s.reshape(s.binary(.multiply, before, behind), to: s.shape(moved)), order.inverse.permutation)
  }
}

extension ArgReduce: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] { [nil] }
}

extension Cumulative: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    guard reducer == .sum else { throw s.unsupported("`cumulative` with \(reducer.rawValue) has no derivative", node) }
    return [try s.add(Cumulative(.sum, axis: axis, isExclusive: isExclusive, isReverse: !isReverse), g)]
  }
}
