import GraphIR
import TensorTypes

/// Runs graphs without compiling them: slowly enough to be plain, quickly enough to be the oracle in tests.
public enum Interpreter {
  /// Evaluates a graph.
  ///
  /// - Parameters:
  ///   - inputs: One tensor for each input of the graph, in its order.
  ///   - symbols: Values for symbols that do not follow from the shapes of the inputs.
  ///   - observing: Called after each node with its results, in the order of evaluation.
  /// - Returns: One tensor for each output.
  /// - Throws: `CompileError` of stage `run` that names the node.
  public static func evaluate(
    _ graph: Graph, inputs: [Tensor], symbols: [String: Int]? = nil, limits: EvaluationLimits = EvaluationLimits(),
    observing: ((Node, [Tensor]) -> Void)? = nil
  ) throws(CompileError) -> [Tensor] {
    let binding = try SymbolBinding(graph, inputs: inputs, given: symbols ?? [:])
    return try EvaluationPlan(graph, inputs: inputs.map(\.type), binding: binding.extents, limits: limits).run(inputs, observing: observing)
  }

  /// Evaluates one operation, for constant folding.
  ///
  /// - Throws: `EvaluationError` if the operands do not fit, an attribute or a body names a symbol, or a limit is met.
  public static func evaluate(
    _ operation: any Operation, _ operands: [Tensor], limits: EvaluationLimits = EvaluationLimits()
  ) throws(EvaluationError) -> [Tensor] {
    let results = try concreteResults(of: operation, for: operands.map(\.type))
    for result in results { try limits.check(result) }
    return try evaluable(operation).evaluateSharingStrings(operands, as: results, limits: limits)
  }

  static func evaluable(_ operation: any Operation) throws(EvaluationError) -> any Evaluable {
    guard let evaluable = operation as? any Evaluable else { throw EvaluationError("`\(operation.mnemonic)` cannot be evaluated") }
    return evaluable
  }

  static func concreteResults(of operation: any Operation, for operands: [TensorType]) throws(EvaluationError) -> [ConcreteType] {
    let types: [TensorType]
    do { types = try operation.checkedResultTypes(for: operands) } catch { throw EvaluationError(error.message, hint: error.hint) }
    var results: [ConcreteType] = []
    for type in types {
      guard let result = ConcreteType(type) else {
        let symbols = type.shape.symbols
        throw EvaluationError(
          symbols.isEmpty ? "`\(operation.mnemonic)` gives a result of impossible size: \(type)" : "the size of \(type) is not known",
          hint: symbols.isEmpty ? nil : "give values for " + symbols.joined(separator: ", "))
      }
      results.append(result)
    }
    return results
  }
}
