import TensorTypes

/// A loop whose number of rounds is known only when it ends, or whose values change their lengths from round to round.
///
///     %last, %all = while %go, %init, %w {carried = 1, round = [%Loop.1], lengths = [%Loop.2], limit = [100]} (
///       graph @body(%c: f32[%Loop.2], %w: f32[4]) { ... return %again, %next, %slice }
///     ) : f32[%Loop.2], f32[%Loop.1,4]
///
/// - Operands: `condition`, a bool without axes, whether there is a first round; `carried` initial values; then what every round reads whole.
/// - Body: inputs are the carried values and what is read whole; outputs are whether there is another round, the next carried
///   values, then one slice for each stacked result.
/// - Results: the last carried values; the stacked slices [rounds, ...].
/// - `round`: a symbol. In the body it is the number of rounds before this one, outside the number of all rounds.
/// - `lengths`: symbols for axes of carried values that change. In the body they are those of this round, outside those of the result.
/// - `limit`: more rounds than that cannot be; the stacked results need so much room.
/// - Source: ONNX `Loop`.
public struct While: ControlOperation {
  public var carried: Int
  public var round: String
  public var lengths: [String]
  /// nil: nothing is known of the number of rounds before the loop.
  public var limit: Extent?
  public var body: Graph

  public init(carried: Int, round: String, lengths: [String] = [], limit: Extent? = nil, body: Graph) {
    (self.carried, self.round, self.lengths, self.limit, self.body) = (carried, round, lengths, limit, body)
  }

  public static let mnemonics = ["while"]
  public var arity: ClosedRange<Int> { body.inputs.count + 1...body.inputs.count + 1 }
  public var regions: [Graph] { [body] }
  public var definedSymbols: [String] { [round] + lengths }
  /// The number of stacked results.
  public var stacked: Int { body.outputs.count - carried - 1 }
  public func replacing(regions: [Graph]) -> While {
    var copy = self
    if let body = regions.first { copy.body = body }
    return copy
  }

  public var attributes: Attributes {
    var list = Attributes()
    list.set("carried", .integer(carried))
    list.set("round", .extents([Extent(symbol: round)]))
    if !lengths.isEmpty { list.set("lengths", .extents(lengths.map { Extent(symbol: $0) })) }
    if let limit { list.set("limit", .extents([limit])) }
    return list
  }

  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard regions.count == 1 else { throw TypeError("`while` has one body") }
    guard let round = try attributes.symbols("round").first else { throw TypeError("`while` needs a symbol for its rounds") }
    self.init(
      carried: try attributes.integer("carried"), round: round, lengths: attributes["lengths"] == nil ? [] : try attributes.symbols("lengths"),
      limit: attributes["limit"] == nil ? nil : try attributes.extents("limit").first, body: regions[0])
  }

  /// One of `lengths`: what it is in the first round, and in the round behind one.
  public struct Length: Sendable, Hashable {
    public var symbol: String
    public var initial: Extent
    public var next: Extent
  }

  /// What the carried values' types say of the lengths.
  ///
  /// - Parameter operands: The types of all operands.
  public func bindings(_ operands: [TensorType]) throws(TypeError) -> [Length] {
    var found: [String: Length] = [:]
    for position in 0..<carried {
      let (initial, next) = (operands[position + 1].shape, body.type(of: body.outputs[position + 1]).shape)
      for (axis, extent) in body.type(of: body.inputs[position]).shape.enumerated() {
        guard let symbol = extent.symbol, lengths.contains(symbol), axis < initial.rank, axis < next.rank else { continue }
        if found[symbol] == nil { found[symbol] = Length(symbol: symbol, initial: initial[axis], next: next[axis]) }
      }
    }
    var list: [Length] = []
    for symbol in lengths {
      guard let length = found[symbol] else { throw TypeError("`while` has a length `\(symbol)` that is no axis of a carried value") }
      list.append(length)
    }
    return list
  }

  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard operands[0] == TensorType(.bool, []) else { throw TypeError("the condition of `while` is \(operands[0]), not bool[]") }
    guard carried >= 0, carried <= body.inputs.count, carried < body.outputs.count, body.type(of: body.outputs[0]) == TensorType(.bool, []) else {
      throw TypeError("the body of `while` returns a bool[], then \(carried) carried values")
    }
    guard Set(definedSymbols).count == definedSymbols.count else { throw TypeError("`while` names a symbol twice: \(definedSymbols.joined(separator: ", "))") }
    if let limit, limit.symbols.contains(where: { definedSymbols.contains($0) }) { throw TypeError("the limit of `while` depends on its own rounds") }
    let lengths = try bindings(operands)
    let first = Dictionary(lengths.map { ($0.symbol, $0.initial) }) { first, _ in first }
    let next = Dictionary(lengths.map { ($0.symbol, $0.next) }) { first, _ in first }
    var results: [TensorType] = []
    for (position, input) in body.inputs.enumerated() {
      let type = body.type(of: input)
      let isCarried = position < carried
      let wanted = isCarried ? TensorType(type.element, type.shape.substituting(first)) : type
      guard operands[position + 1] == wanted else { throw TypeError("operand \(position + 1) of `while` is \(operands[position + 1]); its body takes \(wanted)") }
      guard isCarried else { continue }
      let returned = body.type(of: body.outputs[position + 1])
      guard returned == TensorType(type.element, type.shape.substituting(next)) else { throw TypeError("`while` carries \(type) but its body returns \(returned)") }
      results.append(type)
    }
    let changing = Set(definedSymbols).union(body.definitions.keys)
    for output in body.outputs.dropFirst(carried + 1) {
      let slice = body.type(of: output)
      guard changing.isDisjoint(with: slice.shape.symbols) else { throw TypeError("`while` stacks \(slice), whose shape changes from round to round") }
      results.append(TensorType(slice.element, Shape([Extent(symbol: round)] + slice.shape.extents)))
    }
    guard !results.isEmpty else { throw TypeError("`while` has no results") }
    return results
  }

  public func substituting(_ bindings: [String: Extent]) -> While {
    While(carried: carried, round: round, lengths: lengths, limit: limit?.substituting(bindings), body: (try? body.substituting(bindings)) ?? body)
  }
  public static func == (a: While, b: While) -> Bool { a.attributes == b.attributes && a.body.text() == b.body.text() }
  public func hash(into hasher: inout Hasher) { hasher.combine(attributes) }
}
