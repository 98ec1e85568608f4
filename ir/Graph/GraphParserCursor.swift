import TensorTypes

/// A fault in the text form: what is wrong and at which byte.
struct GraphTextError: Error {
  var message: String
  var position: Int
  var hint: String?
  init(_ message: String, at position: Int, hint: String? = nil) { (self.message, self.position, self.hint) = (message, position, hint) }
}

/// Reads the text form token by token.
struct GraphCursor {
  let text: [UInt8]
  var position = 0

  init(_ text: [UInt8]) { self.text = text }

  var isAtEnd: Bool { position >= text.count }
  var byte: UInt8? { position < text.count ? text[position] : nil }

  /// Line and column of a position, from 1.
  func location(of position: Int) -> (line: Int, column: Int) {
    var (line, start) = (1, 0)
    for (index, byte) in text[..<min(position, text.count)].enumerated() where byte == UInt8(ascii: "\n") { (line, start) = (line + 1, index + 1) }
    // Columns count characters, not bytes.
    return (line, String(decoding: text[start..<min(position, text.count)], as: UTF8.self).count + 1)
  }

  func fail(_ message: String, hint: String? = nil) -> GraphTextError { GraphTextError(message, at: position, hint: hint) }

  /// What stands at the position, for a message.
  var found: String {
    guard let byte else { return "the end of the text" }
    if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") { return "the end of the line" }
    var end = position
    if Self.isWordByte(byte) { while end < text.count, end - position < 24, Self.isWordByte(text[end]) { end += 1 } } else { end += 1 }
    // Whole characters only.
    while end < text.count, text[end] & 0xc0 == 0x80 { end += 1 }
    return "`\(String(decoding: text[position..<end], as: UTF8.self))`"
  }

  // MARK: Blanks

  /// Skips spaces and tabs.
  mutating func skipInLine() {
    while let byte, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") { position += 1 }
  }

  /// Skips blanks, line ends and comments.
  mutating func skip() {
    while let byte {
      if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
        position += 1
      } else if byte == UInt8(ascii: "/"), position + 1 < text.count, text[position + 1] == byte {
        while let byte = self.byte, byte != UInt8(ascii: "\n") { position += 1 }
      } else {
        return
      }
    }
  }

  // MARK: Tokens

  /// Takes a character of ASCII if it stands at the position.
  mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard byte == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  mutating func expect(_ character: Unicode.Scalar, _ context: String) throws(GraphTextError) {
    guard take(character) else { throw fail("expected `\(character)` \(context), found \(found)") }
  }

  /// Takes a word if exactly that stands at the position.
  mutating func take(word: String) -> Bool {
    let start = position
    if let found = takeWord(), found == word { return true }
    position = start
    return false
  }

  static func isWordByte(_ byte: UInt8) -> Bool {
    (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || byte == 95 || byte == 46
  }

  /// Letters, digits, `_` and `.`.
  mutating func takeWord() -> String? {
    let start = position
    while let byte, Self.isWordByte(byte) { position += 1 }
    return position > start ? String(decoding: text[start..<position], as: UTF8.self) : nil
  }

  /// A number, `inf`, `nan`, with a sign; as text.
  mutating func takeNumber() -> String? {
    let start = position
    while let byte, Self.isWordByte(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") { position += 1 }
    return position > start ? String(decoding: text[start..<position], as: UTF8.self) : nil
  }

  /// Text in double quotes, with the escapes that `GraphPrinter.quote` writes.
  mutating func takeQuoted() throws(GraphTextError) -> String? {
    let start = position
    guard take("\"") else { return nil }
    var bytes: [UInt8] = []
    while let byte {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\n"): throw GraphTextError("a quoted text does not end on its line", at: start, hint: "write a line end as \\n")
      case UInt8(ascii: "\\"):
        guard let escaped = self.byte else { break }
        position += 1
        switch escaped {
        case UInt8(ascii: "n"): bytes.append(UInt8(ascii: "\n"))
        case UInt8(ascii: "t"): bytes.append(UInt8(ascii: "\t"))
        case UInt8(ascii: "r"): bytes.append(UInt8(ascii: "\r"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(escaped)
        default: throw GraphTextError("unknown escape in a quoted text", at: position - 2, hint: #"\n, \t, \r, \" and \\ are known"#)
        }
      default: bytes.append(byte)
      }
    }
    throw GraphTextError("a quoted text does not end", at: start)
  }

  // MARK: Types

  /// The most axes of a type, and the longest text of one extent, in bytes.
  static let (maximumRank, longestExtent) = (64, 1000)

  /// A list of extents in square brackets.
  mutating func extents() throws(GraphTextError) -> [Extent] {
    try expect("[", "before a list")
    var list: [Extent] = []
    skip()
    if take("]") { return list }
    while true {
      skip()
      let start = position
      var (depth, isQuoted) = (0, false)
      scan: while let byte, position - start <= Self.longestExtent {
        switch byte {
        case UInt8(ascii: "'"): isQuoted.toggle()
        case UInt8(ascii: "(") where !isQuoted: depth += 1
        case UInt8(ascii: ")") where !isQuoted: depth -= 1
        case UInt8(ascii: ",") where !isQuoted && depth == 0: break scan
        case UInt8(ascii: "]") where !isQuoted: break scan
        case UInt8(ascii: "\n") where !isQuoted: break scan
        default: break
        }
        position += 1
      }
      let end = position
      guard let extent = Extent(text: String(decoding: text[start..<end], as: UTF8.self)) else {
        throw GraphTextError(
          "expected an extent, found `\(String(decoding: text[start..<min(end, start + 40)], as: UTF8.self))`", at: start,
          hint: "an extent is a number, a symbol, or a sum of products such as 2*batch + 1")
      }
      list.append(extent)
      skip()
      if take("]") { return list }
      try expect(",", "or `]` in a list")
    }
  }

  /// Such as `f32[batch,3]`; `f32[]` and `f32` are scalars.
  mutating func type() throws(GraphTextError) -> TensorType {
    let start = position
    guard let name = takeWord(), let element = ElementType(name: name) else {
      position = start
      throw fail("expected a type, found \(found)", hint: "a type is an element type and extents, such as f32[batch,3]; element types are " + ElementType.allCases.map(\.name).joined(separator: ", "))
    }
    guard byte == UInt8(ascii: "[") else { return TensorType(element, []) }
    let extents = try self.extents()
    guard extents.count <= Self.maximumRank else { throw GraphTextError("a type of \(extents.count) axes; the limit is \(Self.maximumRank)", at: start) }
    return TensorType(element, Shape(extents))
  }
}
