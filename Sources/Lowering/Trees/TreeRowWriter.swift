import GraphIR
import KernelIR
import TensorTypes

/// The kernel for single rows: the lanes of a vector walk down different trees.
struct TreeRowWriter {
  let problem: TreeProblem
  let x: ValueID
  let heads: TreeHeads
  private(set) var tables: TreeKernelTables
  private let leaves: TreeLeafTables
  private let thresholds, columns, rounds: Buffer
  /// Behind the heads: places of nodes, or, where no tree is deeper, weights.
  private let exits: Buffer
  private let exitsAreWeights: Bool
  private let output: Buffer

  private var layout: TreeLayout { problem.layout }
  private var results: Int { problem.operation.results }

  /// Features of a row that are copied before the walk.
  private static let mostRowBytes = 128 << 10

  init(_ problem: TreeProblem, x: ValueID, _ emitter: inout ElementEmitter) {
    (self.problem, self.x) = (problem, x)
    var width = 2 * problem.lanes
    while width / 2 >= max(1, problem.layout.roots.count) { width /= 2 }
    heads = TreeHeads(problem.layout, width: width, mostLevels: 3)
    var tables = TreeKernelTables(problem, &emitter)
    leaves = TreeLeafTables(problem, width: width, &tables, &emitter)
    thresholds = tables.add("limits", Tensor(problem.element, [heads.thresholds.count + 1], heads.thresholds + [0]), &emitter)
    columns = tables.add("tested", heads.columns + [0], &emitter)
    rounds = tables.add("rounds", heads.rounds + [0], &emitter)
    if case .single = problem.leaves, heads.levels == problem.layout.depth {
      let weights = heads.exits.map { place in place.map { problem.layout.weight(at: $0, empty: problem.neutralNumber) } ?? problem.neutralNumber }
      exits = tables.add("exits", Tensor(problem.sums, [weights.count + 1], weights + [0]), &emitter)
      exitsAreWeights = true
    } else {
      // Lanes without a tree walk down the first one; what they find is not read.
      exits = tables.add("exits", heads.exits.map { $0 ?? 0 } + [0], &emitter)
      exitsAreWeights = false
    }
    self.tables = tables
    output = emitter.builder.buffer("y", problem.sums, .readWrite)
  }

  mutating func write(from first: Extent, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    let row = emitter.builder.variable("row")
    emitter.ranges.set(row, to: problem.rows)
    let writer = self
    let body = try emitter.scoped { emitter throws(CompileError) in try writer.row(.variable(row), &emitter) }
    return [.loop(Loop(row, from: .of(first), to: .of(problem.rows), body: body))]
  }

  private func row(_ row: Expression, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    let count = layout.columns.count
    let features: Local? =
      count * problem.element.byteCount <= Self.mostRowBytes ? emitter.builder.local("features", problem.element, count: max(1, count)) : nil
    if let features {
      statements.append(.allocate(features))
      statements.append(
        try emitter.loop("column", to: Extent(count), .vectorized) { emitter, column throws(CompileError) in
          [.assign(features, index: column, value: try emitter.element(x, [row, tables.feature(column)]))]
        })
    }
    func value(_ emitter: inout ElementEmitter, _ column: Expression) throws(CompileError) -> Expression {
      if let features { return .local(features, TreeKernelTables.index(column)) }
      return try emitter.element(x, [row, tables.feature(TreeKernelTables.index(column))])
    }
    let sum = isSummedApart ? emitter.builder.local("sum", problem.sums, count: 1) : nil
    if let sum { statements += [.allocate(sum), .assign(sum, index: .index(0), value: problem.neutral)] } else {
      statements.append(leaves.clear(output, at: row * .index(results), count: .index(results), &emitter))
    }
    if !layout.roots.isEmpty {
      statements.append(
        try emitter.loop("group", to: Extent(heads.groups)) { emitter, group throws(CompileError) in try self.group(group, row, sum, &emitter, value) })
    }
    guard let sum else { return statements + leaves.finish(output, at: row * .index(results), count: .index(results), &emitter) }
    return statements + [.store(output, index: row, value: problem.finished(.local(sum, .index(0))))]
  }

  /// True if the only sum stays in a register.
  private var isSummedApart: Bool { if case .single = problem.leaves { results == 1 } else { false } }

