import GraphIR
import TensorTypes

/// Attention and rotary embedding.
enum AttentionOperators {
  static let table: [String: OperatorImporter] = ["Attention": attention, "RotaryEmbedding": rotaryEmbedding]

  // MARK: Attention

  /// [batch, length, heads * size] as [batch, heads, length, size].
  private static func heads(_ x: ValueID, _ attribute: String, _ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    if b.rank(x) == 4 { return x }
    let count = try call.integer(attribute)
    let shape = b.shape(x)
    guard shape.rank == 3, count >= 1, (shape[2].constant ?? 0) % count == 0 else { throw b.refusal("Attention with \(count) heads", operands: [x]) }
    let size = shape[2].floorDivided(by: Extent(count))
    return try b.transpose(b.reshape(x, to: [shape[0], shape[1], Extent(count), size]), [0, 2, 1, 3])
  }

  /// What the attributes and the presence of operands ask for.
  private struct Options {
    var scale: Double
    var isCausal: Bool
    /// How far a query looks back and ahead; negative for no bound.
    var leftWindow: Int
    var rightWindow: Int
    var softcap: Double
    var precision: ElementType?
    var past: Extent
    /// The fourth result. 0 and 1: scores with the soft cap; 2: with the mask; 3: after softmax.
    var scoreMode: Int
    var wantsScores: Bool
    var hasMask: Bool
    var hasLengths: Bool

    var hasWindow: Bool { leftWindow >= 0 || rightWindow >= 0 }
  }

  private static func attention(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let isFlat = b.rank(try call.input(0)) == 3
    let query = try heads(call.input(0), "q_num_heads", call, &b)
    var (key, value) = (try heads(call.input(1), "kv_num_heads", call, &b), try heads(call.input(2), "kv_num_heads", call, &b))
    guard [query, key, value].allSatisfy({ b.rank($0) == 4 }), let size = b.shape(query)[3].constant, size > 0 else {
      throw b.refusal("Attention of operands of these shapes", operands: [query, key, value])
    }
    var past = Extent(0)
    if let pastKey = call.optional(4), let pastValue = call.optional(5) {
      guard b.rank(pastKey) == 4, b.rank(pastValue) == 4 else { throw b.refusal("past keys and values have four axes", operands: [pastKey, pastValue]) }
      past = b.shape(pastKey)[2]
      key = try b.concatenate([pastKey, key], axis: 2)
      value = try b.concatenate([pastValue, value], axis: 2)
    }
    var operands = [query, key, value]
    let total = b.shape(key)[2]
    if var mask = call.optional(3) {
      guard b.rank(mask) >= 1, b.rank(mask) <= 4 else { throw b.refusal("a mask of this rank", operands: [mask]) }
      let length = b.shape(mask)[b.rank(mask) - 1]
      if length != 1, let missing = (total - length).constant, missing > 0 {
        var high = [Extent](repeating: 0, count: b.rank(mask))
        high[high.count - 1] = Extent(missing)
        mask = try b.pad(mask, low: high.map { _ in 0 }, high: high, value: b.element(mask) == .bool ? 0 : -.infinity)
      }
      operands.append(mask)
    }
    if let lengths = call.optional(6) { operands.append(lengths) }
    let precision = try call.integer("softmax_precision", default: 0)
    let options = Options(
      scale: try call.number("scale", default: Float(1 / Double(size).squareRoot())), isCausal: try call.flag("is_causal"),
      leftWindow: try call.integer("left_window_size", default: -1), rightWindow: try call.integer("right_window_size", default: -1),
      softcap: try call.number("softcap", default: 0), precision: precision == 0 ? nil : try TensorDecoder.element(precision, of: "softmax", origin: call.origin),
      past: past, scoreMode: try call.integer("qk_matmul_output_mode", default: 0), wantsScores: call.wantsOutput(3),
      hasMask: call.optional(3) != nil, hasLengths: call.optional(6) != nil)
    var details = Attributes()
    details.set("scale", .number(options.scale))
    details.set("causal", options.isCausal, unless: false) { .flag($0) }
    let results = try b.composite("attention", operands, details: details) { b, inputs throws(CompileError) in try body(inputs, options, &b) }
    var output = results[0]
    if isFlat {
      let moved = try b.transpose(output, [0, 2, 1, 3])
      let shape = b.shape(moved)
      output = try b.reshape(moved, to: [shape[0], shape[1], shape[2] * shape[3]])
    }
    return [output, key, value] + results.dropFirst()
  }

