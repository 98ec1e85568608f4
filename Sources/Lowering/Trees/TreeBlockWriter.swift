import GraphIR
import KernelIR
import TensorTypes

/// The kernel for blocks of rows.
///
/// A block's features lie column by column on the stack. For each tree the comparisons of its top are made for all rows; rows whose exit is
/// no leaf walk on, a vector of them in step.
struct TreeBlockWriter {
  let problem: TreeProblem
  let block: TreeProblem.Block
  let x: ValueID
  let tops: TreeTops
  private(set) var tables: TreeKernelTables
  private let leaves: TreeLeafTables
  private let starts, bounds, middles, columns, thresholds, masks, exits, rounds: Buffer
  /// What exits that are leaves add, for each segment and column 32 numbers; nil if no tree ends at its top, or leaves add to too many columns.
  private let exitWeights: Buffer?
  /// The columns that every leaf adds to.
  private let exitColumns: Int
  private let output: Buffer

  private var layout: TreeLayout { problem.layout }

  init(_ problem: TreeProblem, _ block: TreeProblem.Block, x: ValueID, _ emitter: inout ElementEmitter) {
    (self.problem, self.block, self.x) = (problem, block, x)
    tops = TreeTops(problem.layout)
    var tables = TreeKernelTables(problem, &emitter)
    leaves = TreeLeafTables(problem, width: 1, &tables, &emitter)
    starts = tables.add("segments", tops.starts, &emitter)
    bounds = tables.add("comparisons", tops.segments.map(\.start) + [tops.columns.count], &emitter)
    middles = tables.add("middles", tops.segments.map(\.middle), &emitter)
    columns = tables.add("tested", tops.columns.map { $0 * block.rows } + [0], &emitter)
    thresholds = tables.add("limits", Tensor(problem.element, [tops.thresholds.count + 1], tops.thresholds + [0]), &emitter)
    masks = tables.add("masks", Tensor(.u32, [tops.masks.count + 1], tops.masks.map { Double($0) } + [0]), &emitter)
    let places = tops.segments.flatMap { TreeTops.numbered($0.exits) }
    exits = tables.add("exits", places, &emitter)
    rounds = tables.add("rounds", tops.rounds, &emitter)
    let exitColumns = Self.exitColumns(problem, tops)
    self.exitColumns = exitColumns
    if exitColumns > 0 {
      var weights: [Double] = []
      for segment in tops.segments {
        let exits = TreeTops.numbered(segment.exits)
        for column in 0..<exitColumns { weights += exits.map { problem.layout.weight(at: $0, column: exitColumns > 1 ? column : nil, empty: problem.neutralNumber) } }
      }
      exitWeights = tables.add("exit_weights", Tensor(problem.sums, [weights.count], weights), &emitter)
    } else { exitWeights = nil }
    self.tables = tables
    output = emitter.builder.buffer("y", problem.sums, .readWrite)
  }

  private var results: Int { problem.operation.results }
  /// True if a block's sums lie on the stack, column by column.
  private var isSummed: Bool { if case .single = problem.leaves { true } else { exitColumns > 0 } }
  private var walksOn: Bool { tops.rounds.contains { $0 > 0 } }

  /// Columns that are added to at the exits.
  private static let mostExitColumns = 8

  private static func exitColumns(_ problem: TreeProblem, _ tops: TreeTops) -> Int {
    switch problem.leaves {
    case .single: tops.rounds.contains(0) ? 1 : 0
    case .dense: problem.operation.results <= mostExitColumns && tops.rounds.allSatisfy { $0 == 0 } ? problem.operation.results : 0
    case .sparse: 0
    }
  }

  mutating func write(_ blocks: Extent, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    let sharing = LoopSharing(work: problem.work, iterations: blocks, threshold: problem.target.parallelThreshold, threads: problem.target.threads)
    let writer = self
    return try emitter.scoped { emitter throws(CompileError) in
      try sharing.loop(&emitter, "block", to: blocks) { emitter, number throws(CompileError) in try writer.block(number, &emitter) }
    }
  }

