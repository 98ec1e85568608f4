import GraphIR
import TensorTypes

/// Decision trees as a walk of all rows through all trees at once.
///
/// A loop as long as the deepest tree takes every (row, tree) pair one node down; leaves lead to themselves. Then the
/// weights of the leaves are gathered and combined over the trees.
struct TreeEnsemble {
  private struct Node {
    var feature: Int
    var threshold: Double
    /// Where `x <= threshold` leads, and where anything else does.
    var near: Int
    var far: Int
    var missingGoesNear = false
  }

  private var nodes: [Node] = []
  private var roots: [Int] = []
  private(set) var depth = 0
  private var position: [Key: Int] = [:]
  private struct Key: Hashable {
    var tree: Int
    var node: Int
  }

  /// Larger tables are refused.
  private static let maximumNodes = 1 << 22

  init(_ call: OperatorCall, element: ElementType) throws(CompileError) {
    func integers(_ name: String, count: Int? = nil) throws(CompileError) -> [Int] {
      let values = try call.integers(name) ?? []
      if let count, values.count != count { throw call.refusal("`\(name)` of \(call.name) has \(values.count) entries; \(count) are needed") }
      return values
    }
    let trees = try integers("nodes_treeids")
    let count = trees.count
    guard count >= 1, count <= Self.maximumNodes else { throw call.refusal("\(call.name) has \(count) nodes") }
    let (ids, features) = (try integers("nodes_nodeids", count: count), try integers("nodes_featureids", count: count))
    let (trueIDs, falseIDs) = (try integers("nodes_truenodeids", count: count), try integers("nodes_falsenodeids", count: count))
    let modes = try call.strings("nodes_modes") ?? []
    let thresholds = try Self.numbers(call, "nodes_values")
    let missing = try integers("nodes_missing_value_tracks_true")
    guard modes.count == count, thresholds.count == count, missing.isEmpty || missing.count == count else {
      throw call.refusal("the lists of \(call.name) have different lengths")
    }
    for index in 0..<count {
      guard position.updateValue(index, forKey: Key(tree: trees[index], node: ids[index])) == nil else {
        throw call.refusal("\(call.name) has two nodes \(ids[index]) in tree \(trees[index])")
      }
    }
    var isChild = [Bool](repeating: false, count: count)
    for index in 0..<count {
      if modes[index] == "LEAF" {
        nodes.append(Node(feature: 0, threshold: 0, near: index, far: index))
        continue
      }
      guard let yes = position[Key(tree: trees[index], node: trueIDs[index])], let no = position[Key(tree: trees[index], node: falseIDs[index])] else {
        throw call.refusal("node \(ids[index]) of tree \(trees[index]) has a child that is not there")
      }
      guard features[index] >= 0 else { throw call.refusal("node \(ids[index]) of tree \(trees[index]) tests feature \(features[index])") }
      (isChild[yes], isChild[no]) = (true, true)
      let tracksTrue = missing.isEmpty ? false : missing[index] != 0
      // Every test becomes `x <= t`: `x < t` is `x <= the number before t`, and `>`, `>=` exchange the children.
      let before = element == .f64 ? thresholds[index].nextDown : Double(Float(thresholds[index]).nextDown)
      switch modes[index] {
      case "BRANCH_LEQ": nodes.append(Node(feature: features[index], threshold: thresholds[index], near: yes, far: no, missingGoesNear: tracksTrue))
      case "BRANCH_LT": nodes.append(Node(feature: features[index], threshold: before, near: yes, far: no, missingGoesNear: tracksTrue))
      case "BRANCH_GT": nodes.append(Node(feature: features[index], threshold: thresholds[index], near: no, far: yes, missingGoesNear: !tracksTrue))
      case "BRANCH_GTE": nodes.append(Node(feature: features[index], threshold: before, near: no, far: yes, missingGoesNear: !tracksTrue))
      case let mode: throw call.unsupported("\(call.name) with the test `\(printable(mode))` is not supported yet")
      }
    }
    // The first node of each tree that is nobody's child; trees in the order of the file.
    var seen: Set<Int> = []
    for index in 0..<count where !isChild[index] && seen.insert(trees[index]).inserted { roots.append(index) }
    guard roots.count == Set(trees).count else { throw call.refusal("\(call.name) has a tree without a root") }
    depth = try measured(call)
  }

  static func numbers(_ call: OperatorCall, _ name: String) throws(CompileError) -> [Double] {
    if let tensor = try call.tensor(name + "_as_tensor") { return tensor.doubles }
    return try call.numbers(name) ?? []
  }

