public import TensorTypes

/// A tensor as ONNX stores it: one `TensorProto` message.
///
/// Elements of fewer than 8 bits are packed there. Complex numbers, segments and external data are refused.
public struct TensorProto: Sendable {
  public var name: String
  public var tensor: Tensor

  /// `TensorProto.DataType` of onnx.proto.
  public enum DataType: Int, Sendable, Hashable {
    case float = 1, uint8, int8, uint16, int16, int32, int64, string, bool, float16, double, uint32, uint64, complex64, complex128, bfloat16
    case float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz, uint4, int4, float4e2m1, float8e8m0, uint2, int2

    /// The element type that holds its values; nil for those that have none.
    public var element: ElementType? {
      switch self {
      case .float: .f32
      case .uint8: .u8
      case .int8: .i8
      case .uint16: .u16
      case .int16: .i16
      case .int32: .i32
      case .int64: .i64
      case .bool: .bool
      case .float16: .f16
      case .double: .f64
      case .uint32: .u32
      case .uint64: .u64
      case .bfloat16: .bf16
      case .float8e4m3fn: .f8e4m3fn
      case .float8e4m3fnuz: .f8e4m3fnuz
      case .float8e5m2: .f8e5m2
      case .float8e5m2fnuz: .f8e5m2fnuz
      case .float8e8m0: .f8e8m0
      case .float4e2m1: .f4e2m1
      case .uint4: .u4
      case .int4: .i4
      case .uint2: .u2
      case .int2: .i2
      case .string: .string
      case .complex64, .complex128: nil
      }
    }

    init(_ element: ElementType) {
      self =
        switch element {
        case .f32: .float
        case .f64: .double
        case .f16: .float16
        case .bf16: .bfloat16
        case .i8: .int8
        case .i16: .int16
        case .i32: .int32
        case .i64: .int64
        case .u8: .uint8
        case .u16: .uint16
        case .u32: .uint32
        case .u64: .uint64
        case .bool: .bool
        case .f8e4m3fn: .float8e4m3fn
        case .f8e4m3fnuz: .float8e4m3fnuz
        case .f8e5m2: .float8e5m2
        case .f8e5m2fnuz: .float8e5m2fnuz
        case .f8e8m0: .float8e8m0
        case .f4e2m1: .float4e2m1
        case .i4: .int4
        case .u4: .uint4
        case .i2: .int2
        case .u2: .uint2
        case .string: .string
        }
    }
  }

  public init(name: String, tensor: Tensor) {
    self.name = name
    self.tensor = tensor
  }

  public static func read(_ path: String) throws(TensorFileError) -> TensorProto { try TensorProto(decoding: FileSystem.read(path), source: path) }

  public init(decoding bytes: [UInt8], source: String = "tensor") throws(TensorFileError) {
    do {
      let fields = try Fields(bytes)
      tensor = try fields.tensor(bytes)
      name = fields.name
    } catch {
      switch error {
      case .malformed(let fact): throw TensorFileError(source, .malformed(fact))
      case .unsupported(let fact): throw TensorFileError(source, .unsupported(fact))
      }
    }
  }

  // MARK: Encoding

  /// The bytes of the message, elements in `raw_data`.
  public var encoded: [UInt8] {
    var bytes: [UInt8] = []
    func varint(_ value: UInt64) {
      var rest = value
      while rest >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      bytes.append(UInt8(rest))
    }
    for dimension in tensor.dimensions {
      varint(1 << 3)
      varint(UInt64(dimension))
    }
    varint(2 << 3)
    varint(UInt64(DataType(tensor.element).rawValue))
    varint(8 << 3 | 2)
    varint(UInt64(name.utf8.count))
    bytes += Array(name.utf8)
    if tensor.element == .string {
      for text in tensor.texts {
        varint(6 << 3 | 2)
        varint(UInt64(text.byteCount))
        text.withBytes { bytes.append(contentsOf: $0) }
      }
      return bytes
    }
    varint(9 << 3 | 2)
    varint(UInt64(Tensor.packedByteCount(tensor.element, tensor.count)))
    if tensor.element.bitCount < 8 { bytes += tensor.packedBytes } else { tensor.withBytes { bytes.append(contentsOf: $0) } }
    return bytes
  }
}

private enum ProtoProblem: Error { case malformed(String), unsupported(String) }

/// The fields of the message that matter, still as ranges of the file.
private struct Fields {
  var name = ""
  private var dimensions: [Int] = []
  private var dataType = 0
  private var rawData: Range<Int>?
  private var isExternal = false
  private var hasSegment = false
  /// One entry per element: bit patterns as the field's number type gives them.
  private var values: [UInt64] = []
  private var strings: [Range<Int>] = []

