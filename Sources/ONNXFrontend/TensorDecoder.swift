import GraphIR
import TensorTypes

/// Turns the tensors of a model file into `Tensor`s: ranges of the mapped file where the bytes lie there as they are
/// needed, new memory where they have to be decoded.
struct TensorDecoder {
  let file: ModelFile
  let limits: ImportLimits

  /// The element type for a number of `TensorProto.DataType`.
  static func element(_ dataType: Int) -> ElementType? {
    switch dataType {
    case 1: .f32
    case 2: .u8
    case 3: .i8
    case 4: .u16
    case 5: .i16
    case 6: .i32
    case 7: .i64
    case 8: .string
    case 9: .bool
    case 10: .f16
    case 11: .f64
    case 12: .u32
    case 13: .u64
    case 16: .bf16
    case 17: .f8e4m3fn
    case 18: .f8e4m3fnuz
    case 19: .f8e5m2
    case 20: .f8e5m2fnuz
    case 21: .u4
    case 22: .i4
    case 23: .f4e2m1
    case 24: .f8e8m0
    case 25: .u2
    case 26: .i2
    default: nil
    }
  }

  /// The standard's name of a data type.
  static func name(_ dataType: Int) -> String {
    let names = [
      "undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double", "uint32", "uint64",
      "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4", "int4", "float4e2m1",
      "float8e8m0", "uint2", "int2",
    ]
    return names.indices.contains(dataType) ? names[dataType] : "number \(dataType)"
  }

  /// The number for a name of `TensorProto.DataType`, such as `FLOAT`, which the first versions of `Cast` wrote.
  static func number(named name: String) -> Int? {
    let names = [
      "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128",
    ]
    return names.firstIndex(of: name.uppercased()).map { $0 + 1 }
  }

  static func element(_ dataType: Int, of what: String, origin: NodeOrigin) throws(CompileError) -> ElementType {
    if let element = element(dataType) { return element }
    guard (1...26).contains(dataType) else {
      throw CompileError(.badInput, "\(what) has the element type \(name(dataType)), which the standard does not know", stage: .load, origin: origin)
    }
    throw CompileError(
      .unsupported, "\(what) has the element type \(name(dataType)), which is not supported yet", stage: .load, origin: origin,
      hint: "supported are " + ElementType.allCases.map(\.name).joined(separator: ", "))
  }

  func tensor(_ proto: TensorProto, origin: NodeOrigin) throws(CompileError) -> Tensor {
    let what = proto.name.isEmpty ? "a tensor" : "tensor `\(printable(proto.name))`"
    func refuse(_ message: String) -> CompileError { CompileError(.badInput, "\(what) \(message)", stage: .load, origin: origin) }
    let element = try Self.element(proto.dataType, of: what, origin: origin)
    let dimensions = proto.dimensions
    guard dimensions.count <= limits.rank else { throw refuse("has \(dimensions.count) axes; at most \(limits.rank) are supported (--limit rank=N)") }
    if let negative = dimensions.first(where: { $0 < 0 }) { throw refuse("has a negative dimension: \(negative)") }
    guard let count = elementCount(of: dimensions), count <= limits.tensorBytes / element.byteCount else {
      throw refuse("has dimensions \(dimensions), whose product is too large (--limit tensor-bytes=N)")
    }
    if proto.isSegment { throw CompileError(.unsupported, "\(what) is stored in segments", stage: .load, origin: origin) }
    if element == .string {
      guard !proto.isExternal, proto.raw == nil else { throw refuse("holds strings outside of its list of strings") }
      guard proto.strings.count == count else { throw refuse("holds \(proto.strings.count) strings but its shape \(dimensions) needs \(count)") }
      return Tensor(texts: proto.strings.map { Text($0) }, dimensions: dimensions)
    }
    let byteCount = Tensor.packedByteCount(element, count)
    if proto.isExternal {
      return try external(proto, element, byteCount: byteCount, what: what, origin: origin)
    }
    if let raw = proto.raw {
      guard raw.count == byteCount else { throw refuse("holds \(raw.count) bytes but its shape \(dimensions) of \(element.name) needs \(byteCount)") }
      return try normalized(element, dimensions, file.storage, raw.lowerBound, refuse)
    }
    return try typed(proto, element, count: count, refuse)
  }

  private func external(_ proto: TensorProto, _ element: ElementType, byteCount: Int, what: String, origin: NodeOrigin) throws(CompileError) -> Tensor {
    func refuse(_ message: String) -> CompileError { CompileError(.badInput, "\(what) \(message)", stage: .load, origin: origin) }
    func number(_ key: String) throws(CompileError) -> Int? {
      guard let text = proto.externalData[key] else { return nil }
      guard let value = Int(text), value >= 0 else { throw refuse("has the external \(key) `\(printable(text))`") }
      return value
    }
    guard let location = proto.externalData["location"] else { throw refuse("is external but names no location") }
    let storage = try file.externalData(location, origin: origin)
    let offset = try number("offset") ?? 0
    guard offset <= storage.byteCount else {
      throw refuse("starts at byte \(offset) of `\(printable(location))`, which has \(storage.byteCount) bytes")
    }
    let length = try number("length") ?? (storage.byteCount - offset)
    guard length <= storage.byteCount - offset else {
      throw refuse("takes bytes \(offset) to \(offset) + \(length) of `\(printable(location))`, which has \(storage.byteCount) bytes")
    }
    guard length == byteCount else {
      throw refuse("has \(length) bytes of external data but its shape \(proto.dimensions) of \(element.name) needs \(byteCount)")
    }
    return try normalized(element, proto.dimensions, storage, offset, refuse)
  }

