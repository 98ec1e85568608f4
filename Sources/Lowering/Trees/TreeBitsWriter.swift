import GraphIR
import KernelIR
import TensorTypes

/// The kernel for single rows of small trees: all comparisons at once, then one number or vector from a table for each tree.
struct TreeBitsWriter {
  let problem: TreeProblem
  let bits: TreeBits
  let x: ValueID
  private(set) var arguments: [LoweredKernel.Argument] = []
  private let columns, thresholds, weights: Buffer
  /// The feature in each column; nil if they are all features in order.
  private let features: Buffer?
  /// Which comparisons a NaN passes; nil if none.
  private let missing: Buffer?
  private let output: Buffer

  private var results: Int { problem.operation.results }

  init(_ problem: TreeProblem, _ bits: TreeBits, x: ValueID, _ emitter: inout ElementEmitter) {
    (self.problem, self.bits, self.x) = (problem, bits, x)
    var arguments: [LoweredKernel.Argument] = []
    func add(_ name: String, _ tensor: Tensor) -> Buffer {
      arguments.append(.packed(tensor))
      return emitter.builder.buffer(name, tensor.element, .read)
    }
    columns = add("tested", TreeLayout.table(bits.columns + [0]))
    thresholds = add("limits", Tensor(problem.element, [bits.thresholds.count + 1], bits.thresholds + [0]))
    weights = add("weights", Tensor(problem.sums, [bits.weights.count], bits.weights))
    features = bits.keepsAll ? nil : add("features", TreeLayout.table(problem.layout.columns))
    missing = problem.layout.tracksMissing ? add("missing", TreeLayout.table(bits.missing.map { $0 ? 1 : 0 } + [0])) : nil
    self.arguments = arguments
    output = emitter.builder.buffer("y", problem.sums, .readWrite)
  }

  func write(from first: Extent, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    let row = emitter.builder.variable("row")
    emitter.ranges.set(row, to: problem.rows)
    let body = try emitter.scoped { emitter throws(CompileError) in try self.row(.variable(row), &emitter) }
    return [.loop(Loop(row, from: .of(first), to: .of(problem.rows), body: body))]
  }

  private func row(_ row: Expression, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    let read = emitter.builder.local("features", problem.element, count: max(1, bits.columnCount))
    var statements: [Statement] = [.allocate(read)]
    statements.append(
      try emitter.loop("column", to: Extent(bits.columnCount), .vectorized) { emitter, column throws(CompileError) in
        [.assign(read, index: column, value: try emitter.element(x, [row, features.map { TreeKernelTables.entry($0, column) } ?? column]))]
      })
    let words = emitter.builder.local("words", .u64, count: max(1, bits.words))
    statements.append(.allocate(words))
    statements += compare(words, &emitter) { value, place in .compare(.lessOrEqual, value, .load(thresholds, place)) } value: { .local(read, tested($0)) }
    if let missing { statements += addMissing(missing, to: words, read, &emitter) }
    var outcomes: [Expression] = []
    for word in 0..<bits.words {
      let outcome = emitter.builder.variable("outcome", .u64)
      statements.append(.bind(outcome, .local(words, .index(word))))
      outcomes.append(.variable(outcome))
    }
    let rows = bits.trees.map { tree in
      if tree.bits == 0 { return Expression.index(tree.first) }
      let outcome = outcomes[tree.word]
      let moved = tree.shift == 0 ? outcome : .binary(.shiftRight, outcome, .number(Double(tree.shift), .u64))
      return TreeKernelTables.index(.binary(.and, moved, .number(Double(1 << tree.bits - 1), .u64))) + .index(tree.first)
    }
    return statements + (bits.trees.allSatisfy { $0.target != nil } ? addNumbers(rows, row, &emitter) : addVectors(rows, row, &emitter))
  }

  private func tested(_ place: Expression) -> Expression { TreeKernelTables.index(.load(columns, place)) }

