import GraphIR
import KernelIR
import TensorTypes

/// The registers in which one tile of a contraction is summed up, and the statements that work on them.
///
/// Columns of a known number are lanes of short vectorized loops inside the loops of the sum, one local for each
/// row, which code generation turns into registers:
///
///     local acc0[32] ...
///     for k { vector n in 0..<32 { acc0[n] = fma(x[k], w[k*32 + n], acc0[n]) ... } }
///
/// A number of columns that is only known at run time is one vectorized loop around everything.
struct TileAccumulators {
  /// The first value of a sum.
  typealias Start = (inout ElementEmitter, _ row: Int, _ lane: Expression) throws(CompileError) -> Expression

  enum Columns {
    /// `computed` lanes are summed up, the first `stored` of them are results.
    case known(stored: Int, computed: Int)
    case runtime(Expression)
  }
  let rows: Int
  /// Partial sums for each element: consecutive steps go to different ones, to hide the latency of few registers.
  let splits: Int
  let columns: Columns
  /// The anchor's element type, and the one that is summed up in.
  let element: ElementType
  let sum: ElementType
  private var locals: [Local] = []
  /// The lane of the loop around everything.
  private var lane: Expression?

  init(rows: Int, splits: Int = 1, columns: Columns, element: ElementType) {
    (self.rows, self.splits, self.columns, self.element) = (rows, splits, columns, element)
    sum = Self.accumulator(of: element)
  }

  /// f16 and bf16 are summed up in f32, everything else in its own type.
  static func accumulator(of element: ElementType) -> ElementType { element.isNarrowFloat ? .f32 : element }

