import TensorTypes

extension GraphCursor {
  /// The elements of a constant of strings: texts in quotes, in a list that is flat or nested, or one text for all.
  mutating func strings(_ dimensions: [Int]) throws(GraphTextError) -> Tensor {
    let start = position
    let count = elementCount(of: dimensions) ?? 0
    if let text = try takeQuoted() {
      guard count * 8 <= Self.longestSplat else { throw fail("a constant of \(count) equal elements is too large", hint: "use `broadcast`") }
      return Tensor(texts: Array(repeating: Text(text), count: count), dimensions: dimensions)
    }
    var texts: [Text] = []
    var depth = 0
    repeat {
      skip()
      if take("[") {
        depth += 1
      } else if take("]") {
        depth -= 1
        skip()
        if depth > 0 { _ = take(",") }
      } else {
        guard let text = try takeQuoted() else { throw fail("expected a text in quotes, found \(found)") }
        texts.append(Text(text))
        skip()
        if byte != UInt8(ascii: "]") { try expect(",", "or `]` in a list") }
      }
    } while depth > 0
    guard texts.count == count else { throw GraphTextError("a list of \(texts.count) elements for \(count)", at: start) }
    return Tensor(texts: texts, dimensions: dimensions)
  }

  /// Keys in square brackets: integers or texts in quotes.
  mutating func mapKeys() throws(GraphTextError) -> MapKeys {
    try expect("[", "before keys")
    var (integers, texts): ([Int], [String]) = ([], [])
    skip()
    while !take("]") {
      if !integers.isEmpty || !texts.isEmpty {
        try expect(",", "or `]` behind a key")
        skip()
      }
      if let text = try takeQuoted() { texts.append(text) } else {
        guard let word = takeNumber(), let value = Int(word) else { throw fail("expected a key: an integer or a text in quotes, found \(found)") }
        integers.append(value)
      }
      guard integers.isEmpty || texts.isEmpty else { throw fail("keys are integers or texts, not both") }
      skip()
    }
    return integers.isEmpty ? .strings(texts) : .integers(integers)
  }
}
