/// What makes or reads text, element by element. Everything else about strings is arithmetic on their numbers.
///
/// Compiled code asks whoever runs it for these; the interpreter computes them with the same code.
public enum TextFunction: Sendable, Hashable {
  /// (string, string) -> string.
  case concatenate
  /// string -> string, by Unicode's mappings without a locale.
  case lowercase, uppercase
  /// string -> i64, and string [n] -> string [n, width] filled up with empty ones.
  case countPieces(PieceRule)
  case pieces(PieceRule)
  /// (string, table of a `Pattern`) -> bool: whether the whole text matches.
  case matches
  /// (string, table of a `Pattern`) -> i64, and -> string [n, width] filled up with the padding.
  case countTokens(TokenRule)
  case tokens(TokenRule)
  /// string -> number, and back.
  case parse(ElementType)
  case format(ElementType)
  /// string [n] -> i64 [n]: the position of each element's text among all distinct ones in ascending order.
  case rank

  /// The element type of the result.
  public var result: ElementType {
    switch self {
    case .concatenate, .lowercase, .uppercase, .pieces, .tokens, .format: .string
    case .countPieces, .countTokens, .rank: .i64
    case .matches: .bool
    case .parse(let element): element
    }
  }

  /// Whether the second argument is the table of a pattern.
  public var readsPattern: Bool {
    switch self {
    case .matches, .countTokens, .tokens: true
    default: false
    }
  }

  /// How many buffers it reads.
  public var argumentCount: Int { self == .concatenate || readsPattern ? 2 : 1 }
}

/// How a text is cut at a delimiter, as Python's `split` does it.
public struct PieceRule: Sendable, Hashable {
  /// Empty: at runs of blanks, none of which are kept at the ends.
  public var delimiter: String
  /// The most cuts; nil for any number.
  public var limit: Int?
  public init(delimiter: String, limit: Int?) { (self.delimiter, self.limit) = (delimiter, limit) }

  func pieces(_ text: Text) -> [Text] {
    let most = limit ?? .max
    var found: [Text] = []
    if delimiter.isEmpty {
      let scalars = text.string.unicodeScalars
      var rest = scalars[...]
      while true {
        rest = rest.drop(while: Self.isBlank)
        if rest.isEmpty { return found }
        if found.count == most {
          found.append(Text(String(rest)))
          return found
        }
        let piece = rest.prefix { !Self.isBlank($0) }
        found.append(Text(String(piece)))
        rest = rest[piece.endIndex...]
      }
    }
    // Byte by byte: a delimiter of valid UTF-8 is found at the borders of characters only.
    let (bytes, wanted) = (Array(text.string.utf8), Array(delimiter.utf8))
    var (start, position) = (0, 0)
    while position + wanted.count <= bytes.count, found.count < most {
      if bytes[position] == wanted[0], bytes[position..<position + wanted.count].elementsEqual(wanted) {
        found.append(Text(String(decoding: bytes[start..<position], as: UTF8.self)))
        position += wanted.count
        start = position
      } else { position += 1 }
    }
    found.append(Text(String(decoding: bytes[start...], as: UTF8.self)))
    return found
  }

  private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace || (0x1c...0x1f).contains(scalar.value) }
}

/// How a text becomes tokens by a regular expression.
public struct TokenRule: Sendable, Hashable {
  /// True if the expression matches what lies between tokens, false if it matches the tokens.
  public var matchesSeparators: Bool
  /// Tokens with fewer characters are left out.
  public var fewestCharacters: Int
  /// Whether a token of the character 2 comes first and one of the character 3 last.
  public var isMarked: Bool
  /// What stands behind the last token.
  public var padding: String

  public init(matchesSeparators: Bool, fewestCharacters: Int, isMarked: Bool, padding: String) {
    (self.matchesSeparators, self.fewestCharacters, self.isMarked, self.padding) = (matchesSeparators, fewestCharacters, isMarked, padding)
  }

  func tokens(_ text: Text, _ table: PatternTable) -> [Text] {
    var found: [Text] = isMarked ? ["\u{2}"] : []
    text.withBytes { bytes in
      func add(_ range: Range<Int>) {
        let token = String(decoding: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self)
        if !range.isEmpty, fewestCharacters <= 1 || token.unicodeScalars.count >= fewestCharacters { found.append(Text(token)) }
      }
      var (start, position) = (0, 0)
      while position < bytes.count {
        // A match of nothing separates characters, and is no token.
        if let end = table.longestMatch(in: bytes, from: position), end > position || matchesSeparators && position > start {
          if matchesSeparators { add(start..<position) } else { add(position..<end) }
          start = end
          position = max(end, position + (end > position ? 0 : 1))
        } else { position += 1 }
        // Only whole characters: a match starts at none of the bytes behind the first.
        while position < bytes.count, bytes[position] & 0xc0 == 0x80 { position += 1 }
      }
      if matchesSeparators { add(start..<bytes.count) }
    }
    if isMarked { found.append("\u{3}") }
    return found
  }
}
