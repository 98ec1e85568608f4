import TensorTypes

/// Combines the elements along some axes.
///
///     %y = reduce %x {with = sum, axes = [2, 3]} : f32[1,64]
///
/// - Operands: `x`. Result: `x` without the axes. Over no element: 0, 1, the lowest, the highest value, true or false.
/// - Numerics: the order of combination is not fixed; f16 and bf16 are summed in f32.
/// - Source: ONNX `ReduceSum` and siblings, with `keepdims` as a `reshape`.
public struct Reduce: Operation {
  public var reducer: Reducer
  /// Ascending.
  public var axes: [Int]
  public init(_ reducer: Reducer, axes: [Int]) { (self.reducer, self.axes) = (reducer, axes.sorted()) }

  public static let mnemonics = ["reduce"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("with", .word(reducer.rawValue))
    list.set("axes", .integers(axes))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(try attributes.word("with", as: Reducer.self), axes: try attributes.integers("axes"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireAxes(axes, of: operands[0])
    let isLogical = reducer == .and || reducer == .or
    let element = operands[0].element
    guard isLogical ? element == .bool : (element.isNumber || (element == .bool && (reducer == .maximum || reducer == .minimum))) else {
      throw TypeError("`reduce` with \(reducer.rawValue) does not take \(element.name)")
    }
    return [TensorType(element, Shape((0..<operands[0].rank).filter { !axes.contains($0) }.map { operands[0].shape[$0] }))]
  }
}

/// The index of the largest or smallest element along an axis.
///
///     %i = arg_reduce %x {of = max, axis = 1} : i64[1]
///
/// - Operands: `x`, with at least one element along the axis unless the result is empty. Result: i64, `x` without the axis.
///   Ties: the first, or the last with `last`.
///   A NaN is more extreme than any number, for `max` and `min`, as in `reduce`.
/// - Source: ONNX `ArgMax`, `ArgMin`.
public struct ArgReduce: Operation {
  public enum Extreme: String, Sendable, Hashable, CaseIterable { case max, min }
  public var extreme: Extreme
  public var axis: Int
  public var selectsLast: Bool
  public init(_ extreme: Extreme, axis: Int, selectsLast: Bool = false) { (self.extreme, self.axis, self.selectsLast) = (extreme, axis, selectsLast) }

  public static let mnemonics = ["arg_reduce"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("of", .word(extreme.rawValue))
    list.set("axis", .integer(axis))
    list.set("last", selectsLast, unless: false) { .flag($0) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(try attributes.word("of", as: Extreme.self), axis: try attributes.integer("axis"), selectsLast: try attributes.flag("last"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireAxis(axis, of: operands[0])
    guard operands[0].element != .string else { throw TypeError("`arg_reduce` does not take string") }
    var shape = operands[0].shape.extents
    let isEmpty = shape.remove(at: axis) == 0
    if isEmpty && !shape.contains(0) { throw TypeError("`arg_reduce` over axis \(axis) of \(operands[0]), which has no element") }
    return [TensorType(.i64, Shape(shape))]
  }
}

/// Running sums or products along an axis.
///
///     %y = cumulative %x {with = sum, axis = 1} : f32[2,8]
///
/// - Operands: `x`. Result: the same type. `exclusive` leaves out the element itself, `reverse` starts from the end.
/// - Source: ONNX `CumSum`.
public struct Cumulative: Operation {
  public var reducer: Reducer
  public var axis: Int
  public var isExclusive: Bool
  public var isReverse: Bool
  public init(_ reducer: Reducer, axis: Int, isExclusive: Bool = false, isReverse: Bool = false) {
    (self.reducer, self.axis, self.isExclusive, self.isReverse) = (reducer, axis, isExclusive, isReverse)
  }

  public static let mnemonics = ["cumulative"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("with", .word(reducer.rawValue))
    list.set("axis", .integer(axis))
    list.set("exclusive", isExclusive, unless: false) { .flag($0) }
    list.set("reverse", isReverse, unless: false) { .flag($0) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(
      try attributes.word("with", as: Reducer.self), axis: try attributes.integer("axis"),
      isExclusive: try attributes.flag("exclusive"), isReverse: try attributes.flag("reverse"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireAxis(axis, of: operands[0])
    guard operands[0].element.isNumber else { throw TypeError("`cumulative` does not take \(operands[0].element.name)") }
    try requireReducible(operands[0].element, by: reducer)
    return [operands[0]]
  }
}

/// The largest or smallest k elements along an axis, in order, and where they were.
///
///     %values, %indices = top_k %x {k = 5, axis = 1} : f32[1,5], i64[1,5]
///
/// - Operands: `x`. Results: values; i64 indices. Equal elements keep their order. `ascending` gives the smallest first.
///   NaN counts as larger than any number.
/// - Source: ONNX `TopK`; a whole sort is `k` equal to the extent.
public struct TopK: Operation {
  public var k: Extent
  public var axis: Int
  public var isAscending: Bool
  public init(k: Extent, axis: Int, isAscending: Bool = false) { (self.k, self.axis, self.isAscending) = (k, axis, isAscending) }

  public static let mnemonics = ["top_k"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("k", .extents([k]))
    list.set("axis", .integer(axis))
    list.set("ascending", isAscending, unless: false) { .flag($0) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    let k: [Extent] = if case .integer(let value)? = attributes["k"] { [Extent(value)] } else { try attributes.extents("k") }
    guard k.count == 1 else { throw TypeError("attribute `k` must be one extent") }
    self.init(k: k[0], axis: try attributes.integer("axis"), isAscending: try attributes.flag("ascending"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireAxis(axis, of: operands[0])
    guard operands[0].element != .string else { throw TypeError("`top_k` does not take string") }
    if let room = (operands[0].shape[axis] - k).constant, room < 0 { throw TypeError("`top_k` takes \(k) elements of axis \(axis) of \(operands[0])") }
    var shape = operands[0].shape
    shape[axis] = k
    return [TensorType(operands[0].element, shape), TensorType(.i64, shape)]
  }
  public func substituting(_ bindings: [String: Extent]) -> TopK { TopK(k: k.substituting(bindings), axis: axis, isAscending: isAscending) }
}
