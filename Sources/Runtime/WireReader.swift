/// Reads the fields of one protobuf message. Every length is checked against the bytes that are there.
///
/// Source: protobuf.dev/programming-guides/encoding.
struct WireReader {
  enum Value: Equatable {
    case varint(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    /// A string, bytes, a message or packed numbers: a range of the whole buffer.
    case bytes(Range<Int>)
  }

  struct Failure: Error, Equatable {
    var fact: String
    var byteOffset: Int
  }

  let bytes: [UInt8]
  private(set) var position: Int
  let end: Int

  init(_ bytes: [UInt8], range: Range<Int>? = nil) {
    self.bytes = bytes
    position = range?.lowerBound ?? 0
    end = range?.upperBound ?? bytes.count
  }

  var isAtEnd: Bool { position >= end }

  private func failure(_ fact: String) -> Failure { Failure(fact: fact, byteOffset: position) }

  /// The next field; nil at the end of the message.
  mutating func next() throws(Failure) -> (field: Int, value: Value)? {
    if isAtEnd { return nil }
    let key = try varint()
    let field = Int(truncatingIfNeeded: key >> 3)
    guard field > 0, key >> 3 < 1 << 29 else { throw failure("field number \(key >> 3)") }
    switch key & 7 {
    case 0: return (field, .varint(try varint()))
    case 1: return (field, .fixed64(try fixed64()))
    case 2:
      let length = try varint()
      guard length <= UInt64(end - position) else { throw failure("field \(field) of \(length) bytes where \(end - position) are left") }
      let start = position
      position += Int(length)
      return (field, .bytes(start..<position))
    case 5: return (field, .fixed32(try fixed32()))
    default: throw failure("wire type \(key & 7)")
    }
  }

  mutating func varint() throws(Failure) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard position < end else { throw failure("a number is cut off") }
      let byte = bytes[position]
      position += 1
      // Ten bytes hold 70 bits; what exceeds 64 is dropped, as every decoder does.
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    throw failure("a number of more than ten bytes")
  }

  mutating func fixed32() throws(Failure) -> UInt32 {
    guard end - position >= 4 else { throw failure("a number is cut off") }
    defer { position += 4 }
    return (0..<4).reduce(0) { $0 | UInt32(bytes[position + $1]) << UInt32(8 * $1) }
  }

  mutating func fixed64() throws(Failure) -> UInt64 {
    let low = try fixed32()
    return UInt64(low) | UInt64(try fixed32()) << 32
  }
}
