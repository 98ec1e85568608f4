import GraphIR
import TensorTypes

/// Products with matrices of 2, 4 or 8 bits: `MatMulNBits` of ONNX Runtime's own domain.
///
/// Source: docs/ContribOperators.md of ONNX Runtime.
enum PackedProducts {
  /// A product with a matrix [N, K] whose rows are blocks of `block_size` integers of 2, 4 or 8 bits, packed low bits first.
  ///
  /// `accuracy_level` 4 lets the product round blocks of its input to 8 bits. A group index says which steps share a scale; they are brought together.
  static func matMul(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
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
    let rows: NarrowRows
    if let narrow = try narrowRows(packed, scales, call.optional(3), wide, size, order, roundsInput: level == 4, &b) { rows = narrow } else if order == nil {
      rows = NarrowRows(matrix: try computedRows(packed, scales, call.optional(3), wide, size, &b))
    } else {
      throw b.unsupported("MatMulNBits with a group index and weights that are computed", hint: "quantise without reordering (act order)")
    }
    var result = try MatrixOperators.product(left, b.transpose(rows.matrix, [1, 0]), &b)
    if let shifts = rows.shifts {
      let groups = try b.reshape(left, to: Shape(b.shape(left).extents.dropLast() + [Extent(blocks), Extent(block)]))
      let sums = try b.reduce(.sum, groups, axes: [b.rank(groups) - 1], keepsAxes: false)
      result = try b.binary(.subtract, result, MatrixOperators.product(sums, b.transpose(shifts, [1, 0]), &b))
    }
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

  private struct NarrowRows {
    /// [N, K]
    var matrix: ValueID
    /// [N, groups]: what each element of a group is too large by, where zero points are no whole numbers.
    var shifts: ValueID?
  }

  /// Constants as a matrix [N, K] of u4 or u8 below a `dequantize_linear`, which kernels know; nil for those that are computed.
  private static func narrowRows(
    _ packed: ValueID, _ scales: ValueID, _ zero: ValueID?, _ wide: ElementType, _ size: (columns: Int, depth: Int, block: Int, bits: Int),
    _ order: [Int]?, roundsInput: Bool, _ b: inout GraphBuilder
  ) throws(CompileError) -> NarrowRows? {
    let (columns, depth, block, bits) = size
    let blocks = (depth + block - 1) / block
    guard let bytes = b.graph.constant(packed), b.element(scales).isFloatingPoint, b.shape(scales).elementCount == Extent(columns * blocks) else { return nil }
    let element: ElementType = bits == 8 ? .u8 : .u4
    let perByte = 8 / bits
    /// Rows of so many numbers, each starting at a byte.
    func unpacked(_ tensor: Tensor, _ count: Int) -> Tensor? {
      let stride = tensor.count / columns
      guard tensor.element == .u8, stride * columns == tensor.count, stride * perByte >= count else { return nil }
      return Tensor(element, [columns, count]) { target in
        tensor.withBytes { source in
          for row in 0..<columns {
            for place in 0..<count {
              target[row * count + place] = source[row * stride + place / perByte] >> UInt8(place % perByte * bits) & UInt8(1 << bits - 1)
            }
          }
        }
      }
    }
    var shifts = Tensor(element, [columns, blocks]) { target in for position in 0..<target.count { target[position] = UInt8(1 << (bits - 1)) } }
    var rest: Tensor?
    if let zero, b.element(zero).isFloatingPoint {
      // Kernels subtract whole numbers.
      guard let tensor = b.graph.constant(zero), tensor.count == columns * blocks, depth % block == 0 else { return nil }
      let values = tensor.doubles
      let whole = values.map { $0.isFinite ? min(max($0.rounded(), 0), bits == 8 ? 255 : 15) : 0 }
      shifts = Tensor(element, [columns, blocks]) { target in for (position, number) in whole.enumerated() { target[position] = UInt8(number) } }
      if whole != values { rest = Tensor(.f32, [columns, blocks], zip(values, whole).map { $0 - $1 }) }
    } else if let zero {
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
    let matrix = try QuantizationOperators.dequantize(b.constant(numbers), scale, b.constant(shifts), wide, axis: 1, block: block, roundsInput: roundsInput, &b)
    guard let rest else { return NarrowRows(matrix: matrix) }
    return NarrowRows(matrix: matrix, shifts: try b.binary(.multiply, b.convert(b.constant(rest), to: wide), b.convert(scale, to: wide)))
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
