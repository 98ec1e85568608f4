import GraphIR
import TensorTypes

/// Quantised operators of ONNX Runtime's own domain, which its quantiser and other exporters write.
///
/// Source: docs/ContribOperators.md of ONNX Runtime. All but the products compute on the numbers that the integers stand for, and
/// quantise the result.
enum MicrosoftOperators {
  static let table: [String: OperatorImporter] = [
    "com.microsoft::QLinearAdd": { call, b throws(CompileError) in [try pairwise(.add, call, &b)] },
    "com.microsoft::QLinearMul": { call, b throws(CompileError) in [try pairwise(.multiply, call, &b)] },
    "com.microsoft::QLinearSigmoid": { call, b throws(CompileError) in
      [try through(call, &b) { x, b throws(CompileError) in try b.unary(.logistic, x) }]
    },
    "com.microsoft::QLinearLeakyRelu": { call, b throws(CompileError) in
      let slope = try call.number("alpha", default: 0.01)
      return [
        try through(call, &b) { x, b throws(CompileError) in try b.select(b.compare(.less, x, 0), b.binary(.multiply, x, slope), x) }
      ]
    },
    "com.microsoft::QLinearSoftmax": { call, b throws(CompileError) in
      [
        try through(call, &b) { x, b throws(CompileError) in
          let axis = try call.axis(call.integer("axis", default: -1), rank: b.rank(x))
          let isFlat = try call.integer("opset", default: 13) < 13
          let axes = isFlat ? Array(axis..<b.rank(x)) : [axis]
          let powers = try b.unary(.exponential, b.binary(.subtract, x, b.reduce(.maximum, x, axes: axes, keepsAxes: true)))
          return try b.binary(.divide, powers, b.reduce(.sum, powers, axes: axes, keepsAxes: true))
        }
      ]
    },
    "com.microsoft::QLinearGlobalAveragePool": { call, b throws(CompileError) in
      [
        try pooled(call, &b) { x, b throws(CompileError) in
          guard b.rank(x) >= 3 else { throw b.refusal("\(call.name) needs at least one spatial axis", operands: [x]) }
          return try b.mean(x, axes: Array(2..<b.rank(x)), keepsAxes: true)
        }
      ]
    },
    "com.microsoft::QLinearAveragePool": { call, b throws(CompileError) in
      [try pooled(call, &b) { x, b throws(CompileError) in try PoolingOperators.average(call, x, &b) }]
    },
    "com.microsoft::QLinearConcat": concatenate,
    "com.microsoft::QGemm": gemm,
    "com.microsoft::MatMulIntegerToFloat": matMulToFloat,
    "com.microsoft::DynamicQuantizeMatMul": dynamicMatMul,
    "com.microsoft::MatMulNBits": PackedProducts.matMul,
  ]

