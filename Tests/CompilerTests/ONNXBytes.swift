/// Writes messages in the protobuf wire format, right or wrong: model files for the tests, field by field.
struct ONNXBytes: Sendable {
  private(set) var bytes: [UInt8] = []

  static func varint(_ value: UInt64) -> [UInt8] {
    var (rest, bytes) = (value, [UInt8]())
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  func integer(_ field: Int, _ value: Int) -> ONNXBytes { raw(Self.varint(UInt64(field) << 3) + Self.varint(UInt64(bitPattern: Int64(value)))) }
  func float(_ field: Int, _ value: Float) -> ONNXBytes {
    raw(Self.varint(UInt64(field) << 3 | 5) + (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) })
  }
  func text(_ field: Int, _ value: String) -> ONNXBytes { data(field, Array(value.utf8)) }
  func message(_ field: Int, _ value: ONNXBytes) -> ONNXBytes { data(field, value.bytes) }
  func messages(_ field: Int, _ values: [ONNXBytes]) -> ONNXBytes { values.reduce(self) { $0.message(field, $1) } }
  func data(_ field: Int, _ value: [UInt8]) -> ONNXBytes { raw(Self.varint(UInt64(field) << 3 | 2) + Self.varint(UInt64(value.count)) + value) }

  func raw(_ more: [UInt8]) -> ONNXBytes {
    var copy = self
    copy.bytes += more
    return copy
  }
}

extension ONNXBytes {
  /// A length of an axis in a type.
  enum Length {
    case fixed(Int), symbol(String)
  }

  static func model(_ graph: ONNXBytes, version: Int = 8, opset: Int? = 17, functions: [ONNXBytes] = []) -> ONNXBytes {
    var model = ONNXBytes().integer(1, version)
    if let opset { model = model.message(8, ONNXBytes().text(1, "").integer(2, opset)) }
    if !functions.isEmpty { model = model.message(8, ONNXBytes().text(1, "local").integer(2, 1)) }
    return model.message(7, graph).messages(25, functions)
  }

  static func graph(_ nodes: [ONNXBytes], weights: [ONNXBytes] = [], inputs: [ONNXBytes] = [x], outputs: [ONNXBytes] = [y]) -> ONNXBytes {
    ONNXBytes().text(2, "test").messages(1, nodes).messages(5, weights).messages(11, inputs).messages(12, outputs)
  }

  static func node(_ type: String, _ inputs: [String] = ["x"], _ outputs: [String] = ["y"], _ attributes: [ONNXBytes] = [], domain: String = "") -> ONNXBytes {
    let names = outputs.reduce(inputs.reduce(ONNXBytes()) { $0.text(1, $1) }) { $0.text(2, $1) }
    return names.text(3, "the_\(type)").text(4, type).messages(5, attributes).text(7, domain)
  }

  /// `element` is ONNX's number: 1 float, 6 int32, 7 int64, 8 string, 9 bool.
  static func value(_ name: String, _ lengths: [Length], element: Int = 1) -> ONNXBytes {
    let shape = lengths.reduce(ONNXBytes()) { shape, length in
      switch length {
      case .fixed(let value): shape.message(1, ONNXBytes().integer(1, value))
      case .symbol(let name): shape.message(1, ONNXBytes().text(2, name))
      }
    }
    return ONNXBytes().text(1, name).message(2, ONNXBytes().message(1, ONNXBytes().integer(1, element).message(2, shape)))
  }
  static func value(_ name: String, _ lengths: Int..., element: Int = 1) -> ONNXBytes { value(name, lengths.map { .fixed($0) }, element: element) }

  /// A float input [2, 3] and an output whose type is left to inference.
  static let x = value("x", 2, 3)
  static let y = ONNXBytes().text(1, "y")

  static func tensor(_ name: String, _ lengths: [Int], element: Int = 1, bytes: [UInt8]? = nil) -> ONNXBytes {
    let tensor = lengths.reduce(ONNXBytes()) { $0.integer(1, $1) }.integer(2, element).text(8, name)
    return bytes.map { tensor.data(9, $0) } ?? tensor
  }
  static func floats(_ name: String, _ lengths: [Int]) -> ONNXBytes { tensor(name, lengths, bytes: Array(repeating: 0, count: 4 * lengths.reduce(1, *))) }
  static func integers(_ name: String, _ values: [Int]) -> ONNXBytes {
    tensor(name, [values.count], element: 7, bytes: values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } })
  }
  static func external(_ name: String, _ lengths: [Int], _ entries: [(String, String)]) -> ONNXBytes {
    entries.reduce(tensor(name, lengths)) { $0.message(13, ONNXBytes().text(1, $1.0).text(2, $1.1)) }.integer(14, 1)
  }

  static func integer(_ name: String, _ value: Int) -> ONNXBytes { ONNXBytes().text(1, name).integer(3, value).integer(20, 2) }
  static func integers(attribute name: String, _ values: [Int]) -> ONNXBytes { values.reduce(ONNXBytes().text(1, name)) { $0.integer(8, $1) }.integer(20, 7) }
  static func float(_ name: String, _ value: Float) -> ONNXBytes { ONNXBytes().text(1, name).float(2, value).integer(20, 1) }
  static func text(_ name: String, _ value: String) -> ONNXBytes { ONNXBytes().text(1, name).text(4, value).integer(20, 3) }
  static func tensor(attribute name: String, _ value: ONNXBytes) -> ONNXBytes { ONNXBytes().text(1, name).message(5, value).integer(20, 4) }
  static func graph(attribute name: String, _ value: ONNXBytes) -> ONNXBytes { ONNXBytes().text(1, name).message(6, value).integer(20, 5) }

  static func function(_ name: String, _ nodes: [ONNXBytes]) -> ONNXBytes {
    ONNXBytes().text(1, name).text(4, "x").text(5, "y").messages(7, nodes).message(9, ONNXBytes().text(1, "").integer(2, 17))
      .message(9, ONNXBytes().text(1, "local").integer(2, 1)).text(10, "local")
  }
}
