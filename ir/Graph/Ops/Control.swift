import TensorTypes

/// An operation that runs graphs inside it: loops and branches.
///
/// Passes work on those graphs as on the one around them, and put the results back with `replacing`.
public protocol ControlOperation: Operation {
  /// The same operation with other graphs that take and return the same types.
  func replacing(regions: [Graph]) -> Self
}

/// A loop over the leading axis of some tensors, with values carried from step to step.
///
///     %last, %all = scan %h0, %xs, %w {carried = 1, scanned = 1, extent = [64]} (
///       graph @step(%h: f32[1,256], %x: f32[1,128], %w: f32[128,256]) { ... return %next, %y }
///     ) : f32[1,256], f32[64,1,256]
///
/// - Operands: `carried` initial values; `scanned` tensors [extent, ...]; then values that every step reads whole.
/// - Body: inputs are the carried values, one slice [...] of each scanned tensor, and the captured values;
///   outputs are the next carried values (same types), then one slice for each stacked result.
/// - Results: the last carried values; the stacked slices [extent, ...].
/// - `reversed`: the first step takes the last slices, and its results are stacked last.
/// - `round`: a symbol that is the number of steps before this one, in the body only.
/// - Source: ONNX `Scan`; recurrent operators.
public struct Scan: ControlOperation {
  public var carried: Int
  public var scanned: Int
  /// The number of steps.
  public var extent: Extent
  public var isReversed: Bool
  /// What the body calls the number of the step; nil if it does not ask.
  public var round: String?
  public var body: Graph
  public init(carried: Int, scanned: Int, extent: Extent, isReversed: Bool = false, round: String? = nil, body: Graph) {
    (self.carried, self.scanned, self.extent, self.isReversed, self.round, self.body) = (carried, scanned, extent, isReversed, round, body)
  }

  public static let mnemonics = ["scan"]
  public var arity: ClosedRange<Int> { body.inputs.count...body.inputs.count }
  public var regions: [Graph] { [body] }
  public func replacing(regions: [Graph]) -> Scan {
    var copy = self
    if let body = regions.first { copy.body = body }
    return copy
  }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("carried", .integer(carried))
    list.set("scanned", .integer(scanned))
    list.set("extent", .extents([extent]))
    list.set("reversed", isReversed, unless: false) { .flag($0) }
    if let round { list.set("round", .extents([Extent(symbol: round)])) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard regions.count == 1 else { throw TypeError("`scan` has one body") }
    guard let extent = try attributes.extents("extent").first else { throw TypeError("`scan` needs an extent") }
    self.init(carried: try attributes.integer("carried"), scanned: try attributes.integer("scanned"), extent: extent,
      isReversed: try attributes.flag("reversed"), round: attributes["round"] == nil ? nil : try attributes.symbols("round").first, body: regions[0])
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard carried >= 0, scanned >= 0, carried <= operands.count, scanned <= operands.count - carried, carried <= body.outputs.count else {
      throw TypeError("`scan` counts \(carried) carried and \(scanned) scanned values but has \(operands.count) operands")
    }
    for (position, input) in body.inputs.enumerated() {
      var wanted = body.type(of: input)
      if position >= carried && position < carried + scanned { wanted.shape = Shape([extent] + wanted.shape.extents) }
      guard operands[position] == wanted else { throw TypeError("operand \(position) of `scan` is \(operands[position]); its body takes \(wanted)") }
    }
    var results: [TensorType] = []
    for (position, output) in body.outputs.enumerated() {
      let type = body.type(of: output)
      if position < carried {
        guard type == operands[position] else { throw TypeError("`scan` carries \(operands[position]) but its body returns \(type)") }
        results.append(type)
      } else {
        if let round, type.shape.symbols.contains(round) { throw TypeError("`scan` stacks \(type), whose shape changes from step to step") }
        results.append(TensorType(type.element, Shape([extent] + type.shape.extents)))
      }
    }
    return results
  }
  public func substituting(_ bindings: [String: Extent]) -> Scan {
    // A body that no longer types after binding is caught by `resultTypes`.
    Scan(
      carried: carried, scanned: scanned, extent: extent.substituting(bindings), isReversed: isReversed, round: round, body: (try? body.substituting(bindings)) ?? body)
  }
  public static func == (a: Scan, b: Scan) -> Bool { a.attributes == b.attributes && a.body.text() == b.body.text() }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(attributes)
    hasher.combine(body.outputs.count)
  }
}

/// A named computation with its meaning in core operations: softmax, layer norm, GELU, attention, ...
///
///     %y = composite %x, %scale {name = layer_norm, epsilon = 1e-05} ( graph @layer_norm(...) { ... } ) : f32[1,128,768]
///
/// A verb may have a rule for the name; without one it uses the body (`expand-composites` puts it in place).
public struct Composite: Operation {
  public var name: String
  /// What a rule for the name may want to know.
  public var details: Attributes
  public var body: Graph
  public init(_ name: String, details: Attributes = Attributes(), body: Graph) { (self.name, self.details, self.body) = (name, details, body) }

  public static let mnemonics = ["composite"]
  public var arity: ClosedRange<Int> { body.inputs.count...body.inputs.count }
  /// What the body finds, its results may have as lengths.
  public var definedSymbols: [String] { body.definers.isEmpty ? [] : body.definers.keys.sorted() }
  public var regions: [Graph] { [body] }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("name", .word(name))
    for entry in details.entries { list.set(entry.name, entry.value) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard regions.count == 1, case .word(let name)? = attributes["name"] else { throw TypeError("`composite` has a name and one body") }
    var details = Attributes()
    for entry in attributes.entries where entry.name != "name" { details.set(entry.name, entry.value) }
    self.init(name, details: details, body: regions[0])
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard operands == body.types(of: body.inputs) else {
      throw TypeError("`composite` \(name) takes \(body.types(of: body.inputs).map(\.description).joined(separator: ", "))")
    }
    return body.types(of: body.outputs)
  }
  public func substituting(_ bindings: [String: Extent]) -> Composite {
    Composite(name, details: details, body: (try? body.substituting(bindings)) ?? body)
  }
  public static func == (a: Composite, b: Composite) -> Bool { a.attributes == b.attributes && a.body.text() == b.body.text() }
  public func hash(into hasher: inout Hasher) { hasher.combine(attributes) }
}
