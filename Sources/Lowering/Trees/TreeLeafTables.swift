import GraphIR
import KernelIR
import TensorTypes

/// What leaves add to the results, as a kernel reads it.
struct TreeLeafTables {
  enum Form {
    /// A weight for each node, and the column of each tree (padded to whole groups).
    case single(weights: Buffer, targets: Buffer)
    /// The row of each leaf in a table with a weight for every column.
    case dense(rows: Buffer, weights: Buffer)
    /// The first weight of each leaf and the end of its weights; columns and weights.
    case sparse(starts: Buffer, ends: Buffer, targets: Buffer, weights: Buffer)
  }
  let problem: TreeProblem
  let form: Form

  /// - Parameter width: The trees of a group.
  init(_ problem: TreeProblem, width: Int, _ tables: inout TreeKernelTables, _ emitter: inout ElementEmitter) {
    self.problem = problem
    let layout = problem.layout
    let places = layout.order.indices
    switch problem.leaves {
    case .single(let targets):
      let weights = Tensor(problem.sums, [places.count], places.map { layout.weight(at: $0, empty: problem.neutralNumber) })
      let padding = (width - targets.count % width) % width
      form = .single(weights: tables.add("weights", weights, &emitter), targets: tables.add("targets", targets + [Int](repeating: 0, count: padding), &emitter))
    case .dense:
      var (rows, weights): ([Int], [Double]) = ([], [])
      var count = 0
      for place in places {
        let node = layout.node(at: place)
        rows.append(count)
        guard node.isLeaf else { continue }
        count += 1
        var row = [Double](repeating: problem.neutralNumber, count: problem.operation.results)
        for entry in node.weights { row[layout.trees.targets[entry]] = layout.trees.weights[entry] }
        weights += row
      }
      form = .dense(rows: tables.add("leaves", rows, &emitter), weights: tables.add("weights", Tensor(problem.sums, [weights.count], weights), &emitter))
    case .sparse:
      let entries = places.map { layout.node(at: $0).isLeaf ? layout.node(at: $0).weights : 0..<0 }
      form = .sparse(
        starts: tables.add("starts", entries.map(\.lowerBound), &emitter), ends: tables.add("ends", entries.map(\.upperBound), &emitter),
        targets: tables.add("targets", layout.trees.targets + [0], &emitter),
        weights: tables.add("weights", Tensor(problem.sums, [layout.trees.weights.count + 1], layout.trees.weights + [0]), &emitter))
    }
  }

  /// Adds what a leaf adds to a row of the result.
  ///
  /// - Parameters:
  ///   - node: The leaf's place, an index.
  ///   - start: The position of the row's first element.
  func add(_ node: Expression, to output: Buffer, at start: Expression, tree: Expression, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    func update(_ position: Expression, _ weight: Expression) -> Statement {
      .store(output, index: position, value: problem.combined(.load(output, position), weight))
    }
    switch form {
    case .single(let weights, let targets): return [update(start + TreeKernelTables.entry(targets, tree), .load(weights, node))]
    case .dense(let rows, let weights):
      let first = emitter.builder.variable("first")
      return [
        .bind(first, TreeKernelTables.entry(rows, node) * .index(problem.operation.results)),
        try emitter.loop("c", to: Extent(problem.operation.results), .vectorized) { _, column throws(CompileError) in
          [update(start + column, .load(weights, .variable(first) + column))]
        },
      ]
    case .sparse(let starts, let ends, let targets, let weights):
      return [
        emitter.builder.loop("e", from: TreeKernelTables.entry(starts, node), to: TreeKernelTables.entry(ends, node)) { _, entry in
          [update(start + TreeKernelTables.entry(targets, entry), .load(weights, entry))]
        }
      ]
    }
  }

  /// Rows of the result before anything is added to them.
  func clear(_ output: Buffer, at start: Expression, count: Expression, _ emitter: inout ElementEmitter) -> Statement {
    emitter.builder.loop("i", to: count, .vectorized) { _, i in [.store(output, index: start + i, value: problem.neutral)] }
  }

  /// Rows of the result after everything is.
  func finish(_ output: Buffer, at start: Expression, count: Expression, _ emitter: inout ElementEmitter) -> [Statement] {
    if problem.operation.combine == .sum { return [] }
    return [emitter.builder.loop("i", to: count, .vectorized) { _, i in [.store(output, index: start + i, value: problem.finished(.load(output, start + i)))] }]
  }
}
