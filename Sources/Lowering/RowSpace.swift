import GraphIR
import KernelIR
import TensorTypes

/// What a reduction fusion iterates over: the common shape of its reductions, and their order.
struct RowSpace {
  struct Stage {
    var result: ValueID
    var operand: ValueID
    var reducer: Reducer
  }

  /// The shape that is reduced.
  let shape: Shape
  let reducedAxes: [Int]
  let keptAxes: [Int]
  /// In topological order.
  let stages: [Stage]
  let path: OutputPath
  /// True if the fusion's result has one element for each row, false if it has the whole shape.
  let resultIsPerRow: Bool
  /// An expensive value of the whole shape that several stages read: the first one stores it in the result's
  /// memory, the others load it from there.
  let scratch: (value: ValueID, stage: ValueID)?

  init(_ graph: Graph, _ origin: NodeOrigin) throws(CompileError) {
    var stages: [Stage] = []
    var shape: Shape?
    var axes: [Int] = []
    let order = graph.topologicalOrder()
    for id in order {
      let node = graph.node(id)
      guard let reduce = node.operation as? Reduce else { continue }
      let operand = graph.type(of: node.operands[0]).shape
      guard shape == nil || (shape == operand && axes == reduce.axes) else {
        throw CompileError(.unsupported, "a fusion holds reductions over different rows", stage: .lower, origin: origin)
      }
      (shape, axes) = (operand, reduce.axes)
      stages.append(Stage(result: node.results[0], operand: node.operands[0], reducer: reduce.reducer))
    }
    guard let shape, let last = stages.last else { throw CompileError(.unsupported, "a reduction fusion without a reduction", stage: .lower, origin: origin) }
    self.shape = shape
    self.stages = stages
    reducedAxes = axes
    keptAxes = (0..<shape.rank).filter { !axes.contains($0) }
    let whole = OutputPath(graph: graph, anchor: last.result)
    let count = keptAxes.reduce(Extent(1)) { $0 * shape[$1] }
    let computed = graph.type(of: whole.computed).shape
    path = whole
    resultIsPerRow = computed != shape || whole.computed == last.result
    guard !resultIsPerRow || computed.elementCount == count else {
      throw CompileError(.unsupported, "a reduction fusion whose result \(computed) is neither \(shape) nor one value for each row", stage: .lower, origin: origin)
    }
    scratch = resultIsPerRow || !whole.nodes.isEmpty ? nil : Self.findScratch(graph, order, stages, shape, root: whole.computed)
  }

  /// The innermost axis worth a vector: the last one that is not 1.
  var vectorAxis: Int? { (0..<shape.rank).last { shape[$0] != 1 } }

  private static func findScratch(_ graph: Graph, _ order: [NodeID], _ stages: [Stage], _ shape: Shape, root: ValueID) -> (value: ValueID, stage: ValueID)? {
    let type = graph.type(of: root)
    let rootCone = cone(graph, root, stages)
    for id in order.reversed() {
      let node = graph.node(id)
      guard let unary = node.operation as? Unary, isExpensive(unary.function), let value = node.results.first,
        canHold(graph.type(of: value), in: type), value != root, rootCone.contains(value)
      else { continue }
      if let stage = stages.first(where: { cone(graph, $0.operand, stages).contains(value) }) { return (value, stage.result) }
    }
    return nil
  }

  /// A bf16 result holds intermediate values rounded, as it holds what becomes of them.
  private static func canHold(_ value: TensorType, in result: TensorType) -> Bool {
    value.shape == result.shape && (value.element == result.element || (value.element == .f32 && result.element == .bf16))
  }

  /// True for functions of a dozen instructions and more.
  static func isExpensive(_ function: UnaryFunction) -> Bool {
    switch function {
    case .negate, .absolute, .sign, .ceiling, .floor, .round, .squareRoot, .reciprocal, .not, .isNaN, .isInfinite: false
    default: true
    }
  }

  /// All values that `root` is computed from, not looking behind reductions.
  private static func cone(_ graph: Graph, _ root: ValueID, _ stages: [Stage]) -> Set<ValueID> {
    var found: Set<ValueID> = [], stack = [root]
    while let value = stack.popLast() {
      guard found.insert(value).inserted, !stages.contains(where: { $0.result == value }) else { continue }
      stack += graph.producer(of: value)?.operands ?? []
    }
    return found
  }
}
