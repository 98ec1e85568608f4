public import GraphIR
public import TensorTypes

/// The one form in which quantization stands in a graph: composites of the arithmetic that they stand for.
///
///     %q = composite %x, %scale, %zero {name = quantize_linear, axis = 1} ( graph @quantize_linear(...) { ... } ) : u8[1,64,56,56]
///     %x = composite %q, %scale, %zero {name = dequantize_linear, axis = 0, block = 32} ( ... ) : f32[768,2048]
///
/// The bodies are those that the importer writes for `QuantizeLinear` and `DequantizeLinear`, so that a graph that we quantise and one
/// that another tool quantised have the same numbers. `axis` is the one that the elements of a scale belong to; `block`, if there
/// is one, so many neighbours along it share an element, and the scale has the rank of the value.
public enum QuantizedForm {
  public static let quantizing = "quantize_linear"
  public static let dequantizing = "dequantize_linear"

  /// round(x / scale) + zero, held within the range of `element`. The division is done in f32.
  ///
  /// - Parameter element: An integer type; that of the zero point if there is one.
  public static func quantize(
    _ x: TensorType, scale: TensorType, zero: TensorType? = nil, to element: ElementType, axis: Int = 0, block: Int = 0
  ) throws(TypeError) -> Composite {
    guard let range = element.integerRange, element != .bool else { throw TypeError("quantization to \(element.name)", hint: "it takes an integer type") }
    return try composite(quantizing, [x, scale] + (zero.map { [$0] } ?? []), axis: axis, block: block) { body, inputs throws(TypeError) in
      let division: ElementType = scale.element.isFloatingPoint && scale.element.byteCount > 1 ? scale.element : .f32
      var value = try body.converted(inputs[0], to: division)
      value = try body.combined(.divide, value, body.aligned(body.converted(inputs[1], to: division), to: x.shape, axis: axis, block: block))
      value = try body.insert(Unary(.round), value)
      value = try body.converted(value, to: division.isNarrowFloat ? .f32 : division)
      if inputs.count > 2 {
        let shift = try body.converted(inputs[2], to: body.type(of: value).element)
        value = try body.combined(.add, value, body.aligned(shift, to: x.shape, axis: axis, block: block))
      }
      value = try body.combined(.minimum, body.combined(.maximum, value, Double(range.lowerBound)), Double(range.upperBound))
      return try body.converted(value, to: element)
    }
  }

  /// (x - zero) * scale, in `element`. The difference is an i32, the product an f32.
  public static func dequantize(
    _ x: TensorType, scale: TensorType, zero: TensorType? = nil, to element: ElementType = .f32, axis: Int = 0, block: Int = 0
  ) throws(TypeError) -> Composite {
    guard element.isFloatingPoint, element.byteCount > 1, x.element.isInteger else { throw TypeError("dequantization of \(x) to \(element.name)") }
    return try composite(dequantizing, [x, scale] + (zero.map { [$0] } ?? []), axis: axis, block: block) { body, inputs throws(TypeError) in
      var value = try body.converted(inputs[0], to: .i32)
      if inputs.count > 2 {
        value = try body.combined(.subtract, value, body.aligned(body.converted(inputs[2], to: .i32), to: x.shape, axis: axis, block: block))
      }
      let wide: ElementType = element == .f64 || scale.element == .f64 ? .f64 : .f32
      let factor = try body.aligned(body.converted(inputs[1], to: wide), to: x.shape, axis: axis, block: block)
      return try body.converted(body.combined(.multiply, body.converted(value, to: wide), factor), to: element)
    }
  }

  private static func composite(
    _ name: String, _ types: [TensorType], axis: Int, block: Int, _ write: (inout Graph, [ValueID]) throws(TypeError) -> ValueID
  ) throws(TypeError) -> Composite {
    var body = Graph(name: name)
    let inputs = types.enumerated().map { body.addInput("x\($0)", $1) }
    let result = try write(&body, inputs)
    body.setOutputs([("y0", result)])
    return Composite(name, details: details(axis: axis, block: block), body: body)
  }

  /// What a composite says of itself.
  public static func details(axis: Int, block: Int) -> Attributes {
    var details = Attributes()
    details.set("axis", .integer(axis))
    if block > 0 { details.set("block", .integer(block)) }
    return details
  }
}

/// Quantization added to a graph that grows; `Rewriter` has the same.
extension Graph {
  public mutating func quantizeLinear(
    _ x: ValueID, scale: ValueID, zero: ValueID? = nil, to element: ElementType, axis: Int = 0, block: Int = 0, origin: NodeOrigin = NodeOrigin(), name: String = ""
  ) throws(TypeError) -> ValueID {
    let composite = try QuantizedForm.quantize(type(of: x), scale: type(of: scale), zero: zero.map { type(of: $0) }, to: element, axis: axis, block: block)
    return try add(composite, [x, scale] + (zero.map { [$0] } ?? []), origin: origin, name: name)[0]
  }