  private static func body(_ inputs: [ValueID], _ options: Options, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let element = b.element(inputs[0])
    let wide = b.accumulator(element)
    let query = try b.convert(inputs[0], to: wide)
    let heads = b.shape(query)[1]
    let key = try repeated(b.convert(inputs[1], to: wide), heads: heads, &b)
    let value = try repeated(b.convert(inputs[2], to: wide), heads: heads, &b)
    var scores = try MatrixOperators.product(query, b.transpose(key, [0, 1, 3, 2]), &b)
    scores = try b.binary(.multiply, scores, options.scale)
    if options.softcap > 0 {
      scores = try b.binary(.multiply, b.unary(.hyperbolicTangent, b.binary(.divide, scores, options.softcap)), options.softcap)
    }
    let plain = scores
    let mask = try mask(inputs, options, rows: b.shape(scores)[2], columns: b.shape(scores)[3], wide, &b)
    if let bias = mask.bias { scores = try b.binary(.add, scores, bias) }
    if let allowed = mask.allowed { scores = try b.select(allowed, scores, b.scalar(-.infinity, wide)) }
    let masked = scores
    if let precision = options.precision { scores = try b.convert(scores, to: b.accumulator(precision)) }
    var weights = try b.convert(NormalizationOperators.softmaxBody(scores, axis: 3, isLogarithmic: false, &b), to: wide)
    if let hasKey = try rowsWithKeys(mask, options, &b) { weights = try b.select(hasKey, weights, b.scalar(0, wide)) }
    let output = try b.convert(MatrixOperators.product(weights, value, &b), to: element)
    guard options.wantsScores else { return [output] }
    let shown = options.scoreMode == 3 ? weights : options.scoreMode == 2 ? masked : plain
    return [output, try b.convert(shown, to: element)]
  }

  /// What may be seen: a number to add to the scores, and a flag for each score.
  private static func mask(
    _ inputs: [ValueID], _ options: Options, rows: Extent, columns: Extent, _ wide: ElementType, _ b: inout GraphBuilder
  ) throws(CompileError) -> (allowed: ValueID?, bias: ValueID?) {
    var allowed: ValueID?, bias: ValueID?
    func restrict(_ flags: ValueID, _ b: inout GraphBuilder) throws(CompileError) {
      allowed = try allowed.map { known throws(CompileError) in try b.binary(.and, known, flags) } ?? flags
    }
    if options.hasMask {
      if b.element(inputs[3]) == .bool { try restrict(inputs[3], &b) } else { bias = try b.convert(inputs[3], to: wide) }
    }
    let lengths = options.hasLengths ? try b.reshape(b.convert(inputs[inputs.count - 1], to: .i64), to: [b.shape(inputs[0])[0], 1, 1, 1]) : nil
    if options.isCausal || options.hasWindow {
      // The position of a query among the keys: behind those of the cache.
      var offset = try b.materialize(scalar: options.past, .i64)
      if let lengths { offset = try b.binary(.subtract, lengths, b.materialize(scalar: rows, .i64)) }
      let row = try b.binary(.add, b.add(Iota(.i64, [rows, columns], axis: 0)), offset)
      let column = try b.add(Iota(.i64, [rows, columns], axis: 1))
      if options.isCausal { try restrict(b.compare(.lessOrEqual, column, row), &b) }
      if options.leftWindow >= 0 { try restrict(b.compare(.lessOrEqual, b.binary(.subtract, row, column), Double(options.leftWindow)), &b) }
      if options.rightWindow >= 0 { try restrict(b.compare(.lessOrEqual, b.binary(.subtract, column, row), Double(options.rightWindow)), &b) }
    }
    if let lengths { try restrict(b.compare(.less, b.add(Iota(.i64, [1, 1, 1, columns], axis: 3)), lengths), &b) }
    return (allowed, bias)
  }

