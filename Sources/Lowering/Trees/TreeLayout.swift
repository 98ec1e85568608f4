import GraphIR
import TensorTypes

/// Decision trees as tables that a kernel walks: the children of a node lie side by side, `far` before `near`, so that one index and
/// one bit lead on. Leaves lead to themselves. Only the features that some node tests have a column.
struct TreeLayout {
  /// What a leaf adds to the results.
  enum Leaves {
    /// One weight to one column, which is the same for all leaves of a tree.
    case single(targets: [Int])
    /// One weight to every column.
    case dense
    /// Any weights to any columns.
    case sparse
  }

  let trees: DecisionTrees
  /// The feature that each column holds.
  let columns: [Int]
  /// The node of `trees` at each place.
  let order: [Int]
  /// The place of each node of `trees` that a tree has.
  let place: [Int: Int]
  /// The place of each tree's root.
  let roots: [Int]
  let leaves: Leaves
  /// True if some node sends a NaN to `near`.
  let tracksMissing: Bool
  /// The place of the first of a node's children; its own for a leaf.
  private let child: [Int]
  private let columnOf: [Int: Int]

  var depth: Int { trees.depths.max() ?? 0 }

  init(_ trees: DecisionTrees, _ operation: TreeEnsemble) {
    self.trees = trees
    var order: [Int] = []
    var child: [Int] = []
    var roots: [Int] = []
    for root in trees.roots {
      roots.append(order.count)
      var next = order.count
      order.append(root)
      while next < order.count {
        let node = trees.nodes[order[next]]
        child.append(node.isLeaf ? next : order.count)
        if !node.isLeaf { order += [node.far, node.near] }
        next += 1
      }
    }
    (self.order, self.child, self.roots) = (order, child, roots)
    place = Dictionary(order.enumerated().map { ($1, $0) }) { first, _ in first }
    let used = order.lazy.map { trees.nodes[$0].feature }.filter { $0 >= 0 }
    columns = Set(used).sorted()
    columnOf = Dictionary(columns.enumerated().map { ($1, $0) }) { first, _ in first }
    tracksMissing = order.contains { !trees.nodes[$0].isLeaf && trees.nodes[$0].missingGoesNear }
    leaves = Self.form(trees, operation, order, roots)
  }

  private static func form(_ trees: DecisionTrees, _ operation: TreeEnsemble, _ order: [Int], _ roots: [Int]) -> Leaves {
    // A column that a leaf does not mention gets a zero, which only sums do not notice.
    let needsAll = operation.combine != .sum
    var (isSingle, isDense, leafCount, entryCount) = (true, true, 0, 0)
    var targets = [Int?](repeating: nil, count: roots.count)
    var tree = -1
    for (place, number) in order.enumerated() {
      if tree + 1 < roots.count, roots[tree + 1] == place { tree += 1 }
      let node = trees.nodes[number]
      guard node.isLeaf else { continue }
      leafCount += 1
      entryCount += node.weights.count
      if node.weights.count > 1 || (needsAll && node.weights.isEmpty) { isSingle = false } else if let entry = node.weights.first {
        let target = trees.targets[entry]
        if let known = targets[tree], known != target { isSingle = false } else { targets[tree] = target }
      }
      if isDense {
        let mentioned = node.weights.map { trees.targets[$0] }
        if Set(mentioned).count != mentioned.count || (needsAll && mentioned.count != operation.results) { isDense = false }
      }
    }
    if isSingle { return .single(targets: targets.map { $0 ?? 0 }) }
    let size = elementCount(of: [leafCount, operation.results]) ?? .max
    return isDense && size <= 1 << 24 && size / 4 <= entryCount + 1024 ? .dense : .sparse
  }

  func node(at place: Int) -> DecisionTrees.Node { trees.nodes[order[place]] }
  /// The children of an inner node.
  func children(of place: Int) -> (far: Int, near: Int) { (child[place], child[place] + 1) }
  func column(at place: Int) -> Int { columnOf[node(at: place).feature] ?? 0 }

  // MARK: Tables

  /// A NaN lets every comparison fail, which keeps a walk at a leaf.
  func threshold(at place: Int) -> Double { node(at: place).isLeaf ? .nan : node(at: place).threshold }

  /// How a node's child, column and direction of NaN are kept.
  enum Links {
    /// child << (columnBits + 1) | missing << columnBits | column.
    case packed(columnBits: Int)
    /// child << 1 | missing, and the columns in a table of their own.
    case wide
  }

  var links: Links {
    var bits = 0
    while 1 << bits < columns.count { bits += 1 }
    return order.count < 1 << (30 - bits) ? .packed(columnBits: bits) : .wide
  }

  /// The links of all nodes, 31 bits each; for `wide` the columns follow apart.
  func linkTable() -> [Int] {
    let links = links
    return order.indices.map { place in
      let missing = !node(at: place).isLeaf && node(at: place).missingGoesNear ? 1 : 0
      switch links {
      case .packed(let bits): return child[place] << (bits + 1) | missing << bits | column(at: place)
      case .wide: return child[place] << 1 | missing
      }
    }
  }

  static func table(_ values: [Int]) -> Tensor { Tensor(.i32, [values.count], values.map(Double.init)) }

  /// What a leaf adds to a column (nil: to the only one that it adds to); `empty` if it adds nothing.
  func weight(at place: Int, column: Int? = nil, empty: Double) -> Double {
    let node = node(at: place)
    guard node.isLeaf else { return 0 }
    return node.weights.first { column == nil || trees.targets[$0] == column }.map { trees.weights[$0] } ?? empty
  }
}
