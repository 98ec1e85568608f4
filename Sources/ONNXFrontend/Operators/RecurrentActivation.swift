import GraphIR
import TensorTypes

/// An activation that a recurrent operator names, with its parameters.
struct RecurrentActivation {
  private enum Function: String, CaseIterable {
    case relu, tanh, sigmoid, affine, leakyrelu, thresholdedrelu, scaledtanh, hardsigmoid, elu, softsign, softplus

    /// The standard's defaults; nil for a parameter that the function does not have.
    var parameters: (alpha: Double?, beta: Double?) {
      switch self {
      case .relu, .tanh, .sigmoid, .softsign, .softplus: (nil, nil)
      case .affine: (1, 0)
      case .leakyrelu: (0.01, nil)
      case .thresholdedrelu, .elu: (1, nil)
      case .scaledtanh: (1, 1)
      case .hardsigmoid: (0.2, 0.5)
      }
    }
  }
  private var function: Function
  private var alpha: Double
  private var beta: Double

  /// The activations of all directions. Given parameters go, in order, to the functions that have them.
  static func read(_ call: OperatorCall, usual: [String], directions: Int) throws(CompileError) -> [RecurrentActivation] {
    let names = try call.strings("activations") ?? (0..<directions).flatMap { _ in usual }
    guard names.count == usual.count * directions else {
      throw call.refusal("\(call.name) names \(names.count) activations for \(directions) directions of \(usual.count)")
    }
    var alphas = try call.numbers("activation_alpha") ?? [], betas = try call.numbers("activation_beta") ?? []
    var result: [RecurrentActivation] = []
    for name in names {
      guard let function = Function(rawValue: name.lowercased()) else { throw call.refusal("\(call.name) names the activation `\(printable(name))`") }
      var activation = RecurrentActivation(function: function, alpha: function.parameters.alpha ?? 0, beta: function.parameters.beta ?? 0)
      if function.parameters.alpha != nil, !alphas.isEmpty { activation.alpha = alphas.removeFirst() }
      if function.parameters.beta != nil, !betas.isEmpty { activation.beta = betas.removeFirst() }
      result.append(activation)
    }
    return result
  }

  func apply(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    switch function {
    case .relu: return try ActivationOperators.relu(x, &b)
    case .tanh: return try b.unary(.hyperbolicTangent, x)
    case .sigmoid: return try b.unary(.logistic, x)
    case .affine: return try b.binary(.add, b.binary(.multiply, x, alpha), beta)
    case .leakyrelu: return try b.select(b.compare(.less, x, 0), b.binary(.multiply, x, alpha), x)
    case .thresholdedrelu: return try b.select(b.compare(.greaterOrEqual, x, alpha), x, b.scalar(0, b.element(x)))
    case .scaledtanh: return try b.binary(.multiply, b.unary(.hyperbolicTangent, b.binary(.multiply, x, beta)), alpha)
    case .hardsigmoid: return try ActivationOperators.hardSigmoid(x, alpha: alpha, beta: beta, &b)
    case .elu: return try ActivationOperators.elu(x, alpha: alpha, &b)
    case .softsign: return try b.binary(.divide, x, b.binary(.add, b.unary(.absolute, x), 1))
    case .softplus: return try ActivationOperators.softplus(x, &b)
    }
  }
}
