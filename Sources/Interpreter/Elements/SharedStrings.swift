import GraphIR
import TensorTypes

extension Evaluable {
  /// `evaluate` for operands that may be strings: their tables become one, so that the operation sees integers that are equal where texts are.
  func evaluateSharingStrings(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    guard operands.contains(where: { $0.element == .string && $0.strings != nil }), !(self is TextOperation), !(self is TextFind) else {
      return try evaluate(operands, as: results, limits: limits)
    }
    let shared: [Tensor]
    do throws(TextError) { shared = try Tensor.sharingStrings(operands).tensors } catch { throw EvaluationError(error.message) }
    let table = shared.compactMap { $0.element == .string ? $0.strings : nil }.max { $0.texts.count < $1.texts.count }
    return try evaluate(shared, as: results, limits: limits).map { result in
      // Nested graphs give results that know their table already.
      guard result.element == .string, result.strings == nil, let table else { return result }
      return result.referring(to: table)
    }
  }
}
