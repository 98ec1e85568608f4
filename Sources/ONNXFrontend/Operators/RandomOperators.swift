import GraphIR
import TensorTypes

/// Random numbers from the core operation `random`, whose bits depend on nothing but the model.
///
/// An operator with the attribute `seed` draws from that seed alone: two operators with one seed and one shape give the same
/// numbers. Without it the seed is fixed, and the operator's name tells its numbers from those of others. So every run of a
/// compiled model gives the same numbers, on every machine.
enum RandomOperators {
  static let table: [String: OperatorImporter] = [
    "RandomUniform": { call, b throws(CompileError) in [try uniform(call, givenShape(call, b), givenElement(call, b), &b)] },
    "RandomUniformLike": { call, b throws(CompileError) in
      let x = try call.input(0)
      return [try uniform(call, b.shape(x), likeElement(call, x, b), &b)]
    },
    "RandomNormal": { call, b throws(CompileError) in [try normal(call, givenShape(call, b), givenElement(call, b), &b)] },
    "RandomNormalLike": { call, b throws(CompileError) in
      let x = try call.input(0)
      return [try normal(call, b.shape(x), likeElement(call, x, b), &b)]
    },
    "Bernoulli": bernoulli,
    "Multinomial": multinomial,
    "Dropout": dropout,
  ]

  // MARK: Attributes

  private static func givenShape(_ call: OperatorCall, _ b: GraphBuilder) throws(CompileError) -> Shape {
    guard let shape = try call.integers("shape"), shape.allSatisfy({ $0 >= 0 }), shape.count <= b.limits.rank else {
      throw call.refusal("\(call.name) needs a `shape` without negative extents")
    }
    return Shape(shape)
  }

  private static func givenElement(_ call: OperatorCall, _ b: GraphBuilder) throws(CompileError) -> ElementType {
    try floating(call.element("dtype", default: .f32), call)
  }

  private static func likeElement(_ call: OperatorCall, _ x: ValueID, _ b: GraphBuilder) throws(CompileError) -> ElementType {
    try floating(call.element("dtype", default: b.element(x)), call)
  }

  private static func floating(_ element: ElementType, _ call: OperatorCall) throws(CompileError) -> ElementType {
    guard [.f32, .f64, .f16, .bf16].contains(element) else { throw call.refusal("\(call.name) gives floating point, not \(element.name)") }
    return element
  }

  // MARK: Distributions

  /// The seed of operators that name none: "ingot" in ASCII.
  private static let fixedSeed = 0x69_6e67_6f74

  /// Bits for one operator. `draw` tells several of them apart.
  private static func bits(_ call: OperatorCall, _ shape: Shape, draw: Int = 0, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    switch call.attributes["seed"] {
    case .integer(let seed): return try b.add(RandomBits(shape, seed: seed, stream: draw))
    case .float(let seed):
      let isWhole = seed == seed.rounded() && seed.magnitude < 0x1p53
      return try b.add(RandomBits(shape, seed: isWhole ? Int(seed) : Int(seed.bitPattern), stream: draw))
    default:
      // FNV-1a over the node's name, which the whole path of calls is part of.
      var hash: UInt32 = 0x811C_9DC5
      for byte in (call.origin.node + "\n" + (call.outputs.first ?? "")).utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
      return try b.add(RandomBits(shape, seed: fixedSeed, stream: Int(hash & 0x3fff_ffff) << 2 | draw))
    }
  }

  /// Numbers from 0 up to but not including 1, all multiples of the spacing below 1 of the element type; f32 for the 16-bit types.
  private static func unit(_ bits: ValueID, _ element: ElementType, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    if element == .f64 {
      let whole = try b.convert(b.convert(b.binary(.shiftRight, bits, 11), to: .i64), to: .f64)
      return try b.binary(.multiply, whole, 0x1p-53)
    }
    let digits = element == .f16 ? 11 : element == .bf16 ? 8 : 24
    let word = try b.convert(b.binary(.shiftRight, bits, 32), to: .u32)
    let whole = try b.convert(b.convert(b.binary(.shiftRight, word, Double(32 - digits)), to: .i32), to: .f32)
    return try b.binary(.multiply, whole, 1 / Double(1 << digits))
  }

  private static func uniform(_ call: OperatorCall, _ shape: Shape, _ element: ElementType, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let (low, high) = (try call.number("low", default: 0), try call.number("high", default: 1))
    var x = try unit(bits(call, shape, &b), element, &b)
    if high - low != 1 { x = try b.binary(.multiply, x, high - low) }
    if low != 0 { x = try b.binary(.add, x, low) }
    return try b.convert(x, to: element)
  }

