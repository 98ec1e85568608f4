import GraphIR
import Interpreter
import TensorTypes

/// How much work and memory folding may take; a hostile model must not turn compilation into a computation.
public struct FoldingLimits: Sendable {
  /// A result larger than its operands is folded up to this size.
  public var growthBytes = 64 << 20
  /// Repetitions (`broadcast`, `iota`) are read as constants only for results up to this size.
  public var repeatedBytes = 4096
  /// The most multiplications, additions or moves that one node may take.
  public var operations = 1 << 27
  public init() {}
}

/// Evaluates nodes whose operands are constants.
///
/// A broadcast or an iota is never materialised by itself: it only makes memory. A node over a broadcast of a constant is folded if
/// the result is no larger than the constants behind it. Permuting axes and converting weights are folded at any size, since they do not grow.
/// Composites stay until they are expanded, so that quantised weights stay quantised in the portable form.
/// Numerics: exact; the interpreter defines what each operation means.
public let foldConstants = constantFolding(within: FoldingLimits())

/// `foldConstants` with limits of one's own.
public func constantFolding(within limits: FoldingLimits) -> Pass<Graph> {
  rewrite(
    "fold-constants", "Evaluates nodes whose operands are all constants.",
    [
      .onAny { node, rewriter throws(TypeError) in
        guard let values = ConstantFolder(graph: rewriter.graph, limits: limits).evaluate(node) else { return .unchanged }
        var results: [ValueID] = []
        for value in values { results.append(try rewriter.constant(value)) }
        return .replacedAll(with: results)
      }
    ])
}

private struct ConstantFolder {
  let graph: Graph
  let limits: FoldingLimits

  func evaluate(_ node: Node) -> [Tensor]? {
    if let vector = node.operation as? ExtentVector { return Shape(vector.values).constants.map { [Tensor($0)] } }
    if node.operation is Constant || node.operation is Broadcast || node.operation is Iota || node.operation is Fusion || node.operation is Composite { return nil }
    if !node.operation.definedSymbols.isEmpty { return nil }
    guard !node.operands.isEmpty, node.operands.allSatisfy({ isKnown($0) }) else { return nil }
    if let reshape = node.operation as? Reshape, let tensor = graph.constant(node.operands[0]), let dimensions = reshape.shape.constants {
      return tensor.reshaped(dimensions).map { [$0] }
    }
    guard let resultBytes = bytes(of: node.results), fits(node, resultBytes) else { return nil }
    if let transpose = node.operation as? Transpose, let tensor = graph.constant(node.operands[0]) { return [tensor.transposed(transpose.permutation)] }
    var operands: [Tensor] = []
    for operand in node.operands {
      guard let tensor = tensor(operand) else { return nil }
      operands.append(tensor)
    }
    // An operand that the operation cannot take stays in the graph, where the run reports it with its origin.
    return try? Interpreter.evaluate(node.operation, operands, limits: EvaluationLimits(resultBytes: max(resultBytes, 1 << 20), scanSteps: 4096))
  }

  /// True for constants and what repeats or counts without reading an input.
  private func isKnown(_ id: ValueID) -> Bool {
    guard let node = graph.producer(of: id) else { return false }
    if node.operation is Broadcast { return graph.constant(node.operands[0]) != nil }
    return node.operation is Constant || node.operation is Iota
  }

  private func fits(_ node: Node, _ resultBytes: Int) -> Bool {
    let solid = Set(node.operands.filter { graph.constant($0) != nil })
    let sources = Set(node.operands.compactMap { graph.producer(of: $0, as: Broadcast.self)?.node.operands[0] })
    guard let operandBytes = bytes(of: Array(solid.union(sources))), work(of: node).map({ $0 <= limits.operations }) ?? true else { return false }
    if solid.count < Set(node.operands).count {
      guard let repeated = bytes(of: node.operands) else { return false }
      return resultBytes <= max(solid.isEmpty ? 0 : operandBytes, limits.repeatedBytes) && repeated <= limits.growthBytes
    }
    return resultBytes <= max(operandBytes, limits.growthBytes)
  }

  /// Multiplications for contractions and windows, nil where work is proportional to the bytes.
  private func work(of node: Node) -> Int? {
    let result = graph.type(of: node.results[0]).shape.elementCount
    let each: Extent
    switch node.operation {
    case is Dot: each = graph.type(of: node.operands[0]).shape.extents.last ?? 1
    case let convolution as Convolution:
      let filter = graph.type(of: node.operands[1]).shape
      let output = filter[convolution.filterAxes(rank: filter.rank).output]
      each = output.constant == 0 ? 1 : filter.elementCount.floorDivided(by: output)
    case let window as ReduceWindow: each = window.size.reduce(Extent(1)) { $0 * Extent($1) }
    case is any ControlOperation: return .max
    default: return nil
    }
    return (result * each).constant ?? .max
  }

  private func bytes(of ids: [ValueID]) -> Int? {
    var total = Extent(0)
    for id in ids { total = total + graph.type(of: id).byteCount }
    return total.constant
  }

  private func tensor(_ id: ValueID) -> Tensor? {
    if let tensor = graph.constant(id) { return tensor }
    guard let node = graph.producer(of: id) else { return nil }
    var operands: [Tensor] = []
    for operand in node.operands {
      guard let tensor = graph.constant(operand) else { return nil }
      operands.append(tensor)
    }
    return try? Interpreter.evaluate(node.operation, operands).first
  }
}
