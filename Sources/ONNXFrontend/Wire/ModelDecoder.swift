import TensorTypes

/// Decodes the messages of a model file from its mapped bytes.
///
/// Two bounds keep hostile files cheap: every message spends from a budget, because two bytes of file can
/// become a few hundred bytes of node, and nesting stops at a depth.
struct ModelDecoder {
  private let bytes: UnsafeRawBufferPointer
  private var budget: Int
  private let nesting: Int

  /// `bytes` must outlive the decoder.
  init(_ bytes: UnsafeRawBufferPointer, limits: ImportLimits) {
    self.bytes = bytes
    budget = limits.messages
    nesting = limits.nesting
  }

  var everything: Range<Int> { 0..<bytes.count }

  private mutating func reader(_ range: Range<Int>) throws(WireError) -> WireReader {
    try spend(range)
    return WireReader(bytes, range)
  }

  private mutating func spend(_ range: Range<Int>) throws(WireError) {
    budget -= 1
    if budget < 0 { throw WireError(offset: range.lowerBound, message: "the file holds more messages than a model needs (--limit messages=N)") }
  }

  private mutating func string(_ field: WireField) throws(WireError) -> String {
    let range = try field.range()
    try spend(range)
    return String(decoding: bytes[range], as: UTF8.self)
  }

  /// Text that is computed with, unlike names: it must be what it says.
  private mutating func text(_ field: WireField) throws(WireError) -> String {
    let range = try field.range()
    try spend(range)
    guard range.count <= Text.maximumBytes else { throw WireError(offset: range.lowerBound, message: "a string of \(range.count) bytes") }
    guard let text = String(validating: bytes[range], as: UTF8.self) else { throw WireError(offset: range.lowerBound, message: "a string is not valid UTF-8") }
    return text
  }

  private func check(_ depth: Int, _ range: Range<Int>) throws(WireError) {
    if depth > nesting { throw WireError(offset: range.lowerBound, message: "graphs or types are nested more than \(nesting) deep (--limit nesting=N)") }
  }

  // MARK: Messages