  private func group(
    _ group: Expression, _ row: Expression, _ sum: Local?, _ emitter: inout ElementEmitter,
    _ value: (inout ElementEmitter, Expression) throws(CompileError) -> Expression
  ) throws(CompileError) -> [Statement] {
    let width = heads.width
    let here = emitter.builder.local("here", exits.element, count: width)
    var statements: [Statement] = [.allocate(here)]
    statements.append(
      try emitter.loop("lane", to: Extent(width), .vectorized) { emitter, lane throws(CompileError) in try head(group, lane, here, &emitter, value) })
    if layout.depth > heads.levels {
      statements += try tables.walk(here, count: width, rounds: TreeKernelTables.entry(rounds, group), &emitter) { emitter, _, column throws(CompileError) in
        try value(&emitter, column)
      }
    }
    return statements + (try add(here, group, row, sum, &emitter))
  }

  /// The first levels: all nodes of a level are loaded, and the bits of the levels above choose between them.
  private func head(
    _ group: Expression, _ lane: Expression, _ here: Local, _ emitter: inout ElementEmitter,
    _ value: (inout ElementEmitter, Expression) throws(CompileError) -> Expression
  ) throws(CompileError) -> [Statement] {
    let width = heads.width
    func choose(_ candidates: [Expression], _ bits: [Expression]) -> Expression {
      guard candidates.count > 1, let bit = bits.first else { return candidates[0] }
      let half = candidates.count / 2
      return .select(bit, choose(Array(candidates[half...]), Array(bits.dropFirst())), choose(Array(candidates[..<half]), Array(bits.dropFirst())))
    }
    func all(_ buffer: Buffer, _ nodes: Range<Int>, of count: Int) -> [Expression] {
      nodes.map { .load(buffer, group * .index(count * width) + .index($0 * width) + lane) }
    }
    var statements: [Statement] = []
    var bits: [Expression] = []
    for level in 0..<heads.levels {
      let nodes = 1 << level - 1..<1 << (level + 1) - 1
      let packed = emitter.builder.variable("column", .i32), bit = emitter.builder.variable("bit", .bool), read = emitter.builder.variable("x", problem.element)
      statements.append(.bind(packed, choose(all(columns, nodes, of: heads.nodes), bits)))
      statements.append(.bind(read, try value(&emitter, .binary(.shiftRight, .variable(packed), .number(1, .i32)))))
      let missing = Expression.compare(.notEqual, .binary(.and, .variable(packed), .number(1, .i32)), .number(0, .i32))
      statements.append(.bind(bit, tables.goesNear(.variable(read), choose(all(thresholds, nodes, of: heads.nodes), bits), missing: missing)))
      bits.append(.variable(bit))
    }
    statements.append(.assign(here, index: lane, value: choose(all(exits, 0..<1 << heads.levels, of: 1 << heads.levels), bits)))
    return statements
  }

  /// Adds what the leaves of a group add, in the order of the trees.
  private func add(_ here: Local, _ group: Expression, _ row: Expression, _ sum: Local?, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    let width = heads.width
    let trees = Expression.indexMinimum(.index(width), .index(layout.roots.count) - group * .index(width))
    let start = row * .index(results)
    guard case .single(let weights, let targets) = leaves.form else {
      let lane = emitter.builder.variable("lane")
      let added = try emitter.scoped { emitter throws(CompileError) in
        try leaves.add(TreeKernelTables.index(.local(here, .variable(lane))), to: output, at: start, tree: group * .index(width) + .variable(lane), &emitter)
      }
      return [.loop(Loop(lane, to: trees, body: added))]
    }
    var statements: [Statement] = []
    var found = here
    if !exitsAreWeights {
      found = emitter.builder.local("found", problem.sums, count: width)
      let (from, to) = (here, found)
      statements.append(.allocate(found))
      // Lanes without a tree add nothing.
      statements.append(
        emitter.builder.loop("lane", to: .index(width), .vectorized) { _, lane in
          let weight = Expression.load(weights, TreeKernelTables.index(.local(from, lane)))
          let isTree = Expression.compare(.less, lane, trees)
          return [.assign(to, index: lane, value: layout.roots.count % width == 0 ? weight : .select(isTree, weight, problem.neutral))]
        })
    }
    if let sum {
      statements.append(
        emitter.builder.loop("lane", to: .index(width), .unrolled) { _, lane in
          [.assign(sum, index: .index(0), value: problem.combined(.local(sum, .index(0)), .local(found, lane)))]
        })
      return statements
    }
    let lane = emitter.builder.variable("lane")
    let place = start + TreeKernelTables.entry(targets, group * .index(width) + .variable(lane))
    statements.append(
      .loop(Loop(lane, to: trees, body: [.store(output, index: place, value: problem.combined(.load(output, place), .local(found, .variable(lane))))])))
    return statements
  }
}
