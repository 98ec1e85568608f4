import GraphIR
import TensorTypes

/// An operation that finds lengths itself while it runs: `definedSymbols` is not empty.
public protocol SymbolDefining: Evaluable {
  /// Computes the results, and a value for each of `definedSymbols`.
  func evaluateDefining(_ operands: [Tensor], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int])
}

extension Measure: SymbolDefining {
  public func evaluateDefining(_ operands: [Tensor], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int]) {
    (operands, Dictionary(zip(symbols, operands[0].integers)) { first, _ in first })
  }

  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] { operands }
}

extension Compact: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let mask = operands[0]
    let positions = mask.withBytes { bytes in (0..<mask.count).filter { bytes[$0] != 0 } }
    guard positions.count == results[0].count else { throw EvaluationError("`compact` to \(results[0].count) elements of a mask that has \(positions.count)") }
    return [Tensor(positions)]
  }
}