  /// The rows that may see a key at all, where there can be others; those give zeros instead of NaN.
  private static func rowsWithKeys(_ mask: (allowed: ValueID?, bias: ValueID?), _ options: Options, _ b: inout GraphBuilder) throws(CompileError) -> ValueID? {
    guard options.hasMask || options.hasLengths || options.hasWindow else { return nil }
    if let bias = mask.bias {
      let visible = try mask.allowed.map { flags throws(CompileError) in try b.select(flags, bias, b.scalar(-.infinity, b.element(bias))) } ?? bias
      let best = try b.reduce(.maximum, visible, axes: [b.rank(visible) - 1], keepsAxes: true)
      return try b.compare(.notEqual, best, -.infinity)
    }
    guard let allowed = mask.allowed else { return nil }
    return try b.reduce(.or, allowed, axes: [b.rank(allowed) - 1], keepsAxes: true)
  }

  /// Keys or values for every query head: each one serves as many neighbouring query heads.
  static func repeated(_ x: ValueID, heads: Extent, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let shape = b.shape(x)
    if shape[1] == heads { return x }
    guard let count = heads.dividedExactly(by: shape[1]) else { throw b.refusal("\(heads) query heads on \(shape[1]) heads of keys", operands: [x]) }
    let spread = try b.reshape(x, to: [shape[0], shape[1], 1, shape[2], shape[3]])
    return try b.reshape(b.broadcast(spread, to: [shape[0], shape[1], count, shape[2], shape[3]]), to: [shape[0], heads, shape[2], shape[3]])
  }

  // MARK: Rotary embedding

  /// Pairs of elements of each head are turned by angles whose cosines and sines are given.
  private static func rotaryEmbedding(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let original = b.shape(x)
    let isHeadFirst = original.rank == 4
    var input = x
    if isHeadFirst { input = try b.transpose(x, [0, 2, 1, 3]) } else {
      let heads = try call.integer("num_heads", default: 0)
      guard original.rank == 3, heads >= 1, (original[2].constant ?? 0) % heads == 0 else { throw b.refusal("RotaryEmbedding with \(heads) heads", operands: [x]) }
      input = try b.reshape(x, to: [original[0], original[1], Extent(heads), original[2].floorDivided(by: Extent(heads))])
    }
    let shape = b.shape(input)
    guard let size = shape[3].constant else { throw b.unsupported("RotaryEmbedding of heads of symbolic size", operands: [x]) }
    let given = try call.integer("rotary_embedding_dim", default: 0)
    let turned = given == 0 ? size : given
    guard turned >= 2, turned % 2 == 0, turned <= size else { throw b.refusal("RotaryEmbedding of \(turned) of \(size) elements", operands: [x]) }
    let half = Extent(turned / 2)
    func angles(_ position: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      var cache = try call.input(position)
      if let ids = call.optional(3) { cache = try b.add(Gather(axis: 0), cache, b.convert(ids, to: .i64)) }
      guard b.rank(cache) == 3, b.shape(cache)[2] == half else { throw b.refusal("a cache of \(b.type(cache)) for \(half) angles", operands: [x]) }
      return try b.unsqueeze(cache, axis: 2)
    }
    let (cosine, sine) = (try angles(1, &b), try angles(2, &b))
    let active = try b.slice(input, axis: 3, start: 0, size: Extent(turned))
    let isInterleaved = try call.flag("interleaved")
    let first: ValueID, second: ValueID
    if isInterleaved {
      let pairs = try b.reshape(active, to: [shape[0], shape[1], shape[2], half, 2])
      (first, second) = (try b.select(pairs, axis: 4, at: 0), try b.select(pairs, axis: 4, at: 1))
    } else {
      (first, second) = (try b.slice(active, axis: 3, start: 0, size: half), try b.slice(active, axis: 3, start: half, size: half))
    }
    let real = try b.binary(.subtract, b.binary(.multiply, cosine, first), b.binary(.multiply, sine, second))
    let imaginary = try b.binary(.add, b.binary(.multiply, sine, first), b.binary(.multiply, cosine, second))
    var result: ValueID
    if isInterleaved {
      let pairs = try b.concatenate([b.unsqueeze(real, axis: 4), b.unsqueeze(imaginary, axis: 4)], axis: 4)
      result = try b.reshape(pairs, to: b.shape(active))
    } else {
      result = try b.concatenate([real, imaginary], axis: 3)
    }
    if turned < size { result = try b.concatenate([result, b.slice(input, axis: 3, start: Extent(turned), size: Extent(size - turned))], axis: 3) }
    return [isHeadFirst ? try b.transpose(result, [0, 2, 1, 3]) : try b.reshape(result, to: original)]
  }
}
