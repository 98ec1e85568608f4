import GraphIR
import TensorTypes

/// A graph ready to run: symbols bound, every type a number, and for each value the step after which it is not needed.
///
/// What depends on symbols that the graph computes gets its types while it runs.
struct EvaluationPlan {
  private struct Bound {
    let operation: any Evaluable
    let results: [ConcreteType]
  }

  private struct Step {
    let node: Node
    /// nil if the types depend on symbols that the run finds.
    let bound: Bound?
    /// Values whose last reader this is.
    let dying: [ValueID]
  }

  private let graph: Graph
  private let binding: [String: Extent]
  private let limits: EvaluationLimits
  private let steps: [Step]

  init(_ graph: Graph, inputs types: [TensorType], binding: [String: Extent], limits: EvaluationLimits) throws(CompileError) {
    (self.graph, self.binding, self.limits) = (graph, binding, limits)
    let order = graph.topologicalOrder()
    let dying = Self.lastReads(order, graph)
    let computed = graph.definitions
    var known = [TensorType?](repeating: nil, count: graph.valueCount)
    var isComputed = [Bool](repeating: false, count: graph.valueCount)
    for (id, type) in zip(graph.inputs, types) {
      known[id.index] = type
      isComputed[id.index] = true
    }
    var steps: [Step] = []
    for (position, id) in order.enumerated() {
      let node = graph.node(id)
      for operand in node.operands where !isComputed[operand.index] {
        throw CompileError(.badInput, "`\(node.operation.mnemonic)` reads a value that is never computed", stage: .run, origin: node.origin)
      }
      for result in node.results { isComputed[result.index] = true }
      let operands = node.operands.compactMap { known[$0.index] }
      let isLate =
        operands.count != node.operands.count || !node.operation.definedSymbols.isEmpty || node.operation is any RegionEvaluable
        || (!computed.isEmpty && graph.mentionedSymbols(of: node).contains { computed[$0] != nil })
      var bound: Bound?
      if !isLate {
        do throws(EvaluationError) { bound = try Self.bind(node, operands, binding, limits) } catch { throw Self.failure(error, node, operands) }
        for (value, result) in zip(node.results, bound?.results ?? []) { known[value.index] = result.type }
      }
      steps.append(Step(node: node, bound: bound, dying: dying[position]))
    }
    for output in graph.outputs where !isComputed[output.index] {
      throw CompileError(.badInput, "an output of `\(graph.name)` is never computed", stage: .run)
    }
    self.steps = steps
  }

  /// The values that each step is the last to read.
  private static func lastReads(_ order: [NodeID], _ graph: Graph) -> [[ValueID]] {
    var lastStep = [Int?](repeating: nil, count: graph.valueCount)
    for (position, id) in order.enumerated() {
      let node = graph.node(id)
      for result in node.results { lastStep[result.index] = position }
      for operand in node.operands { lastStep[operand.index] = position }
    }
    for output in graph.outputs { lastStep[output.index] = nil }
    var dying = [[ValueID]](repeating: [], count: order.count)
    for index in 0..<graph.valueCount { if let step = lastStep[index] { dying[step].append(ValueID(index)) } }
    return dying
  }

  private static func bind(
    _ node: Node, _ operands: [TensorType], _ binding: [String: Extent], _ limits: EvaluationLimits
  ) throws(EvaluationError) -> Bound {
    let operation = binding.isEmpty ? node.operation : node.operation.substituting(binding)
    let results = try Interpreter.concreteResults(of: operation, for: operands)
    for result in results { try limits.check(result) }
    return Bound(operation: try Interpreter.evaluable(operation), results: results)
  }

