import NIOCore
import TensorTypes

/// An infer request of the Open Inference Protocol: JSON, followed by the bytes of binary tensors if there are any.
struct OpenInferenceRequest: Sendable {
  struct Output: Sendable {
    let index: Int
    var isBinary: Bool
  }

  private(set) var id: String?
  private(set) var inputs: [Tensor] = []
  /// What to send back, in the order of the request.
  private(set) var outputs: [Output] = []

  init(_ request: Request, _ signature: ModelSignature) throws(RequestError) {
    guard request.body.readableBytes > 0 else { throw .malformed("the request has no body; send JSON with \"inputs\"") }
    let headerLength = try Self.headerLength(request)
    if headerLength == 0 {
      inputs = [try Self.wholeBody(request.body, signature)]
      outputs = signature.outputs.indices.map { Output(index: $0, isBinary: true) }
      return
    }
    self = try request.body.withUnsafeReadableBytes { (bytes) throws(RequestError) in
      let json = UnsafeRawBufferPointer(rebasing: bytes[..<(headerLength ?? bytes.count)])
      var parser = OpenInferenceParser(signature, tail: UnsafeRawBufferPointer(rebasing: bytes[json.count...]))
      var scanner = JSONScanner(json)
      try parser.document(&scanner)
      try scanner.expectEnd()
      return try parser.finished()
    }
  }

  init(id: String?, inputs: [Tensor], outputs: [Output]) {
    self.id = id
    self.inputs = inputs
    self.outputs = outputs
  }

  /// The value of `Inference-Header-Content-Length`, within the body; nil without the header.
  private static func headerLength(_ request: Request) throws(RequestError) -> Int? {
    let values = request.headers[OpenInferenceProtocol.headerLengthField]
    guard let text = values.first else { return nil }
    guard values.count == 1, text.utf8.count <= 19, !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let length = Int(text) else {
      throw .malformed("Inference-Header-Content-Length must be one whole number")
    }
    guard length <= request.body.readableBytes else {
      throw .malformed("Inference-Header-Content-Length is \(length), but the body has only \(request.body.readableBytes) bytes")
    }
    return length
  }

  /// A body that is the bytes of the only input, as header length 0 says: one axis may be variable and is found
  /// from the size; further variable axes would be ambiguous, but for a leading one, which is the batch and taken as 1.
  private static func wholeBody(_ body: ByteBuffer, _ signature: ModelSignature) throws(RequestError) -> Tensor {
    guard signature.inputs.count == 1, let port = signature.inputs.first else {
      throw .malformed("a body without JSON needs a model with one input; this one has \(signature.inputs.count)")
    }
    guard port.type.element != .string else { throw .malformed("a body without JSON needs an input of numbers; this one takes strings") }
    var dimensions = port.type.shape.map { $0.constant ?? -1 }
    if dimensions.filter({ $0 < 0 }).count > 1, dimensions.first == -1 { dimensions[0] = 1 }
    let variable = dimensions.indices.filter { dimensions[$0] < 0 }
    guard variable.count <= 1 else { throw .malformed("a body without JSON needs an input with at most one variable axis; this one has \(port.type.shape)") }
    if let axis = variable.first {
      dimensions[axis] = 1
      guard let unit = elementCount(of: dimensions), unit > 0 else { throw .shape("input \(port.name.quoted) holds no elements") }
      let (bytes, overflowed) = unit.multipliedReportingOverflow(by: port.type.element.byteCount)
      if !overflowed { dimensions[axis] = body.readableBytes / bytes }
    }
    let tensor = try body.withUnsafeReadableBytes { (bytes) throws(RequestError) in try binaryTensor(bytes, port, dimensions) }
    var symbols: [String: Int] = [:]
    try port.check(tensor.dimensions, binding: &symbols)
    return tensor
  }

  /// A tensor of exactly these bytes.
  static func binaryTensor(
    _ bytes: UnsafeRawBufferPointer, _ port: ModelSignature.Port, _ dimensions: [Int]
  ) throws(RequestError) -> Tensor {
    let element = port.type.element
    if element == .string { return try BinaryStrings.decode(bytes, dimensions, input: port.name) }
    guard let count = elementCount(of: dimensions), count <= bytes.count, count * element.byteCount == bytes.count else {
      throw .shape("input \(port.name.quoted): \(bytes.count) bytes do not hold \(element.protocolName) \(Shape(dimensions))")
    }
    if element == .bool, let bad = bytes.first(where: { $0 > 1 }) {
      throw .invalid("input \(port.name.quoted): a BOOL is one byte, 0 or 1; got \(bad)")
    }
    return Tensor(element, dimensions) { $0.copyMemory(from: bytes) }
  }
}

/// Reads the JSON part of a request; keys may come in any order.
private struct OpenInferenceParser {
  let signature: ModelSignature
  /// The bytes behind the JSON part that no input has taken yet.
  var tail: UnsafeRawBufferPointer
  var id: String?
  var tensors: [Tensor?]
  var sawInputs = false
  var requested: [(index: Int, isBinary: Bool?)]?
  var allBinary = false

  init(_ signature: ModelSignature, tail: UnsafeRawBufferPointer) {
    self.signature = signature
    self.tail = tail
    tensors = Array(repeating: nil, count: signature.inputs.count)
  }

