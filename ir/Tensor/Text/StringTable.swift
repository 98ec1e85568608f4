/// The texts that the elements of string tensors name by number. Number 0 is the empty string, always.
///
/// A string tensor is self-contained: its storage holds numbers and the table that they refer to. Tensors of one table
/// can be computed with as integers; `StringNumbering` brings tensors of different tables together.
public final class StringTable: Sendable {
  public let texts: [Text]

  /// - Parameter texts: The first one is empty.
  init(_ texts: [Text]) { self.texts = texts }

  /// The text of a number; a number that is none of the table's is the empty string.
  public func text(_ number: Int) -> Text { texts.indices.contains(number) ? texts[number] : "" }
}

/// Gives numbers to texts: equal ones get the same number, new ones the next.
public struct StringNumbering: Sendable {
  public private(set) var texts: [Text] = [""]
  private var numbers: [Text: Int] = ["": 0]
  /// What all texts take together, with a fixed amount for each.
  public private(set) var byteCount = 0
  /// The most that `byteCount` may become.
  public let maximumBytes: Int
  private static let bytesEach = 64

  public init(maximumBytes: Int = 1 << 30) { self.maximumBytes = maximumBytes }

  /// Numbers that a table has given already; new texts get numbers beyond them.
  public init(_ table: StringTable, maximumBytes: Int = 1 << 30) {
    self.init(maximumBytes: maximumBytes)
    for text in table.texts.dropFirst() { append(text) }
  }

  /// The strings that a model names, in the order of their numbers; the first one is empty.
  public init(modelStrings: [String]) { self.init(StringTable(modelStrings.map { Text($0) })) }

  private mutating func append(_ text: Text) {
    // Tables of unknown origin may hold a text twice: the first number counts.
    if numbers[text] == nil { numbers[text] = texts.count }
    byteCount += text.byteCount + Self.bytesEach
    texts.append(text)
  }

  /// - Throws: If the texts would take more memory than allowed.
  public mutating func number(_ text: Text) throws(TextError) -> Int {
    if let known = numbers[text] { return known }
    guard text.byteCount <= Text.maximumBytes else { throw TextError("a string of \(text.byteCount) bytes; the limit is \(Text.maximumBytes)") }
    guard byteCount + text.byteCount + Self.bytesEach <= maximumBytes else { throw TextError("the strings of this run take more than \(maximumBytes) bytes") }
    append(text)
    return texts.count - 1
  }

  /// The number of a text that has one.
  public func known(_ text: Text) -> Int? { numbers[text] }

  public func text(_ number: Int) -> Text { texts.indices.contains(number) ? texts[number] : "" }

  /// Forgets every number from `count` on.
  public mutating func truncate(to count: Int) {
    guard count < texts.count else { return }
    for text in texts[count...] {
      if let number = numbers[text], number >= count { numbers[text] = nil }
      byteCount -= text.byteCount + Self.bytesEach
    }
    texts.removeSubrange(count...)
  }

  public var table: StringTable { StringTable(texts) }
}

/// Why a text cannot be computed or read.
public struct TextError: Error, Sendable, Hashable, CustomStringConvertible {
  public var message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}