  /// The range as a tensor. Booleans other than 0 and 1 are written anew, because everything behind relies on them; elements of
  /// fewer than 8 bits are unpacked.
  private func normalized(
    _ element: ElementType, _ dimensions: [Int], _ storage: TensorStorage, _ offset: Int, _ refuse: (String) -> CompileError
  ) throws(CompileError) -> Tensor {
    if element.bitCount < 8 {
      let packed = Tensor.packedByteCount(element, elementCount(of: dimensions) ?? 0)
      guard let bytes = Tensor(.u8, [packed], storage: storage, byteOffset: offset) else { throw refuse("leaves its file") }
      return bytes.withBytes { Tensor(unpacking: $0, element, dimensions) }
    }
    guard let tensor = Tensor(element, dimensions, storage: storage, byteOffset: offset) else { throw refuse("leaves its file") }
    guard element == .bool, tensor.withBytes({ bytes in bytes.contains { $0 > 1 } }) else { return tensor }
    return Tensor(element, dimensions) { target in
      tensor.withBytes { bytes in for position in 0..<bytes.count { target[position] = bytes[position] == 0 ? 0 : 1 } }
    }
  }

  /// Decodes `float_data`, `int32_data`, `int64_data`, `double_data` or `uint64_data`.
  private func typed(
    _ proto: TensorProto, _ element: ElementType, count: Int, _ refuse: (String) -> CompileError
  ) throws(CompileError) -> Tensor {
    // A byte of packed elements in each number.
    if element.bitCount < 8 {
      let bytes = try numbers(proto, .u8, [Tensor.packedByteCount(element, count)], field: 5, refuse)
      return bytes.withBytes { Tensor(unpacking: $0, element, proto.dimensions) }
    }
    let wanted =
      switch element {
      case .f32: 4
      case .f64: 10
      case .i64: 7
      case .u32, .u64: 11
      case .f16, .bf16, .i8, .i16, .i32, .u8, .u16, .bool, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0: 5
      case .i4, .u4, .i2, .u2, .f4e2m1: 5
      case .string: 6
      }
    if element == .string { throw refuse("is a list of texts where numbers are needed") }
    return try numbers(proto, element, proto.dimensions, field: wanted, refuse)
  }

  /// The numbers of one field, whose count the dimensions give.
  private func numbers(
    _ proto: TensorProto, _ element: ElementType, _ dimensions: [Int], field wanted: Int, _ refuse: (String) -> CompileError
  ) throws(CompileError) -> Tensor {
    let count = elementCount(of: dimensions) ?? 0
    // Every element takes at least one byte of the message, so the shape cannot ask for more than the file holds.
    guard count <= proto.message.count else { throw refuse("holds fewer elements than its shape \(proto.dimensions) needs (\(count))") }
    var found = 0
    do throws(WireError) {
      let tensor = try Tensor(element, dimensions) { target throws(WireError) in
        try file.storage.withBytes { bytes throws(WireError) in
          var message = WireReader(bytes, proto.message)
          while let field = try message.next() {
            if field.number != wanted { continue }
            if case .bytes(let range) = field.value {
              var list = WireReader(bytes, range)
              while !list.isAtEnd {
                let bits: UInt64 = wanted == 4 ? UInt64(try list.fixed32()) : wanted == 10 ? try list.fixed64() : try list.varint()
                if found < count { Self.store(bits, element, target, found) }
                found += 1
              }
            } else {
              let bits: UInt64
              switch field.value {
              case .fixed32(let value): bits = UInt64(value)
              case .fixed64(let value): bits = value
              case .varint(let value): bits = value
              case .bytes: continue
              }
              if found < count { Self.store(bits, element, target, found) }
              found += 1
            }
          }
        }
      }
      guard found == count else { throw WireError(offset: -1, message: "") }
      return tensor
    } catch {
      if error.offset < 0 { throw refuse("holds \(found) elements but its shape \(proto.dimensions) needs \(count)") }
      throw refuse("is damaged: \(error.message) (byte \(error.offset))")
    }
  }

  private static func store(_ bits: UInt64, _ element: ElementType, _ target: UnsafeMutableRawBufferPointer, _ position: Int) {
    switch element.byteCount {
    case 1: target[position] = element == .bool ? (bits == 0 ? 0 : 1) : UInt8(truncatingIfNeeded: bits)
    case 2: target.storeBytes(of: UInt16(truncatingIfNeeded: bits), toByteOffset: position * 2, as: UInt16.self)
    case 4: target.storeBytes(of: UInt32(truncatingIfNeeded: bits), toByteOffset: position * 4, as: UInt32.self)
    default: target.storeBytes(of: bits, toByteOffset: position * 8, as: UInt64.self)
    }
  }
}