  init(_ bytes: [UInt8]) throws(ProtoProblem) {
    do {
      var reader = WireReader(bytes)
      while let (field, value) = try reader.next() {
        switch (field, value) {
        case (1, .varint(let dimension)): dimensions.append(Int(truncatingIfNeeded: dimension))
        case (1, .bytes(let range)):
          var packed = WireReader(bytes, range: range)
          while !packed.isAtEnd { dimensions.append(Int(truncatingIfNeeded: try packed.varint())) }
        case (2, .varint(let type)): dataType = Int(truncatingIfNeeded: type)
        case (3, _): hasSegment = true
        case (6, .bytes(let range)): strings.append(range)
        case (8, .bytes(let range)): name = String(decoding: bytes[range], as: UTF8.self)
        case (9, .bytes(let range)): rawData = range
        case (14, .varint(let location)): isExternal = location == 1
        case (4, .fixed32(let pattern)): values.append(UInt64(pattern))
        case (4, .bytes(let range)):
          var packed = WireReader(bytes, range: range)
          while !packed.isAtEnd { values.append(UInt64(try packed.fixed32())) }
        case (10, .fixed64(let pattern)): values.append(pattern)
        case (10, .bytes(let range)):
          var packed = WireReader(bytes, range: range)
          while !packed.isAtEnd { values.append(try packed.fixed64()) }
        case (5, .varint(let number)), (7, .varint(let number)), (11, .varint(let number)): values.append(number)
        case (5, .bytes(let range)), (7, .bytes(let range)), (11, .bytes(let range)):
          var packed = WireReader(bytes, range: range)
          while !packed.isAtEnd { values.append(try packed.varint()) }
        case (1, _), (2, _), (4, _), (5, _), (6, _), (7, _), (8, _), (9, _), (10, _), (11, _): throw ProtoProblem.malformed("field \(field) has the wrong wire type")
        default: break
        }
      }
    } catch let failure as WireReader.Failure {
      throw .malformed("not a TensorProto: \(failure.fact) at byte \(failure.byteOffset)")
    } catch let problem as ProtoProblem {
      throw problem
    } catch {
      throw .malformed("\(error)")
    }
  }

  func tensor(_ bytes: [UInt8]) throws(ProtoProblem) -> Tensor {
    guard let type = TensorProto.DataType(rawValue: dataType) else { throw .unsupported("ONNX data type \(dataType)") }
    guard let element = type.element else { throw .unsupported("a tensor of \(type)") }
    if isExternal { throw .unsupported("a tensor whose data lies in another file") }
    if hasSegment { throw .unsupported("a tensor that is stored in segments") }
    guard let count = elementCount(of: dimensions), count.multipliedReportingOverflow(by: 8 * element.byteCount).overflow == false else {
      throw .malformed("impossible dimensions \(dimensions)")
    }
    if element == .string { return try texts(bytes, count) }
    let isPacked = element.bitCount < 8
    if let rawData {
      let expected = Tensor.packedByteCount(element, count)
      guard rawData.count == expected else { throw .malformed("\(rawData.count) bytes of data for \(type)\(Shape(dimensions)), expected \(expected)") }
      return bytes.withUnsafeBytes { all in
        let source = UnsafeRawBufferPointer(rebasing: all[rawData])
        if isPacked { return Tensor(unpacking: source, element, dimensions) }
        return Tensor(element, dimensions) { target in
          target.copyMemory(from: source)
          if element == .bool { for position in 0..<count where target[position] > 1 { target[position] = 1 } }
        }
      }
    }
    let expected = isPacked ? Tensor.packedByteCount(element, count) : count
    guard values.count == expected else { throw .malformed("\(values.count) values for \(type)\(Shape(dimensions)), expected \(expected)") }
    if isPacked {
      return values.map { UInt8(truncatingIfNeeded: $0) }.withUnsafeBytes { Tensor(unpacking: $0, element, dimensions) }
    }
    return Tensor(element, dimensions) { target in for position in 0..<count { store(values[position], element, target, position) } }
  }

  private func texts(_ bytes: [UInt8], _ count: Int) throws(ProtoProblem) -> Tensor {
    guard rawData == nil, strings.count == count else { throw .malformed("\(strings.count) strings for \(Shape(dimensions))") }
    var texts: [Text] = []
    texts.reserveCapacity(count)
    for range in strings {
      guard range.count <= Text.maximumBytes else { throw .malformed("a string of \(range.count) bytes; the limit is \(Text.maximumBytes)") }
      guard let text = Text(validating: bytes[range]) else { throw .malformed("string \(texts.count) is not valid UTF-8") }
      texts.append(text)
    }
    return Tensor(texts: texts, dimensions: dimensions)
  }

  /// Bit patterns: `float_data` and `double_data` hold them as they are, `int32_data` holds f16 and bf16 so.
  private func store(_ pattern: UInt64, _ element: ElementType, _ target: UnsafeMutableRawBufferPointer, _ position: Int) {
    switch element.byteCount {
    case 1: target[position] = element == .bool ? (pattern == 0 ? 0 : 1) : UInt8(truncatingIfNeeded: pattern)
    case 2: target.storeBytes(of: UInt16(truncatingIfNeeded: pattern), toByteOffset: position * 2, as: UInt16.self)
    case 4: target.storeBytes(of: UInt32(truncatingIfNeeded: pattern), toByteOffset: position * 4, as: UInt32.self)
    default: target.storeBytes(of: pattern, toByteOffset: position * 8, as: UInt64.self)
    }
  }
}
