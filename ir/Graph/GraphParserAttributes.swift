import TensorTypes

extension GraphCursor {
  /// The value of an attribute.
  mutating func attribute() throws(GraphTextError) -> Attribute {
    let start = position
    if byte == UInt8(ascii: "[") {
      let list = try extents()
      return Shape(list).constants.map { .integers($0) } ?? .extents(list)
    }
    if let text = try takeQuoted() { return .word(text) }
    guard let token = takeNumber() else { throw fail("expected a value, found \(found)") }
    switch token {
    case "true": return .flag(true)
    case "false": return .flag(false)
    case "inf", "+inf": return .number(.infinity)
    case "-inf": return .number(-.infinity)
    case "nan": return .number(.nan)
    default: break
    }
    if let element = ElementType(name: token) { return .element(element) }
    if let first = token.utf8.first, Self.isWordByte(first), first > 57 {
      guard token.utf8.allSatisfy(Self.isWordByte) else { throw GraphTextError("expected a word, found `\(token)`", at: start) }
      return .word(token)
    }
    if let value = Int(token) { return .integer(value) }
    if let value = Double(token), value.isFinite || token.contains("e") { return .number(value) }
    throw GraphTextError("expected a value, found `\(token.prefix(40))`", at: start, hint: "a word that does not start with a letter stands in quotes")
  }

  static let mostAttributes = 256

  /// Attributes in braces, and where they begin.
  mutating func attributes() throws(GraphTextError) -> (Attributes, Int) {
    var attributes = Attributes()
    skipInLine()
    let start = position
    guard take("{") else { return (attributes, start) }
    skip()
    while !take("}") {
      guard attributes.entries.count < Self.mostAttributes else { throw fail("more than \(Self.mostAttributes) attributes") }
      if !attributes.entries.isEmpty {
        try expect(",", "or `}` behind an attribute")
        skip()
      }
      let nameStart = position
      guard let name = takeWord() else { throw fail("expected the name of an attribute, found \(found)") }
      skip()
      try expect("=", "and a value behind an attribute's name")
      skip()
      guard attributes[name] == nil else { throw GraphTextError("attribute `\(name)` is given twice", at: nameStart) }
      attributes.set(name, try attribute())
      skip()
    }
    return (attributes, start)
  }
}

extension GraphParser {
  /// Refuses attributes that the operation does not read, such as `stride` for `strides`.
  ///
  /// An attribute that the operation does not show again was at its default, or is unknown. An operation that
  /// takes it for what it is refuses a word that means nothing; one that never reads it does not notice.
  func refuseUnknown(_ attributes: Attributes, _ operation: any Operation, _ type: any Operation.Type, at position: Int) throws(GraphTextError) {
    let shown = operation.attributes
    for entry in attributes.entries where shown[entry.name] == nil {
      var probe = Attributes()
      for other in attributes.entries { probe.set(other.name, other.name == entry.name ? .word("(no such word)") : other.value) }
      if (try? type.init(mnemonic: operation.mnemonic, attributes: probe, regions: operation.regions)) != nil {
        throw GraphTextError(
          "`\(operation.mnemonic)` has no attribute `\(entry.name)`", at: position,
          hint: Self.closest(to: entry.name, among: shown.entries.map(\.name)).map { "is `\($0)` meant?" })
      }
    }
  }

  /// The candidate with the fewest edits, if they are few.
  static func closest(to name: String, among candidates: [String]) -> String? {
    let wanted = Array(name.utf8.prefix(40))
    var best: (distance: Int, name: String)?
    for candidate in candidates.sorted().prefix(1000) {
      var row = Array(0...wanted.count)
      for (i, byte) in candidate.utf8.prefix(40).enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for j in 1..<(wanted.count + 1) {
          let substituted = diagonal + (wanted[j - 1] == byte ? 0 : 1)
          diagonal = row[j]
          row[j] = min(substituted, row[j] + 1, row[j - 1] + 1)
        }
      }
      if row[wanted.count] < best?.distance ?? .max { best = (row[wanted.count], candidate) }
    }
    guard let best, best.distance <= max(1, wanted.count / 3) else { return nil }
    return best.name
  }
}
