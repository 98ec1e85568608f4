import GraphIR
import TensorTypes

/// Steps of optimizers: new values of trained tensors from their gradients and what was kept of earlier ones.
enum OptimizerOperators {
  static let table: [String: OperatorImporter] = [
    "ai.onnx.preview.training::Adagrad": adagrad, "ai.onnx.preview.training::Adam": adam, "ai.onnx.preview.training::Momentum": momentum,
  ]

  /// The tensors of one variable: its value, its gradient, and its states.
  private typealias Variable = [ValueID]

  /// Operands behind the rate and the count: all values, then all gradients, then all first states, ...
  private static func variables(_ call: OperatorCall, kinds: Int, _ b: GraphBuilder) throws(CompileError) -> [Variable] {
    let operands = Array(try call.allInputs().dropFirst(2))
    guard !operands.isEmpty, operands.count % kinds == 0 else { throw call.refusal("\(call.name) of \(operands.count) tensors; a multiple of \(kinds) is needed") }
    let count = operands.count / kinds
    let variables = (0..<count).map { number in (0..<kinds).map { operands[$0 * count + number] } }
    for variable in variables where !variable.allSatisfy({ b.type($0) == b.type(variable[0]) }) {
      throw b.refusal("the tensors of one variable differ in their types", operands: variable)
    }
    return variables
  }

  /// Results in the order of the operands: all values, then all first states, ...
  private static func results(_ variables: [Variable]) -> [ValueID] {
    (variables.first ?? []).indices.flatMap { kind in variables.map { $0[kind] } }
  }

  /// The gradient of the loss with half the sum of squares, times a coefficient, added to it.
  private static func regularized(_ call: OperatorCall, _ x: ValueID, _ gradient: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let coefficient = try call.number("norm_coefficient", default: 0)
    return coefficient == 0 ? gradient : try b.binary(.add, b.binary(.multiply, x, coefficient), gradient)
  }

  /// The learning rate and the number of updates, as f64 scalars: powers of numbers next to 1 need it.
  private static func schedule(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> (rate: ValueID, count: ValueID) {
    (try b.reshape(b.convert(call.input(0), to: .f64), to: []), try b.reshape(b.convert(call.input(1), to: .f64), to: []))
  }

  private static func adagrad(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (rate, count) = try schedule(call, &b)
    let slowed = try b.binary(.divide, rate, b.binary(.add, b.binary(.multiply, count, call.number("decay_factor", default: 0)), 1))
    let epsilon = try call.number("epsilon", default: 1e-6)
    var updated: [Variable] = []
    for variable in try variables(call, kinds: 3, b) {
      let (x, squares) = (variable[0], variable[2])
      let gradient = try regularized(call, x, variable[1], &b)
      let sum = try b.binary(.add, squares, b.binary(.multiply, gradient, gradient))
      let scaled = try b.binary(.multiply, gradient, b.convert(slowed, to: b.element(x)))
      let step = try b.binary(.divide, scaled, b.binary(.add, b.unary(.squareRoot, sum), epsilon))
      updated.append([try b.binary(.subtract, x, step), sum])
    }
    return results(updated)
  }

  private static func adam(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (rate, count) = try schedule(call, &b)
    let (alpha, beta) = (try call.number("alpha", default: 0.9), try call.number("beta", default: 0.999))
    func missing(_ base: Double, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      try b.binary(.subtract, b.scalar(1, .f64), b.binary(.power, b.scalar(base, .f64), count))
    }
    let corrected = try b.binary(.divide, b.binary(.multiply, rate, b.unary(.squareRoot, missing(beta, &b))), missing(alpha, &b))
    let adjusted = try b.select(b.compare(.greater, count, 0), corrected, rate)
    let (epsilon, decay) = (try call.number("epsilon", default: 1e-6), try call.number("norm_coefficient_post", default: 0))
    var updated: [Variable] = []
    for variable in try variables(call, kinds: 4, b) {
      let x = variable[0]
      let gradient = try regularized(call, x, variable[1], &b)
      let mean = try b.binary(.add, b.binary(.multiply, variable[2], alpha), b.binary(.multiply, gradient, 1 - alpha))
      let square = try b.binary(.multiply, gradient, gradient)
      let squares = try b.binary(.add, b.binary(.multiply, variable[3], beta), b.binary(.multiply, square, 1 - beta))
      let scaled = try b.binary(.multiply, mean, b.convert(adjusted, to: b.element(x)))
      let step = try b.binary(.divide, scaled, b.binary(.add, b.unary(.squareRoot, squares), epsilon))
      var next = try b.binary(.subtract, x, step)
      if decay != 0 { next = try b.binary(.multiply, next, 1 - decay) }
      updated.append([next, mean, squares])
    }
    return results(updated)
  }

  private enum Mode: String, CaseIterable { case standard, nesterov }

  private static func momentum(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (rate, count) = try schedule(call, &b)
    let alpha = try call.number("alpha")
    let isNesterov = try call.word("mode", default: Mode.standard) == .nesterov
    let beta = try b.select(b.compare(.greater, count, 0), b.scalar(call.number("beta"), .f64), b.scalar(1, .f64))
    var updated: [Variable] = []
    for variable in try variables(call, kinds: 3, b) {
      let x = variable[0]
      let gradient = try regularized(call, x, variable[1], &b)
      let weighted = try b.binary(.multiply, gradient, b.convert(beta, to: b.element(x)))
      let velocity = try b.binary(.add, b.binary(.multiply, variable[2], alpha), weighted)
      let direction = try isNesterov ? b.binary(.add, gradient, b.binary(.multiply, velocity, alpha)) : velocity
      updated.append([try b.binary(.subtract, x, b.binary(.multiply, direction, b.convert(rate, to: b.element(x)))), velocity])
    }
    return results(updated)
  }
}
