import TensorTypes
import TestSupport

/// Bytes of a protobuf message, written field by field.
struct ProtoMessage {
  private(set) var bytes: [UInt8] = []

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func integer(_ field: Int, _ value: Int) {
    varint(UInt64(field << 3))
    varint(UInt64(bitPattern: Int64(value)))
  }
  mutating func float(_ field: Int, _ value: Float) {
    varint(UInt64(field << 3 | 5))
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }
  mutating func data(_ field: Int, _ value: [UInt8]) {
    varint(UInt64(field << 3 | 2))
    varint(UInt64(value.count))
    bytes += value
  }
  mutating func string(_ field: Int, _ value: String) { data(field, Array(value.utf8)) }
  mutating func message(_ field: Int, _ value: ProtoMessage) { data(field, value.bytes) }
}

/// An ONNX model for a test.
struct ONNXFile {
  enum Attribute {
    case integer(Int)
    case float(Float)
    case string(String)
    case integers([Int])
    case floats([Float])
    case strings([String])
    case tensor(ProtoMessage)
    case graph(ProtoMessage)
    /// A reference to an attribute of the function around.
    case reference(String)
  }

  var irVersion = 8
  var opset = 17
  var graph = ProtoMessage()
  private var functions: [ProtoMessage] = []

  init(opset: Int = 17) { self.opset = opset }

  /// `y = Identity(x)`.
  static var identity: ONNXFile {
    var file = ONNXFile()
    file.input("x", ["2"])
    file.node("Identity", ["x"], ["y"])
    file.output("y")
    return file
  }

  static func tensor(_ name: String, _ tensor: Tensor, dimensions: [Int]? = nil) -> ProtoMessage {
    var message = ProtoMessage()
    for dimension in dimensions ?? tensor.dimensions { message.integer(1, dimension) }
    let types: [ElementType: Int] = [.f32: 1, .u8: 2, .i8: 3, .i32: 6, .i64: 7, .bool: 9, .f16: 10, .f64: 11, .bf16: 16, .string: 8]
    message.integer(2, types[tensor.element] ?? 0)
    message.string(8, name)
    if tensor.element == .string { for text in tensor.texts { message.string(6, text.string) } } else { message.data(9, tensor.withBytes { Array($0) }) }
    return message
  }

  static func node(_ type: String, _ inputs: [String], _ outputs: [String], _ attributes: [(String, Attribute)] = [], domain: String = "") -> ProtoMessage {
    var message = ProtoMessage()
    for input in inputs { message.string(1, input) }
    for output in outputs { message.string(2, output) }
    message.string(3, "node_" + (outputs.first ?? ""))
    message.string(4, type)
    for (name, value) in attributes {
      var attribute = ProtoMessage()
      attribute.string(1, name)
      switch value {
      case .integer(let value): attribute.integer(3, value)
      case .float(let value): attribute.float(2, value)
      case .string(let value): attribute.string(4, value)
      case .integers(let values): for value in values { attribute.integer(8, value) }
      case .floats(let values): for value in values { attribute.float(7, value) }
      case .strings(let values): for value in values { attribute.string(9, value) }
      case .tensor(let tensor): attribute.message(5, tensor)
      case .graph(let graph): attribute.message(6, graph)
      case .reference(let name): attribute.string(21, name)
      }
      message.message(5, attribute)
    }
    if !domain.isEmpty { message.string(7, domain) }
    return message
  }

  /// A graph input or output; dimensions are numbers, names or "?".
  static func value(_ name: String, _ element: Int = 1, _ dimensions: [String]? = nil) -> ProtoMessage {
    var tensor = ProtoMessage()
    tensor.integer(1, element)
    if let dimensions {
      var shape = ProtoMessage()
      for text in dimensions {
        var dimension = ProtoMessage()
        if let number = Int(text) { dimension.integer(1, number) } else if text != "?" { dimension.string(2, text) }
        shape.message(1, dimension)
      }
      tensor.message(2, shape)
    }
    var type = ProtoMessage()
    type.message(1, tensor)
    var info = ProtoMessage()
    info.string(1, name)
    info.message(2, type)
    return info
  }

  mutating func input(_ name: String, _ dimensions: [String], element: Int = 1) { graph.message(11, Self.value(name, element, dimensions)) }
  /// An output; the element type 0 declares none.
  mutating func output(_ name: String, element: Int = 1) { graph.message(12, Self.value(name, element)) }
  mutating func initializer(_ name: String, _ tensor: Tensor) { graph.message(5, Self.tensor(name, tensor)) }
  mutating func node(_ type: String, _ inputs: [String], _ outputs: [String], _ attributes: [(String, Attribute)] = [], domain: String = "") {
    graph.message(1, Self.node(type, inputs, outputs, attributes, domain: domain))
  }

  mutating func function(_ name: String, inputs: [String], outputs: [String], nodes: [ProtoMessage]) {
    var message = ProtoMessage()
    message.string(1, name)
    for input in inputs { message.string(4, input) }
    for output in outputs { message.string(5, output) }
    for node in nodes { message.message(7, node) }
    message.message(9, operatorSet("", opset))
    message.message(9, operatorSet("local", 1))
    message.string(10, "local")
    functions.append(message)
  }

  private func operatorSet(_ domain: String, _ version: Int) -> ProtoMessage {
    var message = ProtoMessage()
    message.string(1, domain)
    message.integer(2, version)
    return message
  }

  var bytes: [UInt8] {
    var model = ProtoMessage()
    model.integer(1, irVersion)
    model.message(7, graph)
    model.message(8, operatorSet("", opset))
    model.message(8, operatorSet("local", 1))
    model.message(8, operatorSet("ai.onnx.ml", 4))
    model.message(8, operatorSet("com.microsoft", 1))
    for function in functions { model.message(25, function) }
    return model.bytes
  }

  /// Writes the model into a folder and gives its path.
  func write(to folder: TemporaryFolder, as name: String = "model.onnx") -> String { folder.write(bytes, to: name) }
}
