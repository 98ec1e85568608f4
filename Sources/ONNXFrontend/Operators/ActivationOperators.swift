import GraphIR
import TensorTypes

/// Activation functions, as the arithmetic that they stand for.
enum ActivationOperators {
  static let table: [String: OperatorImporter] = [
    "Relu": { call, b throws(CompileError) in [try relu(call.input(0), &b)] },
    "LeakyRelu": { call, b throws(CompileError) in
      let x = try call.input(0)
      let slope = try call.number("alpha", default: 0.01)
      return [try b.select(b.compare(.less, x, 0), b.binary(.multiply, x, slope), x)]
    },
    "PRelu": parametricRelu,
    "Elu": { call, b throws(CompileError) in [try elu(call.input(0), alpha: call.number("alpha", default: 1), &b)] },
    "Selu": { call, b throws(CompileError) in
      let alpha = try call.number("alpha", default: 1.67326319217681884765625)
      return [try b.binary(.multiply, elu(call.input(0), alpha: alpha, &b), call.number("gamma", default: 1.05070102214813232421875))]
    },
    "Celu": { call, b throws(CompileError) in
      let x = try call.input(0)
      let alpha = try call.number("alpha", default: 1)
      let low = try b.binary(.multiply, b.binary(.subtract, b.unary(.exponential, b.binary(.divide, x, alpha)), 1), alpha)
      return [try b.binary(.add, relu(x, &b), b.binary(.minimum, low, 0))]
    },
    "ThresholdedRelu": { call, b throws(CompileError) in
      let x = try call.input(0)
      return [try b.select(b.compare(.greater, x, call.number("alpha", default: 1)), x, b.scalar(0, b.element(x)))]
    },
    "Shrink": shrink,
    "HardSigmoid": { call, b throws(CompileError) in
      [try hardSigmoid(call.input(0), alpha: call.number("alpha", default: 0.2), beta: call.number("beta", default: 0.5), &b)]
    },
    "HardSwish": { call, b throws(CompileError) in
      let x = try call.input(0)
      return [try b.binary(.multiply, x, hardSigmoid(x, alpha: 1.0 / 6, beta: 0.5, &b))]
    },
    "Swish": { call, b throws(CompileError) in
      let x = try call.input(0)
      let alpha = try call.number("alpha", default: 1)
      return [try b.binary(.multiply, x, b.unary(.logistic, alpha == 1 ? x : b.binary(.multiply, x, alpha)))]
    },
    "SwiGLU": { call, b throws(CompileError) in
      let x = try call.input(0)
      let alpha = try call.number("alpha", default: 1)
      let gate = try b.binary(.multiply, x, b.unary(.logistic, alpha == 1 ? x : b.binary(.multiply, x, alpha)))
      return [try b.binary(.multiply, gate, call.input(1))]
    },
    "Softplus": { call, b throws(CompileError) in [try softplus(call.input(0), &b)] },
    "Softsign": { call, b throws(CompileError) in
      let x = try call.input(0)
      return [try b.binary(.divide, x, b.binary(.add, b.unary(.absolute, x), 1))]
    },
    "Mish": { call, b throws(CompileError) in
      // x * tanh(log(1 + e^x)) without the logarithm: with e = e^x it is x * (e^2 + 2e) / (e^2 + 2e + 2).
      let x = try call.input(0)
      let e = try b.unary(.exponential, b.binary(.minimum, x, 20))
      let numerator = try b.binary(.multiply, e, b.binary(.add, e, 2))
      return [try b.binary(.multiply, x, b.binary(.divide, numerator, b.binary(.add, numerator, 2)))]
    },
    "Gelu": gelu,
    "Clip": clip,
  ]

  static func relu(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID { try b.binary(.maximum, x, 0) }

  static func elu(_ x: ValueID, alpha: Double, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let below = try b.binary(.subtract, b.unary(.exponential, b.binary(.minimum, x, 0)), 1)
    return try b.select(b.compare(.less, x, 0), alpha == 1 ? below : b.binary(.multiply, below, alpha), x)
  }

  static func hardSigmoid(_ x: ValueID, alpha: Double, beta: Double, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let line = try b.binary(.add, b.binary(.multiply, x, alpha), beta)
    return try b.binary(.minimum, b.binary(.maximum, line, 0), 1)
  }

  /// log(1 + e^x) as max(x, 0) + log1p(e^-|x|), which neither overflows nor loses small results.
  static func softplus(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let e = try b.unary(.exponential, b.unary(.negate, b.unary(.absolute, x)))
    // log1p(e) = log(u) * e / (u - 1) with u = 1 + e as rounded (Kahan); e itself where u is 1.
    let u = try b.binary(.add, e, 1)
    let corrected = try b.binary(.divide, b.binary(.multiply, b.unary(.logarithm, u), e), b.binary(.subtract, u, 1))
    return try b.binary(.add, relu(x, &b), b.select(b.compare(.equal, u, 1), e, corrected))
  }

  private static func parametricRelu(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    var slope = try call.input(1)
    if call.opset < 7, b.rank(slope) == 1, b.rank(x) > 2 { slope = try b.alignedVector(slope, axis: 1, rank: b.rank(x)) }
    return [try b.select(b.compare(.less, x, 0), b.binary(.multiply, x, slope), x)]
  }

  private static func shrink(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let (lambda, bias) = (try call.number("lambd", default: 0.5), try call.number("bias", default: 0))
    let high = try b.select(b.compare(.greater, x, lambda), b.binary(.subtract, x, bias), b.scalar(0, b.element(x)))
    return [try b.select(b.compare(.less, x, -lambda), b.binary(.add, x, bias), high)]
  }

  private static func gelu(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    enum Approximation: String, CaseIterable { case none, tanh }
    return try gelu(try call.input(0), isTanh: try call.word("approximate", default: Approximation.none) == .tanh, &b)
  }

  static func gelu(_ x: ValueID, isTanh: Bool, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var details = Attributes()
    details.set("approximate", .word(isTanh ? "tanh" : "none"))
    return try b.composite("gelu", [x], details: details) { b, inputs throws(CompileError) in
      let x = inputs[0]
      let half = try b.binary(.multiply, x, 0.5)
      if isTanh {
        let cube = try b.binary(.multiply, b.binary(.multiply, x, x), x)
        let inner = try b.binary(.multiply, b.binary(.add, x, b.binary(.multiply, cube, 0.044715)), 0.7978845608028654)
        return [try b.binary(.multiply, half, b.binary(.add, b.unary(.hyperbolicTangent, inner), 1))]
      }
      let error = try b.unary(.errorFunction, b.binary(.multiply, x, 0.7071067811865476))
      return [try b.binary(.multiply, half, b.binary(.add, error, 1))]
    }
  }

  /// min(max(x, low), high); bounds are attributes before opset 11, operands since.
  private static func clip(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var x = try call.input(0)
    if call.opset < 11 {
      if call.has("min") { x = try b.binary(.maximum, x, call.number("min")) }
      if call.has("max") { x = try b.binary(.minimum, x, call.number("max")) }
      return [x]
    }
    for (position, function) in [(1, BinaryFunction.maximum), (2, .minimum)] {
      guard let bound = call.optional(position) else { continue }
      let scalar = try b.reshape(bound, to: [])
      x = try ElementwiseOperators.binary(function, x, scalar, &b)
    }
    return [x]
  }
}
