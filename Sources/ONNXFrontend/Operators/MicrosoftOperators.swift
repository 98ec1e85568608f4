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
    "com.microsoft::MatMulNBits": matMulPacked,
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

  /// A product with a matrix [N, K] whose rows are blocks of `block_size` integers of 2, 4 or 8 bits, packed low bits first.
  ///
  /// `accuracy_level` 4 lets the product round blocks of its input to 8 bits. A group index says which steps share a scale; they are brought together.
  private static func matMulPacked(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, packed, scales) = (try call.input(0), try call.input(1), try call.input(2))
    let (depth, columns, block) = (try call.integer("K"), try call.integer("N"), try call.integer("block_size"))
    let bits = try call.integer("bits", default: 4)
    guard [2, 4, 8].contains(bits), (1...1 << 30).contains(depth), (1...1 << 30).contains(columns), block >= 16, block <= 1 << 20, block.nonzeroBitCount == 1,
      b.element(packed) == .u8, b.rank(x) >= 1
    else { throw b.refusal("MatMulNBits of \(columns) columns of \(depth) in blocks of \(block), \(bits) bits each", operands: [x, packed]) }
    let level = try call.integer("accuracy_level", default: 0)
    guard (0...4).contains(level) else { throw b.refusal("MatMulNBits with `accuracy_level` \(level)", operands: [x, packed], hint: "it is 0 to 4") }
    let blocks = (depth + block - 1) / block
    var order: [Int]?
    if let groups = call.optional(4) {
      guard let known = b.graph.constant(groups), let found = stepsByGroup(known, depth: depth, block: block) else {
        throw b.unsupported("MatMulNBits with a group index that is computed, or puts other than \(block) steps in a group", hint: "quantise without reordering (act order)")
      }
      order = found == Array(0..<depth) ? nil : found
    }
    let element = b.element(x), wide = b.accumulator(element)
    guard let count = b.shape(packed).elementCount.constant, count == columns * blocks * (block * bits / 8) else {
      throw b.refusal("MatMulNBits needs \(columns) x \(blocks) blocks of \(block * bits / 8) bytes", operands: [packed])
    }
    let size = (columns, depth, block, bits)
    var left = try b.convert(x, to: wide)
    if let order { left = try b.add(Gather(axis: b.rank(x) - 1), left, b.constant(Tensor(order))) }
    let rows: ValueID
    if let narrow = try narrowRows(packed, scales, call.optional(3), wide, size, order, roundsInput: level == 4, &b) { rows = narrow } else if order == nil {
      rows = try computedRows(packed, scales, call.optional(3), wide, size, &b)
    } else {
      throw b.unsupported("MatMulNBits with a group index and weights that are computed, or of 2 bits", hint: "quantise without reordering (act order)")
    }
    var result = try MatrixOperators.product(left, b.transpose(rows, [1, 0]), &b)
    if let bias = call.optional(5) { result = try b.binary(.add, result, b.convert(bias, to: wide)) }
    return [try b.convert(result, to: element)]
  }

  /// The steps of the sum group by group; nil unless every group but the last has `block` of them.
  private static func stepsByGroup(_ groups: Tensor, depth: Int, block: Int) -> [Int]? {
    guard groups.element == .i32, groups.count >= depth else { return nil }
    let numbers = Array(groups.integers.prefix(depth))
    var members = [[Int]](repeating: [], count: (depth + block - 1) / block)
    for (step, group) in numbers.enumerated() {
      guard members.indices.contains(group), members[group].count < block else { return nil }
      members[group].append(step)
    }
    return members.dropLast().allSatisfy { $0.count == block } ? members.flatMap { $0 } : nil
  }

  /// Constants as a matrix [N, K] of u4 or u8 below a `dequantize_linear`, which kernels know; nil for those that are computed, or have other bits.
  private static func narrowRows(
    _ packed: ValueID, _ scales: ValueID, _ zero: ValueID?, _ wide: ElementType, _ size: (columns: Int, depth: Int, block: Int, bits: Int),
    _ order: [Int]?, roundsInput: Bool, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID? {
    let (columns, depth, block, bits) = size
    let blocks = (depth + block - 1) / block
    guard bits != 2, let bytes = b.graph.constant(packed), b.element(scales).isFloatingPoint, b.shape(scales).elementCount == Extent(columns * blocks) else { return nil }
    let element: ElementType = bits == 4 ? .u4 : .u8
    /// Rows of so many numbers, each starting at a byte.
    func unpacked(_ tensor: Tensor, _ count: Int) -> Tensor? {
      let stride = tensor.count / columns
      guard tensor.element == .u8, stride * columns == tensor.count, stride * (8 / bits) >= count else { return nil }
      return Tensor(element, [columns, count]) { target in
        tensor.withBytes { source in
          for row in 0..<columns {
            for place in 0..<count {
              target[row * count + place] = bits == 8 ? source[row * stride + place] : source[row * stride + place / 2] >> UInt8(place % 2 * 4) & 15
            }
          }
        }
      }
    }
    var shifts = Tensor(element, [columns, blocks]) { target in for position in 0..<target.count { target[position] = UInt8(1 << (bits - 1)) } }
    if let zero {
      guard let tensor = b.graph.constant(zero), let given = unpacked(tensor, blocks) else { return nil }
      shifts = given
    }
    guard var numbers = unpacked(bytes, depth) else { return nil }
    if let order {
      numbers = Tensor(element, [columns, depth]) { [numbers] target in
        numbers.withBytes { source in
          for row in 0..<columns { for (place, step) in order.enumerated() { target[row * depth + place] = source[row * depth + step] } }
        }
      }
    }
    let scale = try b.reshape(scales, to: [Extent(columns), Extent(blocks)])
    return try QuantizationOperators.dequantize(b.constant(numbers), scale, b.constant(shifts), wide, axis: 1, block: block, roundsInput: roundsInput, &b)
  }

  private static func computedRows(
    _ packed: ValueID, _ scales: ValueID, _ zero: ValueID?, _ wide: ElementType, _ size: (columns: Int, depth: Int, block: Int, bits: Int), _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let (columns, depth, block, bits) = size
    let blocks = (depth + block - 1) / block
    let shape: Shape = [Extent(columns), Extent(blocks), 1]
    var weights = try unpacked(b.reshape(packed, to: [Extent(columns), Extent(blocks), Extent(block * bits / 8)]), bits: bits, &b)
    weights = try b.convert(weights, to: wide)
    if let zero {
      var shift = zero
      if b.element(zero) == .u8 {
        let bytes = (blocks * bits + 7) / 8
        shift = try b.slice(unpacked(b.reshape(zero, to: [Extent(columns), Extent(bytes)]), bits: bits, &b), axis: 1, start: 0, size: Extent(blocks))
      }
      weights = try b.binary(.subtract, weights, b.reshape(b.convert(shift, to: wide), to: shape))
    } else {
      weights = try b.binary(.subtract, weights, Double(1 << (bits - 1)))
    }
    weights = try b.binary(.multiply, weights, b.reshape(b.convert(scales, to: wide), to: shape))
    return try b.slice(b.reshape(weights, to: [Extent(columns), Extent(blocks * block)]), axis: 1, start: 0, size: Extent(depth))
  }

  /// The integers of packed bytes along the last axis, as u8.
  private static func unpacked(_ bytes: ValueID, bits: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    if bits == 8 { return bytes }
    let axis = b.rank(bytes)
    var parts: [ValueID] = []
    for place in 0..<8 / bits {
      let shifted = place == 0 ? bytes : try b.binary(.shiftRight, bytes, Double(place * bits))
      parts.append(try b.unsqueeze(b.binary(.and, shifted, Double(1 << bits - 1)), axis: axis))
    }
    var shape = b.shape(bytes)
    shape[axis - 1] = shape[axis - 1] * Extent(8 / bits)
    return try b.reshape(b.concatenate(parts, axis: axis), to: shape)
  }
}
