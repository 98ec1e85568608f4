import Glibc
import TensorTypes

/// Elements on their way from a request into a tensor: memory that grows up to a stated number of elements.
///
/// Numbers are converted and stored as they are read, so a request costs its element bytes and nothing boxed.
struct ElementBuffer: ~Copyable {
  let element: ElementType
  /// The number of elements stored so far.
  private(set) var count = 0
  private let maximumCount: Int
  private var capacity: Int
  private var base: UnsafeMutableRawPointer
  /// Strings, which have no memory at `base`.
  private var texts: [Text] = []

  /// - Parameters:
  ///   - expectedCount: How many elements will probably come.
  ///   - maximumCount: More elements than this are refused.
  init(_ element: ElementType, expectedCount: Int, maximumCount: Int) {
    self.element = element
    self.maximumCount = max(0, min(maximumCount, Int.max / 16))
    capacity = max(16, min(expectedCount, self.maximumCount))
    base = .allocate(byteCount: capacity * element.byteCount, alignment: 64)
  }

  deinit { base.deallocate() }

  /// Makes room for one element and returns its address.
  @inline(__always) private mutating func slot() throws(RequestError) -> UnsafeMutableRawPointer {
    if count == capacity { try grow() }
    let address = base + count &* element.byteCount
    count &+= 1
    return address
  }

  private mutating func grow() throws(RequestError) {
    guard count < maximumCount else { throw .shape("more than \(maximumCount) elements") }
    let larger = min(maximumCount, capacity * 2)
    let moved = UnsafeMutableRawPointer.allocate(byteCount: larger * element.byteCount, alignment: 64)
    moved.copyMemory(from: base, byteCount: count * element.byteCount)
    base.deallocate()
    (base, capacity) = (moved, larger)
  }

  /// Reads one number or boolean and appends it.
  @inline(__always) mutating func append(from scanner: inout JSONScanner) throws(RequestError) {
    if element == .string { return try appendText(from: &scanner) }
    if element == .bool {
      let value = try scanner.boolean()
      try slot().storeBytes(of: value ? 1 : 0, as: UInt8.self)
      return
    }
    let number: JSONNumber
    let first = scanner.next()
    if first == UInt8(ascii: "-") || first &- 48 < 10 || first == UInt8(ascii: "N") || first == UInt8(ascii: "I") {
      number = try scanner.number()
    } else {
      throw notANumber(scanner, first)
    }
    switch element {
    case .f32:
      guard let value = number.float else { throw outOfRange(number) }
      try slot().storeBytes(of: value, as: Float.self)
    case .f64:
      guard let value = number.double else { throw outOfRange(number) }
      try slot().storeBytes(of: value, as: Double.self)
    case .f16:
      guard let value = number.double, Float16(value).isFinite || number.kind != .finite else { throw outOfRange(number) }
      try slot().storeBytes(of: Float16(value), as: Float16.self)
    case .bf16:
      guard let value = number.float else { throw outOfRange(number) }
      let bits = Tensor.bfloat16(value)
      guard bits & 0x7fff != 0x7f80 || number.kind != .finite else { throw outOfRange(number) }
      try slot().storeBytes(of: bits, as: UInt16.self)
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1:
      guard let value = number.double else { throw outOfRange(number) }
      let byte = element.encodedByte(value)
      let stored = element.decodedByte(byte)
      // Neither a number that becomes an infinity or NaN nor one of those that the type does not have.
      guard stored.isFinite == value.isFinite, stored.isNaN == value.isNaN, abs(stored) < (element.largestFinite ?? 0) || abs(value) <= 2 * abs(stored) else { throw outOfRange(number) }
      try slot().storeBytes(of: byte, as: UInt8.self)
    case .u64:
      guard let value = number.unsigned else { throw outOfRange(number) }
      try slot().storeBytes(of: value, as: UInt64.self)
    case .i8, .i16, .i32, .i64, .u8, .u16, .u32, .i4, .i2, .u4, .u2:
      guard let value = number.integer(in: element.integerRange ?? 0...0) else { throw outOfRange(number) }
      let address = try slot()
      switch element.byteCount {
      case 1: address.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
      case 2: address.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
      case 4: address.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
      default: address.storeBytes(of: UInt64(truncatingIfNeeded: value), as: UInt64.self)
      }
    case .bool, .string: break
    }
  }

  /// Reads a string, or TensorFlow Serving's form of bytes, `{"b64": "…"}`.
  private mutating func appendText(from scanner: inout JSONScanner) throws(RequestError) {
    guard count < maximumCount else { throw .shape("more than \(maximumCount) elements") }
    var text: Text?
    switch scanner.next() {
    case UInt8(ascii: "\""): text = Text(try scanner.string())
    case UInt8(ascii: "{"):
      var encoded: String?
      try scanner.object { (key, scanner) throws(RequestError) in
        guard key == "b64", encoded == nil else { throw .invalid("an object in place of a string has one member, \"b64\"") }
        encoded = try scanner.string()
      }
      guard let encoded, let bytes = Base64.decode(encoded), let decoded = Text(validating: bytes) else {
        throw .invalid("element \(count): \"b64\" is not the base64 form of UTF-8 text")
      }
      text = decoded
    case let first:
      let found = first == UInt8(ascii: "n") ? "null" : first == UInt8(ascii: "t") || first == UInt8(ascii: "f") ? "a boolean" : "a number"
      throw .invalid("element \(count): expected a string (BYTES), got \(found)")
    }
    guard let text, text.byteCount <= Text.maximumBytes else { throw .invalid("element \(count): a string longer than \(Text.maximumBytes) bytes") }
    texts.append(text)
    count += 1
  }

  private func outOfRange(_ number: JSONNumber) -> RequestError {
    let text = String(decoding: number.text.prefix(40), as: UTF8.self)
    let shown = number.kind == .finite ? text : number.kind == .notANumber ? "NaN" : number.isNegative ? "-Infinity" : "Infinity"
    return .invalid("element \(count): \(shown) is not a value of \(element.protocolName)")
  }

  private func notANumber(_ scanner: JSONScanner, _ first: UInt8) -> RequestError {
    let found: String
    switch first {
    case UInt8(ascii: "\""): found = "a string"
    case UInt8(ascii: "t"), UInt8(ascii: "f"): found = "a boolean"
    case UInt8(ascii: "n"): found = "null"
    case UInt8(ascii: "{"): found = "an object"
    default: return scanner.failure("expected a number")
    }
    return .invalid("element \(count): expected a number (\(element.protocolName)), got \(found)")
  }

  /// A tensor of what was read; nil if the dimensions do not hold exactly `count` elements.
  func tensor(_ dimensions: [Int]) -> Tensor? {
    guard elementCount(of: dimensions) == count else { return nil }
    if element == .string { return Tensor(texts: texts, dimensions: dimensions) }
    return Tensor(element, dimensions) { bytes in
      bytes.copyMemory(from: UnsafeRawBufferPointer(start: base, count: count * element.byteCount))
    }
  }
}