  private func block(_ number: Expression, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    let first = emitter.builder.variable("first"), count = emitter.builder.variable("count")
    let features = emitter.builder.local("features", problem.element, count: max(1, layout.columns.count) * block.rows)
    var statements: [Statement] = [
      .bind(first, number * .index(block.rows)), .bind(count, .indexMinimum(.index(block.rows), .of(problem.rows) - .variable(first))), .allocate(features),
    ]
    let (start, size) = (Expression.variable(first), Expression.variable(count))
    statements += try gatherFeatures(features, start, size, &emitter)
    let sums = isSummed ? emitter.builder.local("sums", problem.sums, count: results * block.rows) : nil
    if let sums {
      statements.append(.allocate(sums))
      statements.append(emitter.builder.loop("i", to: .index(results * block.rows), .vectorized) { _, i in [.assign(sums, index: i, value: problem.neutral)] })
    } else {
      statements.append(leaves.clear(output, at: start * .index(results), count: size * .index(results), &emitter))
    }
    statements.append(
      try emitter.loop("tree", to: Extent(layout.roots.count)) { emitter, tree throws(CompileError) in
        let part = emitter.builder.variable("part")
        let body = try emitter.scoped { emitter throws(CompileError) in try trees(tree, part: .variable(part), features, sums, start, size, &emitter) }
        return [.loop(Loop(part, to: size, by: block.width, body: body))]
      })
    guard let sums else { return statements + leaves.finish(output, at: start * .index(results), count: size * .index(results), &emitter) }
    statements.append(
      try emitter.loop("c", to: Extent(results)) { emitter, column throws(CompileError) in
        [
          emitter.builder.loop("r", to: size, .vectorized) { _, row in
            [.store(output, index: (start + row) * .index(results) + column, value: problem.finished(.local(sums, column * .index(block.rows) + row)))]
          }
        ]
      })
    return statements
  }

  /// Copies the features of a block. Rows beyond the end are copies of the last one.
  private func gatherFeatures(_ features: Local, _ start: Expression, _ count: Expression, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    if layout.columns.isEmpty { return [] }
    func copy(_ emitter: inout ElementEmitter, isWhole: Bool) throws(CompileError) -> Statement {
      try emitter.loop("column", to: Extent(layout.columns.count)) { emitter, column throws(CompileError) in
        let feature = emitter.builder.variable("feature")
        return [
          .bind(feature, tables.feature(column)),
          try emitter.loop("r", to: Extent(block.rows), .vectorized) { emitter, row throws(CompileError) in
            let place = start + (isWhole ? row : .indexMinimum(row, count - .index(1)))
            return [.assign(features, index: column * .index(block.rows) + row, value: try emitter.element(x, [place, .variable(feature)]))]
          },
        ]
      }
    }
    if let rows = problem.rows.constant, rows % block.rows == 0 { return [try copy(&emitter, isWhole: true)] }
    let whole = try copy(&emitter, isWhole: true), rest = try copy(&emitter, isWhole: false)
    return [.branch(if: .compare(.equal, count, .index(block.rows)), then: [whole], else: [rest])]
  }

