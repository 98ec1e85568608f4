import GraphIR
import TensorTypes

/// A graph ready to run: symbols bound, every type a number, and for each value the step after which it is not needed.
struct EvaluationPlan {
  private struct Step {
    let node: Node
    let operation: any Evaluable
    let results: [ConcreteType]
    /// Values whose last reader this is.
    let dying: [ValueID]
    /// True if the results are not new memory.
    let isConstant: Bool
  }

  private let steps: [Step]
  private let inputs: [ValueID]
  private let outputs: [ValueID]
  private let valueCount: Int
  private let limits: EvaluationLimits

  init(_ graph: Graph, inputs types: [TensorType], binding: [String: Extent], limits: EvaluationLimits) throws(CompileError) {
    inputs = graph.inputs
    outputs = graph.outputs
    valueCount = graph.valueCount
    self.limits = limits

    let order = graph.topologicalOrder()
    var lastStep = [Int?](repeating: nil, count: valueCount)
    for (position, id) in order.enumerated() {
      let node = graph.node(id)
      for result in node.results { lastStep[result.index] = position }
      for operand in node.operands { lastStep[operand.index] = position }
    }
    for output in graph.outputs { lastStep[output.index] = nil }
    var dying = [[ValueID]](repeating: [], count: order.count)
    for index in 0..<valueCount { if let step = lastStep[index] { dying[step].append(ValueID(index)) } }

    var known = [TensorType?](repeating: nil, count: valueCount)
    for (id, type) in zip(graph.inputs, types) { known[id.index] = type }
    var steps: [Step] = []
    for (position, id) in order.enumerated() {
      let node = graph.node(id)
      var operands: [TensorType] = []
      for operand in node.operands {
        guard let type = known[operand.index] else {
          throw CompileError(.badInput, "`\(node.operation.mnemonic)` reads a value that is never computed", stage: .run, origin: node.origin)
        }
        operands.append(type)
      }
      do throws(EvaluationError) {
        let bound = binding.isEmpty ? node.operation : node.operation.substituting(binding)
        let results = try Interpreter.concreteResults(of: bound, for: operands)
        for result in results { try limits.check(result) }
        for (value, result) in zip(node.results, results) { known[value.index] = result.type }
        steps.append(
          Step(
            node: node, operation: try Interpreter.evaluable(bound), results: results, dying: dying[position], isConstant: bound is Constant))
      } catch {
        throw Self.failure(error, node, operands)
      }
    }
    for output in graph.outputs where known[output.index] == nil {
      throw CompileError(.badInput, "an output of `\(graph.name)` is never computed", stage: .run)
    }
    self.steps = steps
  }

  func run(_ tensors: [Tensor], observing: ((Node, [Tensor]) -> Void)? = nil) throws(CompileError) -> [Tensor] {
    var values = [Tensor?](repeating: nil, count: valueCount)
    var bytes = [Int](repeating: 0, count: valueCount)
    var liveBytes = 0
    for (id, tensor) in zip(inputs, tensors) { values[id.index] = tensor }
    for step in steps {
      let operands = step.node.operands.compactMap { values[$0.index] }
      do throws(EvaluationError) {
        if !step.isConstant {
          for (result, type) in zip(step.node.results, step.results) {
            bytes[result.index] = type.byteCount
            liveBytes += type.byteCount
          }
          if liveBytes > limits.liveBytes { throw EvaluationError("results alive at one time take \(liveBytes) bytes; the limit is \(limits.liveBytes)") }
        }
        let results = try step.operation.evaluate(operands, as: step.results, limits: limits)
        precondition(
          results.count == step.results.count && zip(results, step.results).allSatisfy { $0.element == $1.element && $0.dimensions == $1.dimensions },
          "`\(step.operation.mnemonic)` evaluates to \(results.map(\.type)) but has the type \(step.results): \(step.node.origin)")
        for (id, tensor) in zip(step.node.results, results) { values[id.index] = tensor }
        observing?(step.node, results)
      } catch {
        throw Self.failure(error, step.node, operands.map(\.type))
      }
      for id in step.dying {
        values[id.index] = nil
        liveBytes -= bytes[id.index]
      }
    }
    return outputs.compactMap { values[$0.index] }
  }

  private static func failure(_ error: EvaluationError, _ node: Node, _ operands: [TensorType]) -> CompileError {
    let mnemonic = "`\(node.operation.mnemonic)`"
    let message = error.message.contains(mnemonic) ? error.message : "\(mnemonic): \(error.message)"
    return CompileError(.badInput, message, stage: .run, origin: node.origin, operands: operands, hint: error.hint)
  }
}
