import GraphIR
import KernelIR
import TensorTypes

/// Pooling: a reduction under a window that slides over some axes.
///
/// If nothing slides along the innermost axis (channels last), lanes run along it, and each element that a tile of
/// results needs is loaded once. Otherwise lanes run along the innermost axis of the result, and padding is selected away.
struct WindowTemplate {
  let target: LoweringTarget

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    let (anchor, operation) = try fusion.anchor(ReduceWindow.self)
    let problem = WindowProblem(fusion, anchor, operation)
    var (emitter, arguments) = fusion.emitter()
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: anchor)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    let slidesAlongLanes = problem.axes.last.map { $0.size > 1 || $0.needsClipping || $0.stride > 1 } ?? false
    let work = problem.result.elementCount * Extent(operation.size.reduce(1) { $0 &* $1 })
    // Symbols are taken to be 16: as a batch a large one, as an image a small one.
    let typical = work.evaluated(Dictionary(uniqueKeysWithValues: work.symbols.map { ($0, 16) })) ?? .max
    let isParallel = target.threads > 1 && typical >= target.parallelThreshold
    if slidesAlongLanes || problem.tiledAxis == nil {
      statements += try plain(&emitter, problem, epilogue, output, isParallel: isParallel)
    } else {
      statements += try tiled(&emitter, problem, epilogue, output, isParallel: isParallel)
    }
    let kernel = emitter.builder.kernel(fusion.name("window"), statements)
    let note = "window, " + (slidesAlongLanes ? "lanes along the innermost axis of the result" : "lanes along channels") + (isParallel ? ", parallel" : "")
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: note, flops: work))
  }

  // MARK: Channels last

  private func tiled(
    _ emitter: inout ElementEmitter, _ problem: WindowProblem, _ epilogue: TileEpilogue, _ output: Buffer, isParallel: Bool
  ) throws(CompileError) -> [Statement] {
    guard let tiledAxis = problem.tiledAxis, let axis = problem.axes.indices.last else { return [] }
    let outer = problem.axes.indices.filter { $0 != tiledAxis && $0 != axis }
    // Few results at once, so that the input streams through in its own order.
    let most = max(1, min(2, 64 / max(1, problem.axes[tiledAxis].size)))
    // Wide windows are not unrolled along the row.
    let isUnrolled = problem.axes[tiledAxis].size <= 16
    let loops = outer.map { (name: "i", extent: problem.axes[$0].output) }
    return try TileSchedule.nest(&emitter, loops, isParallel: isParallel) { emitter, index throws(CompileError) in
      var place = [Expression](repeating: .index(0), count: problem.axes.count)
      for (position, axis) in outer.enumerated() { place[axis] = index[position] }
      guard let phase = SlidingPhase.phases(of: problem.axes[tiledAxis]).first else { return [] }
      return try SlidingTiles(phase: phase, most: isUnrolled ? most : 1).loops(&emitter) { emitter, results, first, taps throws(CompileError) in
        [
          try emitter.loop("c", to: problem.axes[axis].output, .vectorized) { emitter, lane throws(CompileError) in
            var here = place
            here[axis] = lane
            return try tile(&emitter, problem, epilogue, output, results: results, (phase, first, taps, isUnrolled), tiledAxis, outer, at: here)
          }
        ]
      }
    }
  }

  private func tile(
    _ emitter: inout ElementEmitter, _ problem: WindowProblem, _ epilogue: TileEpilogue, _ output: Buffer, results: Int,
    _ tiling: (phase: SlidingPhase, first: Expression, taps: SlidingTiles.Taps, isUnrolled: Bool), _ tiledAxis: Int, _ outer: [Int], at place: [Expression]
  ) throws(CompileError) -> [Statement] {
    let sums = (0..<results).map { _ in emitter.builder.local("acc", problem.sum, count: 1) }
    func combine(_ x: Expression, into result: Int) -> Statement {
      .assign(sums[result], index: .index(0), value: .binary(problem.operation.reducer.function, .local(sums[result], .index(0)), x))
    }
    func input(_ emitter: inout ElementEmitter, _ position: [Expression], _ tiled: Expression) throws(CompileError) -> Expression {
      var index = position
      index[tiledAxis] = tiled
      return problem.widened(try emitter.element(problem.input, index))
    }
    let (phase, first) = (tiling.phase, tiling.first)
    var statements: [Statement] = sums.flatMap { [.allocate($0), .assign($0, index: .index(0), value: problem.neutral)] }
    statements += try window(&emitter, problem, outer[...], at: place, place) { emitter, position throws(CompileError) in
      guard case .runs(let runs) = tiling.taps, tiling.isUnrolled else {
        return try SlidingTiles.taps(&emitter, of: phase, tiling.taps, first: first) { emitter, _, offset, selected throws(CompileError) in
          var body: [Statement] = []
          for row in selected { body.append(combine(try input(&emitter, position, (first + .index(row)) * .index(phase.stride) + offset), into: row)) }
          return body
        }
      }
      var users: [Int: [Int]] = [:]
      for run in runs {
        for tap in run.first..<run.first + run.count {
          for row in run.rows { users[row * phase.stride + phase.taps[tap].offset, default: []].append(row) }
        }
      }
      var body: [Statement] = []
      for offset in users.keys.sorted() {
        let x = emitter.builder.variable("x", problem.sum)
        body.append(.bind(x, try input(&emitter, position, first * .index(phase.stride) + .index(offset))))
        for row in users[offset] ?? [] { body.append(combine(.variable(x), into: row)) }
      }
      return body
    }
    for row in 0..<results {
      var index = place
      index[tiledAxis] = phase.output(first + .index(row))
      statements += try epilogue.store(&emitter, at: index, problem.narrowed(.local(sums[row], .index(0))), into: output)
    }
    return statements
  }

  /// Loops over the window along some axes.
  private func window(
    _ emitter: inout ElementEmitter, _ problem: WindowProblem, _ axes: ArraySlice<Int>, at place: [Expression], _ position: [Expression],
    _ body: (inout ElementEmitter, [Expression]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    guard let axis = axes.first else { return try emitter.scoped { emitter throws(CompileError) in try body(&emitter, position) } }
    return try problem.axes[axis].loops(&emitter, at: place[axis]) { emitter, _, source throws(CompileError) in
      var next = position
      next[axis] = source
      return try window(&emitter, problem, axes.dropFirst(), at: place, next, body)
    }
  }

  // MARK: Any arrangement

  private func plain(
    _ emitter: inout ElementEmitter, _ problem: WindowProblem, _ epilogue: TileEpilogue, _ output: Buffer, isParallel: Bool
  ) throws(CompileError) -> [Statement] {
    let rank = problem.axes.count
    let sums = emitter.builder.local("acc", problem.sum, count: 1)
    func result(_ emitter: inout ElementEmitter, _ place: [Expression]) throws(CompileError) -> [Statement] {
      var statements: [Statement] = [.allocate(sums), .assign(sums, index: .index(0), value: problem.neutral)]
      statements += try window(&emitter, problem, Array(0..<max(0, rank - 1))[...], at: place, place) { emitter, position throws(CompileError) in
        guard rank > 0 else { return [.assign(sums, index: .index(0), value: problem.widened(try emitter.element(problem.input, [])))] }
        let axis = problem.axes[rank - 1]
        return [
          try emitter.loop("tap", to: Extent(axis.size)) { emitter, tap throws(CompileError) in
            let source = axis.position(place[rank - 1], tap)
            var index = position
            var value: Expression
            if axis.needsClipping {
              let last = Expression.of(axis.input - 1)
              index[rank - 1] = .indexMaximum(.index(0), .indexMinimum(source, last))
              let isInside = Expression.binary(.and, .compare(.greaterOrEqual, source, .index(0)), .compare(.lessOrEqual, source, last))
              value = .select(isInside, problem.widened(try emitter.element(problem.input, index)), problem.neutral)
            } else {
              index[rank - 1] = source
              value = problem.widened(try emitter.element(problem.input, index))
            }
            return [.assign(sums, index: .index(0), value: .binary(problem.operation.reducer.function, .local(sums, .index(0)), value))]
          }
        ]
      }
      return statements + (try epilogue.store(&emitter, at: place, problem.narrowed(.local(sums, .index(0))), into: output))
    }
    let loops = (0..<max(0, rank - 1)).map { (name: "i", extent: problem.axes[$0].output) }
    // A nest of unit loops has nothing to run in parallel.
    let isParallel = isParallel && loops.contains { $0.extent != 1 }
    return try TileSchedule.nest(&emitter, loops, isParallel: isParallel) { emitter, index throws(CompileError) in
      guard rank > 0 else { return try result(&emitter, []) }
      return [try emitter.loop("i", to: problem.axes[rank - 1].output, .vectorized) { emitter, lane throws(CompileError) in try result(&emitter, index + [lane]) }]
    }
  }
}

