/// A regular expression in RE2's syntax, as a table that reads each byte once.
///
/// A state is a set of states of the nondeterministic automaton and what came before it, because `\b` and `^` ask for that. They ask for what follows, too:
/// so acceptance is found with the next byte (or the end), one row entry for each.
public struct Pattern: Sendable, Hashable {
  /// As it was written.
  public let text: String
  /// i32: number of columns, start states behind the four contexts, the column of each byte (256), then for each state one entry for each
  /// column, the last for the end of the text: 2 * next state + 1 if what was read before is a match. State 0 goes nowhere.
  public let table: Tensor

  static let headerCount = 5 + 256
  private static let maximumStates = 10_000, maximumEntries = 1 << 22, maximumWork = 100_000_000

  /// What lies before a place in the text.
  enum Context: Int, CaseIterable {
    case start, newline, word, other

    init(after byte: UInt8) {
      switch byte {
      case 10: self = .newline
      case 48...57, 65...90, 95, 97...122: self = .word
      default: self = .other
      }
    }
  }

  public static func == (a: Pattern, b: Pattern) -> Bool { a.text == b.text }
  public func hash(into hasher: inout Hasher) { hasher.combine(text) }

  /// - Throws: For what is no regular expression of RE2, and for one that needs too many states.
  public init(_ text: String) throws(TextError) {
    self.text = text
    var parser = try PatternParser(text)
    var builder = try Builder(PatternMachine(parser.pattern()))
    let entries = try builder.run()
    table = Tensor(.i32, [entries.count]) { bytes in
      for (position, entry) in entries.enumerated() { bytes.storeBytes(of: entry, toByteOffset: position * 4, as: Int32.self) }
    }
  }

  private struct Key: Hashable {
    var states: [Int32]
    var context: Context
  }

  /// The subset construction.
  private struct Builder {
    let machine: PatternMachine
    let hasAssertions: Bool
    var columns = [Int](repeating: 0, count: 256)
    var columnCount = 1
    var numbers: [Key: Int] = [:]
    var keys: [Key] = []
    var work = 0
    var marks: [Int]
    var mark = 0

    init(_ machine: PatternMachine) throws(TextError) {
      self.machine = machine
      hasAssertions = machine.hasAssertions
      marks = Array(repeating: 0, count: machine.states.count)
      // Bytes that no state tells apart share a column.
      var isStart = [Bool](repeating: false, count: 257)
      func cut(_ range: ClosedRange<UInt8>) {
        isStart[Int(range.lowerBound)] = true
        isStart[Int(range.upperBound) + 1] = true
      }
      for state in machine.states { if case .byte(let range, _) = state { cut(range) } }
      if hasAssertions { for range in [48...57, 65...90, 95...95, 97...122, 10...10] as [ClosedRange<UInt8>] { cut(range) } }
      var column = 0
      for byte in 0..<256 {
        if byte > 0, isStart[byte] { column += 1 }
        columns[byte] = column
      }
      columnCount = column + 1
    }

    mutating func number(_ key: Key) throws(TextError) -> Int {
      if key.states.isEmpty { return 0 }
      if let known = numbers[key] { return known }
      guard keys.count < Pattern.maximumStates, (keys.count + 1) * (columnCount + 1) <= Pattern.maximumEntries else {
        throw TextError("the regular expression needs more than \(keys.count) states")
      }
      numbers[key] = keys.count
      keys.append(key)
      return keys.count - 1
    }

    mutating func run() throws(TextError) -> [Int32] {
      keys = [Key(states: [], context: .other)]
      var starts: [Int32] = []
      for context in Context.allCases { starts.append(Int32(try number(Key(states: [Int32(machine.start)], context: hasAssertions ? context : .other)))) }
      var representatives = [UInt8](repeating: 0, count: columnCount)
      for byte in 0..<256 { representatives[columns[byte]] = UInt8(byte) }
      var rows: [Int32] = []
      var state = 0
      while state < keys.count {
        let key = keys[state]
        var closures: [Int: (states: [Int], matches: Bool)] = [:]
        for column in 0...columnCount {
          let byte: UInt8? = column < columnCount ? representatives[column] : nil
          let following = byte.map { Context(after: $0) }
          let kind = hasAssertions ? following?.rawValue ?? -1 : 0
          if closures[kind] == nil { closures[kind] = try closure(key, before: following) }
          guard let (reached, matches) = closures[kind] else { continue }
          var next = 0
          if let byte, !reached.isEmpty {
            var targets: Set<Int32> = []
            for position in reached {
              if case .byte(let range, let target) = machine.states[position], range.contains(byte) { targets.insert(Int32(target)) }
            }
            try spend(reached.count)
            next = try number(Key(states: targets.sorted(), context: hasAssertions ? Context(after: byte) : .other))
          }
          rows.append(Int32(2 * next + (matches ? 1 : 0)))
        }
        state += 1
      }
      return [Int32(columnCount + 1)] + starts + columns.map { Int32($0) } + rows
    }

    private mutating func spend(_ steps: Int) throws(TextError) {
      work += steps
      guard work <= Pattern.maximumWork else { throw TextError("the regular expression takes too long to compile") }
    }

    /// The states reached without reading a byte, those that read one at least; and whether the pattern ends here.
    private mutating func closure(_ key: Key, before following: Context?) throws(TextError) -> ([Int], Bool) {
      mark += 1
      var stack = key.states.map { Int($0) }
      var (reached, matches): ([Int], Bool) = ([], false)
      while let state = stack.popLast() {
        guard marks[state] != mark else { continue }
        marks[state] = mark
        try spend(1)
        switch machine.states[state] {
        case .byte: reached.append(state)
        case .match: matches = true
        case .split(let targets): stack += targets
        case .assertion(let kind, let next): if Self.holds(kind, key.context, following) { stack.append(next) }
        }
      }
      return (reached, matches)
    }

    private static func holds(_ assertion: PatternAssertion, _ before: Context, _ following: Context?) -> Bool {
      switch assertion {
      case .startOfText: before == .start
      case .endOfText: following == nil
      case .startOfLine: before == .start || before == .newline
      case .endOfLine: following == nil || following == .newline
      case .wordBoundary: (before == .word) != (following == .word)
      case .insideOrOutsideWord: (before == .word) == (following == .word)
      }
    }
  }
}

/// A pattern's table where it lies in memory.
struct PatternTable {
  let entries: UnsafePointer<Int32>

  private func start(_ context: Pattern.Context) -> Int { Int(entries[1 + context.rawValue]) }

  private func entry(_ state: Int, _ byte: UInt8?) -> Int {
    let width = Int(entries[0])
    let column = byte.map { Int(entries[5 + Int($0)]) } ?? width - 1
    return Int(entries[Pattern.headerCount + state * width + column])
  }

  /// True if the pattern matches the whole text.
  func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    var state = start(.start)
    for byte in text {
      state = entry(state, byte) >> 1
      if state == 0 { return false }
    }
    return entry(state, nil) & 1 != 0
  }

  /// The end of the longest match that starts at a position; nil if none does.
  func longestMatch(in text: UnsafeBufferPointer<UInt8>, from position: Int) -> Int? {
    let context: Pattern.Context = position == 0 ? .start : Pattern.Context(after: text[position - 1])
    var (state, here, end): (Int, Int, Int?) = (start(context), position, nil)
    while state != 0 {
      let entry = entry(state, here < text.count ? text[here] : nil)
      if entry & 1 != 0 { end = here }
      if here == text.count { break }
      state = entry >> 1
      here += 1
    }
    return end
  }
}