  /// Zeroes the registers, runs `reduce`, which makes steps, and hands every row to `finish`.
  ///
  /// - Parameters:
  ///   - ahead: Prefetches.
  ///   - start: What the sums of known columns start from, if it is not zero.
  mutating func emit(
    _ emitter: inout ElementEmitter, ahead: [Statement] = [], start: Start? = nil,
    reduce: (inout ElementEmitter, TileAccumulators) throws(CompileError) -> [Statement],
    finish: (inout ElementEmitter, _ row: Int, _ lane: Expression, _ sum: Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    switch columns {
    case .known(let stored, let computed):
      locals = (0..<rows * splits).map { _ in emitter.builder.local("acc", sum, count: computed) }
      lane = nil
      let zero = try lanes(&emitter, computed) { emitter, lane throws(CompileError) in
        try self.locals.indices.map { place throws(CompileError) in
          let first = place < self.rows ? try start?(&emitter, place, lane) : nil
          return .assign(self.locals[place], index: lane, value: first ?? .number(0, self.sum))
        }
      }
      let body = try emitter.scoped { emitter throws(CompileError) in try reduce(&emitter, self) }
      let tail = try lanes(&emitter, stored) { emitter, lane throws(CompileError) in try self.finishRows(&emitter, lane, finish) }
      return locals.map { .allocate($0) } + zero + ahead + body + tail
    case .runtime(let count):
      let variable = emitter.builder.variable("n")
      locals = (0..<rows * splits).map { _ in emitter.builder.local("acc", sum, count: 1) }
      lane = .variable(variable)
      let body = try emitter.scoped { emitter throws(CompileError) in
        let zero: [Statement] = self.locals.flatMap { [.allocate($0), .assign($0, index: .index(0), value: .number(0, self.sum))] }
        let sums = try emitter.scoped { emitter throws(CompileError) in try reduce(&emitter, self) }
        return zero + sums + (try self.finishRows(&emitter, .variable(variable), finish))
      }
      return [.loop(Loop(variable, to: count, kind: .vectorized, body: body))]
    }
  }

  /// Like `emit`, but `finish` is written once, in a loop over the rows: for an epilogue of many instructions, of which
  /// one copy for each register is slow to compile and spills.
  ///
  /// Measured: erf behind 128x768x3072 cost 56 cycles for each vector as straight code.
  mutating func emitRowByRow(
    _ emitter: inout ElementEmitter, ahead: [Statement] = [],
    reduce: (inout ElementEmitter, TileAccumulators) throws(CompileError) -> [Statement],
    finish: (inout ElementEmitter, _ row: Expression, _ lane: Expression, _ sum: Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    guard case .known(let stored, let computed) = columns, rows > 1 else {
      return try emit(&emitter, ahead: ahead, reduce: reduce) { emitter, row, lane, sum throws(CompileError) in try finish(&emitter, .index(row), lane, sum) }
    }
    let kept = emitter.builder.local("kept", element, count: rows * computed)
    let statements = try emit(&emitter, ahead: ahead, reduce: reduce) { _, row, lane, sum throws(CompileError) in
      [.assign(kept, index: .index(row * computed) + lane, value: sum)]
    }
    let tail = try emitter.loop("row", to: Extent(rows)) { emitter, row throws(CompileError) in
      [
        try emitter.loop("n", to: Extent(stored), .vectorized) { emitter, lane throws(CompileError) in
          try finish(&emitter, row, lane, .local(kept, row * .index(computed) + lane))
        }
      ]
    }
    return [.allocate(kept)] + statements + [tail]
  }

  /// Prefetches of what the epilogue of a tile reads and writes; none for few rows, which wait for the right operand anyway.
  static func prefetches(
    _ epilogue: TileEpilogue, _ emitter: inout ElementEmitter, rows: Int, _ columns: Columns, steps: Extent, into output: Buffer, _ index: (Int, Expression) -> [Expression]
  ) throws(CompileError) -> [Statement] {
    // A short sum ends before they arrive: 16 steps were 10 % slower with them.
    guard rows >= 4, (steps.constant ?? .max) >= 48, case .known(let stored, _) = columns else { return [] }
    return try epilogue.prefetches(&emitter, rows: rows, columns: stored, into: output, index)
  }

  private func finishRows(
    _ emitter: inout ElementEmitter, _ lane: Expression,
    _ finish: (inout ElementEmitter, Int, Expression, Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    for row in 0..<rows {
      let position = self.lane == nil ? lane : .index(0)
      let total = (1..<splits).reduce(Expression.local(locals[row], position)) { .binary(.add, $0, .local(locals[row + $1 * rows], position)) }
      statements += try finish(&emitter, row, lane, total.element == element ? total : .convert(total, element))
    }
    return statements
  }

  private func lanes(
    _ emitter: inout ElementEmitter, _ count: Int, _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    [try emitter.loop("n", to: Extent(count), .vectorized, body)]
  }

  /// One step of the sum for some rows: row += left(row) * right(lane).
  ///
  /// - Parameters:
  ///   - panels: Where the step's part of a packed right operand starts.
  ///   - together: So many neighbours in memory are multiplied on both sides.
  func step(
    _ emitter: inout ElementEmitter, rows selected: [Int]? = nil, split: Int = 0, panels: (buffer: Buffer, position: Expression)? = nil, together: Int = 1,
    left: (inout ElementEmitter, Int) throws(CompileError) -> Expression,
    right: (inout ElementEmitter, Expression) throws(CompileError) -> Expression
  ) throws(CompileError) -> [Statement] {
    func product(_ emitter: inout ElementEmitter, _ row: Int, _ lane: Expression) throws(CompileError) -> Statement {
      let (local, position) = (locals[row + (split % splits) * rows], self.lane == nil ? lane : Expression.index(0))
      let value = try left(&emitter, row), factor = try right(&emitter, lane)
      var sum = Expression.local(local, position)
      for place in 0..<together {
        sum = Self.multiplyAdd(widened(try GroupedSteps.neighbour(place, of: value)), widened(try GroupedSteps.neighbour(place, of: factor)), sum)
      }
      return .assign(local, index: position, value: sum)
    }
    // Row by row, so that an element of the left operand is broadcast once for all its vectors.
    var statements: [Statement] = []
    if let panels, case .known(_, let computed) = columns, rows * computed * sum.byteCount >= Self.prefetchedTileBytes {
      let line = 64 / panels.buffer.element.byteCount, elements = computed * together
      for element in stride(from: 0, to: elements, by: line) {
        statements.append(.prefetch(panels.buffer, index: panels.position + .index(Self.stepsAhead * elements + element), forWriting: false))
      }
    }
    for row in selected ?? Array(0..<rows) {
      switch columns {
      case .known(_, let computed): statements += try lanes(&emitter, computed) { emitter, lane throws(CompileError) in [try product(&emitter, row, lane)] }
      case .runtime:
        guard let lane else { continue }
        statements += try emitter.scoped { emitter throws(CompileError) in [try product(&emitter, row, lane)] }
      }
    }
    return statements
  }

  /// How far ahead a tile asks for its panel. The first tile of a panel reads it from memory, where the hardware's own
  /// prefetching stops at every page.
  private static let stepsAhead = 32
  /// Smaller tiles are bound by loads already.
  private static let prefetchedTileBytes = 12 * 64

  private func widened(_ expression: Expression) -> Expression { expression.element == sum ? expression : .convert(expression, sum) }

  /// a * b + c: fused for floating point, wrapping for integers.
  static func multiplyAdd(_ a: Expression, _ b: Expression, _ c: Expression) -> Expression {
    a.element.isFloatingPoint ? .multiplyAdd(a, b, c) : .binary(.add, .binary(.multiply, a, b), c)
  }

  /// How many partial sums keep the multiply-add units busy: about eight registers in all.
  static func splits(rows: Int, vectors: Int, steps: Int?) -> Int {
    let wanted = 8 / max(1, rows * vectors)
    return wanted < 2 || (steps ?? .max) < 8 ? 1 : wanted >= 8 ? 8 : wanted >= 4 ? 4 : 2
  }

  /// A loop of the sum: `body` gets the position and its number within an unrolled round.
  static func reduction(
    _ emitter: inout ElementEmitter, over extent: Extent, unroll: Int, fullUpTo limit: Int,
    _ body: (inout ElementEmitter, Expression, Int) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    func steps(_ emitter: inout ElementEmitter, _ base: Expression, _ count: Int) throws(CompileError) -> [Statement] {
      var statements: [Statement] = []
      for offset in 0..<count {
        statements += try emitter.scoped { emitter throws(CompileError) in try body(&emitter, base + .index(offset), offset) }
      }
      return statements
    }
    if let count = extent.constant, count <= limit { return try steps(&emitter, .index(0), max(0, count)) }
    let unroll = extent.isConstant ? unroll : 1
    let variable = emitter.builder.variable("k")
    let whole = extent.constant.map { Extent($0 - $0 % unroll) } ?? extent
    emitter.ranges.set(variable, to: whole, multipleOf: unroll)
    let inner = try emitter.scoped { emitter throws(CompileError) in try steps(&emitter, .variable(variable), unroll) }
    let loop = Statement.loop(Loop(variable, to: .of(whole), by: unroll, body: inner))
    return [loop] + (try steps(&emitter, .of(whole), extent.constant.map { $0 % unroll } ?? 0))
  }
}
