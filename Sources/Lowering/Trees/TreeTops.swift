import TensorTypes

/// The upper nodes of every tree as comparisons that are all made, whatever their outcome, each for many rows at once.
///
/// The exits of a tree's top, from `near` to `far`, are bits of words. A comparison that fails clears the exits below its `near` side; the lowest bit
/// left is the exit that the row takes. Which comparison is made when does not matter, so those whose NaN goes far come first in a
/// word, then those whose NaN goes near.
struct TreeTops {
  /// Comparisons of the same word.
  struct Segment {
    /// The first comparison, the first whose NaN goes near, and the end.
    var start: Int
    var middle: Int
    var end: Int
    /// The place of the node behind each of 32 bits; 0 for bits that are no exit.
    var exits: [Int]
  }

  private(set) var columns: [Int] = []
  private(set) var thresholds: [Double] = []
  private(set) var masks: [UInt32] = []
  /// The last word of a tree first: whoever finds a bit later has the lower one.
  private(set) var segments: [Segment] = []
  /// The first segment of each tree, and the end of all.
  private(set) var starts: [Int] = [0]
  /// The longest path from an exit to a leaf, for each tree.
  private(set) var rounds: [Int] = []

  /// Exits of a tree that has no more leaves than this.
  private static let mostLeaves = 128
  /// Exits otherwise: below them a walk is cheaper.
  private static let mostExits = 64

  init(_ layout: TreeLayout) {
    for (tree, root) in layout.roots.enumerated() { add(layout, root, end: tree + 1 < layout.roots.count ? layout.roots[tree + 1] : layout.order.count) }
  }

  private mutating func add(_ layout: TreeLayout, _ root: Int, end: Int) {
    let leafCount = (end - root + 1) / 2
    let limit = leafCount <= Self.mostLeaves ? leafCount : Self.mostExits
    // The places of a tree are in order of their depth, so the first inner nodes are the upper ones.
    var inner: Set<Int> = []
    for place in root..<end where inner.count + 1 < limit {
      if !layout.node(at: place).isLeaf { inner.insert(place) }
    }
    // The exits from near to far, and which of them lie on the near side of each comparison.
    var exits: [Int] = []
    var nearSides: [(place: Int, range: Range<Int>)] = []
    enum Task {
      case visit(Int)
      /// The near side of a node began at this exit and is complete.
      case close(Int, start: Int)
    }
    var stack = [Task.visit(root)]
    while let task = stack.popLast() {
      switch task {
      case .close(let place, let start): nearSides.append((place, start..<exits.count))
      case .visit(let place):
        guard inner.contains(place) else {
          exits.append(place)
          continue
        }
        let children = layout.children(of: place)
        stack.append(.visit(children.far))
        stack.append(.close(place, start: exits.count))
        stack.append(.visit(children.near))
      }
    }
    for word in (0..<(exits.count + 31) / 32).reversed() {
      let bits = word * 32..<min(word * 32 + 32, exits.count)
      let touched = nearSides.filter { $0.range.overlaps(bits) }
      let far = touched.filter { !layout.node(at: $0.place).missingGoesNear }, near = touched.filter { layout.node(at: $0.place).missingGoesNear }
      let start = columns.count
      for (place, range) in far + near {
        columns.append(layout.column(at: place))
        thresholds.append(layout.threshold(at: place))
        masks.append(~range.clamped(to: bits).reduce(UInt32(0)) { $0 | 1 << UInt32($1 - bits.lowerBound) })
      }
      segments.append(
        Segment(
          start: start, middle: start + far.count, end: columns.count,
          exits: (0..<32).map { word * 32 + $0 < exits.count ? exits[word * 32 + $0] : 0 }))
    }
    starts.append(segments.count)
    rounds.append(exits.reduce(0) { max($0, Self.height(layout, $1)) })
  }

  private static func height(_ layout: TreeLayout, _ place: Int) -> Int {
    var (level, height) = ([place], 0)
    while true {
      let next = level.filter { !layout.node(at: $0).isLeaf }.flatMap { [layout.children(of: $0).far, layout.children(of: $0).near] }
      if next.isEmpty { return height }
      (level, height) = (next, height + 1)
    }
  }

  /// A bit times this has its number, in an order of its own, in the five highest bits.
  static let sequence: UInt32 = 0x077c_b531

  /// Values for the 32 bits of a segment, in the order in which `sequence` numbers bits.
  static func numbered<Value>(_ values: [Value]) -> [Value] {
    var result = values
    for bit in 0..<32 { result[Int(((1 << UInt32(bit)) &* sequence) >> 27)] = values[bit] }
    return result
  }
}

/// The first levels of the trees as complete trees, lane by lane, for a walk of several trees at once: their nodes are loaded in a row.
struct TreeHeads {
  /// The trees of one group, and the levels that are laid out.
  let width: Int
  let levels: Int
  let groups: Int
  /// For group g, node n of a complete tree in order of levels and lane l at (g * nodes + n) * width + l.
  private(set) var thresholds: [Double] = []
  /// column << 1 | missing.
  private(set) var columns: [Int] = []
  /// The places behind the last level, likewise; nil for lanes without a tree.
  private(set) var exits: [Int?] = []
  /// The longest path behind the heads of each group.
  private(set) var rounds: [Int] = []

  var nodes: Int { 1 << levels - 1 }

  init(_ layout: TreeLayout, width: Int, mostLevels: Int) {
    self.width = width
    levels = min(layout.depth, mostLevels)
    groups = (layout.roots.count + width - 1) / width
    for group in 0..<groups {
      var level: [[Int?]] = [(0..<width).map { group * width + $0 < layout.roots.count ? layout.roots[group * width + $0] : nil }]
      for _ in 0..<levels {
        var next: [[Int?]] = []
        for nodes in level {
          var (far, near): ([Int?], [Int?]) = ([], [])
          for place in nodes {
            if let place, !layout.node(at: place).isLeaf {
              thresholds.append(layout.threshold(at: place))
              columns.append(layout.column(at: place) << 1 | (layout.node(at: place).missingGoesNear ? 1 : 0))
              far.append(layout.children(of: place).far)
              near.append(layout.children(of: place).near)
            } else {
              thresholds.append(.nan)
              columns.append(0)
              far.append(place)
              near.append(place)
            }
          }
          next += [far, near]
        }
        level = next
      }
      exits += level.flatMap { $0 }
      let trees = group * width..<min((group + 1) * width, layout.roots.count)
      rounds.append(trees.reduce(0) { max($0, layout.trees.depths[$1] - levels) })
    }
  }
}