  private static func normal(_ call: OperatorCall, _ shape: Shape, _ element: ElementType, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var x = try standardNormal(call, shape, element, &b)
    let (mean, scale) = (try call.number("mean", default: 0), try call.number("scale", default: 1))
    if scale != 1 { x = try b.binary(.multiply, x, scale) }
    if mean != 0 { x = try b.binary(.add, x, mean) }
    return try b.convert(x, to: element)
  }

  /// sqrt(-2 ln u) cos(2 pi v) for u in (0, 1] and v in [0, 1).
  ///
  /// - Source: Box and Muller, "A note on the generation of random normal deviates", 1958.
  private static func standardNormal(
    _ call: OperatorCall, _ shape: Shape, _ element: ElementType, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let words = try bits(call, shape, &b)
    let u: ValueID, v: ValueID
    if element == .f64 {
      u = try b.binary(.add, unit(words, .f64, &b), 0x1p-54)
      v = try unit(bits(call, shape, draw: 1, &b), .f64, &b)
    } else {
      // The low word, in the middle of its cell, so that its logarithm is finite.
      let low = try b.convert(b.convert(words, to: .u32), to: .f32)
      u = try b.binary(.minimum, b.binary(.add, b.binary(.multiply, low, 0x1p-32), 0x1p-33), 1)
      v = try unit(words, .f32, &b)
    }
    let radius = try b.unary(.squareRoot, b.binary(.multiply, b.unary(.logarithm, u), -2))
    return try b.binary(.multiply, radius, b.unary(.cosine, b.binary(.multiply, v, 2 * Double.pi)))
  }

  /// 1 with the probability that the operand says.
  private static func bernoulli(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    guard b.element(x).isFloatingPoint else { throw b.refusal("Bernoulli takes probabilities", operands: [x]) }
    let wide = b.accumulator(b.element(x))
    let numbers = try unit(bits(call, b.shape(x), &b), wide, &b)
    let isDrawn = try b.compare(.less, numbers, b.convert(x, to: wide))
    return [try b.convert(isDrawn, to: call.element("dtype", default: b.element(x)))]
  }

  /// Classes drawn by their unnormalised log-probabilities [batch, classes]: how many running sums lie at or below a random
  /// part of the whole.
  private static func multinomial(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let samples = try call.integer("sample_size", default: 1)
    guard b.rank(x) == 2, samples >= 1, b.element(x).isFloatingPoint else { throw b.refusal("Multinomial of \(samples) samples", operands: [x]) }
    let element = try call.element("dtype", default: .i32)
    guard element == .i32 || element == .i64 else { throw b.refusal("Multinomial gives int32 or int64, not \(element.name)", operands: [x]) }
    let (batch, classes) = (b.shape(x)[0], b.shape(x)[1])
    let wide = b.accumulator(b.element(x))
    let scores = try b.convert(x, to: wide)
    let weights = try b.unary(.exponential, b.binary(.subtract, scores, b.reduce(.maximum, scores, axes: [1], keepsAxes: true)))
    let sums = try b.add(Cumulative(.sum, axis: 1), weights)
    let total = try b.slice(sums, axis: 1, start: classes - 1, size: 1)
    let level = try b.binary(.multiply, unit(bits(call, [batch, Extent(samples)], &b), wide, &b), total)
    let isBelow = try b.compare(.lessOrEqual, b.unsqueeze(sums, axis: 1), b.unsqueeze(level, axis: 2))
    let count = try b.reduce(.sum, b.convert(isBelow, to: element), axes: [2], keepsAxes: false)
    return [try b.binary(.minimum, count, b.materialize(scalar: classes - 1, element))]
  }

  // MARK: Dropout

  /// The identity at inference; the mask is all true.
  private static func dropout(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    guard call.opset >= 12, let training = call.optional(2), b.contents(training)?.elements.first?.integer != 0 else {
      guard call.wantsOutput(1) else { return [x] }
      return [x, try b.broadcast(b.scalar(1, call.opset < 10 ? b.element(x) : .bool), to: b.shape(x))]
    }
    guard b.element(training) == .bool else { throw b.refusal("the training mode of Dropout must be bool", operands: [training]) }
    let element = b.element(x)
    let wide = b.accumulator(element)
    // Without training nothing is dropped.
    let given: ValueID
    if let value = call.optional(1) { given = try b.reshape(b.convert(value, to: wide), to: []) } else { given = try b.scalar(0.5, wide) }
    let ratio = try b.select(b.reshape(training, to: []), given, b.scalar(0, wide))
    let isKept = try b.compare(.greaterOrEqual, unit(bits(call, b.shape(x), &b), wide, &b), ratio)
    let scaled = try b.binary(.divide, b.convert(x, to: wide), b.binary(.subtract, b.scalar(1, wide), ratio))
    return [try b.convert(b.select(isKept, scaled, b.scalar(0, wide)), to: element), isKept]
  }
}
