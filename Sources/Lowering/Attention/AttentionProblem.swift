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
  /// True if both products are of bytes, four at a time, with sums in i32.
  let isInBytes: Bool
  /// What is kept of a score: the product's result, or for sums in i32 the first f32 that is made of them.
  let kept: ValueID
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
    isInBytes = space.element == .i32
    guard let depth = q[q.rank - 1].constant, let width = v[v.rank - 1].constant, depth > 0, width > 0, space.element == .f32 || isInBytes else {
      throw unsupported("an attention fusion needs f32 heads of a size that is known")
    }
    if isInBytes {
      for product in [scores, values] {
        let (x, y) = (body.type(of: product.operands[0]), body.type(of: product.operands[1]))
        guard GroupedSteps.size(x.element, y.element, result: body.type(of: product.results[0]).element) == 4, let steps = x.shape[x.rank - 1].constant, steps % 4 == 0 else {
          throw unsupported("an attention fusion in bytes needs lengths that are multiples of four")
        }
      }
    }
    guard body.type(of: values.operands[0]).shape == space.shape else { throw unsupported("an attention fusion changes the shape of the scores") }
    (self.depth, self.width) = (depth, width)
    (rows, keys) = (q[q.rank - 2], k[k.rank - 1])
    batch = Shape(Array(q.extents.dropLast(2)))
    slices = batch.elementCount
    var stages: [RowSpace.Stage] = []
    for id in order {
      let node = body.node(id)
      guard let reduce = node.operation as? Reduce else { continue }
      guard body.type(of: node.operands[0]) == TensorType(.f32, space.shape), reduce.axes == [space.rank - 1] else {
        throw unsupported("an attention fusion reduces something else than rows of scores")
      }
      stages.append(.init(result: node.results[0], operand: node.operands[0], reducer: reduce.reducer))
    }
    self.stages = stages
    graph = body
    var kept = scores.results[0]
    while isInBytes, body.type(of: kept).element != .f32 {
      guard body.useCount(of: kept) == 1, let use = body.uses(of: kept).first, body.type(of: body.node(use.node).results[0]).shape == space.shape else {
        throw unsupported("an attention fusion reads sums in i32")
      }
      kept = body.node(use.node).results[0]
    }
    self.kept = kept
  }

  /// What a tile keeps of its scores: the operand of the first reduction, if nothing else needs what was before.
  var first: ValueID {
    guard isInBytes, let operand = stages.first?.operand, canReplace(kept, by: operand, after: -1) else { return kept }
    return operand
  }

  /// Steps of both sums that are multiplied together.
  var group: Int { isInBytes ? 4 : 1 }

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
