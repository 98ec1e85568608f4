/// What a regular expression says, before it becomes an automaton.
indirect enum PatternNode {
  case empty
  /// One Unicode scalar of these ranges, ascending and apart.
  case scalar(ScalarSet)
  /// One byte, whatever it is (`\C`).
  case anyByte
  case sequence([PatternNode])
  case choice([PatternNode])
  /// `most` is nil for any number.
  case repeated(PatternNode, least: Int, most: Int?)
  case assertion(PatternAssertion)
}

/// A condition on the place between two bytes.
enum PatternAssertion: UInt8 {
  case startOfText, endOfText, startOfLine, endOfLine, wordBoundary, insideOrOutsideWord
}

/// Reads RE2's syntax. Nothing in it can go back: no back references, no look-around, as in RE2.
struct PatternParser {
  private struct Flags {
    var ignoresCase = false
    var isMultiline = false
    var dotTakesNewline = false
  }

  private let text: [Unicode.Scalar]
  private var position = 0
  private var flags = Flags()
  private static let maximumDepth = 100, maximumRepeat = 1000

  init(_ pattern: String) throws(TextError) {
    text = Array(pattern.unicodeScalars)
    guard text.count <= 1 << 16 else { throw TextError("the regular expression has \(text.count) characters; at most 65536 are supported") }
  }

