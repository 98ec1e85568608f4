import GraphIR
import KernelIR
import TensorTypes

extension DotTemplate {
  /// Columns summed up at once: each keeps a vector accumulator, and they share what is loaded of the left operand.
  private static let columnsAtOnce = 4

  /// Few rows against a right operand whose sums are contiguous: lanes run along the sum.
  func lowerInnerProducts(_ fusion: inout FusionLowering, _ problem: DotProblem) throws(CompileError) {
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    var (emitter, arguments) = fusion.emitter()
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let rows = max(0, problem.rows.constant ?? 1)
    let groups = TileRows(problem.columns, most: Self.columnsAtOnce)
    let cycles = problem.cycles(target)
    let schedule = TileSchedule(
      slices: problem.slices, panels: 1, tiles: groups.count, tileRows: Self.columnsAtOnce, tileBytes: Self.columnsAtOnce * (problem.steps.constant ?? 512) * problem.element.byteCount,
      panelBytes: 0, cycles: cycles, target: target)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements += try schedule.loops(&emitter) { emitter, slice, lower, upper, _ throws(CompileError) in
      let batch = emitter.mapping.delinearize(slice, in: problem.batch)
      return try groups.loops(&emitter, from: lower, to: upper) { emitter, columns, first throws(CompileError) in
        try group(&emitter, problem, epilogue, output, rows: rows, columns: columns, at: (batch, first))
      }
    }
    let kernel = emitter.builder.kernel(fusion.name("dot"), statements)
    let note = "dot, inner products of \(rows) rows by \(Self.columnsAtOnce) columns, read in place" + schedule.note
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: note, flops: problem.products * 2))
  }

  private func group(
    _ emitter: inout ElementEmitter, _ problem: DotProblem, _ epilogue: TileEpilogue, _ output: Buffer, rows: Int, columns: Int,
    at place: (batch: [Expression], column: Expression)
  ) throws(CompileError) -> [Statement] {
    if rows == 0 { return [] }
    let type = TileAccumulators.accumulator(of: problem.element)
    func widened(_ expression: Expression) -> Expression { expression.element == type ? expression : .convert(expression, type) }
    let sums = emitter.builder.local("acc", type, count: rows * columns)
    var statements: [Statement] = [.allocate(sums)]
    for position in 0..<rows * columns { statements.append(.assign(sums, index: .index(position), value: .number(0, type))) }
    statements.append(
      try emitter.loop("k", to: problem.steps, .vectorized) { emitter, step throws(CompileError) in
        var body: [Statement] = []
        for row in 0..<rows {
          let factor = emitter.builder.variable("a", type)
          body.append(.bind(factor, widened(try emitter.element(problem.left, place.batch + [.index(row), step]))))
          for column in 0..<columns {
            let other = widened(try emitter.element(problem.right, place.batch + [step, place.column + .index(column)]))
            body.append(.accumulate(sums, index: .index(row * columns + column), with: .sum, value: .binary(.multiply, .variable(factor), other)))
          }
        }
        return body
      })
    for row in 0..<rows {
      for column in 0..<columns {
        let sum = Expression.local(sums, .index(row * columns + column))
        let value = type == problem.result ? sum : .convert(sum, problem.result)
        statements += try epilogue.store(&emitter, at: place.batch + [.index(row), place.column + .index(column)], value, into: output)
      }
    }
    return statements
  }
}
