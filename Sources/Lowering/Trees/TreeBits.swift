import TensorTypes

/// Small trees as tables: the outcomes of all comparisons of a tree are neighbouring bits of a word, and for every pattern of them a
/// table has what the leaf adds.
///
/// All comparisons are made, whatever their outcome, so nothing depends on anything but the row; a tree is a shift, a mask and a load.
struct TreeBits {
  struct Tree {
    /// The word that has its bits, the lowest of them, and their number.
    var word: Int
    var shift: Int
    var bits: Int
    /// Its first row in the table.
    var first: Int
    /// The only column that it adds to; nil if it adds to several.
    var target: Int?
  }

  /// Comparisons of one word.
  static let wordBits = 64
  /// A tree has a row for every pattern of its comparisons.
  private static let mostBits = 10
  /// Numbers of the table: few enough that those in use stay in the first-level cache.
  private static let mostEntries = 16384
  /// Code is made for every tree.
  private static let mostTrees = 128
  /// Columns of features that a row keeps in registers.
  private static let mostColumns = 64
  /// Columns of results, each a register or a lane.
  private static let mostResults = 32

  private(set) var trees: [Tree] = []
  /// What each bit of the words compares; bits without a comparison have a NaN as their threshold.
  private(set) var columns: [Int] = []
  private(set) var thresholds: [Double] = []
  private(set) var missing: [Bool] = []
  /// `stride` numbers for each pattern of each tree.
  private(set) var weights: [Double] = []
  /// Numbers in a row of the table: one, or the results, rounded up to whole vectors.
  let stride: Int
  /// The features that are kept: all up to the last one that is compared, or those of `TreeLayout.columns`.
  let keepsAll: Bool
  let columnCount: Int

  var words: Int { (columns.count + Self.wordBits - 1) / Self.wordBits }

  /// What a comparison asks; trees ask some of them twice.
  private struct Question: Hashable {
    let column: Int
    let threshold: Double
    let missing: Bool
  }

  /// - Returns: nil if the trees are too many or too large.
  init?(_ problem: TreeProblem) {
    let layout = problem.layout, results = problem.operation.results
    guard problem.element == .f32, !layout.columns.isEmpty, layout.roots.count <= Self.mostTrees, layout.columns.count <= Self.mostColumns, results <= Self.mostResults
    else { return nil }
    let features = (layout.columns.max() ?? 0) + 1
    keepsAll = features <= max(32, layout.columns.count)
    columnCount = keepsAll ? features : layout.columns.count
    var targets: [Int]?
    if case .single(let known) = layout.leaves { targets = known }
    var stride = 1
    while targets == nil, stride < results { stride *= 2 }
    self.stride = stride
    for (number, root) in layout.roots.enumerated() {
      guard add(root, target: targets?[number], problem) else { return nil }
    }
    while columns.count % Self.wordBits != 0, columns.count % 16 != 0 { addUnused() }
  }

  private mutating func addUnused() {
    columns.append(0)
    thresholds.append(.nan)
    missing.append(false)
  }

  /// False if there are too many patterns, a leaf adds to a column twice, or a node compares with a NaN.
  private mutating func add(_ root: Int, target: Int?, _ problem: TreeProblem) -> Bool {
    let layout = problem.layout
    func question(_ place: Int) -> Question {
      let node = layout.node(at: place)
      return Question(column: keepsAll ? node.feature : layout.column(at: place), threshold: node.threshold, missing: node.missingGoesNear)
    }
    var numbers: [Question: Int] = [:]
    var asked: [Question] = []
    var stack = [root]
    while let place = stack.popLast() {
      let node = layout.node(at: place)
      if node.isLeaf {
        let mentioned = node.weights.map { layout.trees.targets[$0] }
        if Set(mentioned).count != mentioned.count { return false }
        continue
      }
      if node.threshold.isNaN { return false }
      if numbers[question(place)] == nil {
        numbers[question(place)] = asked.count
        asked.append(question(place))
        if asked.count > Self.mostBits { return false }
      }
      stack += [layout.children(of: place).far, layout.children(of: place).near]
    }
    guard weights.count + stride << asked.count <= Self.mostEntries else { return false }
    while Self.wordBits - columns.count % Self.wordBits < asked.count { addUnused() }
    trees.append(Tree(word: columns.count / Self.wordBits, shift: columns.count % Self.wordBits, bits: asked.count, first: weights.count / stride, target: target))
    for question in asked {
      columns.append(question.column)
      thresholds.append(question.threshold)
      missing.append(question.missing)
    }
    for pattern in 0..<1 << asked.count {
      var place = root
      while !layout.node(at: place).isLeaf {
        let isNear = numbers[question(place)].map { pattern >> $0 & 1 == 1 } ?? false
        place = isNear ? layout.children(of: place).near : layout.children(of: place).far
      }
      for column in 0..<stride { weights.append(layout.weight(at: place, column: target == nil ? column : nil, empty: problem.neutralNumber)) }
    }
    return true
  }
}