  private static func scalar(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID { try b.reshape(x, to: []) }

  /// An operand that may be left out.
  private static func scalar(_ call: OperatorCall, at position: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID? {
    guard let value = call.optional(position) else { return nil }
    return try scalar(value, &b)
  }

  /// The numbers that an operand, its scale and its zero point stand for.
  private static func real(_ call: OperatorCall, at position: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let zero = try scalar(call, at: position + 2, &b)
    return try QuantizationOperators.dequantize(call.input(position), scalar(call.input(position + 1), &b), zero, .f32, axis: 0, &b)
  }

  /// The result quantised by the scale at a position and the zero point behind it.
  private static func quantized(_ x: ValueID, _ call: OperatorCall, scaleAt position: Int, _ element: ElementType, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let zero = try scalar(call, at: position + 1, &b)
    return try QuantizationOperators.quantize(x, scalar(call.input(position), &b), zero, zero.map { b.element($0) } ?? element, axis: 0, &b)
  }

  private static func pairwise(_ function: BinaryFunction, _ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let result = try b.binary(function, real(call, at: 0, &b), real(call, at: 3, &b))
    return try quantized(result, call, scaleAt: 6, b.element(call.input(0)), &b)
  }

  private static func through(
    _ call: OperatorCall, _ b: inout GraphBuilder, _ body: (ValueID, inout GraphBuilder) throws(CompileError) -> ValueID
  ) throws(CompileError) -> ValueID {
    try quantized(body(real(call, at: 0, &b), &b), call, scaleAt: 3, b.element(call.input(0)), &b)
  }

  /// Like `through`, with the channels first while `body` runs.
  private static func pooled(
    _ call: OperatorCall, _ b: inout GraphBuilder, _ body: (ValueID, inout GraphBuilder) throws(CompileError) -> ValueID
  ) throws(CompileError) -> ValueID {
    let isLast = try call.flag("channels_last")
    return try through(call, &b) { x, b throws(CompileError) in
      let rank = b.rank(x)
      guard isLast, rank >= 3 else { return try body(x, &b) }
      let inner = try body(b.transpose(x, [0, rank - 1] + Array(1..<rank - 1)), &b)
      return try b.transpose(inner, [0] + Array(2..<rank) + [1])
    }
  }

  private static func concatenate(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    guard call.inputs.count >= 5, call.inputs.count % 3 == 2 else { throw b.refusal("QLinearConcat takes a scale, a zero point and triples, not \(call.inputs.count) operands") }
    var parts: [ValueID] = []
    for position in stride(from: 2, to: call.inputs.count, by: 3) { parts.append(try real(call, at: position, &b)) }
    let axis = try call.axis(call.integer("axis"), rank: b.rank(parts[0]))
    return [try quantized(b.concatenate(parts, axis: axis), call, scaleAt: 0, b.element(call.input(2)), &b)]
  }

  /// (A - zero) (B - zero) + C in i32, scaled; quantised if a scale of the result is given.
  private static func gemm(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var x = try QuantizedOperators.centered(call.input(0), scalar(call, at: 2, &b), isRows: true, &b)
    var y = try b.convert(call.input(3), to: .i32)
    guard b.rank(x) == 2, b.rank(y) == 2 else { throw b.refusal("QGemm takes matrices", operands: [x, y]) }
    if try call.flag("transA") { x = try b.transpose(x, [1, 0]) }
    if try call.flag("transB") { y = try b.transpose(y, [1, 0]) }
    if let zero = call.optional(5) { y = try b.binary(.subtract, y, b.convert(zero, to: .i32)) }
    var sum = try MatrixOperators.product(x, y, &b)
    if let c = call.optional(6) { sum = try b.binary(.add, sum, b.broadcast(b.convert(c, to: .i32), to: b.shape(sum))) }
    let scale = try b.binary(.multiply, b.binary(.multiply, scalar(call.input(1), &b), call.input(4)), call.number("alpha", default: 1))
    guard let resultScale = call.optional(7) else { return [try b.binary(.multiply, b.convert(sum, to: .f32), scale)] }
    let zero = if let zero = try scalar(call, at: 8, &b) { zero } else { try b.scalar(0, b.element(call.input(0))) }
    return [try QuantizedOperators.requantized(sum, [scale, b.scalar(1, .f32), scalar(resultScale, &b)], zero, &b)]
  }

  /// Operands: A, B, scales of both, zero points of both, bias.
  private static func matMulToFloat(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try QuantizedOperators.centered(call.input(0), call.optional(4), isRows: true, &b)
    let y = try QuantizedOperators.centered(call.input(1), call.optional(5), isRows: false, &b)
    return [try scaled(MatrixOperators.product(x, y, &b), scalar(call.input(2), &b), call.input(3), call.optional(6), &b)]
  }

  /// Operands: A in f32, B, its scale and zero point, bias.
  private static func dynamicMatMul(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let parts = try QuantizationOperators.dynamicallyQuantized(call.input(0), &b)
    let x = try QuantizedOperators.centered(parts[0], parts[2], isRows: true, &b)
    let y = try QuantizedOperators.centered(call.input(1), call.optional(3), isRows: false, &b)
    return [try scaled(MatrixOperators.product(x, y, &b), parts[1], call.input(2), call.optional(4), &b)]
  }

  private static func scaled(_ sum: ValueID, _ first: ValueID, _ second: ValueID, _ bias: ValueID?, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let result = try b.binary(.multiply, b.convert(sum, to: b.element(second)), b.binary(.multiply, first, second))
    guard let bias else { return result }
    return try b.binary(.add, result, bias)
  }
}
