import GraphIR
import TensorTypes

/// Quantisation, as composites of the arithmetic that it stands for.
enum QuantizationOperators {
  static let table: [String: OperatorImporter] = [
    "QuantizeLinear": quantizeLinear, "DequantizeLinear": dequantizeLinear, "DynamicQuantizeLinear": dynamicQuantizeLinear,
    // What exporters write where the standard's operators of the day lack 16 or 4 bits.
    "com.microsoft::QuantizeLinear": quantizeLinear, "com.microsoft::DequantizeLinear": dequantizeLinear,
  ]

  /// A scale or zero point as one that lines up with `x`: a scalar, a vector along `axis`, or one per block of `axis`.
  private static func aligned(
    _ parameter: ValueID, to x: ValueID, axis: Int, block: Int, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    if b.rank(parameter) == 0 || b.shape(parameter).elementCount == 1 { return try b.reshape(parameter, to: []) }
    if block == 0 {
      guard b.rank(parameter) == 1, axis < b.rank(x) else { throw b.refusal("scales of the shape \(b.shape(parameter)) along axis \(axis)", operands: [x, parameter]) }
      return try b.alignedVector(parameter, axis: axis, rank: b.rank(x))
    }
    // One for each block: repeat it over the block, and drop what the last block has too much.
    var shape = b.shape(parameter).extents
    guard shape.count == b.rank(x), axis < shape.count, block > 0 else { throw b.refusal("scales of the shape \(b.shape(parameter)) for blocks of \(block) along axis \(axis)", operands: [x, parameter]) }
    shape.insert(1, at: axis + 1)
    var full = shape
    full[axis + 1] = Extent(block)
    var merged = b.shape(parameter)
    merged[axis] = merged[axis] * Extent(block)
    let repeated = try b.reshape(b.broadcast(b.reshape(parameter, to: Shape(shape)), to: Shape(full)), to: merged)
    return try b.slice(repeated, axis: axis, start: 0, size: b.shape(x)[axis])
  }

  /// Refuses scales and zero points of which it cannot be said to which elements they belong.
  private static func check(_ parameter: ValueID, _ kind: String, for x: ValueID, axis: Int, block: Int, _ b: GraphBuilder) throws(CompileError) {
    let (own, whole) = (b.shape(parameter), b.shape(x))
    if own.rank == 0 || own.elementCount == 1 { return }
    func differ(_ a: Extent, _ b: Extent) -> Bool { a.constant != nil && b.constant != nil && a != b }
    if block == 0 {
      guard own.rank == 1, axis < whole.rank, !differ(own[0], whole[axis]) else {
        throw b.refusal("the \(kind), \(own), is neither one number nor one for each of \(axis < whole.rank ? "the \(whole[axis]) positions along axis \(axis)" : "its elements")", operands: [x, parameter])
      }
      return
    }
    guard own.rank == whole.rank, axis < own.rank else { throw b.refusal("the \(kind) of blocks along axis \(axis), \(own), has another number of axes than what it is for", operands: [x, parameter]) }
    for other in 0..<own.rank where other != axis && differ(own[other], whole[other]) {
      throw b.refusal("the \(kind) of blocks along axis \(axis), \(own), has another extent along axis \(other) than what it is for", operands: [x, parameter])
    }
    if differ(own[axis], whole[axis].ceilDivided(by: Extent(block))) {
      throw b.refusal("\(whole[axis]) positions along axis \(axis) are \(whole[axis].ceilDivided(by: Extent(block))) blocks of \(block), and the \(kind) is for \(own[axis])", operands: [x, parameter])
    }
  }

  private static func details(_ axis: Int, _ block: Int) -> Attributes {
    var details = Attributes()
    details.set("axis", .integer(axis))
    if block > 0 { details.set("block", .integer(block)) }
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
    if let zero { element = b.element(zero) }
    if named != 0 {
      let wanted = try TensorDecoder.element(named, of: "the result", origin: call.origin)
      guard zero == nil || wanted == element else {
        throw b.refusal("`output_dtype` of QuantizeLinear is \(wanted.name) but the zero point is \(element.name)", operands: [x, scale])
      }
      element = wanted
    }
    var precision: ElementType?
    if try call.integer("precision", default: 0) != 0 {
      let wanted = try call.element("precision")
      guard wanted == .f32 || wanted == .f16 || wanted == .bf16 || wanted == .f64 else { throw b.refusal("QuantizeLinear cannot divide in \(wanted.name)", operands: [x, scale]) }
      precision = wanted
    }
    return [
      try quantize(
        x, scale, zero, element, axis: axis(call, x, b), block: block(call, x, axis(call, x, b), b), saturates: call.flag("saturate", default: true), precision: precision, &b)
    ]
  }

  /// Positions along an axis that share a scale; 0 if it is no matter of blocks. A block is not longer than the axis.
  private static func block(_ call: OperatorCall, _ x: ValueID, _ axis: Int, _ b: GraphBuilder) throws(CompileError) -> Int {
    let block = try call.integer("block_size", default: 0)
    let most = axis < b.rank(x) ? b.shape(x)[axis].constant.map { max($0, 1) } : nil
    guard block >= 0, block < 1 << 30 || most != nil else { throw b.refusal("`block_size` of \(call.name) is \(block)") }
    return min(block, most ?? block)
  }

