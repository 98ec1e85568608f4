import TensorTypes

/// A tensor known at compile time, usually a range of the mapped model file.
///
///     %w = constant dense [1, 2, 3, 4] : f32[2,2]
///
/// - Operands: none. Result: the tensor.
/// - Source: ONNX `Constant` and initializers.
public struct Constant: Operation {
  public let tensor: Tensor
  public init(_ tensor: Tensor) { self.tensor = tensor }

  public static let mnemonics = ["constant"]
  public var arity: ClosedRange<Int> { 0...0 }
  /// The text form reads constants by itself: their type is part of the syntax.
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    throw TypeError("`constant` needs a `dense` list")
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] { [tensor.type] }

  /// Small tensors are equal if their bytes are; large ones only if they are the same range of the same storage.
  public static func == (a: Constant, b: Constant) -> Bool {
    if a.tensor.storage === b.tensor.storage && a.tensor.byteOffset == b.tensor.byteOffset && a.tensor.type == b.tensor.type { return true }
    return a.tensor.byteCount <= 4096 && a.tensor.isIdentical(to: b.tensor)
  }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(tensor.element)
    hasher.combine(tensor.dimensions)
    if tensor.element == .string {
      // Equal texts may have different numbers.
      if tensor.byteCount <= 4096 { hasher.combine(tensor.texts) }
    } else if tensor.byteCount <= 4096 { tensor.withBytes { hasher.combine(bytes: $0) } }
  }
}

/// A vector of symbolic extents as a tensor; what is left of shape arithmetic that a tensor operation reads.
///
///     %s = extents {values = [batch, 2*sequence]} : i64[2]
///
/// - Operands: none. Result: i64 [count].
public struct ExtentVector: Operation {
  public var values: [Extent]
  public init(_ values: [Extent]) { self.values = values }

  public static let mnemonics = ["extents"]
  public var arity: ClosedRange<Int> { 0...0 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("values", .extents(values))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) { values = try attributes.extents("values") }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] { [TensorType(.i64, [Extent(values.count)])] }
  public func substituting(_ bindings: [String: Extent]) -> ExtentVector { ExtentVector(values.map { $0.substituting(bindings) }) }
}

/// Each element's index along one axis.
///
///     %i = iota {shape = [2, sequence], axis = 1, element = i64} : i64[2,sequence]
///
/// - Operands: none. Result: `element` [shape...].
/// - Source: StableHLO `iota`; with multiplication and addition it makes ONNX `Range`.
public struct Iota: Operation {
  public var element: ElementType
  public var shape: Shape
  public var axis: Int
  public init(_ element: ElementType, _ shape: Shape, axis: Int) {
    (self.element, self.shape, self.axis) = (element, shape, axis)
  }

  public static let mnemonics = ["iota"]
  public var arity: ClosedRange<Int> { 0...0 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("shape", .extents(shape.extents))
    list.set("axis", .integer(axis))
    list.set("element", .element(element))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(try attributes.element("element"), Shape(try attributes.extents("shape")), axis: try attributes.integer("axis"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let type = TensorType(element, shape)
    guard element.isNumber else { throw TypeError("`iota` counts in numbers, not \(element.name)") }
    try requireAxis(axis, of: type)
    return [type]
  }
  public func substituting(_ bindings: [String: Extent]) -> Iota { Iota(element, shape.substituting(bindings), axis: axis) }
}
