import GraphIR
import Interpreter
import TensorTypes
import Testing

/// Evaluates statements that need no input; the results named on `return`.
func evaluate(_ statements: String, returning names: String = "%r", limits: EvaluationLimits = EvaluationLimits()) throws -> [Tensor] {
  let graph = try Graph(text: "graph @test() {\n\(statements)\nreturn \(names)\n}", file: "test.ingot")
  try graph.verify(stage: .load)
  return try Interpreter.evaluate(graph, inputs: [], limits: limits)
}

/// The elements of the result `%r`.
func numbers(_ statements: String) throws -> [Double] { try evaluate(statements)[0].doubles }

/// Compares with NaN equal to NaN and zeros told apart by sign.
func same(_ a: [Double], _ b: [Double]) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { $0.isNaN ? $1.isNaN : $0 == $1 && $0.sign == $1.sign }
}

/// Compares within a relative error.
func close(_ a: [Double], _ b: [Double], _ bound: Double = 1e-6) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= bound * max(1, abs($1)) }
}
