import GraphIR
import TensorTypes

/// Random decision trees of every form that the kernels treat apart.
package enum TreeCases {
  /// How one case's trees look.
  private struct Forest {
    var trees = 1
    var depth = 3
    var features = 4
    var results = 1
    var combine = Reducer.sum
    var leaves = Leaves.single
    var hasMissing = false
    /// Every far child is a leaf.
    var isChain = false
    var element = ElementType.f32
  }

  private enum Leaves { case single, dense, sparse }

  private struct Tables {
    var nodes: [Double] = []
    var thresholds: [Double] = []
    var roots: [Double] = []
    var targets: [Double] = []
    var weights: [Double] = []
    private var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    mutating func random(_ bound: Int) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % UInt64(bound))
    }

    init(_ forest: Forest) {
      for tree in 0..<forest.trees { roots.append(Double(grow(forest, depth: forest.depth, target: tree % forest.results))) }
    }

    private mutating func grow(_ forest: Forest, depth: Int, target: Int) -> Int {
      let number = thresholds.count
      thresholds.append(Double(random(17) - 8) / 8)
      nodes += [0, 0, 0, 0]
      if depth == 0 || (depth < forest.depth && !forest.isChain && random(6) == 0) {
        let first = weights.count
        let columns = forest.leaves == .single ? [target] : forest.leaves == .dense ? Array(0..<forest.results) : (0..<random(3)).map { _ in random(forest.results) }
        for column in columns {
          targets.append(Double(column))
          weights.append(Double(random(64) - 32) / 4)
        }
        nodes.replaceSubrange(4 * number..<4 * number + 4, with: [-1, Double(first), Double(weights.count), 0])
        return number
      }
      let feature = random(forest.features)
      let near = grow(forest, depth: depth - 1, target: target), far = grow(forest, depth: forest.isChain ? 0 : depth - 1, target: target)
      nodes.replaceSubrange(4 * number..<4 * number + 4, with: [Double(feature), Double(near), Double(far), forest.hasMissing ? Double(random(2)) : 0])
      return number
    }
  }

  private static func make(_ name: String, _ forest: Forest, rows: Extent, symbols: [String: Int] = [:]) throws -> TemplateCase {
    let tables = Tables(forest)
    var test = try TemplateCase(name, .special, symbols: symbols) { graph in
      let x = graph.addInput("x", TensorType(forest.element, [rows, Extent(forest.features + 2)]))
      let operands = [
        x, graph.addInput("w.nodes", TensorType(.i32, [Extent(tables.nodes.count / 4), 4])), graph.addInput("w.thresholds", TensorType(forest.element, [Extent(tables.thresholds.count)])),
        graph.addInput("w.roots", TensorType(.i32, [Extent(tables.roots.count)])), graph.addInput("w.targets", TensorType(.i32, [Extent(tables.targets.count)])),
        graph.addInput("w.weights", TensorType(forest.element, [Extent(tables.weights.count)])),
      ]
      return try graph.add(TreeEnsemble(forest.combine, features: forest.features, results: forest.results), operands)[0]
    }
    for (name, values) in [("nodes", tables.nodes), ("thresholds", tables.thresholds), ("roots", tables.roots), ("targets", tables.targets), ("weights", tables.weights)] {
      test.replaced["w." + name] = Dictionary(uniqueKeysWithValues: values.enumerated().map { ($0, $1) })
    }
    // Some features are missing, some are infinite, and some are thresholds.
    test.replaced["x"] = [0: .nan, 1: 0.125, 3: -0.25, 4: 0, 7: .nan, 8: 0.5, 12: .infinity, 15: 1, 19: -.infinity, 22: 0.75, 23: .nan]
    return test
  }

  /// One row, few rows, whole blocks, blocks with a rest.
  package static func rows() throws -> [TemplateCase] {
    let forest = Forest(trees: 5, depth: 4, hasMissing: true)
    return try [1, 3, 15, 16, 17, 63, 64, 65, 130].map { try make("\($0) rows", forest, rows: Extent($0)) }
      + [1, 40, 81].map { try make("n = \($0) rows", forest, rows: Extent(symbol: "n"), symbols: ["n": $0]) }
  }

  package static func shapes() throws -> [TemplateCase] {
    var found: [TemplateCase] = []
    for (name, forest) in [
      ("one leaf", Forest(depth: 0)), ("stumps", Forest(trees: 3, depth: 1)), ("depth 3", Forest(trees: 40, depth: 3)), ("depth 5", Forest(trees: 33, depth: 5)),
      ("depth 8", Forest(trees: 6, depth: 8, features: 20, hasMissing: true)), ("a chain", Forest(trees: 2, depth: 90, isChain: true)),
      ("a long chain", Forest(depth: 300, features: 3, hasMissing: true, isChain: true)), ("many features", Forest(trees: 30, depth: 4, features: 90)),
    ] {
      for rows in [2, 70] { found.append(try make("\(name), \(rows) rows", forest, rows: Extent(rows))) }
    }
    return found
  }

  package static func results() throws -> [TemplateCase] {
    var found: [TemplateCase] = []
    for (name, forest) in [
      ("a column for each tree", Forest(trees: 7, depth: 4, results: 3)), ("all columns", Forest(trees: 7, depth: 7, results: 5, leaves: .dense)),
      ("any columns", Forest(trees: 6, depth: 5, results: 4, leaves: .sparse)), ("most", Forest(trees: 6, depth: 4, combine: .maximum)),
      ("least of all columns", Forest(trees: 6, depth: 4, results: 3, combine: .minimum, leaves: .dense)),
      ("most of any columns", Forest(trees: 3, depth: 3, results: 6, combine: .maximum, leaves: .sparse)), ("a column without a tree", Forest(trees: 2, depth: 3, results: 4, combine: .minimum)),
      ("f64", Forest(trees: 9, depth: 6, hasMissing: true, element: .f64)), ("f64 in columns", Forest(trees: 9, depth: 6, results: 2, leaves: .dense, element: .f64)),
    ] {
      for rows in [1, 70] { found.append(try make("\(name), \(rows) rows", forest, rows: Extent(rows))) }
    }
    return found
  }

  /// Trees whose comparisons are made all at once: missing values, ties, unequal depths, columns that are kept whole or picked.
  package static func small() throws -> [TemplateCase] {
    var found: [TemplateCase] = []
    for (name, forest) in [
      ("one stump", Forest(depth: 1)), ("missing", Forest(trees: 30, depth: 3, hasMissing: true)), ("unequal depths", Forest(trees: 9, depth: 6, features: 2, hasMissing: true, isChain: true)),
      ("a column for each tree", Forest(trees: 20, depth: 3, results: 3, hasMissing: true)), ("all columns", Forest(trees: 10, depth: 3, results: 3, leaves: .dense, hasMissing: true)),
      ("many columns", Forest(trees: 5, depth: 3, results: 20, leaves: .dense)), ("any columns", Forest(trees: 8, depth: 2, results: 5, leaves: .sparse, hasMissing: true)),
      ("most", Forest(trees: 6, depth: 2, combine: .maximum, hasMissing: true)), ("least", Forest(trees: 4, depth: 2, results: 5, combine: .minimum)),
      ("most of all columns", Forest(trees: 4, depth: 2, results: 3, combine: .maximum, leaves: .dense)), ("picked features", Forest(trees: 12, depth: 2, features: 200, hasMissing: true)),
      ("40 features", Forest(trees: 40, depth: 3, features: 40, hasMissing: true)), ("60 features", Forest(trees: 60, depth: 3, features: 60, hasMissing: true)),
    ] {
      for rows in [1, 5] { found.append(try make("\(name), \(rows) rows", forest, rows: Extent(rows))) }
      found.append(try make("\(name), n = 70 rows", forest, rows: Extent(symbol: "n"), symbols: ["n": 70]))
    }
    return found
  }

  package static func parallel() throws -> [TemplateCase] {
    [
      try make("700 rows", Forest(trees: 30, depth: 5), rows: 700),
      try make("n = 900 rows", Forest(trees: 20, depth: 9, results: 3, leaves: .dense), rows: Extent(symbol: "n"), symbols: ["n": 900]),
    ]
  }
}
