import GraphIR
import TensorTypes

/// Products and convolutions of quantised operands: integers less their zero points, summed in i32, and scaled anew.
enum QuantizedOperators {
  static let table: [String: OperatorImporter] = [
    "MatMulInteger": matMulInteger, "QLinearMatMul": quantizedMatMul, "QLinearConv": quantizedConvolution,
  ]

  /// An integer operand less its zero point, in i32. A vector of zero points belongs to rows or columns.
  static func centered(_ x: ValueID, _ zero: ValueID?, isRows: Bool, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let wide = try b.convert(x, to: .i32)
    guard let zero else { return wide }
    var shift = try b.convert(zero, to: .i32)
    if b.rank(shift) == 1 && isRows && b.shape(shift) != [1] { shift = try b.unsqueeze(shift, axis: 1) }
    return try b.binary(.subtract, wide, shift)
  }

  private static func matMulInteger(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try centered(call.input(0), call.optional(2), isRows: true, &b)
    let y = try centered(call.input(1), call.optional(3), isRows: false, &b)
    return [try MatrixOperators.product(x, y, &b)]
  }

  /// The integer result times (scale of a * scale of b / scale of y), rounded, plus the zero point of y.
  static func requantized(
    _ sum: ValueID, _ scales: [ValueID], _ zero: ValueID, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let wide: ElementType = .f32
    let factor = try b.binary(.divide, b.binary(.multiply, b.convert(scales[0], to: wide), b.convert(scales[1], to: wide)), b.convert(scales[2], to: wide))
    let element = b.element(zero)
    guard let range = element.integerRange, element != .bool else { throw b.refusal("a zero point of type \(element.name)") }
    let scaled = try b.unary(.round, b.binary(.multiply, b.convert(sum, to: wide), factor))
    let shifted = try b.binary(.add, scaled, b.convert(zero, to: wide))
    return try b.convert(b.binary(.minimum, b.binary(.maximum, shifted, Double(range.lowerBound)), Double(range.upperBound)), to: element)
  }

  private static func quantizedMatMul(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try centered(call.input(0), call.input(2), isRows: true, &b)
    let y = try centered(call.input(3), call.input(5), isRows: false, &b)
    let rowScale = try call.input(1)
    let rows = b.rank(rowScale) == 1 && b.shape(rowScale) != [1] ? try b.unsqueeze(rowScale, axis: 1) : rowScale
    return [try requantized(MatrixOperators.product(x, y, &b), [rows, call.input(4), call.input(6)], call.input(7), &b)]
  }

  private static func quantizedConvolution(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, filter) = (try call.input(0), try call.input(3))
    guard b.rank(x) >= 3, b.rank(filter) == b.rank(x) else { throw b.refusal("QLinearConv of operands of these ranks", operands: [x, filter]) }
    func perFilter(_ value: ValueID, axis: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      b.rank(value) == 1 && b.shape(value) != [1] ? try b.alignedVector(value, axis: axis, rank: b.rank(x)) : try b.reshape(value, to: [])
    }
    let input = try b.binary(.subtract, b.convert(x, to: .i32), b.convert(perFilter(call.input(2), axis: 1, &b), to: .i32))
    let weights = try b.binary(.subtract, b.convert(filter, to: .i32), b.convert(perFilter(call.input(5), axis: 0, &b), to: .i32))
    let groups = try call.integer("group", default: 1)
    guard groups >= 1, groups < 1 << 30 else { throw b.refusal("QLinearConv has \(groups) groups", operands: [x, filter]) }
    var sum = try ConvolutionOperators.convolve(call, input, weights, groups, &b)
    if let bias = call.optional(8) { sum = try b.binary(.add, sum, b.alignedVector(b.convert(bias, to: .i32), axis: 1, rank: b.rank(x))) }
    let scales = [try b.reshape(call.input(1), to: []), try perFilter(call.input(4), axis: 1, &b), try b.reshape(call.input(6), to: [])]
    return [try requantized(sum, scales, b.reshape(call.input(7), to: []), &b)]
  }
}