  /// Sets the bits of comparisons whose condition holds, in words that are cleared before.
  private func compare(
    _ words: Local, _ emitter: inout ElementEmitter, _ condition: (_ value: Expression, _ place: Expression) -> Expression, value: (Expression) -> Expression
  ) -> [Statement] {
    var statements: [Statement] = []
    for word in 0..<bits.words {
      let first = word * TreeBits.wordBits
      statements.append(.assign(words, index: .index(word), value: .number(0, .u64)))
      statements.append(
        emitter.builder.loop("bit", to: .index(min(TreeBits.wordBits, bits.columns.count - first)), .vectorized) { _, bit in
          let place = bit + .index(first)
          return [.accumulate(words, index: .index(word), with: .or, value: Self.bit(bit, if: condition(value(place), place)))]
        })
    }
    return statements
  }

  private static func bit(_ number: Expression, if condition: Expression) -> Expression {
    .select(condition, .binary(.shiftLeft, .number(1, .u64), .convert(number, .u64)), .number(0, .u64))
  }

  /// NaNs are rare: a row that has none is done.
  private func addMissing(_ missing: Buffer, to words: Local, _ read: Local, _ emitter: inout ElementEmitter) -> [Statement] {
    let absent = emitter.builder.local("absent", .u64, count: 1)
    let look = emitter.builder.loop("column", to: .index(bits.columnCount), .vectorized) { _, column in
      [.accumulate(absent, index: .index(0), with: .or, value: Self.bit(column, if: .unary(.isNaN, .local(read, column))))]
    }
    let passed = emitter.builder.local("passed", .u64, count: max(1, bits.words))
    var added: [Statement] = [.allocate(passed)]
    added += compare(passed, &emitter) { value, place in
      .binary(.and, .unary(.isNaN, value), .compare(.notEqual, .load(missing, place), .number(0, .i32)))
    } value: { .local(read, tested($0)) }
    for word in 0..<bits.words {
      added.append(.assign(words, index: .index(word), value: .binary(.or, .local(words, .index(word)), .local(passed, .index(word)))))
    }
    return [
      .allocate(absent), .assign(absent, index: .index(0), value: .number(0, .u64)), look,
      .branch(if: .compare(.notEqual, .local(absent, .index(0)), .number(0, .u64)), then: added, else: []),
    ]
  }

  /// A sum for each column, in the order of the trees.
  private func addNumbers(_ rows: [Expression], _ row: Expression, _ emitter: inout ElementEmitter) -> [Statement] {
    var statements: [Statement] = []
    var totals = [Expression](repeating: problem.neutral, count: results)
    for (tree, place) in zip(bits.trees, rows) {
      let target = tree.target ?? 0
      let total = emitter.builder.variable("total", problem.sums)
      statements.append(.bind(total, problem.combined(totals[target], .load(weights, place))))
      totals[target] = .variable(total)
    }
    for (column, total) in totals.enumerated() {
      statements.append(.store(output, index: row * .index(results) + .index(column), value: problem.finished(total)))
    }
    return statements
  }

  /// The sums as lanes of a vector.
  private func addVectors(_ rows: [Expression], _ row: Expression, _ emitter: inout ElementEmitter) -> [Statement] {
    let totals = emitter.builder.local("totals", problem.sums, count: bits.stride)
    let lanes = Expression.index(bits.stride)
    var statements: [Statement] = [
      .allocate(totals), emitter.builder.loop("c", to: lanes, .vectorized) { _, column in [.assign(totals, index: column, value: problem.neutral)] },
    ]
    for place in rows {
      let first = emitter.builder.variable("first")
      statements.append(.bind(first, place * .index(bits.stride)))
      statements.append(
        emitter.builder.loop("c", to: lanes, .vectorized) { _, column in
          [.assign(totals, index: column, value: problem.combined(.local(totals, column), .load(weights, .variable(first) + column)))]
        })
    }
    // One by one where they are few: whoever reads single ones finds them before they are in memory.
    statements.append(
      emitter.builder.loop("c", to: .index(results), results <= 8 ? .unrolled : .vectorized) { _, column in
        [.store(output, index: row * .index(results) + column, value: problem.finished(.local(totals, column)))]
      })
    return statements
  }
}