  /// The length of the longest path; refuses trees whose nodes lead back.
  private func measured(_ call: OperatorCall) throws(CompileError) -> Int {
    var level = roots
    var visited = [Bool](repeating: false, count: nodes.count)
    var depth = 0
    while true {
      var next: [Int] = []
      for index in level {
        guard !visited[index] else { throw call.refusal("the nodes of \(call.name) do not form trees") }
        visited[index] = true
        if nodes[index].near != index { next += nodes[index].near == nodes[index].far ? [nodes[index].near] : [nodes[index].near, nodes[index].far] }
      }
      if next.isEmpty { return depth }
      depth += 1
      level = next
    }
  }

  /// The weights of the leaves, [nodes, targets], as (tree, node, target, weight) lists give them.
  func table(_ call: OperatorCall, prefix: String, targets: Int) throws(CompileError) -> [Double] {
    let (trees, ids) = (try call.integers(prefix + "_treeids") ?? [], try call.integers(prefix + "_nodeids") ?? [])
    let (classes, weights) = (try call.integers(prefix + "_ids") ?? [], try Self.numbers(call, prefix + "_weights"))
    guard ids.count == trees.count, classes.count == trees.count, weights.count == trees.count else {
      throw call.refusal("the `\(prefix)` lists of \(call.name) have different lengths")
    }
    guard targets >= 1, let size = elementCount(of: [nodes.count, targets]), size <= 1 << 26 else { throw call.refusal("\(call.name) has \(targets) targets") }
    var table = [Double](repeating: 0, count: size)
    for index in trees.indices {
      guard let row = position[Key(tree: trees[index], node: ids[index])], classes[index] >= 0, classes[index] < targets else {
        throw call.refusal("\(call.name) gives a weight to a node or target that is not there")
      }
      table[row * targets + classes[index]] += weights[index]
    }
    return table
  }

  /// The leaves that the rows of `x` end in, [rows, trees].
  func leaves(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard b.rank(x) == 2 else { throw b.refusal("trees take a matrix", operands: [x]) }
    if let width = b.shape(x)[1].constant, let most = nodes.map(\.feature).max(), most >= width {
      throw b.refusal("the trees test feature \(most) of \(width)", operands: [x])
    }
    let start = try b.broadcast(b.constant(Tensor(roots)), to: [b.shape(x)[0], Extent(roots.count)])
    guard depth > 0 else { return start }
    let element = b.element(x)
    let handlesMissing = nodes.contains { $0.missingGoesNear }
    let tables = [
      try b.constant(Tensor(nodes.map(\.feature))), try b.constant(Tensor(element, [nodes.count], nodes.map(\.threshold))),
      try b.constant(Tensor(nodes.map(\.near))), try b.constant(Tensor(nodes.map(\.far))),
      try b.constant(Tensor(.bool, [nodes.count], nodes.map { $0.missingGoesNear ? 1 : 0 })),
    ].prefix(handlesMissing ? 5 : 4)
    let operands = [start, x] + tables
    let body = try b.region("trees", types: operands.map { b.type($0) }) { b, inputs throws(CompileError) in
      let (index, x) = (inputs[0], inputs[1])
      func field(_ position: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID { try b.add(Gather(axis: 0), inputs[2 + position], index) }
      let value = try b.add(GatherElements(axis: 1), x, field(0, &b))
      var goesNear = try b.compare(.lessOrEqual, value, field(1, &b))
      if handlesMissing { goesNear = try b.binary(.or, goesNear, b.binary(.and, b.unary(.isNaN, value), field(4, &b))) }
      return [try b.select(goesNear, field(2, &b), field(3, &b))]
    }
    return try b.addAll(Scan(carried: 1, scanned: 0, extent: Extent(depth), body: body), operands)[0]
  }

  /// The leaf weights of all trees combined, [rows, targets].
  func scores(_ leaves: ValueID, table: [Double], targets: Int, _ element: ElementType, aggregate: String, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let weights = try b.constant(Tensor(element, [nodes.count, targets], table))
    let all = try b.add(Gather(axis: 0), weights, leaves)
    switch aggregate {
    case "SUM": return try b.reduce(.sum, all, axes: [1], keepsAxes: false)
    case "AVERAGE": return try b.binary(.divide, b.reduce(.sum, all, axes: [1], keepsAxes: false), Double(roots.count))
    case "MIN": return try b.reduce(.minimum, all, axes: [1], keepsAxes: false)
    case "MAX": return try b.reduce(.maximum, all, axes: [1], keepsAxes: false)
    default: throw b.refusal("`aggregate_function` is `\(printable(aggregate))`")
    }
  }
}
