extension Extent: CustomStringConvertible {
  /// Reads back with `init(text:)`.
  public var description: String {
    if isOverflow { return "overflow" }
    if terms.isEmpty { return "0" }
    var text = ""
    for (position, term) in terms.enumerated() {
      let magnitude = term.coefficient.magnitude
      if position > 0 { text += term.coefficient < 0 ? " - " : " + " } else if term.coefficient < 0 { text += "-" }
      let factors = term.factors.map(\.description)
      if factors.isEmpty { text += "\(magnitude)" } else { text += (magnitude == 1 ? factors : ["\(magnitude)"] + factors).joined(separator: "*") }
    }
    return text
  }

  /// Parses what `description` prints; nil if the text is not an extent.
  public init?(text: some StringProtocol) {
    var parser = ExtentParser(text: Array(text.utf8))
    guard let extent = parser.sum(depth: 0), parser.isAtEnd else { return nil }
    self = extent
  }
}

extension Extent.Atom: CustomStringConvertible {
  public var description: String {
    switch self {
    case .symbol(let name): ExtentParser.isPlain(name) ? name : ExtentParser.quote(name)
    case .floorDiv(let a, let b): "floordiv(\(a), \(b))"
    case .modulo(let a, let b): "mod(\(a), \(b))"
    case .maximum(let a, let b): "max(\(a), \(b))"
    case .minimum(let a, let b): "min(\(a), \(b))"
    }
  }
}

/// Recursive descent over `sum := product (('+'|'-') product)*`, `product := factor ('*' factor)*`.
struct ExtentParser {
  var text: [UInt8]
  var position = 0
  /// Deeper nesting than this is refused, so that hostile text cannot exhaust the stack.
  static let maximumDepth = Extent.maximumDepth + 2

  init(text: [UInt8]) { self.text = text }

  /// Names that need no quotes: letters, digits, `_`, `.`, `%`, not starting with a digit.
  static func isPlain(_ name: String) -> Bool {
    guard let first = name.utf8.first, !isDigit(first) else { return false }
    return name.utf8.allSatisfy(isNameByte) && !["floordiv", "mod", "max", "min", "overflow"].contains(name)
  }

  /// The name in single quotes; a quote inside is doubled.
  static func quote(_ name: String) -> String { "'" + name.unicodeScalars.map { $0 == "'" ? "''" : String($0) }.joined() + "'" }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
  private static func isNameByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || byte == 95 || byte == 46 || byte == 37
  }

  private mutating func skipBlanks() { while position < text.count, text[position] == 32 { position += 1 } }

  private mutating func take(_ character: Character) -> Bool {
    skipBlanks()
    guard position < text.count, text[position] == character.asciiValue else { return false }
    position += 1
    return true
  }

  var isAtEnd: Bool {
    var copy = self
    copy.skipBlanks()
    return copy.position == text.count
  }

  mutating func sum(depth: Int) -> Extent? {
    if depth > Self.maximumDepth { return nil }
    let negative = take("-")
    guard let first = product(depth: depth) else { return nil }
    var total = negative ? first * -1 : first
    while true {
      if take("+") {
        guard let next = product(depth: depth) else { return nil }
        total = total + next
      } else if take("-") {
        guard let next = product(depth: depth) else { return nil }
        total = total - next
      } else {
        return total
      }
    }
  }

  private mutating func product(depth: Int) -> Extent? {
    guard var total = factor(depth: depth) else { return nil }
    while take("*") {
      guard let next = factor(depth: depth) else { return nil }
      total = total * next
    }
    return total
  }

  private mutating func factor(depth: Int) -> Extent? {
    skipBlanks()
    guard position < text.count else { return nil }
    let start = position
    if Self.isDigit(text[position]) {
      while position < text.count, Self.isDigit(text[position]) { position += 1 }
      return Int(String(decoding: text[start..<position], as: UTF8.self)).map { Extent($0) }
    }
    if take("(") {
      guard let inner = sum(depth: depth + 1), take(")") else { return nil }
      return inner
    }
    if take("'") {
      var bytes: [UInt8] = []
      while position < text.count {
        position += 1
        if text[position - 1] != 39 {
          bytes.append(text[position - 1])
        } else if position < text.count, text[position] == 39 {
          bytes.append(39)
          position += 1
        } else {
          return bytes.isEmpty ? nil : Extent(symbol: String(decoding: bytes, as: UTF8.self))
        }
      }
      return nil
    }
    while position < text.count, Self.isNameByte(text[position]) { position += 1 }
    let name = String(decoding: text[start..<position], as: UTF8.self)
    guard !name.isEmpty else { return nil }
    guard ["floordiv", "mod", "max", "min"].contains(name), take("(") else { return name == "overflow" ? .overflow : Extent(symbol: name) }
    guard let a = sum(depth: depth + 1), take(","), let b = sum(depth: depth + 1), take(")") else { return nil }
    switch name {
    case "floordiv": return a.floorDivided(by: b)
    case "mod": return a.modulo(b)
    case "max": return .maximum(a, b)
    default: return .minimum(a, b)
    }
  }
}
