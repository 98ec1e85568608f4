import GraphIR
import TensorTypes

/// A matrix product whose rows are reduced (a softmax, say) and then multiplied by a second matrix.
///
///     %s = dot %q, %k            [batch..., M, N]
///     ...                        elementwise nodes, and reductions over N with what is computed for each row
///     %y = dot %p, %v            [batch..., M, D]
///
/// Found by structure: everything between the two products is computed row by row, and nothing but the second product
/// reads it. So a few rows at a time can be taken from the first product to the last, and the matrix between them
/// needs no memory.
struct AttentionRegion {
  let scores: Node
  let values: Node
  /// The nodes from the first product to the last that depend on the first, both included, and what follows in the
  /// index space of the last.
  let members: Set<NodeID>
  /// The value that leaves the region.
  let root: ValueID

  /// - Parameters:
  ///   - node: The second product.
  ///   - reason: Why it is none, if it looks like one: a reduction between two products.
  init?(endingIn node: Node, _ graph: Graph, order: [NodeID: Int], reason: inout String?) {
    guard node.operation is Dot, let weights = node.operands.first else { return nil }
    let space = graph.type(of: weights).shape
    let rows = AttentionRows(space: space)
    // Backwards to a product of the same shape.
    var cone: Set<NodeID> = []
    var first: Node?
    var blocker: Node?
    var stack = [weights]
    while let value = stack.popLast(), cone.count <= FusionCost.mostNodes {
      guard let producer = graph.producer(of: value), !cone.contains(producer.id) else { continue }
      if producer.operation is Dot {
        if first == nil, graph.type(of: value).shape == space { first = producer }
      } else if rows.fits(producer, graph) {
        cone.insert(producer.id)
        stack += producer.operands
      } else if blocker == nil, AttentionRows.isReached(from: producer, graph, elements: space.elementCount) {
        blocker = producer
      }
    }
    let reduces = cone.contains { graph.node($0).operation is Reduce }
    guard let scores = first, scores.id != node.id, cone.count <= FusionCost.mostNodes else {
      if reduces, let blocker { reason = "`\(blocker.operation.mnemonic)` between the scores and what is made of them is not computed row by row" }
      return nil
    }
    // Of these, what depends on the first product.
    var inside: Set<NodeID> = [scores.id]
    var hasReduction = false
    for id in cone.sorted(by: { (order[$0] ?? .max) < (order[$1] ?? .max) }) {
      let candidate = graph.node(id)
      guard candidate.operands.contains(where: { graph.producer(of: $0).map { inside.contains($0.id) } ?? false }) else { continue }
      guard rows.isComputable(candidate, graph) else {
        if reduces { reason = "`\(candidate.operation.mnemonic)` between the two products reads other rows of the scores than its own" }
        return nil
      }
      hasReduction = hasReduction || candidate.operation is Reduce
      inside.insert(id)
    }
    guard hasReduction else { return nil }
    let readElsewhere = "the scores, or what is made of them, are read elsewhere too, and need memory for that"
    guard graph.useCount(of: weights) == 1 else {
      reason = readElsewhere
      return nil
    }
    for id in inside {
      for result in graph.node(id).results {
        let isPrivate = graph.uses(of: result).allSatisfy { use in
          order[use.node] == nil || inside.contains(use.node) || (use.node == node.id && use.operand == 0 && result == weights)
        }
        guard isPrivate, !graph.isOutput(result) else {
          reason = readElsewhere
          return nil
        }
      }
    }
    let behind = FusionRegion(anchor: node, template: .dot, graph: graph, order: order) { inside.contains($0) }
    (self.scores, values, root) = (scores, node, behind.root)
    members = inside.union(behind.members)
  }
}

/// Which nodes can be computed for one row of a matrix [batch..., M, N] at a time.
private struct AttentionRows {
  let space: Shape

  private static let mostAncestors = 64

  /// True if a product of so many elements is among what a node is computed from, not far away.
  static func isReached(from node: Node, _ graph: Graph, elements: Extent) -> Bool {
    var seen: Set<NodeID> = []
    var stack = node.operands
    while let value = stack.popLast(), seen.count < mostAncestors {
      guard let producer = graph.producer(of: value), seen.insert(producer.id).inserted else { continue }
      if producer.operation is Dot {
        if graph.type(of: value).shape.elementCount == elements { return true }
      } else {
        stack += producer.operands
      }
    }
    return false
  }

  /// True if the result lies in the matrix or has one element for each row.
  func fits(_ node: Node, _ graph: Graph) -> Bool {
    guard let result = node.results.first.map({ graph.type(of: $0).shape }) else { return false }
    switch node.operation {
    case is Unary, is Binary, is Compare, is Select, is Convert: return result == space || isPerRow(result)
    case is Broadcast: return result == space
    case is Reshape: return isPerRow(result) && isPerRow(graph.type(of: node.operands[0]).shape)
    case is Reduce: return isComputable(node, graph)
    default: return false
    }
  }

  /// True for nodes that `fits` takes and that may read values of their own row.
  func isComputable(_ node: Node, _ graph: Graph) -> Bool {
    switch node.operation {
    case is Broadcast:
      let source = graph.type(of: node.operands[0]).shape
      return source.rank == space.rank && source.extents.dropLast() == space.extents.dropLast() && source.extents.last == 1
    case let reduce as Reduce:
      let operand = graph.type(of: node.operands[0])
      return operand.shape == space && operand.element == .f32 && reduce.axes == [space.rank - 1]
    default: return fits(node, graph)
    }
  }

  private func isPerRow(_ shape: Shape) -> Bool {
    shape.extents == Array(space.extents.dropLast()) || (shape.rank == space.rank && shape.extents.dropLast() == space.extents.dropLast() && shape.extents.last == 1)
  }
}
