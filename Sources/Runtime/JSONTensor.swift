public import Artifact
public import TensorTypes

/// Tensors as nested JSON arrays, outermost axis first; a number or a boolean is a scalar.
public enum JSONTensor {
  /// - Parameters:
  ///   - dimensions: If given, a flat array of that many elements is accepted too.
  public static func decode(
    _ json: JSON, _ element: ElementType, dimensions: [Int]? = nil, source: String = "tensor"
  ) throws(TensorFileError) -> Tensor {
    var found: [Int] = []
    var level = json
    while let values = level.array {
      found.append(values.count)
      guard let first = values.first else { break }
      level = first
    }
    var scalars: [JSON] = []
    try collect(json, found[...], into: &scalars, source)
    if let dimensions, dimensions != found {
      guard elementCount(of: dimensions) == scalars.count, found.count == 1 || scalars.isEmpty else {
        throw TensorFileError(source, .mismatch("array of shape \(Shape(found)), expected \(Shape(dimensions))"))
      }
      found = dimensions
    }
    guard elementCount(of: found) == scalars.count else { throw TensorFileError(source, .malformed("the arrays are not rectangular")) }
    if element == .string {
      var texts: [Text] = []
      for scalar in scalars {
        guard let text = scalar.string else { throw TensorFileError(source, .mismatch("element \(texts.count) is \(scalar), not a string")) }
        texts.append(Text(text))
      }
      return Tensor(texts: texts, dimensions: found)
    }
    return try Tensor(element, found) { bytes throws(TensorFileError) in
      for (position, scalar) in scalars.enumerated() {
        guard store(scalar, element, bytes, position) else {
          throw TensorFileError(source, .mismatch("element \(position) is \(scalar), which \(element) does not hold"))
        }
      }
    }
  }

  private static func collect(_ json: JSON, _ dimensions: ArraySlice<Int>, into scalars: inout [JSON], _ source: String) throws(TensorFileError) {
    guard let length = dimensions.first else {
      if json.array != nil { throw TensorFileError(source, .malformed("the arrays are not rectangular")) }
      scalars.append(json)
      return
    }
    guard let values = json.array, values.count == length else { throw TensorFileError(source, .malformed("the arrays are not rectangular")) }
    for value in values { try collect(value, dimensions.dropFirst(), into: &scalars, source) }
  }

  /// False if the type does not hold the value.
  private static func store(_ scalar: JSON, _ element: ElementType, _ bytes: UnsafeMutableRawBufferPointer, _ position: Int) -> Bool {
    switch scalar {
    case .bool(let value):
      Tensor.store(value ? 1 : 0, element, bytes, position)
      return true
    case .integer(let value):
      if let range = element.integerRange, !range.contains(value) { return false }
      Tensor.store(value, element, bytes, position)
      return true
    case .number(let value):
      // 1.0 is an integer, 1.5 is none; 2^63 and above only fit u64.
      if let range = element.integerRange {
        let isBigUnsigned = element == .u64 && value >= 0x1p63 && value < 0x1p64
        guard value == value.rounded(), isBigUnsigned || range.contains(Int(clamping: value)) && abs(value) < 0x1p63 else { return false }
      }
      Tensor.store(value, element, bytes, position)
      return true
    case .null, .string, .array, .object: return false
    }
  }

  /// Nested arrays of numbers; booleans for `bool`.
  public static func encode(_ tensor: Tensor) -> JSON {
    var position = 0
    return tensor.withBytes { bytes in
      func level(_ axis: Int) -> JSON {
        if axis < tensor.dimensions.count { return .array((0..<tensor.dimensions[axis]).map { _ in level(axis + 1) }) }
        defer { position += 1 }
        switch tensor.element {
        case .string: return .string(tensor.text(at: position).string)
        case .bool: return .bool(Tensor.integer(bytes, .bool, position) != 0)
        // The shortest text of the float, not of the double with the same value.
        case .f32: return .number(Double(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self).description) ?? .nan)
        case .f64, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: return .number(Tensor.double(bytes, tensor.element, position))
        case .u64 where Tensor.integer(bytes, .u64, position) < 0: return .number(Tensor.double(bytes, .u64, position))
        default: return .integer(Tensor.integer(bytes, tensor.element, position))
        }
      }
      // An axis of length 0 ends the nesting, however long the axes around it claim to be.
      return tensor.count == 0 && tensor.dimensions.first != 0 ? .array([]) : level(0)
    }
  }
}
