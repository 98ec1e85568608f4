extension JSON {
  /// What a parser accepts beyond and below RFC 8259.
  public struct ParseOptions: Sendable {
    /// Deeper nesting is refused, so that hostile text cannot exhaust the stack.
    public var maximumDepth = 64
    public var maximumBytes = 64 << 20
    /// Accepts `NaN`, `Infinity` and `-Infinity`, as TensorFlow Serving's clients send them.
    public var allowsNonFiniteNumbers = false

    public init(maximumDepth: Int = 64, maximumBytes: Int = 64 << 20, allowsNonFiniteNumbers: Bool = false) {
      self.maximumDepth = maximumDepth
      self.maximumBytes = maximumBytes
      self.allowsNonFiniteNumbers = allowsNonFiniteNumbers
    }
  }

  /// Parses one value, strictly after RFC 8259: UTF-8, no comments, no trailing commas, no duplicate names, nothing behind the value.
  public init(parsing bytes: [UInt8], options: ParseOptions = ParseOptions()) throws(JSONError) {
    self = try bytes.withUnsafeBufferPointer { buffer throws(JSONError) in
      try JSON(parsing: UnsafeRawBufferPointer(buffer), options: options)
    }
  }

  public init(parsing text: String, options: ParseOptions = ParseOptions()) throws(JSONError) {
    try self.init(parsing: Array(text.utf8), options: options)
  }

  public init(parsing bytes: UnsafeRawBufferPointer, options: ParseOptions = ParseOptions()) throws(JSONError) {
    guard bytes.count <= options.maximumBytes else {
      throw JSONError(byteOffset: 0, problem: "text of \(bytes.count) bytes, above the limit of \(options.maximumBytes),")
    }
    var parser = JSONParser(bytes: bytes, options: options)
    parser.skipBlanks()
    self = try parser.value(depth: 0)
    parser.skipBlanks()
    guard parser.position == bytes.count else { throw parser.failure("unexpected text behind the value") }
  }
}

/// Recursive descent over bytes.
private struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let options: JSON.ParseOptions
  var position = 0

  init(bytes: UnsafeRawBufferPointer, options: JSON.ParseOptions) {
    self.bytes = bytes
    self.options = options
  }

  func failure(_ problem: String) -> JSONError { JSONError(byteOffset: position, problem: problem) }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func skipBlanks() {
    while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func take(word: StaticString) -> Bool {
    let length = word.utf8CodeUnitCount
    guard bytes.count - position >= length, bytes[position..<position + length].elementsEqual(UnsafeBufferPointer(start: word.utf8Start, count: length))
    else { return false }
    position += length
    return true
  }

  mutating func value(depth: Int) throws(JSONError) -> JSON {
    guard depth <= options.maximumDepth else { throw failure("nesting deeper than \(options.maximumDepth)") }
    switch next {
    case nil: throw failure("unexpected end of text")
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t") where take(word: "true"): return .bool(true)
    case UInt8(ascii: "f") where take(word: "false"): return .bool(false)
    case UInt8(ascii: "n") where take(word: "null"): return .null
    case UInt8(ascii: "N") where options.allowsNonFiniteNumbers && take(word: "NaN"): return .number(.nan)
    case UInt8(ascii: "I") where options.allowsNonFiniteNumbers && take(word: "Infinity"): return .number(.infinity)
    case UInt8(ascii: "-") where options.allowsNonFiniteNumbers && take(word: "-Infinity"): return .number(-.infinity)
    case let byte? where byte == UInt8(ascii: "-") || isDigit(byte): return try number()
    default: throw failure("expected a value")
    }
  }

  private mutating func array(depth: Int) throws(JSONError) -> JSON {
    position += 1
    var values: [JSON] = []
    skipBlanks()
    if take("]") { return .array(values) }
    while true {
      skipBlanks()
      values.append(try value(depth: depth + 1))
      skipBlanks()
      if take("]") { return .array(values) }
      guard take(",") else { throw failure("expected `,` or `]`") }
    }
  }

  private mutating func object(depth: Int) throws(JSONError) -> JSON {
    position += 1
    var members: [JSON.Member] = []
    var names: Set<String> = []
    skipBlanks()
    if take("}") { return .object(members) }
    while true {
      skipBlanks()
      let start = position
      guard next == UInt8(ascii: "\"") else { throw failure("expected a member name") }
      let name = try string()
      guard names.insert(name).inserted else { throw JSONError(byteOffset: start, problem: "duplicate member `\(name)`") }
      skipBlanks()
      guard take(":") else { throw failure("expected `:`") }
      skipBlanks()
      members.append(JSON.Member(name, try value(depth: depth + 1)))
      skipBlanks()
      if take("}") { return .object(members) }
      guard take(",") else { throw failure("expected `,` or `}`") }
    }
  }

  // MARK: Numbers

  private func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

  private mutating func digits() throws(JSONError) {
    guard let first = next, isDigit(first) else { throw failure("expected a digit") }
    while let byte = next, isDigit(byte) { position += 1 }
  }

  private mutating func number() throws(JSONError) -> JSON {
    let start = position
    var isInteger = true
    _ = take("-")
    if !take("0") { try digits() } else if let byte = next, isDigit(byte) { throw failure("a number must not start with 0") }
    if take(".") {
      isInteger = false
      try digits()
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("+") { _ = take("-") }
      try digits()
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, text != "-0", let value = Int(text) { return .integer(value) }
    guard let value = Double(text) else { throw JSONError(byteOffset: start, problem: "unreadable number") }
    // RFC 8259 leaves range to the reader; a number that becomes infinite is a mistake of the sender.
    guard value.isFinite else { throw JSONError(byteOffset: start, problem: "number beyond the range of 64-bit floating point") }
    return .number(value)
  }

  // MARK: Strings

  private mutating func string() throws(JSONError) -> String {
    let start = position
    position += 1
    var text: [UInt8] = []
    var runStart = position
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""):
        text.append(contentsOf: bytes[runStart..<position])
        position += 1
        guard let valid = String(validating: text, as: UTF8.self) else { throw JSONError(byteOffset: start, problem: "string is not UTF-8") }
        return valid
      case UInt8(ascii: "\\"):
        text.append(contentsOf: bytes[runStart..<position])
        position += 1
        text.append(contentsOf: Array(String(try escape()).utf8))
        runStart = position
      case 0..<0x20: throw failure("control character in a string")
      default: position += 1
      }
    }
    throw JSONError(byteOffset: start, problem: "string without an end")
  }

  private mutating func escape() throws(JSONError) -> Character {
    guard let byte = next else { throw failure("unexpected end of text") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return Character(try unicodeEscape())
    default: throw JSONError(byteOffset: position - 1, problem: "unknown escape")
    }
  }

  private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
    let start = position
    let high = try fourHexDigits()
    if let scalar = Unicode.Scalar(high) { return scalar }
    guard high < 0xdc00, take("\\"), take("u") else { throw JSONError(byteOffset: start, problem: "half of a surrogate pair") }
    let low = try fourHexDigits()
    guard low >= 0xdc00, low < 0xe000, let scalar = Unicode.Scalar(0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)) else {
      throw JSONError(byteOffset: start, problem: "half of a surrogate pair")
    }
    return scalar
  }

  private mutating func fourHexDigits() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw failure("expected four hexadecimal digits") }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
