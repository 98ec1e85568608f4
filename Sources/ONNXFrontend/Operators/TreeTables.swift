import GraphIR
import TensorTypes

/// The tables of a `tree_ensemble` while a model's tree operator is read.
///
/// Every test becomes `x <= t`: `x < t` is `x <= the number before t`, `>` and `>=` exchange the children, and what is no comparison
/// of order (`==`, membership) is decided beforehand, in a column of its own that is 1 where it holds.
struct TreeTables {
  enum Test: Hashable {
    case lessOrEqual, less, greaterOrEqual, greater, equal, notEqual
    case member([Double])
  }

  /// A column that is 1 where a feature is one of some numbers, 0 where it is not, and NaN where it is NaN.
  private struct Membership: Hashable {
    var feature: Int
    var members: [Double]
  }

  private struct Node {
    var feature = -1
    var threshold = 0.0
    var near = 0
    var far = 0
    var missingGoesNear = false
  }

  /// The element type of the features.
  let element: ElementType
  private var nodes: [Node] = []
  private var roots: [Int] = []
  private var targets: [Int] = []
  private var weights: [Double] = []
  private var memberships: [Membership: Int] = [:]
  /// Nodes whose feature is the column of a membership.
  private var membershipOf: [Int: Int] = [:]

  var treeCount: Int { roots.count }

  /// Larger tables are refused.
  static let mostNodes = 1 << 24
  private static let mostMembers = 1 << 22

  init(element: ElementType) { self.element = element }

  mutating func addRoot(_ node: Int) { roots.append(node) }
  mutating func addWeight(_ weight: Double, for target: Int) {
    weights.append(weight)
    targets.append(target)
  }
  var weightCount: Int { weights.count }

  mutating func addLeaf(_ entries: Range<Int>) -> Int {
    nodes.append(Node(near: entries.lowerBound, far: entries.upperBound))
    return nodes.count - 1
  }

  /// Adds a test of a feature against a value; its children follow by `setChildren`.
  mutating func addSplit(_ feature: Int, _ test: Test, _ value: Double, tracksTrue: Bool) -> Int {
    var node = Node(feature: feature, threshold: value, missingGoesNear: tracksTrue)
    var members: [Double]?
    switch test {
    case .lessOrEqual: break
    case .less: node.threshold = before(value)
    case .greater: node.missingGoesNear = !tracksTrue
    case .greaterOrEqual: (node.threshold, node.missingGoesNear) = (before(value), !tracksTrue)
    case .equal: members = [value]
    case .notEqual: (members, node.missingGoesNear) = ([value], true)
    case .member(let list): members = list
    }
    if let members {
      let key = Membership(feature: feature, members: members)
      let column = memberships[key] ?? memberships.count
      memberships[key] = column
      membershipOf[nodes.count] = column
      node.threshold = 0.5
      if test != .notEqual { node.missingGoesNear = !tracksTrue }
    }
    nodes.append(node)
    return nodes.count - 1
  }

  mutating func setChildren(of node: Int, _ test: Test, whenTrue: Int, whenFalse: Int) {
    let isNear =
      switch test {
      case .lessOrEqual, .less, .notEqual: true
      case .greaterOrEqual, .greater, .equal, .member: false
      }
    (nodes[node].near, nodes[node].far) = isNear ? (whenTrue, whenFalse) : (whenFalse, whenTrue)
  }

  /// The largest number below `value`; nothing is below minus infinity, which a NaN says.
  private func before(_ value: Double) -> Double {
    if value == -.infinity { return .nan }
    return element == .f64 ? value.nextDown : Double(Float(value).nextDown)
  }

  /// The same trees, with 1 for every weight.
  func mentions() -> TreeTables {
    var copy = self
    copy.weights = weights.map { _ in 1 }
    return copy
  }

  /// True if each column has a tree whose leaves all add to it. The tables were checked by `build`.
  func alwaysAddsTo(_ columns: Int) -> Bool {
    var found: Set<Int> = []
    for root in roots {
      var common: Set<Int>?
      var stack = [root]
      while let number = stack.popLast() {
        let node = nodes[number]
        if node.feature >= 0 {
          stack += [node.near, node.far]
          continue
        }
        let own = Set(targets[node.near..<node.far])
        common = common?.intersection(own) ?? own
      }
      found.formUnion(common ?? [])
    }
    return found.count == columns
  }

  // MARK: Building

  /// Adds the operation: [rows, results] in the element type `sums`.
  func build(_ x: ValueID, _ combine: Reducer, results: Int, sums: ElementType, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let most = nodes.reduce(-1) { max($0, $1.feature) }
    if let width = b.shape(x)[1].constant, most >= width { throw b.refusal("the trees test feature \(most) of \(width)", operands: [x]) }
    let columns = try columns(of: x, first: most + 1, &b)
    var fields: [Double] = []
    fields.reserveCapacity(4 * nodes.count)
    for (number, node) in nodes.enumerated() {
      let feature = membershipOf[number].map { most + 1 + $0 } ?? node.feature
      fields += [Double(feature), Double(node.near), Double(node.far), node.missingGoesNear ? 1 : 0]
    }
    let tables = [
      Tensor(.i32, [nodes.count, 4], fields), Tensor(element, [nodes.count], nodes.map(\.threshold)), Tensor(.i32, [roots.count], roots.map(Double.init)),
      Tensor(.i32, [targets.count], targets.map(Double.init)), Tensor(sums, [weights.count], weights),
    ]
    let operation = TreeEnsemble(combine, features: most + 1 + memberships.count, results: results)
    // Now, not when it is lowered: the message then names the model's node.
    do throws(TypeError) { _ = try DecisionTrees(tables, of: operation) } catch { throw b.refusal(error.message) }
    var operands = [columns]
    for table in tables { operands.append(try b.constant(table)) }
    return try b.addAll(operation, operands)[0]
  }

  /// The features, and behind them a column for each membership.
  private func columns(of x: ValueID, first count: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard !memberships.isEmpty else { return x }
    let tests = memberships.sorted { $0.value < $1.value }.map(\.key)
    let width = tests.reduce(1) { max($0, $1.members.count) }
    guard let size = elementCount(of: [tests.count, width]), size <= Self.mostMembers else { throw b.refusal("the trees test membership in \(tests.count) sets of \(width)") }
    let tested = try b.add(Gather(axis: 1), x, b.constant(Tensor(tests.map(\.feature))))
    let members = tests.flatMap { $0.members + [Double](repeating: .nan, count: width - $0.members.count) }
    let isMember = try b.compare(.equal, b.unsqueeze(tested, axis: 2), b.constant(Tensor(element, [tests.count, width], members)))
    let found = try b.reduce(.or, isMember, axes: [2], keepsAxes: false)
    let column = try b.select(b.unary(.isNaN, tested), tested, b.convert(found, to: element))
    return try b.concatenate([b.slice(x, axis: 1, start: 0, size: Extent(count)), column], axis: 1)
  }
}
