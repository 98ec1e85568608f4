import TensorTypes

/// Whole slices of an axis, chosen by index.
///
///     %y = gather %table, %ids {axis = 0} : f32[batch,128,768]
///
/// - Operands: `x`; `indices`, i32 or i64 of any shape, clamped to the axis (negative indices are resolved on import).
/// - Result: the shape of `x` with `axis` replaced by the shape of `indices`.
/// - Source: ONNX `Gather`.
public struct Gather: Operation {
  public var axis: Int
  public init(axis: Int) { self.axis = axis }

  public static let mnemonics = ["gather"]
  public var arity: ClosedRange<Int> { 2...2 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("axis", .integer(axis))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) { self.init(axis: try attributes.integer("axis")) }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireAxis(axis, of: operands[0])
    try requireIndices(operands[1])
    let shape = operands[0].shape.extents
    return [TensorType(operands[0].element, Shape(shape[..<axis] + operands[1].shape.extents + shape[(axis + 1)...]))]
  }
}

/// For each position an element of the same position, except along one axis, where the index says which.
///
///     %y = gather_elements %x, %indices {axis = 1} : f32[3,2]
///
/// - Operands: `x`; `indices` of the same rank, no larger than `x` off the axis; clamped to the axis.
/// - Source: ONNX `GatherElements`.
public struct GatherElements: Operation {
  public var axis: Int
  public init(axis: Int) { self.axis = axis }

  public static let mnemonics = ["gather_elements"]
  public var arity: ClosedRange<Int> { 2...2 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("axis", .integer(axis))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) { self.init(axis: try attributes.integer("axis")) }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireAxis(axis, of: operands[0])
    try requireIndices(operands[1])
    try requireWithin(operands[1].shape, operands[0].shape, except: axis)
    return [TensorType(operands[0].element, operands[1].shape)]
  }
}

/// Slices chosen by index tuples.
///
///     %y = gather_nd %x, %indices {batch_axes = 0} : f32[2,8]
///
/// - Operands: `x`; `indices` [batch..., outer..., k]: each tuple of k indices names a slice of `x` behind the batch axes.
/// - Source: ONNX `GatherND`.
public struct GatherND: Operation {
  public var batchAxes: Int
  public init(batchAxes: Int = 0) { self.batchAxes = batchAxes }

  public static let mnemonics = ["gather_nd"]
  public var arity: ClosedRange<Int> { 2...2 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("batch_axes", batchAxes, unless: 0) { .integer($0) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(batchAxes: try attributes.integer("batch_axes", default: 0))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireIndices(operands[1])
    let (x, indices) = (operands[0].shape.extents, operands[1].shape.extents)
    guard let last = indices.last, let depth = last.constant, depth >= 0, batchAxes >= 0, batchAxes < indices.count, batchAxes <= x.count, depth <= x.count - batchAxes
    else { throw TypeError("`gather_nd` of \(operands[0]) by \(operands[1]) with \(batchAxes) batch axes") }
    guard x[..<batchAxes] == indices[..<batchAxes] else { throw TypeError("`gather_nd` has batch axes that differ: \(operands[0]), \(operands[1])") }
    return [TensorType(operands[0].element, Shape(indices.dropLast() + x[(batchAxes + depth)...]))]
  }
}

/// A copy of a tensor with some elements combined with updates.
///
///     %y = scatter_elements %x, %indices, %updates {axis = 0, combine = sum} : f32[3,3]
///
/// - Operands: `x`; `indices` and `updates` of one shape. Indices are clamped to the axis. Without `combine` the last update wins.
/// - Source: ONNX `ScatterElements`.
public struct ScatterElements: Operation {
  public var axis: Int
  public var combine: Reducer?
  public init(axis: Int, combine: Reducer? = nil) { (self.axis, self.combine) = (axis, combine) }

  public static let mnemonics = ["scatter_elements"]
  public var arity: ClosedRange<Int> { 3...3 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("axis", .integer(axis))
    if let combine { list.set("combine", .word(combine.rawValue)) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(axis: try attributes.integer("axis"), combine: attributes["combine"] == nil ? nil : try attributes.word("combine", as: Reducer.self))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireAxis(axis, of: operands[0])
    try requireIndices(operands[1])
    guard operands[1].shape == operands[2].shape, operands[0].element == operands[2].element else {
      throw TypeError("`scatter_elements` has updates \(operands[2]) for \(operands[1]) into \(operands[0])")
    }
    try requireWithin(operands[1].shape, operands[0].shape, except: axis)
    if let combine { try requireReducible(operands[0].element, by: combine) }
    return [operands[0]]
  }
}

/// A copy of a tensor with some slices combined with updates.
///
///     %y = scatter_nd %x, %indices, %updates : f32[4,5]
///
/// - Operands: `x`; `indices` [outer..., k]; `updates` [outer..., rest of x]. Indices are clamped. Without `combine` the last update wins.
/// - Source: ONNX `ScatterND`.
public struct ScatterND: Operation {
  public var combine: Reducer?
  public init(combine: Reducer? = nil) { self.combine = combine }

  public static let mnemonics = ["scatter_nd"]
  public var arity: ClosedRange<Int> { 3...3 }
  public var attributes: Attributes {
    var list = Attributes()
    if let combine { list.set("combine", .word(combine.rawValue)) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(combine: attributes["combine"] == nil ? nil : try attributes.word("combine", as: Reducer.self))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireIndices(operands[1])
    let (x, indices) = (operands[0].shape.extents, operands[1].shape.extents)
    guard let depth = indices.last?.constant, depth >= 0, depth <= x.count,
      operands[2] == TensorType(operands[0].element, Shape(indices.dropLast() + x[depth...]))
    else { throw TypeError("`scatter_nd` has updates \(operands[2]) for \(operands[1]) into \(operands[0])") }
    if let combine { try requireReducible(operands[0].element, by: combine) }
    return [operands[0]]
  }
}

extension Operation {
  func requireIndices(_ type: TensorType) throws(TypeError) {
    guard type.element == .i64 || type.element == .i32 else { throw TypeError("the indices of `\(mnemonic)` are \(type), not i32 or i64") }
  }

  /// Logical reducers take `bool` and integers, arithmetic ones numbers; `max` and `min` take everything.
  func requireReducible(_ element: ElementType, by reducer: Reducer) throws(TypeError) {
    let fits =
      switch reducer {
      case .and, .or: element == .bool || element.isInteger
      case .sum, .product: element.isNumber
      case .maximum, .minimum: element != .string
      }
    guard fits else { throw TypeError("`\(mnemonic)` with \(reducer.rawValue) does not take \(element.name)") }
  }

  func requireWithin(_ inner: Shape, _ outer: Shape, except axis: Int) throws(TypeError) {
    guard inner.rank == outer.rank else { throw TypeError("`\(mnemonic)` has indices of rank \(inner.rank) for rank \(outer.rank)") }
    for position in 0..<inner.rank where position != axis {
      if let room = (outer[position] - inner[position]).constant, room < 0 {
        throw TypeError("`\(mnemonic)` has indices \(inner) that reach beyond \(outer)")
      }
    }
  }
}