  /// The type that a number is divided by a scale in: that of the scale, where it is one to divide in.
  private static func divisionType(_ x: ElementType, _ scale: ElementType) -> ElementType {
    if scale.isFloatingPoint && scale.byteCount > 1 { return scale }
    return x == .f64 || (x.isInteger && scale.isInteger) ? .f64 : .f32
  }

  static func quantize(
    _ x: ValueID, _ scale: ValueID, _ zero: ValueID?, _ element: ElementType, axis: Int, block: Int = 0, saturates: Bool = true,
    precision: ElementType? = nil, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let range = element.integerRange
    guard element != .bool, range != nil || element.smallFloat != nil else { throw b.refusal("quantisation to \(element.name)", operands: [x]) }
    // Floating point has no use for a zero point, and adding one of 0 would lose the sign of -0.
    let isShifted = zero.map { value in range != nil || !(b.contents(value)?.elements.allSatisfy { $0.constant == 0 } ?? false) } ?? false
    try check(scale, "scale", for: x, axis: axis, block: block, b)
    if let zero { try check(zero, "zero point", for: x, axis: axis, block: block, b) }
    let operands = [x, scale] + (isShifted ? zero.map { [$0] } ?? [] : [])
    let results = try b.composite("quantize_linear", operands, details: details(axis, block)) { b, inputs throws(CompileError) in
      let division = precision ?? divisionType(b.element(inputs[0]), b.element(inputs[1]))
      let x = try b.convert(inputs[0], to: division)
      let scale = try aligned(b.convert(inputs[1], to: division), to: x, axis: axis, block: block, &b)
      var value = try b.binary(.divide, x, scale)
      if range != nil { value = try b.unary(.round, value) }
      // Integers of 16 bits and their sums are beyond f16.
      value = try b.convert(value, to: b.accumulator(division))
      if inputs.count > 2 { value = try b.binary(.add, value, aligned(b.convert(inputs[2], to: b.element(value)), to: x, axis: axis, block: block, &b)) }
      guard let range else { return [try CastOperators.convert(value, to: element, saturates: saturates, &b)] }
      value = try b.binary(.minimum, b.binary(.maximum, value, Double(range.lowerBound)), Double(range.upperBound))
      return [try b.convert(value, to: element)]
    }
    return results[0]
  }

  private static func dequantizeLinear(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, scale) = (try call.input(0), try call.input(1))
    let named = try call.integer("output_dtype", default: 0)
    let element = named == 0 ? b.element(scale) : try TensorDecoder.element(named, of: "the result", origin: call.origin)
    guard element.isFloatingPoint, element.byteCount > 1 else {
      throw b.refusal("DequantizeLinear to \(element.name)", operands: [x, scale], hint: "`output_dtype` names a type of floating point of 16 bits or more")
    }
    return [try dequantize(x, scale, call.optional(2), element, axis: axis(call, x, b), block: block(call, x, axis(call, x, b), b), &b)]
  }

  static func dequantize(
    _ x: ValueID, _ scale: ValueID, _ zero: ValueID?, _ element: ElementType, axis: Int, block: Int = 0, roundsInput: Bool = false, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    try check(scale, "scale", for: x, axis: axis, block: block, b)
    if let zero { try check(zero, "zero point", for: x, axis: axis, block: block, b) }
    var details = details(axis, block)
    // What a product that reads the value may do with its other operand.
    if roundsInput { details.set("activations", .word("int8")) }
    let results = try b.composite("dequantize_linear", [x, scale] + (zero.map { [$0] } ?? []), details: details) { b, inputs throws(CompileError) in
      // The difference of two integers of 16 bits is an i32 and exact in f32.
      let exact: ElementType = b.element(inputs[0]).isFloatingPoint ? .f32 : .i32
      var value = try b.convert(inputs[0], to: exact)
      if inputs.count > 2 { value = try b.binary(.subtract, value, aligned(b.convert(inputs[2], to: exact), to: value, axis: axis, block: block, &b)) }
      let wide: ElementType = element == .f64 || b.element(inputs[1]) == .f64 ? .f64 : .f32
      let scale = try aligned(b.convert(inputs[1], to: wide), to: value, axis: axis, block: block, &b)
      return [try b.convert(b.binary(.multiply, b.convert(value, to: wide), scale), to: element)]
    }
    return results[0]
  }

  /// Scale and zero point from the range of the data, which always contains 0.
  private static func dynamicQuantizeLinear(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    try dynamicallyQuantized(call.input(0), &b)
  }

  /// The data as u8, with its scale and zero point.
  static func dynamicallyQuantized(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let axes = Array(0..<b.rank(x))
    let low = try b.binary(.minimum, b.reduce(.minimum, x, axes: axes, keepsAxes: false), 0)
    let high = try b.binary(.maximum, b.reduce(.maximum, x, axes: axes, keepsAxes: false), 0)
    let scale = try b.binary(.divide, b.binary(.subtract, high, low), 255)
    // Data that is all zero has no range; any scale is right then.
    let safe = try b.select(b.compare(.equal, scale, 0), b.scalar(1, b.element(x)), scale)
    let shift = try b.unary(.round, b.binary(.divide, b.unary(.negate, low), safe))
    let zero = try b.convert(b.binary(.minimum, b.binary(.maximum, shift, 0), 255), to: .u8)
    return [try quantize(x, safe, zero, .u8, axis: 0, &b), safe, zero]
  }
}
