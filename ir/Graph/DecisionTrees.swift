import TensorTypes

/// The constants of a `tree_ensemble`, checked: every node, feature and weight that one names is there, and no node is reached twice.
public struct DecisionTrees: Sendable {
  public struct Node: Sendable, Hashable {
    /// The column that is compared; -1 in a leaf.
    public var feature: Int
    public var threshold: Double
    /// Where `x <= threshold` leads; the first weight of a leaf.
    public var near: Int
    /// Where anything else leads; the end of a leaf's weights.
    public var far: Int
    /// True if a NaN goes to `near`.
    public var missingGoesNear: Bool

    public init(feature: Int, threshold: Double, near: Int, far: Int, missingGoesNear: Bool) {
      (self.feature, self.threshold, self.near, self.far, self.missingGoesNear) = (feature, threshold, near, far, missingGoesNear)
    }

    public var isLeaf: Bool { feature < 0 }
    /// The weights of a leaf.
    public var weights: Range<Int> { near..<max(near, far) }
  }

  public let nodes: [Node]
  public let roots: [Int]
  public let targets: [Int]
  public let weights: [Double]
  /// The length of the longest path of each tree.
  public let depths: [Int]

  /// - Parameters:
  ///   - operands: The operands of the operation from the second on.
  ///   - operation: Whose operands they are.
  /// - Throws: What is wrong with the tables.
  public init(_ operands: [Tensor], of operation: TreeEnsemble) throws(TypeError) {
    guard operands.count == 5 else { throw TypeError("`tree_ensemble` has five tables") }
    let (fields, thresholds) = (operands[0].integers, operands[1].doubles)
    (roots, targets, weights) = (operands[2].integers, operands[3].integers, operands[4].doubles)
    guard fields.count == 4 * thresholds.count, targets.count == weights.count else { throw TypeError("the tables of `tree_ensemble` have different lengths") }
    var nodes: [Node] = []
    nodes.reserveCapacity(thresholds.count)
    for (number, threshold) in thresholds.enumerated() {
      let place = 4 * number
      let node = Node(
        feature: fields[place], threshold: threshold, near: fields[place + 1], far: fields[place + 2], missingGoesNear: fields[place + 3] != 0)
      let isSound =
        node.isLeaf
        ? node.near >= 0 && node.near <= node.far && node.far <= weights.count
        : node.feature < operation.features && thresholds.indices.contains(node.near) && thresholds.indices.contains(node.far)
      guard isSound else { throw TypeError("node \(number) of `tree_ensemble` names something that is not there") }
      nodes.append(node)
    }
    guard targets.allSatisfy({ $0 >= 0 && $0 < operation.results }) else { throw TypeError("a weight of `tree_ensemble` is for a column that is not there") }
    self.nodes = nodes
    depths = try Self.measure(nodes, roots)
  }

  private static func measure(_ nodes: [Node], _ roots: [Int]) throws(TypeError) -> [Int] {
    var isReached = [Bool](repeating: false, count: nodes.count)
    var depths: [Int] = []
    for root in roots {
      guard nodes.indices.contains(root) else { throw TypeError("`tree_ensemble` has a tree that starts at node \(root)") }
      var (level, depth) = ([root], 0)
      while true {
        var next: [Int] = []
        for number in level {
          guard !isReached[number] else { throw TypeError("the nodes of `tree_ensemble` do not form trees: \(number) is reached twice") }
          isReached[number] = true
          if !nodes[number].isLeaf { next += [nodes[number].near, nodes[number].far] }
        }
        if next.isEmpty { break }
        (level, depth) = (next, depth + 1)
      }
      depths.append(depth)
    }
    return depths
  }
}