  mutating func document(_ scanner: inout JSONScanner) throws(RequestError) {
    try scanner.object { (key, scanner) throws(RequestError) in
      switch key {
      case "id":
        guard id == nil else { throw .malformed("\"id\" appears twice") }
        id = try scanner.string()
      case "inputs":
        guard !sawInputs else { throw .malformed("\"inputs\" appears twice") }
        sawInputs = true
        try scanner.array { (position, scanner) throws(RequestError) in try input(position, &scanner) }
      case "outputs":
        guard requested == nil else { throw .malformed("\"outputs\" appears twice") }
        requested = []
        try scanner.array { (position, scanner) throws(RequestError) in try output(position, &scanner) }
      case "parameters":
        try scanner.object { (key, scanner) throws(RequestError) in
          if key == "binary_data_output" { allBinary = try scanner.boolean() } else { try scanner.skipValue() }
        }
      default: try scanner.skipValue()
      }
    }
  }

  func finished() throws(RequestError) -> OpenInferenceRequest {
    guard sawInputs else { throw .malformed("missing field \"inputs\"") }
    guard tail.isEmpty else { throw .malformed("\(tail.count) bytes of the body belong to no input") }
    let chosen = requested.flatMap { $0.isEmpty ? nil : $0 } ?? signature.outputs.indices.map { ($0, nil) }
    return OpenInferenceRequest(
      id: id, inputs: try signature.checked(tensors),
      outputs: chosen.map { OpenInferenceRequest.Output(index: $0.index, isBinary: $0.isBinary ?? allBinary) })
  }

  private mutating func output(_ position: Int, _ scanner: inout JSONScanner) throws(RequestError) {
    var name: String?
    var isBinary: Bool?
    try scanner.object { (key, scanner) throws(RequestError) in
      switch key {
      case "name": name = try scanner.string()
      case "parameters":
        try scanner.object { (key, scanner) throws(RequestError) in
          if key == "binary_data" { isBinary = try scanner.boolean() } else { try scanner.skipValue() }
        }
      default: try scanner.skipValue()
      }
    }
    guard let name else { throw .malformed("outputs[\(position)] has no \"name\"") }
    let index = try signature.outputIndex(named: name)
    if requested?.contains(where: { $0.index == index }) == true { throw .invalid("output \(name.quoted) is asked for twice") }
    requested?.append((index, isBinary))
  }

  private mutating func input(_ position: Int, _ scanner: inout JSONScanner) throws(RequestError) {
    var index: Int?
    var shape: [Int]?
    var datatype: String?
    var binarySize: Int?
    var data: InputColumn?
    var dataPosition: Int?
    try scanner.object { (key, scanner) throws(RequestError) in
      switch key {
      case "name":
        let name = try scanner.string()
        guard index == nil else { throw .malformed("inputs[\(position)]: \"name\" appears twice") }
        index = try signature.inputIndex(named: name)
      case "shape":
        guard shape == nil else { throw .malformed("inputs[\(position)]: \"shape\" appears twice") }
        var dimensions: [Int] = []
        try scanner.array { (_, scanner) throws(RequestError) in
          guard dimensions.count < NestedArrayReader.maximumRank else { throw .shape("inputs[\(position)]: more than \(NestedArrayReader.maximumRank) axes") }
          dimensions.append(try scanner.size("inputs[\(position)]: a dimension"))
        }
        shape = dimensions
      case "datatype": datatype = try scanner.string()
      case "data":
        guard dataPosition == nil else { throw .malformed("inputs[\(position)]: \"data\" appears twice") }
        dataPosition = scanner.position
        // The numbers are read at once if it is known what they are; otherwise after the object.
        if let index { data = try read(&scanner, signature.inputs[index]) } else { try scanner.skipValue() }
      case "parameters":
        try scanner.object { (key, scanner) throws(RequestError) in
          if key == "binary_data_size" {
            binarySize = try scanner.size("inputs[\(position)]: binary_data_size")
          } else if key.hasPrefix("shared_memory") {
            throw RequestError(.notImplemented, code: "unsupported", "inputs[\(position)]: shared memory is not offered")
          } else {
            try scanner.skipValue()
          }
        }
      default: try scanner.skipValue()
      }
    }
    guard let index else { throw .malformed("inputs[\(position)] has no \"name\"") }
    let port = signature.inputs[index]
    guard tensors[index] == nil else { throw .invalid("input \(port.name.quoted) appears twice") }
    guard let shape else { throw .malformed("input \(port.name.quoted) has no \"shape\"") }
    guard let datatype else { throw .malformed("input \(port.name.quoted) has no \"datatype\"") }
    guard datatype == port.type.element.protocolName else {
      throw RequestError(
        .badRequest, code: "datatype_mismatch", "input \(port.name.quoted): expected datatype \(port.type.element.protocolName), got \(datatype.quoted)")
    }
    if let binarySize {
      guard dataPosition == nil else { throw .malformed("input \(port.name.quoted) has both \"data\" and \"binary_data_size\"") }
      guard binarySize <= tail.count else {
        throw .malformed("input \(port.name.quoted): binary_data_size is \(binarySize), but \(tail.count) bytes are left in the body")
      }
      tensors[index] = try OpenInferenceRequest.binaryTensor(UnsafeRawBufferPointer(rebasing: tail[..<binarySize]), port, shape)
      tail = UnsafeRawBufferPointer(rebasing: tail[binarySize...])
      return
    }
    guard let dataPosition else { throw .malformed("input \(port.name.quoted) has no \"data\"") }
    if data == nil {
      var again = scanner.moved(to: dataPosition)
      data = try read(&again, port)
    }
    guard let data else { return }
    tensors[index] = try data.tensor(declared: shape)
  }

  private func read(_ scanner: inout JSONScanner, _ port: ModelSignature.Port) throws(RequestError) -> InputColumn {
    let column = InputColumn(port, bodyBytes: scanner.bytes.count)
    try column.read(&scanner)
    return column
  }
}