  func run(_ tensors: [Tensor], observing: ((Node, [Tensor]) -> Void)? = nil) throws(CompileError) -> [Tensor] {
    var values = [Tensor?](repeating: nil, count: graph.valueCount)
    var bytes = [Int](repeating: 0, count: graph.valueCount)
    var liveBytes = 0
    var binding = self.binding
    for (id, tensor) in zip(graph.inputs, tensors) { values[id.index] = tensor }
    try checkRequirements(binding)
    for step in steps {
      let node = step.node
      let operands = node.operands.compactMap { values[$0.index] }
      do throws(EvaluationError) {
        let results: [Tensor]
        if !node.operation.definedSymbols.isEmpty || node.operation is any RegionEvaluable {
          results = try define(node, operands, &binding)
          for tensor in results { if let type = ConcreteType(tensor.type) { try limits.check(type) } }
        } else {
          let bound: Bound
          if let known = step.bound { bound = known } else { bound = try Self.bind(node, operands.map(\.type), binding, limits) }
          // A constant is no new memory.
          if !(node.operation is Constant) {
            for (result, type) in zip(node.results, bound.results) {
              bytes[result.index] = type.byteCount
              liveBytes += type.byteCount
            }
            if liveBytes > limits.liveBytes { throw EvaluationError("results alive at one time take \(liveBytes) bytes; the limit is \(limits.liveBytes)") }
          }
          results = try bound.operation.evaluateSharingStrings(operands, as: bound.results, limits: limits)
          precondition(
            results.count == bound.results.count && zip(results, bound.results).allSatisfy { $0.element == $1.element && $0.dimensions == $1.dimensions },
            "`\(node.operation.mnemonic)` evaluates to \(results.map(\.type)) but has the type \(bound.results): \(node.origin)")
        }
        for (id, tensor) in zip(node.results, results) { values[id.index] = tensor }
        observing?(node, results)
      } catch {
        throw Self.failure(error, node, operands.map(\.type))
      }
      for id in step.dying {
        values[id.index] = nil
        liveBytes -= bytes[id.index]
      }
    }
    try checkRequirements(binding)
    return graph.outputs.compactMap { values[$0.index] }
  }

  /// Checks what the graph takes for granted of symbols that are known by now.
  private func checkRequirements(_ binding: [String: Extent]) throws(CompileError) {
    for condition in graph.requirements {
      guard let value = condition.extent.substituting(binding).constant else { continue }
      let holds = condition.kind == .zero ? value == 0 : value >= 0
      if !holds { throw CompileError(.badInput, condition.violation, stage: .run) }
    }
  }

  /// Runs a node that finds symbols itself, and adds them to the binding.
  private func define(_ node: Node, _ operands: [Tensor], _ binding: inout [String: Extent]) throws(EvaluationError) -> [Tensor] {
    let (results, symbols): ([Tensor], [String: Int])
    if let control = node.operation as? any RegionEvaluable {
      (results, symbols) = try control.evaluate(operands, binding: binding, limits: limits)
    } else {
      let operation = binding.isEmpty ? node.operation : node.operation.substituting(binding)
      guard let defining = operation as? any SymbolDefining else { throw EvaluationError("`\(operation.mnemonic)` cannot be evaluated") }
      do { _ = try operation.checkedResultTypes(for: operands.map(\.type)) } catch { throw EvaluationError(error.message, hint: error.hint) }
      (results, symbols) = try defining.evaluateDefining(operands, limits: limits)
    }
    for (symbol, value) in symbols {
      guard value >= 0 else { throw EvaluationError("the length `\(symbol)` comes out as \(value)") }
      binding[symbol] = Extent(value)
    }
    for (id, tensor) in zip(node.results, results) {
      let type = TensorType(graph.type(of: id).element, graph.type(of: id).shape.substituting(binding))
      guard type == tensor.type else { throw EvaluationError("it gives \(tensor.type) instead of \(type)") }
    }
    return results
  }

  private static func failure(_ error: EvaluationError, _ node: Node, _ operands: [TensorType]) -> CompileError {
    let mnemonic = "`\(node.operation.mnemonic)`"
    let message = error.message.contains(mnemonic) ? error.message : "\(mnemonic): \(error.message)"
    return CompileError(.badInput, message, stage: .run, origin: node.origin, operands: operands, hint: error.hint)
  }
}
