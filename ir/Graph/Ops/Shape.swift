import TensorTypes

/// Turns numbers that the model computes into lengths of axes.
///
///     %m = measure %count {symbols = [%NonZero.1]} : i64
///     %i = compact %mask {extent = %NonZero.1} : i64[%NonZero.1]
///
/// - Operands: `x`, an i64 scalar or a vector with one element for each symbol.
/// - Result: `x`.
/// - Meaning: while the graph runs, each symbol stands for one element of `x`; a negative one fails the run. Whatever mentions
///   a symbol comes after its `measure`. Symbols are unique in the whole model, nested graphs included.
/// - Source: what ONNX decides from data: the shapes of `Reshape` and `Expand`, the number of true elements in `NonZero`.
public struct Measure: Operation {
  public var symbols: [String]
  public init(_ symbols: [String]) { self.symbols = symbols }

  public static let mnemonics = ["measure"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var definedSymbols: [String] { symbols }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("symbols", .extents(symbols.map { Extent(symbol: $0) }))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    symbols = []
    for extent in try attributes.extents("symbols") {
      guard let symbol = extent.symbol else { throw TypeError("`measure` defines symbols, not \(extent)") }
      symbols.append(symbol)
    }
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let x = operands[0]
    guard x.element == .i64, x.rank <= 1, x.shape.elementCount.constant == symbols.count, !symbols.isEmpty else {
      throw TypeError("`measure` makes \(symbols.count) symbols of \(x); it takes an i64 scalar or vector with one element for each")
    }
    guard Set(symbols).count == symbols.count else { throw TypeError("`measure` names a symbol twice: \(symbols.joined(separator: ", "))") }
    return [x]
  }
}

/// The positions of the true elements of a mask, as indices into the flat tensor, in ascending order.
///
///     %i = compact %mask {extent = n} : i64[n]
///
/// - Operands: `mask`, bool of any shape. `n` is the number of its true elements, which a `measure` found.
/// - Source: ONNX `NonZero`, `Compress`, `Unique`, `NonMaxSuppression`.
public struct Compact: Operation {
  public var extent: Extent
  public init(to extent: Extent) { self.extent = extent }

  public static let mnemonics = ["compact"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("extent", .extents([extent]))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard let extent = try attributes.extents("extent").first else { throw TypeError("`compact` needs an extent") }
    self.extent = extent
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard operands[0].element == .bool else { throw TypeError("`compact` takes a mask of bool, not \(operands[0])") }
    if let room = (operands[0].shape.elementCount - extent).constant, room < 0 { throw TypeError("`compact` finds \(extent) elements in \(operands[0])") }
    return [TensorType(.i64, [extent])]
  }
  public func substituting(_ bindings: [String: Extent]) -> Compact { Compact(to: extent.substituting(bindings)) }
}