  public mutating func dequantizeLinear(
    _ x: ValueID, scale: ValueID, zero: ValueID? = nil, to element: ElementType = .f32, axis: Int = 0, block: Int = 0, origin: NodeOrigin = NodeOrigin(), name: String = ""
  ) throws(TypeError) -> ValueID {
    let composite = try QuantizedForm.dequantize(type(of: x), scale: type(of: scale), zero: zero.map { type(of: $0) }, to: element, axis: axis, block: block)
    return try add(composite, [x, scale] + (zero.map { [$0] } ?? []), origin: origin, name: name)[0]
  }
}

extension Rewriter {
  public mutating func quantizeLinear(
    _ x: ValueID, scale: ValueID, zero: ValueID? = nil, to element: ElementType, axis: Int = 0, block: Int = 0
  ) throws(TypeError) -> ValueID {
    let composite = try QuantizedForm.quantize(type(of: x), scale: type(of: scale), zero: zero.map { type(of: $0) }, to: element, axis: axis, block: block)
    return try insertAll(composite, [x, scale] + (zero.map { [$0] } ?? []))[0]
  }

  public mutating func dequantizeLinear(
    _ x: ValueID, scale: ValueID, zero: ValueID? = nil, to element: ElementType = .f32, axis: Int = 0, block: Int = 0
  ) throws(TypeError) -> ValueID {
    let composite = try QuantizedForm.dequantize(type(of: x), scale: type(of: scale), zero: zero.map { type(of: $0) }, to: element, axis: axis, block: block)
    return try insertAll(composite, [x, scale] + (zero.map { [$0] } ?? []))[0]
  }
}

/// The arithmetic of a composite's body.
extension Graph {
  fileprivate mutating func converted(_ x: ValueID, to element: ElementType) throws(TypeError) -> ValueID {
    type(of: x).element == element ? x : try insert(Convert(to: element), x)
  }

  /// A function of `x` and of what broadcasts to it.
  fileprivate mutating func combined(_ function: BinaryFunction, _ x: ValueID, _ other: ValueID) throws(TypeError) -> ValueID {
    let shape = type(of: x).shape
    return try insert(Binary(function), x, type(of: other).shape == shape ? other : insert(Broadcast(to: shape), other))
  }

  fileprivate mutating func combined(_ function: BinaryFunction, _ x: ValueID, _ number: Double) throws(TypeError) -> ValueID {
    try combined(function, x, insert(Constant(Tensor(scalar: number, type(of: x).element))))
  }

  private mutating func reshaped(_ x: ValueID, to shape: Shape) throws(TypeError) -> ValueID {
    type(of: x).shape == shape ? x : try insert(Reshape(to: shape), x)
  }

  /// A scale or zero point as one that broadcasts to `shape`: a scalar, a vector along `axis`, or one per block of `axis`.
  fileprivate mutating func aligned(_ parameter: ValueID, to shape: Shape, axis: Int, block: Int) throws(TypeError) -> ValueID {
    let given = type(of: parameter).shape
    if given.rank == 0 || given.elementCount == 1 { return try reshaped(parameter, to: []) }
    guard (0..<shape.rank).contains(axis) else { throw TypeError("a scale along axis \(axis) of \(shape)") }
    if block == 0 {
      guard given.rank == 1, given[0] == shape[axis] else { throw TypeError("a scale \(given) along axis \(axis) of \(shape)") }
      return try reshaped(parameter, to: Shape(given.extents + [Extent](repeating: 1, count: shape.rank - 1 - axis)))
    }
    guard given.rank == shape.rank, block > 0 else { throw TypeError("scales \(given) of blocks of \(block) along axis \(axis) of \(shape)") }
    var single = given.extents
    single.insert(1, at: axis + 1)
    var full = single
    full[axis + 1] = Extent(block)
    var merged = given
    merged[axis] = merged[axis] * Extent(block)
    var repeated = try reshaped(parameter, to: Shape(single))
    if block > 1 { repeated = try insert(Broadcast(to: Shape(full)), repeated) }
    repeated = try reshaped(repeated, to: merged)
    if merged[axis] == shape[axis] { return repeated }
    // The last block has too much.
    var sizes = merged.extents
    sizes[axis] = shape[axis]
    return try insert(
      Slice(starts: [Extent](repeating: 0, count: shape.rank), sizes: sizes, steps: [Int](repeating: 1, count: shape.rank)), repeated)
  }
}
