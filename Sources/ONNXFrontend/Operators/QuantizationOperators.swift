import GraphIR
import TensorTypes

/// Quantisation, as composites of the arithmetic that it stands for.
enum QuantizationOperators {
  static let table: [String: OperatorImporter] = [
    "QuantizeLinear": quantizeLinear, "DequantizeLinear": dequantizeLinear, "DynamicQuantizeLinear": dynamicQuantizeLinear,
    "MatMulInteger": matMulInteger, "QLinearMatMul": quantizedMatMul, "QLinearConv": quantizedConvolution,
  ]

  /// A scale or zero point as one that lines up with `x`: a scalar, a vector along `axis`, or one per block of `axis`.
  private static func aligned(
    _ parameter: ValueID, to x: ValueID, axis: Int, block: Int, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    if b.rank(parameter) == 0 || b.shape(parameter).elementCount == 1 { return try b.reshape(parameter, to: []) }
    if block == 0 {
      guard b.rank(parameter) == 1, axis < b.rank(x) else { throw b.refusal("a scale of this shape", operands: [x, parameter]) }
      return try b.alignedVector(parameter, axis: axis, rank: b.rank(x))
    }
    // One for each block: repeat it over the block, and drop what the last block has too much.
    var shape = b.shape(parameter).extents
    guard shape.count == b.rank(x), axis < shape.count, block > 0 else { throw b.refusal("scales of this shape", operands: [x, parameter]) }
    shape.insert(1, at: axis + 1)
    var full = shape
    full[axis + 1] = Extent(block)
    var merged = b.shape(parameter)
    merged[axis] = merged[axis] * Extent(block)
    let repeated = try b.reshape(b.broadcast(b.reshape(parameter, to: Shape(shape)), to: Shape(full)), to: merged)
    return try b.slice(repeated, axis: axis, start: 0, size: b.shape(x)[axis])
  }

  private static func details(_ axis: Int) -> Attributes {
    var details = Attributes()
    details.set("axis", .integer(axis))
    return details
  }

  private static func axis(_ call: OperatorCall, _ x: ValueID, _ b: GraphBuilder) throws(CompileError) -> Int {
    let given = try call.integer("axis", default: 1)
    // The default axis of a vector or scalar is not used, so it need not be there.
    return b.rank(x) <= 1 && !call.has("axis") ? 0 : b.rank(x) == 0 ? 0 : try call.axis(given, rank: b.rank(x))
  }

  private static func quantizeLinear(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, scale) = (try call.input(0), try call.input(1))
    let zero = call.optional(2)
    let named = try call.integer("output_dtype", default: 0)
    var element = ElementType.u8
    if let zero { element = b.element(zero) } else if named != 0 { element = try TensorDecoder.element(named, of: "the result", origin: call.origin) }
    return [try quantize(x, scale, zero, element, axis: axis(call, x, b), block: call.integer("block_size", default: 0), &b)]
  }

  static func quantize(
    _ x: ValueID, _ scale: ValueID, _ zero: ValueID?, _ element: ElementType, axis: Int, block: Int = 0, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    guard let range = element.integerRange, element != .bool else { throw b.refusal("quantisation to \(element.name)", operands: [x]) }
    let results = try b.composite("quantize_linear", [x, scale] + (zero.map { [$0] } ?? []), details: details(axis)) { b, inputs throws(CompileError) in
      // Integers are quantised in f32, and so are the 16-bit types.
      let wide: ElementType = b.element(inputs[0]) == .f64 ? .f64 : .f32
      let x = try b.convert(inputs[0], to: wide)
      let scale = try aligned(b.convert(inputs[1], to: wide), to: x, axis: axis, block: block, &b)
      var value = try b.unary(.round, b.binary(.divide, x, scale))
      if inputs.count > 2 { value = try b.binary(.add, value, aligned(b.convert(inputs[2], to: wide), to: x, axis: axis, block: block, &b)) }
      value = try b.binary(.minimum, b.binary(.maximum, value, Double(range.lowerBound)), Double(range.upperBound))
      return [try b.convert(value, to: element)]
    }
    return results[0]
  }

  private static func dequantizeLinear(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, scale) = (try call.input(0), try call.input(1))
    let named = try call.integer("output_dtype", default: 0)
    let element = named == 0 ? b.element(scale) : try TensorDecoder.element(named, of: "the result", origin: call.origin)
    return [try dequantize(x, scale, call.optional(2), element, axis: axis(call, x, b), block: call.integer("block_size", default: 0), &b)]
  }

  static func dequantize(
    _ x: ValueID, _ scale: ValueID, _ zero: ValueID?, _ element: ElementType, axis: Int, block: Int = 0, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let results = try b.composite("dequantize_linear", [x, scale] + (zero.map { [$0] } ?? []), details: details(axis)) { b, inputs throws(CompileError) in
      var value = try b.convert(inputs[0], to: .i32)
      if inputs.count > 2 { value = try b.binary(.subtract, value, aligned(b.convert(inputs[2], to: .i32), to: value, axis: axis, block: block, &b)) }
      let wide = b.accumulator(b.element(inputs[1]))
      let scale = try aligned(b.convert(inputs[1], to: wide), to: value, axis: axis, block: block, &b)
      return [try b.convert(b.binary(.multiply, b.convert(value, to: wide), scale), to: element)]
    }
    return results[0]
  }

  /// Scale and zero point from the range of the data, which always contains 0.
  private static func dynamicQuantizeLinear(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axes = Array(0..<b.rank(x))
    let low = try b.binary(.minimum, b.reduce(.minimum, x, axes: axes, keepsAxes: false), 0)
    let high = try b.binary(.maximum, b.reduce(.maximum, x, axes: axes, keepsAxes: false), 0)
    let scale = try b.binary(.divide, b.binary(.subtract, high, low), 255)
    // Data that is all zero has no range; any scale is right then.
    let safe = try b.select(b.compare(.equal, scale, 0), b.scalar(1, b.element(x)), scale)
    let shift = try b.unary(.round, b.binary(.divide, b.unary(.negate, low), safe))
    let zero = try b.convert(b.binary(.minimum, b.binary(.maximum, shift, 0), 255), to: .u8)
    return [try quantize(x, safe, zero, .u8, axis: 0, &b), scale, zero]
  }

  /// An integer operand less its zero point, in i32. A vector of zero points belongs to rows or columns.
  private static func centered(_ x: ValueID, _ zero: ValueID?, isRows: Bool, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
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
  private static func requantized(
    _ sum: ValueID, _ scales: [ValueID], _ zero: ValueID, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let wide: ElementType = .f32
    let factor = try b.binary(.divide, b.binary(.multiply, b.convert(scales[0], to: wide), b.convert(scales[1], to: wide)), b.convert(scales[2], to: wide))
    let element = b.element(zero)
    guard let range = element.integerRange else { throw b.refusal("a zero point of type \(element.name)") }
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