  private func fail(_ message: String) -> TextError { TextError("the regular expression \(message) (character \(position))") }
  private var current: Unicode.Scalar? { position < text.count ? text[position] : nil }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard current == scalar else { return false }
    position += 1
    return true
  }

  private mutating func take(_ word: String) -> Bool {
    let scalars = Array(word.unicodeScalars)
    guard position + scalars.count <= text.count, text[position..<position + scalars.count].elementsEqual(scalars) else { return false }
    position += scalars.count
    return true
  }

  mutating func pattern() throws(TextError) -> PatternNode {
    let node = try choice(depth: 0)
    guard position == text.count else { throw fail("has a `)` without a `(`") }
    return node
  }

  private mutating func choice(depth: Int) throws(TextError) -> PatternNode {
    guard depth <= Self.maximumDepth else { throw fail("is nested deeper than \(Self.maximumDepth) levels") }
    var branches = [try sequence(depth: depth)]
    while take("|") { branches.append(try sequence(depth: depth)) }
    return branches.count == 1 ? branches[0] : .choice(branches)
  }

  private mutating func sequence(depth: Int) throws(TextError) -> PatternNode {
    var items: [PatternNode] = []
    while let scalar = current, scalar != "|", scalar != ")" {
      guard var item = try atom(depth: depth) else { continue }
      if let (least, most) = try repetition() {
        item = .repeated(item, least: least, most: most)
        if try repetition() != nil { throw fail("repeats a repetition") }
      }
      items.append(item)
    }
    return items.isEmpty ? .empty : items.count == 1 ? items[0] : .sequence(items)
  }

  /// The bounds of `*`, `+`, `?` or `{n,m}`; a `?` behind it changes what is preferred and not what matches.
  private mutating func repetition() throws(TextError) -> (Int, Int?)? {
    let bounds: (Int, Int?)
    if take("*") { bounds = (0, nil) } else if take("+") { bounds = (1, nil) } else if take("?") { bounds = (0, 1) } else {
      guard let found = braces() else { return nil }
      bounds = found
      guard found.0 <= Self.maximumRepeat, (found.1 ?? 0) <= Self.maximumRepeat, found.1.map({ $0 >= found.0 }) ?? true else {
        throw fail("repeats something \(found.0) to \(found.1.map(String.init) ?? "any number of") times; at most \(Self.maximumRepeat) are supported")
      }
    }
    _ = take("?")
    return bounds
  }

  /// `{n}`, `{n,}` or `{n,m}`; anything else in braces is text.
  private mutating func braces() -> (Int, Int?)? {
    let start = position
    guard take("{"), let least = number() else {
      position = start
      return nil
    }
    if take("}") { return (least, least) }
    if take(",") {
      if take("}") { return (least, nil) }
      if let most = number(), take("}") { return (least, most) }
    }
    position = start
    return nil
  }

  private mutating func number() -> Int? {
    var value: Int?
    while let scalar = current, (48...57).contains(scalar.value) {
      value = min((value ?? 0) * 10 + Int(scalar.value - 48), 1 << 20)
      position += 1
    }
    return value
  }

  /// nil for something that only sets flags.
  private mutating func atom(depth: Int) throws(TextError) -> PatternNode? {
    guard let scalar = current else { return nil }
    switch scalar {
    case "(": return try group(depth: depth)
    case "[": return .scalar(try set())
    case ".":
      position += 1
      return .scalar(flags.dotTakesNewline ? .all : ScalarSet(["\n"]).inverted)
    case "^":
      position += 1
      return .assertion(flags.isMultiline ? .startOfLine : .startOfText)
    case "$":
      position += 1
      return .assertion(flags.isMultiline ? .endOfLine : .endOfText)
    case "*", "+", "?": throw fail("has a `\(scalar)` behind nothing")
    case "\\": return try escape()
    default:
      position += 1
      return literal(scalar)
    }
  }

  private func literal(_ scalar: Unicode.Scalar) -> PatternNode { .scalar(folded(ScalarSet([scalar]))) }
  private func folded(_ set: ScalarSet) -> ScalarSet { flags.ignoresCase ? set.ignoringCase : set }

  private mutating func group(depth: Int) throws(TextError) -> PatternNode? {
    position += 1
    let outer = flags
    if take("?") {
      if take("P<") || take("<") {
        guard current != "=", current != "!" else { throw fail("looks behind, which RE2 does not support") }
        while let scalar = current, scalar != ">" {
          guard scalar == "_" || scalar.properties.isAlphabetic || (48...57).contains(scalar.value) else { throw fail("has a group with an unusable name") }
          position += 1
        }
        guard take(">") else { throw fail("has a group whose name does not end") }
      } else {
        guard current != "=", current != "!" else { throw fail("looks ahead, which RE2 does not support") }
        var isOn = true
        while let scalar = current, scalar != ":", scalar != ")" {
          position += 1
          switch scalar {
          case "-": isOn = false
          case "i": flags.ignoresCase = isOn
          case "m": flags.isMultiline = isOn
          case "s": flags.dotTakesNewline = isOn
          // Which of several matches is preferred; and Python's flag for Unicode.
          case "U", "u": break
          default: throw fail("has a group with the unknown flag `\(scalar)`")
          }
        }
        // Flags without a group hold until the group around them ends.
        if take(")") { return nil }
        guard take(":") else { throw fail("has a group that does not end") }
      }
    }
    let node = try choice(depth: depth + 1)
    guard take(")") else { throw fail("has a `(` without a `)`") }
    flags = outer
    return node
  }

  // MARK: Escapes

  private mutating func escape() throws(TextError) -> PatternNode {
    position += 1
    guard let scalar = current else { throw fail("ends in a backslash") }
    switch scalar {
    case "A": return assertion(.startOfText)
    case "z": return assertion(.endOfText)
    case "b": return assertion(.wordBoundary)
    case "B": return assertion(.insideOrOutsideWord)
    case "C":
      position += 1
      return .anyByte
    case "Q":
      position += 1
      var items: [PatternNode] = []
      while position < text.count, !take("\\E") {
        items.append(literal(text[position]))
        position += 1
      }
      return .sequence(items)
    default:
      if let set = try classEscape() { return .scalar(folded(set)) }
      return literal(try scalarEscape())
    }
  }

  private mutating func assertion(_ kind: PatternAssertion) -> PatternNode {
    position += 1
    return .assertion(kind)
  }

  /// `\d` and its like, `\pL`, `\p{Lu}`; the cursor stands behind the backslash.
  private mutating func classEscape() throws(TextError) -> ScalarSet? {
    guard let scalar = current else { return nil }
    switch scalar {
    case "d", "D", "s", "S", "w", "W":
      position += 1
      let set: ScalarSet =
        switch scalar {
        case "d", "D": .digits
        case "s", "S": .blanks
        default: .wordCharacters
        }
      return "DSW".unicodeScalars.contains(scalar) ? set.inverted : set
    case "p", "P":
      position += 1
      var name = ""
      if take("{") {
        while let next = current, next != "}" {
          name.unicodeScalars.append(next)
          position += 1
        }
        guard take("}") else { throw fail("has a class that does not end") }
      } else if let next = current {
        name.unicodeScalars.append(next)
        position += 1
      }
      let isInverted = (scalar == "P") != name.hasPrefix("^")
      guard let set = ScalarSet.category(named: name.hasPrefix("^") ? String(name.dropFirst()) : name) else {
        throw fail("names the class `\(name)`; general categories such as L, Lu, Nd are supported")
      }
      return isInverted ? set.inverted : set
    default: return nil
    }
  }

  private mutating func scalarEscape() throws(TextError) -> Unicode.Scalar {
    guard let scalar = current else { throw fail("ends in a backslash") }
    position += 1
    switch scalar {
    case "a": return "\u{7}"
    case "f": return "\u{c}"
    case "t": return "\t"
    case "n": return "\n"
    case "r": return "\r"
    case "v": return "\u{b}"
    case "0"..."7":
      // One to three octal digits; a single one from 1 on would be a back reference.
      var value = scalar.value - 48
      var digits = 1
      while digits < 3, let next = current, (48...55).contains(next.value) {
        value = value * 8 + next.value - 48
        digits += 1
        position += 1
      }
      guard digits > 1 || value == 0, let found = Unicode.Scalar(value) else { throw fail("has a back reference, which RE2 does not support") }
      return found
    case "x":
      var digits: [Unicode.Scalar] = []
      if take("{") {
        while let next = current, next != "}", digits.count < 8 {
          digits.append(next)
          position += 1
        }
        guard take("}") else { throw fail("has a \\x escape that does not end") }
      } else {
        digits = Array(text[position..<min(position + 2, text.count)])
        position += digits.count
        guard digits.count == 2 else { throw fail("has a \\x escape without two digits") }
      }
      guard let value = UInt32(String(String.UnicodeScalarView(digits)), radix: 16), let found = Unicode.Scalar(value) else { throw fail("has an unusable \\x escape") }
      return found
    default:
      let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.value >= 48 && scalar.value <= 57)
      guard !isPlain else { throw fail("has the unknown escape `\\\(scalar)`") }
      return scalar
    }
  }

  // MARK: Bracket expressions

  private mutating func set() throws(TextError) -> ScalarSet {
    position += 1
    let isInverted = take("^")
    var found = ScalarSet()
    var isFirst = true
    while isFirst || current != "]" {
      guard let scalar = current else { throw fail("has a `[` without a `]`") }
      isFirst = false
      if scalar == "[", position + 1 < text.count, text[position + 1] == ":" {
        found.formUnion(try posixClass())
        continue
      }
      if scalar == "\\" {
        position += 1
        if let set = try classEscape() {
          found.formUnion(set)
          continue
        }
        position -= 1
      }
      let low = try setMember()
      var high = low
      if current == "-", position + 1 < text.count, text[position + 1] != "]" {
        position += 1
        high = try setMember()
        guard low <= high else { throw fail("has the range `\(low)-\(high)`, which is empty") }
      }
      found.formUnion(ScalarSet(low...high))
    }
    position += 1
    let set = folded(found)
    return isInverted ? set.inverted : set
  }

  private mutating func setMember() throws(TextError) -> Unicode.Scalar {
    guard let scalar = current else { throw fail("has a `[` without a `]`") }
    position += 1
    return scalar == "\\" ? try scalarEscape() : scalar
  }

  private mutating func posixClass() throws(TextError) -> ScalarSet {
    position += 2
    let isInverted = take("^")
    var name = ""
    while let scalar = current, scalar != ":" {
      name.unicodeScalars.append(scalar)
      position += 1
    }
    guard take(":]"), let set = ScalarSet.posix(named: name) else { throw fail("has the unknown class `[:\(name):]`") }
    return isInverted ? set.inverted : set
  }
}