  /// One tree for `width` rows of a block, from `part` on.
  private func trees(
    _ tree: Expression, part: Expression, _ features: Local, _ sums: Local?, _ start: Expression, _ count: Expression, _ emitter: inout ElementEmitter
  ) throws(CompileError) -> [Statement] {
    let slot = emitter.builder.local("slot", .i32, count: block.width)
    let added = exitWeights == nil ? nil : emitter.builder.local("added", problem.sums, count: block.width * exitColumns)
    let longest = emitter.builder.variable("longest")
    var statements: [Statement] = [.allocate(slot), .bind(longest, TreeKernelTables.entry(rounds, tree))]
    if let added { statements.append(.allocate(added)) }
    statements.append(contentsOf: findExits(slot, added, tree, part, features, &emitter))
    let target: Expression
    if results > 1, case .single(_, let targets) = leaves.form { target = TreeKernelTables.entry(targets, tree) * .index(block.rows) } else { target = .index(0) }
    guard let added, let sums else {
      return statements + (try walk(slot, tree, part, .variable(longest), target, features, sums, start, count, &emitter))
    }
    let direct = (0..<exitColumns).map { column in
      emitter.builder.loop("r", to: .index(block.width), .vectorized) { _, row in
        let place = target + .index(column * block.rows) + part + row
        return [.assign(sums, index: place, value: problem.combined(.local(sums, place), .local(added, row + .index(column * block.width))))]
      }
    }
    guard walksOn else { return statements + direct }
    let walked = try walk(slot, tree, part, .variable(longest), target, features, sums, start, count, &emitter)
    return statements + [.branch(if: .compare(.equal, .variable(longest), .index(0)), then: direct, else: walked)]
  }

  /// Makes the comparisons of a tree's top and notes each row's exit, and what the exit adds if it is a leaf.
  private func findExits(_ slot: Local, _ added: Local?, _ tree: Expression, _ part: Expression, _ features: Local, _ emitter: inout ElementEmitter) -> [Statement] {
    let width = Expression.index(block.width)
    let bits = emitter.builder.local("bits", .u32, count: block.width)
    let clear = emitter.builder.loop("r", to: width, .vectorized) { _, row in [.assign(slot, index: row, value: .number(0, .i32))] }
    let segments = emitter.builder.loop("segment", from: TreeKernelTables.entry(starts, tree), to: TreeKernelTables.entry(starts, tree + .index(1))) { builder, segment in
      func comparisons(_ name: String, from lower: Expression, to upper: Expression, missingGoesNear: Bool) -> Statement {
        builder.loop(name, from: lower, to: upper) { builder, n in
          let column = builder.variable("column"), threshold = builder.variable("threshold", problem.element), mask = builder.variable("mask", .u32)
          return [
            .bind(column, TreeKernelTables.entry(columns, n) + part), .bind(threshold, .load(thresholds, n)), .bind(mask, .load(masks, n)),
            builder.loop("r", to: width, .vectorized) { _, row in
              let value = Expression.local(features, .variable(column) + row)
              let (old, cleared) = (Expression.local(bits, row), Expression.binary(.and, .local(bits, row), .variable(mask)))
              return [
                .assign(
                  bits, index: row,
                  value: missingGoesNear
                    ? .select(.compare(.greater, value, .variable(threshold)), cleared, old)
                    : .select(.compare(.lessOrEqual, value, .variable(threshold)), old, cleared))
              ]
            },
          ]
        }
      }
      let (lower, middle, upper) = (TreeKernelTables.entry(bounds, segment), TreeKernelTables.entry(middles, segment), TreeKernelTables.entry(bounds, segment + .index(1)))
      var statements: [Statement] = [builder.loop("r", to: width, .vectorized) { _, row in [.assign(bits, index: row, value: .number(Double(UInt32.max), .u32))] }]
      statements.append(comparisons("n", from: lower, to: layout.tracksMissing ? middle : upper, missingGoesNear: false))
      if layout.tracksMissing { statements.append(comparisons("m", from: middle, to: upper, missingGoesNear: true)) }
      let offset = builder.variable("offset", .i32)
      statements.append(.bind(offset, .convert(segment * .index(32), .i32)))
      var exitTables: [Local] = []
      if let exitWeights {
        for column in 0..<exitColumns {
          let table = builder.local("table", problem.sums, count: 32)
          let first = (segment * .index(exitColumns) + .index(column)) * .index(32)
          statements += [.allocate(table), builder.loop("i", to: .index(32), .vectorized) { _, i in [.assign(table, index: i, value: .load(exitWeights, first + i))] }]
          exitTables.append(table)
        }
      }
      statements.append(
        builder.loop("r", to: width, .vectorized) { builder, row in
          let left = builder.variable("left", .u32), number = builder.variable("number", .i32), isHere = builder.variable("here", .bool)
          let lowest = Expression.binary(.and, .variable(left), .binary(.subtract, .number(0, .u32), .variable(left)))
          let high = Expression.binary(.shiftRight, .binary(.multiply, lowest, .number(Double(TreeTops.sequence), .u32)), .number(27, .u32))
          var body: [Statement] = [
            .bind(left, .local(bits, row)), .bind(number, .convert(high, .i32)), .bind(isHere, .compare(.notEqual, .variable(left), .number(0, .u32))),
          ]
          if walksOn || exitWeights == nil {
            let found = Expression.binary(.add, .variable(number), .variable(offset))
            body.append(.assign(slot, index: row, value: .select(.variable(isHere), found, .local(slot, row))))
          }
          if let added {
            for (column, table) in exitTables.enumerated() {
              let place = row + .index(column * block.width)
              let weight = Expression.local(table, TreeKernelTables.index(.variable(number)))
              body.append(.assign(added, index: place, value: .select(.variable(isHere), weight, .local(added, place))))
            }
          }
          return body
        })
      return statements
    }
    guard let added else { return [.allocate(bits), clear, segments] }
    let nothing = emitter.builder.loop("r", to: .index(block.width * exitColumns), .vectorized) { _, row in [.assign(added, index: row, value: .number(0, problem.sums))] }
    return [.allocate(bits), clear, nothing, segments]
  }

