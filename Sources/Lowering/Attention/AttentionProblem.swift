import GraphIR
import KernelIR
import TensorTypes

/// Two matrix products with row by row work between them: what an `attention` fusion holds.
struct AttentionProblem {
  /// dot [batch..., rows, depth] by [batch..., depth, keys].
  let scores: Node
  /// dot [batch..., rows, keys] by [batch..., keys, width].
  let values: Node
  /// The leading axes, and their product.
  let batch: Shape
  let slices: Extent
  let rows: Extent
  let keys: Extent
  let depth: Int
  let width: Int
  /// The reductions over a row of scores, in topological order.
  let stages: [RowSpace.Stage]
  private let graph: Graph

  init(_ fusion: FusionLowering) throws(CompileError) {
    let body = fusion.body
    func unsupported(_ message: String) -> CompileError { CompileError(.unsupported, message, stage: .lower, origin: fusion.origin) }
    let order = body.topologicalOrder()
    let products = order.filter { body.node($0).operation is Dot }
    guard products.count == 2 else { throw unsupported("an attention fusion holds \(products.count) products instead of two") }
    (scores, values) = (body.node(products[0]), body.node(products[1]))
    let (q, k, v) = (body.type(of: scores.operands[0]).shape, body.type(of: scores.operands[1]).shape, body.type(of: values.operands[1]).shape)
    let space = body.type(of: scores.results[0])
    guard let depth = q[q.rank - 1].constant, let width = v[v.rank - 1].constant, depth > 0, width > 0, space.element == .f32 else {
      throw unsupported("an attention fusion needs f32 heads of a size that is known")
    }
    guard body.type(of: values.operands[0]) == space else { throw unsupported("an attention fusion changes the shape of the scores") }
    (self.depth, self.width) = (depth, width)
    (rows, keys) = (q[q.rank - 2], k[k.rank - 1])
    batch = Shape(Array(q.extents.dropLast(2)))
    slices = batch.elementCount
    var stages: [RowSpace.Stage] = []
    for id in order {
      let node = body.node(id)
      guard let reduce = node.operation as? Reduce else { continue }
      guard body.type(of: node.operands[0]) == space, reduce.axes == [space.rank - 1] else {
        throw unsupported("an attention fusion reduces something else than rows of scores")
      }
      stages.append(.init(result: node.results[0], operand: node.operands[0], reducer: reduce.reducer))
    }
    self.stages = stages
    graph = body
  }

  /// What is multiplied by the values.
  var weights: ValueID { values.operands[0] }

  /// Multiply-adds.
  var products: Extent { slices * rows * keys * Extent(depth + width) }

  /// Estimated duration on one thread: multiply-adds, and some thirty cycles for each vector of scores.
  func cycles(_ target: LoweringTarget) -> Extent {
    let lanes = Extent(target.lanes >= 16 ? 16 : target.lanes * 2)
    return (products + slices * rows * keys * Extent(30)).floorDivided(by: lanes)
  }

  /// True if everything after a stage can be computed from `value` without `current`, so that it may take its place.
  func canReplace(_ current: ValueID, by value: ValueID, after stage: Int) -> Bool {
    if value == current { return false }
    var stack = stages[(stage + 1)...].map(\.operand) + [weights]
    var visited: Set<ValueID> = []
    while let next = stack.popLast() {
      if next == current { return false }
      if next == value || stages.contains(where: { $0.result == next }) { continue }
      guard visited.insert(next).inserted else { continue }
      stack += graph.producer(of: next)?.operands ?? []
    }
    return true
  }
}
