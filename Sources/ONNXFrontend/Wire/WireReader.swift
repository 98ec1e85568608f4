/// What is wrong with the bytes of a file.
struct WireError: Error {
  var offset: Int
  var message: String
}

/// One field of a message: its number and what the wire says of its value.
struct WireField {
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    /// A string, bytes, a packed list or a message: a range of the file.
    case bytes(Range<Int>)
  }
  var number: Int
  var value: Value
  var offset: Int

  func wrongType() -> WireError { WireError(offset: offset, message: "field \(number) has the wrong type") }

  func integer() throws(WireError) -> Int {
    guard case .varint(let bits) = value else { throw wrongType() }
    return Int(truncatingIfNeeded: bits)
  }
  func range() throws(WireError) -> Range<Int> {
    guard case .bytes(let range) = value else { throw wrongType() }
    return range
  }
  func float() throws(WireError) -> Float {
    guard case .fixed32(let bits) = value else { throw wrongType() }
    return Float(bitPattern: bits)
  }
}

/// Walks the fields of one message in the protobuf wire format, checking every bound.
///
/// The pointer is that of a mapped file and must not outlive the closure that lends it.
struct WireReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var position: Int
  let end: Int

  /// `range` lies within `bytes`.
  init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { position >= end }

  mutating func varint() throws(WireError) -> UInt64 {
    let start = position
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
      if shift >= 70 { throw WireError(offset: start, message: "a number takes more than ten bytes") }
    }
    throw WireError(offset: start, message: "the file ends inside a number")
  }

  mutating func fixed32() throws(WireError) -> UInt32 {
    guard end - position >= 4 else { throw WireError(offset: position, message: "the file ends inside a number") }
    defer { position += 4 }
    return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
  }

  mutating func fixed64() throws(WireError) -> UInt64 {
    guard end - position >= 8 else { throw WireError(offset: position, message: "the file ends inside a number") }
    defer { position += 8 }
    return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
  }

  /// The next field, or nil at the end of the message.
  mutating func next() throws(WireError) -> WireField? {
    if isAtEnd { return nil }
    let start = position
    let tag = try varint()
    let number = Int(truncatingIfNeeded: tag >> 3)
    guard number > 0, number < 1 << 29 else { throw WireError(offset: start, message: "a field has the number \(number)") }
    switch tag & 7 {
    case 0: return WireField(number: number, value: .varint(try varint()), offset: start)
    case 1: return WireField(number: number, value: .fixed64(try fixed64()), offset: start)
    case 5: return WireField(number: number, value: .fixed32(try fixed32()), offset: start)
    case 2:
      let length = try varint()
      guard length <= UInt64(end - position) else {
        throw WireError(offset: start, message: "field \(number) claims \(length) bytes where \(end - position) are left")
      }
      let range = position..<position + Int(length)
      position = range.upperBound
      return WireField(number: number, value: .bytes(range), offset: start)
    default: throw WireError(offset: start, message: "field \(number) has the wire type \(tag & 7)")
    }
  }
}