  /// Walks from the exits to leaves, two vectors of rows at a time, and adds what the leaves add.
  private func walk(
    _ slot: Local, _ tree: Expression, _ part: Expression, _ longest: Expression, _ target: Expression, _ features: Local, _ sums: Local?,
    _ start: Expression, _ count: Expression, _ emitter: inout ElementEmitter
  ) throws(CompileError) -> [Statement] {
    let width = min(block.width, 2 * problem.lanes)
    let here = emitter.builder.local("here", .i32, count: width)
    let offset = emitter.builder.variable("rows")
    let body = try emitter.scoped { emitter throws(CompileError) in
      let rows = Expression.variable(offset)
      var statements: [Statement] = [
        .allocate(here),
        emitter.builder.loop("r", to: .index(width), .vectorized) { _, row in
          [.assign(here, index: row, value: .load(exits, TreeKernelTables.index(.local(slot, rows + row))))]
        },
      ]
      if walksOn {
        statements += try tables.walk(here, count: width, rounds: longest, &emitter) { _, lane, column throws(CompileError) in
          let place = Expression.binary(.add, .binary(.multiply, column, .number(Double(block.rows), .i32)), .convert(part + rows + lane, .i32))
          return .local(features, TreeKernelTables.index(place))
        }
      }
      if let sums, case .single(let weights, _) = leaves.form {
        statements.append(
          emitter.builder.loop("r", to: .index(width), .vectorized) { _, row in
            let place = target + part + rows + row
            return [.assign(sums, index: place, value: problem.combined(.local(sums, place), .load(weights, TreeKernelTables.index(.local(here, row)))))]
          })
      } else {
        let row = emitter.builder.variable("row")
        let position = (start + part + rows + .variable(row)) * .index(results)
        let added = try emitter.scoped { emitter throws(CompileError) in
          try leaves.add(TreeKernelTables.index(.local(here, .variable(row))), to: output, at: position, tree: tree, &emitter)
        }
        statements.append(.loop(Loop(row, to: .indexMinimum(.index(width), count - part - rows), body: added)))
      }
      return statements
    }
    return [.loop(Loop(offset, to: .index(block.width), by: width, body: body))]
  }
}
