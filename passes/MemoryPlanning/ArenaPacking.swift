/// Gives intervals of time places in memory so that intervals that overlap in time do not in memory.
///
/// Placing one buffer after the other at the lowest free offset is within a few percent of the lower bound if the order
/// is good; by size is the best single order on convolutional networks (Pisarchyk and Lee, 2020). Here several orders are
/// tried, and the best one is then improved: what lies on top of the arena is placed earlier.
struct ArenaPacking {
  /// A buffer: how many units, and from which step to which it is alive.
  struct Item {
    var size: Int
    var range: ClosedRange<Int>
  }

  let items: [Item]
  /// For each item where it starts.
  private(set) var offsets: [Int]
  private(set) var end: Int

  /// True if no sum of sizes can leave 63 bits.
  static func isPossible(_ items: [Item]) -> Bool {
    var total = 0
    for item in items {
      let (sum, overflows) = total.addingReportingOverflow(item.size)
      guard !overflows, item.size >= 0, sum <= 1 << 56 else { return false }
      total = sum
    }
    return true
  }

  /// The most that is alive at once: no plan needs less.
  static func lowerBound(_ items: [Item]) -> Int {
    var changes: [Int: Int] = [:]
    for item in items {
      changes[item.range.lowerBound, default: 0] += item.size
      changes[item.range.upperBound + 1, default: 0] -= item.size
    }
    var (alive, most) = (0, 0)
    for time in changes.keys.sorted() {
      alive += changes[time] ?? 0
      most = max(most, alive)
    }
    return most
  }

  /// Placements that are tried to improve the best order. The whole search takes milliseconds for a few hundred buffers.
  private static let improvements = 60
  /// Beyond so many buffers the orders alone are tried: placing is quadratic.
  private static let mostImproved = 1_500

  init(_ items: [Item]) {
    self.items = items
    let bound = Self.lowerBound(items)
    func length(_ item: Item) -> Int { item.range.upperBound - item.range.lowerBound + 1 }
    let orders: [(Item, Item) -> Bool?] = [
      { a, b in a.size == b.size ? nil : a.size > b.size },
      { a, b in
        // Long lives first among the large ones.
        let (x, y) = (Double(a.size) * Double(length(a)), Double(b.size) * Double(length(b)))
        return x == y ? nil : x > y
      },
      { a, b in a.range.lowerBound == b.range.lowerBound ? nil : a.range.lowerBound < b.range.lowerBound },
      { a, b in length(a) == length(b) ? nil : length(a) > length(b) },
      { a, b in a.range.upperBound == b.range.upperBound ? nil : a.range.upperBound > b.range.upperBound },
    ]
    offsets = []
    end = .max
    var best: [Int] = []
    for order in orders {
      let sequence = items.indices.sorted { order(items[$0], items[$1]) ?? ((items[$1].size, $0) < (items[$0].size, $1)) }
      let (places, end) = Self.place(items, sequence)
      if end < self.end { (offsets, self.end, best) = (places, end, sequence) }
      if self.end == bound { return }
    }
    guard items.count <= Self.mostImproved else { return }
    var current = best
    for round in 0..<Self.improvements where end > bound {
      // The topmost buffer moves to the front, or only before those that it overlaps in time.
      let places = Self.place(items, current).offsets
      guard let top = items.indices.max(by: { (places[$0] + items[$0].size, $0) < (places[$1] + items[$1].size, $1) }), let position = current.firstIndex(of: top) else { return }
      current.remove(at: position)
      let target = round % 3 == 2 ? 0 : position / 2
      current.insert(top, at: min(target, current.count))
      let (tried, triedEnd) = Self.place(items, current)
      if triedEnd < end { (offsets, end, best) = (tried, triedEnd, current) }
      // The search wanders from the best order a few steps at a time.
      if round % 12 == 11 { current = best }
    }
  }

  /// Each item in the sequence at the lowest offset that is free for its whole life.
  private static func place(_ items: [Item], _ sequence: [Int]) -> (offsets: [Int], end: Int) {
    var offsets = [Int](repeating: 0, count: items.count)
    var end = 0
    // Sorted by offset, so that gaps are found in one walk.
    var placed: [(offset: Int, end: Int, range: ClosedRange<Int>, item: Int)] = []
    for number in sequence {
      let item = items[number]
      var offset = 0
      for other in placed where other.range.overlaps(item.range) {
        if other.offset >= offset, other.offset - offset >= item.size { break }
        offset = max(offset, other.end)
      }
      offsets[number] = offset
      end = max(end, offset + item.size)
      let position = placed.firstIndex { $0.offset > offset } ?? placed.count
      placed.insert((offset, offset + item.size, item.range, number), at: position)
    }
    return (offsets, end)
  }
}
