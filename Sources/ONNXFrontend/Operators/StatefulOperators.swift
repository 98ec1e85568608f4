import GraphIR
import TensorTypes

/// Sequence operators of newer language models that take a state from the last call and return the next one.
enum StatefulOperators {
  static let table: [String: OperatorImporter] = ["CausalConvWithState": causalConvolution, "LinearAttention": linearAttention]

  /// A depthwise convolution over what was kept from before and what is new.
  private static func causalConvolution(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, filter) = (try call.input(0), try call.input(1))
    guard b.rank(x) == 3, b.rank(filter) == 3, let size = b.shape(filter)[2].constant, size >= 1, let channels = b.shape(filter)[0].constant, channels >= 1
    else { throw b.refusal("CausalConvWithState of operands of these shapes", operands: [x, filter]) }
    let kept = Extent(size - 1)
    let whole: ValueID
    if let past = call.optional(3) { whole = try b.concatenate([past, x], axis: 2) } else {
      whole = try b.pad(x, low: [0, 0, kept], high: [0, 0, 0], value: 0)
    }
    var result = try b.add(Convolution(window: Window(rank: 1), groups: channels), whole, filter)
    if let bias = call.optional(2) { result = try b.binary(.add, result, b.alignedVector(bias, axis: 1, rank: 3)) }
    switch try call.string("activation", default: "none") {
    case "silu", "swish": result = try b.binary(.multiply, result, b.unary(.logistic, result))
    case "none": break
    case let other: throw b.refusal("CausalConvWithState names the activation `\(printable(other))`")
    }
    return [result, try b.slice(whole, axis: 2, start: b.shape(whole)[2] - kept, size: kept)]
  }

  /// A state [batch, heads, dk, dv] that every step decays, corrects and reads.
  private static func linearAttention(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    enum Rule: String, CaseIterable { case linear, gated, delta, gatedDelta = "gated_delta" }
    let rule = try call.word("update_rule", default: Rule.gatedDelta)
    let (queryHeads, heads) = (try call.integer("q_num_heads"), try call.integer("kv_num_heads"))
    let (query, key, value) = (try call.input(0), try call.input(1), try call.input(2))
    guard queryHeads >= 1, heads >= 1, queryHeads % heads == 0, [query, key, value].allSatisfy({ b.rank($0) == 3 }),
      let width = b.shape(query)[2].constant, width % queryHeads == 0, width > 0, let valueWidth = b.shape(value)[2].constant, valueWidth % heads == 0
    else { throw b.refusal("LinearAttention with \(queryHeads) and \(heads) heads", operands: [query, key, value]) }
    let (batch, steps) = (b.shape(query)[0], b.shape(query)[1])
    let (keySize, valueSize) = (Extent(width / queryHeads), Extent(valueWidth / heads))
    let group = Extent(queryHeads / heads)
    let element = b.element(query)
    let wide = b.accumulator(element)
    let given = try call.number("scale", default: 0)
    let scale = given == 0 ? 1 / Double(width / queryHeads).squareRoot() : given

    /// [batch, steps, ...] as [steps, batch, shape...].
    func perStep(_ x: ValueID, _ shape: [Extent], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      let moved = try b.transpose(b.convert(x, to: wide), [1, 0, 2])
      return try b.reshape(moved, to: Shape([steps, batch] + shape))
    }
    var scanned = [
      try perStep(query, [Extent(heads), group, keySize], &b), try perStep(key, [Extent(heads), keySize, 1], &b),
      try perStep(value, [Extent(heads), 1, valueSize], &b),
    ]
    let isGated = rule == .gated || rule == .gatedDelta, corrects = rule == .delta || rule == .gatedDelta
    if isGated {
      let decay = try call.input(4)
      guard b.rank(decay) == 3 else { throw b.refusal("`decay` has three axes", operands: [decay]) }
      let isScalar = b.shape(decay)[2] == Extent(heads)
      scanned.append(try perStep(decay, [Extent(heads), isScalar ? 1 : keySize, 1], &b))
    }
    if corrects {
      let beta = try call.input(5)
      guard b.rank(beta) == 3 else { throw b.refusal("`beta` has three axes", operands: [beta]) }
      scanned.append(try perStep(beta, [b.shape(beta)[2], 1, 1], &b))
    }
    let stateShape: Shape = [batch, Extent(heads), keySize, valueSize]
    let state: ValueID
    if let past = call.optional(3) { state = try b.broadcast(b.convert(past, to: wide), to: stateShape) } else {
      state = try b.broadcast(b.scalar(0, wide), to: stateShape)
    }
    var types = [b.type(state)]
    for value in scanned { types.append(TensorType(wide, Shape(Array(b.shape(value).extents.dropFirst())))) }
    let body = try b.region("linear_attention", types: types) { b, inputs throws(CompileError) in
      var state = inputs[0]
      let (query, key) = (inputs[1], inputs[2])
      var update = inputs[3]
      if isGated { state = try b.binary(.multiply, state, b.unary(.exponential, inputs[4])) }
      if corrects {
        let recalled = try b.reduce(.sum, b.binary(.multiply, state, key), axes: [2], keepsAxes: true)
        update = try b.binary(.multiply, b.binary(.subtract, update, recalled), inputs[inputs.count - 1])
      }
      state = try b.binary(.add, state, b.binary(.multiply, key, update))
      let read = try b.binary(.multiply, b.add(Dot(), query, state), scale)
      return [state, read]
    }
    let results = try b.addAll(Scan(carried: 1, scanned: scanned.count, extent: steps, body: body), [state] + scanned)
    let stacked = try b.reshape(results[1], to: [steps, batch, Extent(queryHeads) * valueSize])
    return [try b.convert(b.transpose(stacked, [1, 0, 2]), to: element), try b.convert(results[0], to: element)]
  }
}