/// A window reduction inside a fusion.
private struct WindowProblem {
  let operation: ReduceWindow
  let input: ValueID
  let element: ElementType
  let sum: ElementType
  let result: Shape
  let axes: [SlidingAxis]

  init(_ fusion: FusionLowering, _ anchor: Node, _ operation: ReduceWindow) {
    self.operation = operation
    input = anchor.operands[0]
    let type = fusion.body.type(of: input), result = fusion.body.type(of: anchor.results[0]).shape
    element = type.element
    self.result = result
    sum = operation.reducer == .sum || operation.reducer == .product ? TileAccumulators.accumulator(of: type.element) : type.element
    axes = type.shape.indices.map { axis in
      SlidingAxis(input: type.shape[axis], output: result[axis], size: operation.size[axis], window: operation.window, inputDilation: 1, axis: axis)
    }
  }

  /// The axis along which results share elements: the last one with a window, before the innermost.
  var tiledAxis: Int? { axes.indices.dropLast().last { axes[$0].size > 1 } ?? axes.indices.dropLast().last }

  func widened(_ x: Expression) -> Expression { x.element == sum ? x : .convert(x, sum) }
  func narrowed(_ x: Expression) -> Expression { x.element == element ? x : .convert(x, element) }

  /// What the padding counts as.
  var neutral: Expression {
    switch operation.reducer {
    case .sum, .or: constant(0)
    case .product, .and: constant(1)
    case .maximum: sum.isFloatingPoint ? .number(-.infinity, sum) : extreme(\.lowerBound)
    case .minimum: sum.isFloatingPoint ? .number(.infinity, sum) : extreme(\.upperBound)
    }
  }

  private func constant(_ value: Int) -> Expression { sum == .i64 ? .index(value) : .number(Double(value), sum) }

  private func extreme(_ bound: KeyPath<ClosedRange<Int>, Int>) -> Expression {
    // The largest u64 is all ones; `integerRange` ends where Int does.
    if sum == .u64, (sum.integerRange ?? 0...0)[keyPath: bound] != 0 { return .convert(.index(-1), .u64) }
    let value = (sum.integerRange ?? 0...0)[keyPath: bound]
    if sum == .i64 { return .index(value) }
    return value.magnitude <= 1 << 53 ? .number(Double(value), sum) : .convert(.index(value), sum)
  }
}