  mutating func model(_ range: Range<Int>) throws(WireError) -> ModelProto {
    var model = ModelProto()
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: model.irVersion = try field.integer()
      case 2: model.producerName = try string(field)
      case 3: model.producerVersion = try string(field)
      case 5: model.modelVersion = try field.integer()
      case 7: model.graph = try graph(field.range(), depth: 0)
      case 8: model.opsets.append(try operatorSet(field.range()))
      case 14:
        let entry = try entry(field.range())
        model.metadata[entry.key] = entry.value
      case 25: model.functions.append(try function(field.range()))
      default: break
      }
    }
    return model
  }

  private mutating func operatorSet(_ range: Range<Int>) throws(WireError) -> OperatorSetProto {
    var set = OperatorSetProto()
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: set.domain = try string(field)
      case 2: set.version = try field.integer()
      default: break
      }
    }
    return set
  }

  private mutating func entry(_ range: Range<Int>) throws(WireError) -> (key: String, value: String) {
    var entry = (key: "", value: "")
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: entry.key = try string(field)
      case 2: entry.value = try string(field)
      default: break
      }
    }
    return entry
  }

  private mutating func function(_ range: Range<Int>) throws(WireError) -> FunctionProto {
    var function = FunctionProto()
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: function.name = try string(field)
      case 4: function.inputs.append(try string(field))
      case 5: function.outputs.append(try string(field))
      case 7: function.nodes.append(try node(field.range(), depth: 1))
      case 9: function.opsets.append(try operatorSet(field.range()))
      case 10: function.domain = try string(field)
      case 11: function.attributeDefaults.append(try attribute(field.range(), depth: 1))
      case 13: function.overload = try string(field)
      default: break
      }
    }
    return function
  }

  mutating func graph(_ range: Range<Int>, depth: Int) throws(WireError) -> GraphProto {
    try check(depth, range)
    var graph = GraphProto()
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: graph.nodes.append(try node(field.range(), depth: depth))
      case 2: graph.name = try string(field)
      case 5: graph.initializers.append(try tensor(field.range()))
      case 11: graph.inputs.append(try valueInfo(field.range()))
      case 12: graph.outputs.append(try valueInfo(field.range()))
      case 13: graph.valueInfos.append(try valueInfo(field.range()))
      case 15: graph.sparseInitializers.append(try sparseTensor(field.range()))
      default: break
      }
    }
    return graph
  }

  private mutating func node(_ range: Range<Int>, depth: Int) throws(WireError) -> NodeProto {
    var node = NodeProto()
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: node.inputs.append(try string(field))
      case 2: node.outputs.append(try string(field))
      case 3: node.name = try string(field)
      case 4: node.operatorName = try string(field)
      case 5: node.attributes.append(try attribute(field.range(), depth: depth))
      case 7: node.domain = try string(field)
      case 8: node.overload = try string(field)
      default: break
      }
    }
    return node
  }

  /// Files of IR version 1 and 2 had no `type`; then the field that is there decides, as it does here always
  /// for a value that is present. `type` tells an absent value (a default is not written) from an empty list.
  private mutating func attribute(_ range: Range<Int>, depth: Int) throws(WireError) -> AttributeProto {
    var attribute = AttributeProto()
    var type = 0
    var reference: String?
    var floats: [Float] = [], integers: [Int] = [], strings: [String] = []
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: attribute.name = try string(field)
      case 2: attribute.value = .float(try field.float())
      case 3: attribute.value = .integer(try field.integer())
      case 4: attribute.value = .string(try field.range(), try string(field))
      case 5: attribute.value = .tensor(try tensor(field.range()))
      case 6: attribute.value = .graph([try graph(field.range(), depth: depth + 1)])
      case 7: try appendFloats(field, to: &floats)
      case 8: try appendIntegers(field, to: &integers)
      case 9: strings.append(try text(field))
      case 10, 11, 15, 23: attribute.value = .other
      case 14: attribute.value = .type(try self.type(field.range(), depth: depth + 1))
      case 20: type = try field.integer()
      case 21: reference = try string(field)
      case 22: attribute.value = .sparseTensor(try sparseTensor(field.range()))
      default: break
      }
    }
    if !floats.isEmpty { attribute.value = .floats(floats) }
    if !integers.isEmpty { attribute.value = .integers(integers) }
    if !strings.isEmpty { attribute.value = .strings(strings) }
    if case .none = attribute.value {
      switch type {
      case 1: attribute.value = .float(0)
      case 2: attribute.value = .integer(0)
      case 3: attribute.value = .string(range.lowerBound..<range.lowerBound, "")
      case 6: attribute.value = .floats([])
      case 7: attribute.value = .integers([])
      case 8: attribute.value = .strings([])
      default: break
      }
    }
    if let reference, !reference.isEmpty { attribute.value = .reference(reference) }
    return attribute
  }

  mutating func tensor(_ range: Range<Int>) throws(WireError) -> TensorProto {
    var tensor = TensorProto(message: range)
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: try appendIntegers(field, to: &tensor.dimensions)
      case 2: tensor.dataType = try field.integer()
      case 3: tensor.isSegment = true
      case 6: tensor.strings.append(try text(field))
      case 8: tensor.name = try string(field)
      case 9: tensor.raw = try field.range()
      case 13:
        let entry = try entry(field.range())
        tensor.externalData[entry.key] = entry.value
      case 14: tensor.isExternal = try field.integer() == 1
      default: break
      }
    }
    return tensor
  }

  private mutating func sparseTensor(_ range: Range<Int>) throws(WireError) -> SparseTensorProto {
    let nothing = TensorProto(message: range.lowerBound..<range.lowerBound)
    var sparse = SparseTensorProto(values: nothing, indices: nothing)
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: sparse.values = try tensor(field.range())
      case 2: sparse.indices = try tensor(field.range())
      case 3: try appendIntegers(field, to: &sparse.dimensions)
      default: break
      }
    }
    return sparse
  }

  private mutating func valueInfo(_ range: Range<Int>) throws(WireError) -> ValueInfoProto {
    var info = ValueInfoProto()
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: info.name = try string(field)
      case 2: info.type = try type(field.range(), depth: 0)
      default: break
      }
    }
    return info
  }

  private mutating func type(_ range: Range<Int>, depth: Int) throws(WireError) -> TypeProto {
    try check(depth, range)
    var type = TypeProto.none
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: type = try tensorType(field.range())
      case 4: type = .sequence(try elementType(field.range(), depth: depth + 1))
      case 5: type = .map
      case 8: type = .sparseTensor
      case 9: type = .optional(try elementType(field.range(), depth: depth + 1))
      default: break
      }
    }
    return type
  }

  private mutating func elementType(_ range: Range<Int>, depth: Int) throws(WireError) -> TypeProto {
    var reader = try reader(range)
    while let field = try reader.next() { if field.number == 1 { return try type(field.range(), depth: depth) } }
    return .none
  }

  private mutating func tensorType(_ range: Range<Int>) throws(WireError) -> TypeProto {
    var element = 0
    var shape: [TypeProto.Dimension]?
    var reader = try reader(range)
    while let field = try reader.next() {
      switch field.number {
      case 1: element = try field.integer()
      case 2: shape = try self.shape(field.range())
      default: break
      }
    }
    return .tensor(element: element, shape: shape)
  }

  private mutating func shape(_ range: Range<Int>) throws(WireError) -> [TypeProto.Dimension] {
    var shape: [TypeProto.Dimension] = []
    var reader = try reader(range)
    while let field = try reader.next() {
      if field.number != 1 { continue }
      var dimension = TypeProto.Dimension.unknown
      var inner = try self.reader(field.range())
      while let part = try inner.next() {
        switch part.number {
        case 1: dimension = .value(try part.integer())
        case 2:
          let name = try string(part)
          dimension = name.isEmpty ? .unknown : .parameter(name)
        default: break
        }
      }
      shape.append(dimension)
    }
    return shape
  }

  // MARK: Lists of numbers, packed or not

  private func appendIntegers(_ field: WireField, to list: inout [Int]) throws(WireError) {
    switch field.value {
    case .varint(let bits): list.append(Int(truncatingIfNeeded: bits))
    case .bytes(let range):
      var reader = WireReader(bytes, range)
      while !reader.isAtEnd { list.append(Int(truncatingIfNeeded: try reader.varint())) }
    default: throw field.wrongType()
    }
  }

  private func appendFloats(_ field: WireField, to list: inout [Float]) throws(WireError) {
    switch field.value {
    case .fixed32(let bits): list.append(Float(bitPattern: bits))
    case .bytes(let range):
      var reader = WireReader(bytes, range)
      while !reader.isAtEnd { list.append(Float(bitPattern: try reader.fixed32())) }
    default: throw field.wrongType()
    }
  }
}
