/// A nondeterministic automaton over bytes, made of a pattern.
struct PatternMachine {
  enum State {
    case byte(ClosedRange<UInt8>, next: Int)
    case split([Int])
    case assertion(PatternAssertion, next: Int)
    case match
  }

  private(set) var states: [State] = [.match]
  private(set) var start = 0
  private static let maximumStates = 50_000

  init(_ node: PatternNode) throws(TextError) { start = try add(node, before: 0) }

  var hasAssertions: Bool { states.contains { if case .assertion = $0 { true } else { false } } }

  private mutating func add(_ state: State) throws(TextError) -> Int {
    guard states.count < Self.maximumStates else { throw TextError("the regular expression needs more than \(Self.maximumStates) states") }
    states.append(state)
    return states.count - 1
  }

  /// The states of a node that lead to `next`; the first of them.
  private mutating func add(_ node: PatternNode, before next: Int) throws(TextError) -> Int {
    switch node {
    case .empty: return next
    case .anyByte: return try add(.byte(0...255, next: next))
    case .assertion(let kind): return try add(.assertion(kind, next: next))
    case .sequence(let items):
      var next = next
      for item in items.reversed() { next = try add(item, before: next) }
      return next
    case .choice(let branches):
      var starts: [Int] = []
      for branch in branches { starts.append(try add(branch, before: next)) }
      return try add(.split(starts))
    case .scalar(let set):
      var starts: [Int] = []
      for range in set.ranges {
        for bytes in Self.encodings(of: range) {
          var next = next
          for byte in bytes.reversed() { next = try add(.byte(byte, next: next)) }
          starts.append(next)
        }
      }
      return starts.count == 1 ? starts[0] : try add(.split(starts))
    case .repeated(let inner, let least, let most):
      var next = next
      if let most {
        let end = next
        for _ in least..<max(least, most) { next = try add(.split([try add(inner, before: next), end])) }
      } else {
        // A loop: its head is known before its body is made.
        let head = try add(.split([]))
        states[head] = .split([try add(inner, before: head), next])
        next = head
      }
      for _ in 0..<least { next = try add(inner, before: next) }
      return next
    }
  }

  /// The sequences of byte ranges that encode a range of scalars.
  static func encodings(of range: ClosedRange<UInt32>) -> [[ClosedRange<UInt8>]] {
    var found: [[ClosedRange<UInt8>]] = []
    // By length of the encoding, without the surrogates.
    for part in [0...0x7f, 0x80...0x7ff, 0x800...0xd7ff, 0xe000...0xffff, 0x10000...0x10ffff] as [ClosedRange<UInt32>] where part.overlaps(range) {
      split(part.clamped(to: range), &found)
    }
    return found
  }

  /// Cuts a range where the last bytes do not go through all their values.
  private static func split(_ range: ClosedRange<UInt32>, _ found: inout [[ClosedRange<UInt8>]]) {
    let (low, high) = (range.lowerBound, range.upperBound)
    let length = low < 0x80 ? 1 : low < 0x800 ? 2 : low < 0x10000 ? 3 : 4
    for level in 1..<max(length, 1) + 1 where level < length {
      let mask: UInt32 = (1 << (6 * UInt32(level))) - 1
      if low & ~mask == high & ~mask { continue }
      if low & mask != 0 {
        split(low...(low | mask), &found)
        split((low | mask) + 1...high, &found)
        return
      }
      if high & mask != mask {
        split(low...(high & ~mask) - 1, &found)
        split(high & ~mask...high, &found)
        return
      }
    }
    found.append(zip(encoded(low), encoded(high)).map { $0...$1 })
  }

  private static func encoded(_ value: UInt32) -> [UInt8] {
    Unicode.Scalar(value).map { Array(String(Character($0)).utf8) } ?? []
  }
}
