/// Reads JSON from bytes, one token at a time; builds no tree and allocates only for strings.
///
/// The bytes belong to the caller, who keeps them alive while the scanner is used; every access is checked
/// against their count. Recursion never follows the input: nested values are skipped in a loop. Besides JSON it
/// accepts the numbers `NaN`, `Infinity` and `-Infinity`, which TensorFlow Serving and Python's `json` write.
struct JSONScanner {
  let bytes: UnsafeRawBufferPointer
  private(set) var position = 0
  /// Deeper nesting than this is refused.
  static let maximumDepth = 64

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// A scanner over the same bytes that stands elsewhere, at a position that an earlier scanner reported.
  func moved(to position: Int) -> JSONScanner {
    var copy = self
    copy.position = min(max(position, 0), bytes.count)
    return copy
  }

  func failure(_ message: String) -> RequestError {
    let found = position < bytes.count ? "" : " (the body ends here)"
    return .malformed("invalid JSON at byte \(position): \(message)\(found)")
  }

  // MARK: Bytes

  /// The byte under the cursor; 0 at the end, which no JSON token begins with.
  @inline(__always) var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

  @inline(__always) mutating func advance() { position &+= 1 }

  @inline(__always) mutating func skipBlanks() {
    while position < bytes.count {
      let byte = bytes[position]
      guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return }
      position &+= 1
    }
  }

  /// The first byte of the next token; 0 at the end.
  @inline(__always) mutating func next() -> UInt8 {
    skipBlanks()
    return current
  }

  /// Takes the next token if it is this byte.
  @inline(__always) mutating func take(_ byte: UInt8) -> Bool {
    guard next() == byte else { return false }
    position &+= 1
    return true
  }

  @inline(__always) mutating func expect(_ byte: UInt8, _ what: @autoclosure () -> String) throws(RequestError) {
    guard take(byte) else { throw failure("expected " + what()) }
  }

  mutating func takeWord(_ word: StaticString) -> Bool {
    let count = word.utf8CodeUnitCount
    guard count <= bytes.count - position else { return false }
    for offset in 0..<count where bytes[position + offset] != word.utf8Start[offset] { return false }
    position += count
    return true
  }

  /// Checks that nothing but blanks follows.
  mutating func expectEnd() throws(RequestError) {
    skipBlanks()
    guard position == bytes.count else { throw failure("unexpected text after the end of the document") }
  }

  // MARK: Structure

  /// Reads an object. `member` gets each key with the cursor before its value and reads exactly that value.
  mutating func object(_ member: (String, inout JSONScanner) throws(RequestError) -> Void) throws(RequestError) {
    try expect(UInt8(ascii: "{"), "an object")
    if take(UInt8(ascii: "}")) { return }
    repeat {
      let key = try string()
      try expect(UInt8(ascii: ":"), "':' after the key \(key.quoted)")
      try member(key, &self)
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"), "',' or '}' in an object")
  }

  /// Reads an array. `item` gets the index with the cursor before the value and reads exactly that value.
  mutating func array(_ item: (Int, inout JSONScanner) throws(RequestError) -> Void) throws(RequestError) {
    try expect(UInt8(ascii: "["), "an array")
    if take(UInt8(ascii: "]")) { return }
    var index = 0
    repeat {
      try item(index, &self)
      index += 1
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"), "',' or ']' in an array")
  }

  /// Skips one value of any kind, in a loop: nesting costs one bit per level, not a stack frame.
  mutating func skipValue() throws(RequestError) {
    var depth = 0
    var objects: UInt64 = 0  // bit per open level, the innermost lowest: 1 = object
    while true {
      // A value is expected here.
      switch next() {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        let isObject = current == UInt8(ascii: "{")
        guard depth < Self.maximumDepth else { throw failure("nested deeper than \(Self.maximumDepth) levels") }
        depth += 1
        objects = objects << 1 | (isObject ? 1 : 0)
        advance()
        if take(isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
          depth -= 1
          objects >>= 1
        } else {
          if isObject { try key() }
          continue
        }
      case UInt8(ascii: "\""): _ = try string()
      case UInt8(ascii: "t") where takeWord("true"): break
      case UInt8(ascii: "f") where takeWord("false"): break
      case UInt8(ascii: "n") where takeWord("null"): break
      default: _ = try number()
      }
      // A value is complete: close what ends here, or go on to the next member.
      while depth > 0 {
        let isObject = objects & 1 == 1
        if take(UInt8(ascii: ",")) {
          if isObject { try key() }
          break
        }
        try expect(isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"), isObject ? "',' or '}' in an object" : "',' or ']' in an array")
        depth -= 1
        objects >>= 1
      }
      if depth == 0 { return }
    }
  }

  private mutating func key() throws(RequestError) {
    _ = try string()
    try expect(UInt8(ascii: ":"), "':' after a key")
  }

  // MARK: Scalars

  mutating func boolean() throws(RequestError) -> Bool {
    skipBlanks()
    if takeWord("true") { return true }
    if takeWord("false") { return false }
    throw failure("expected true or false")
  }

  /// A whole number from 0 up that fits in `Int`.
  mutating func size(_ what: @autoclosure () -> String) throws(RequestError) -> Int {
    let number = try number()
    guard let value = number.integer(in: 0...Int.max) else { throw failure("\(what()) must be a whole number of at least 0") }
    return value
  }

  mutating func string() throws(RequestError) -> String {
    try expect(UInt8(ascii: "\""), "a string")
    let start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        guard let text = String(validating: bytes[start..<position], as: UTF8.self) else { throw failure("the string is not valid UTF-8") }
        position &+= 1
        return text
      }
      if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
      guard byte >= 0x20 else { throw failure("unescaped control character in a string") }
      position &+= 1
    }
    throw failure("unterminated string")
  }

  private mutating func escapedString(from start: Int) throws(RequestError) -> String {
    var text = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      position &+= 1
      if byte == UInt8(ascii: "\"") {
        guard let string = String(validating: text, as: UTF8.self) else { throw failure("the string is not valid UTF-8") }
        return string
      }
      guard byte >= 0x20 else { throw failure("unescaped control character in a string") }
      guard byte == UInt8(ascii: "\\") else {
        text.append(byte)
        continue
      }
      let escape = current
      position &+= 1
      switch escape {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escape)
      case UInt8(ascii: "b"): text.append(8)
      case UInt8(ascii: "f"): text.append(12)
      case UInt8(ascii: "n"): text.append(10)
      case UInt8(ascii: "r"): text.append(13)
      case UInt8(ascii: "t"): text.append(9)
      case UInt8(ascii: "u"): text.append(contentsOf: Array(String(try unicodeEscape()).utf8))
      default: throw failure("unknown escape in a string")
      }
    }
    throw failure("unterminated string")
  }

  /// After `\u`: four hexadecimal digits, and the second half of a surrogate pair where the first one asks for it.
  private mutating func unicodeEscape() throws(RequestError) -> Character {
    var code = try fourHexDigits()
    if code >= 0xd800 && code < 0xdc00 {
      guard takeWord("\\u") else { throw failure("lone surrogate in a \\u escape") }
      let low = try fourHexDigits()
      guard low >= 0xdc00 && low < 0xe000 else { throw failure("lone surrogate in a \\u escape") }
      code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw failure("lone surrogate in a \\u escape") }
    return Character(scalar)
  }

  private mutating func fourHexDigits() throws(RequestError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      let digit: UInt8
      switch current {
      case 48...57: digit = current - 48
      case 65...70: digit = current - 55
      case 97...102: digit = current - 87
      default: throw failure("a \\u escape needs four hexadecimal digits")
      }
      code = code << 4 | UInt32(digit)
      position &+= 1
    }
    return code
  }
}
