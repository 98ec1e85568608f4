import GraphIR
import KernelIR
import TensorTypes

/// Products with a constant right operand of which many blocks are zeros.
///
///     for each panel of columns { for s in start[panel]..<start[panel + 1] { k = step[s]; acc[row] += x[row, k] * packed[s] } }
///
/// Where one instruction multiplies a group of neighbouring steps, s counts groups and k is the first step of one. The pattern is compiled in: a table of steps for each panel, behind which the operand lies without its empty steps. A tile looks up
/// one index in a step, beside its `rows * vectors` multiply-adds, so that the product is nearly as much faster as it has fewer steps.
extension DotTemplate {
  /// The zeros of the right operand; nil if it is no constant, or has too few of them.
  func occupancy(_ problem: DotProblem, _ fusion: FusionLowering) -> BlockOccupancy? {
    guard target.usesSparseProducts, problem.hasSparseKernel, problem.steps.isConstant, problem.columns.isConstant else { return nil }
    guard let (source, _) = fusion.constantPanels(of: problem.right, slices: problem.slices.constant ?? 0) else { return nil }
    return BlockOccupancy(source, lanes: TileShape.lanes(of: problem.result, target), group: group(problem, .sparse, fusion.emitter().0), most: 0.9)
  }

  /// Partial sums, and groups of steps of one round: both follow from the largest tile.
  private func rounds(_ shape: TileShape, _ groups: Double) -> Int {
    max(TileAccumulators.splits(rows: shape.rows, vectors: shape.vectors, steps: Int(groups)), shape.rows * shape.vectors >= 12 ? 1 : 2)
  }

  /// Tiles that leave out the steps at which their panel is empty, with their costs: which of the panels' widths finds most of the zeros depends on the pattern.
  func sparseCandidates(_ problem: DotProblem, _ occupancy: BlockOccupancy?, _ fusion: FusionLowering) -> [Candidate<Way>] {
    guard let occupancy else { return [] }
    let (emitter, _) = fusion.emitter()
    let shapes = TileShape.candidates(
      rows: problem.rows.constant, columns: problem.columns.constant, accumulator: problem.result,
      strideBytes: TileAccess.stride(of: problem.left, along: problem.batch.rank, emitter).map { $0 &* problem.element.byteCount }, target)
    return shapes.flatMap { shape in
      let panels = SparsePanels(occupancy, width: shape.width, unroll: 1)
      let unroll = rounds(shape, panels.averageGroups)
      let groups = panels.averageGroups + Double(unroll - 1) / 2
      let steps = groups * Double(occupancy.group)
      let usual = schedule(problem, shape, steps: steps)
      let isKnown = problem.rows.isConstant
      return (isKnown ? usual.blockLengths : [usual.tilesPerBlock]).map { length in
        let way = Way(right: .sparse, shape: shape, tilesPerBlock: isKnown ? length : nil)
        let schedule = isKnown ? schedule(problem, shape, tilesPerBlock: length, steps: steps) : usual
        var cost = cost(problem, way, schedule, isContiguous: true, group: occupancy.group, steps: steps)
        cost[.overhead] += Self.lookUpCycles(shape) * groups * tileCount(problem, shape) / (schedule.isParallel ? Double(target.threads) : 1)
        return Candidate(way.name(schedule), way, cost: cost)
      }
    }
  }

  /// A step's look-up, and the lines of the left operand that a tile reads out of order. Beside few products both run in the shadow of the loads: measured
  /// on one row of bytes, 2.3 cycles for a whole step.
  private static func lookUpCycles(_ shape: TileShape) -> Double { shape.rows * shape.vectors >= 4 ? 2 : 0.5 }

  private func tileCount(_ problem: DotProblem, _ shape: TileShape) -> Double {
    let rows = problem.rows.constant ?? 64, columns = problem.columns.constant ?? 256
    return Double(problem.slices.constant ?? 8) * Double((rows + shape.rows - 1) / shape.rows) * Double((columns + shape.width - 1) / shape.width)
  }

  func lowerSparse(
    _ fusion: inout FusionLowering, _ problem: DotProblem, _ way: Way, _ layout: PanelLayout, _ occupancy: BlockOccupancy?
  ) throws(CompileError) {
    let found = fusion.constantPanels(of: problem.right, slices: problem.slices.constant ?? 0)
    let probe = occupancy.map { SparsePanels($0, width: way.shape.width, unroll: 1).averageGroups } ?? 0
    let unroll = rounds(way.shape, probe)
    let sparse = occupancy.map { SparsePanels($0, width: way.shape.width, unroll: unroll) }
    guard let (source, isShared) = found, let sparse, let table = sparse.table, let packed = sparse.packed(source) else {
      throw CompileError(.unsupported, "a right operand that cannot be packed", stage: .lower, origin: fusion.origin)
    }
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    var (emitter, arguments) = packedEmitter(problem, fusion)
    let panels = emitter.builder.buffer("panels", problem.rightElement, .read), pattern = emitter.builder.buffer("pattern", .i32, .read)
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments += [.packed(packed), .packed(table), .result(0)]
    let tiles = TileRows(problem.rows, most: way.shape.rows)
    let schedule = schedule(problem, way.shape, tilesPerBlock: way.tilesPerBlock, steps: sparse.averageGroups * Double(sparse.group))
    let operand = SparseOperand(panels: panels, pattern: pattern, constant: sparse)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements += try schedule.loops(&emitter) { emitter, slice, lower, upper, panel throws(CompileError) in
      let batch = emitter.mapping.delinearize(slice, in: problem.batch)
      let number = (isShared ? .index(0) : slice * .index(sparse.panels)) + panel
      let first = emitter.builder.variable("first"), end = emitter.builder.variable("end")
      let range: [Statement] = [.bind(first, operand.entry(number)), .bind(end, operand.entry(number + .index(1)))]
      return range + (try layout.branch(&emitter, panel: panel) { emitter, columns, _ throws(CompileError) in
        try tiles.loops(&emitter, from: lower, to: upper) { emitter, rows, row throws(CompileError) in
          try tile(
            &emitter, problem, way.shape, operand, epilogue, output, rows: rows, columns: columns, at: (batch, row, panel), number: number,
            from: .variable(first), to: .variable(end))
        }
      })
    }
    let kernel = emitter.builder.kernel(fusion.name("sparse_dot"), statements)
    let flops = problem.slices * problem.rows * Extent(sparse.width) * 2
    let note = "dot, \(way.name(schedule)), \(occupancy?.note ?? "")" + schedule.note
    fusion.kernels.append(
      LoweredKernel(kernel: kernel, arguments: arguments, note: note, flops: (flops * Extent(sparse.totalGroups * sparse.group)).floorDivided(by: Extent(max(1, sparse.matrices)))))
  }

  /// The right operand as a tile reads it.
  private struct SparseOperand {
    let panels: Buffer
    let pattern: Buffer
    let constant: SparsePanels

    func entry(_ position: Expression) -> Expression { .convert(.load(pattern, position), .i64) }
    /// The first step of a group.
    func step(_ group: Expression) -> Expression { entry(group + .index(constant.tableStart)) }
    /// Where a group begins in `panels`.
    func start(_ group: Expression) -> Expression { group * .index(constant.groupElements) }
    /// Where the steps begin that are left over for a panel.
    func rest(_ number: Expression) -> Expression { start(number + .index(constant.totalGroups)) }
  }

  private func tile(
    _ emitter: inout ElementEmitter, _ problem: DotProblem, _ shape: TileShape, _ operand: SparseOperand, _ epilogue: TileEpilogue, _ output: Buffer,
    rows: Int, columns: TileAccumulators.Columns, at place: (batch: [Expression], row: Expression, panel: Expression), number: Expression,
    from first: Expression, to end: Expression
  ) throws(CompileError) -> [Statement] {
    let vectors = if case .known(_, let computed) = columns { (computed + shape.lanes - 1) / shape.lanes } else { 1 }
    let (unroll, group, rest) = (operand.constant.unroll, operand.constant.group, operand.constant.rest)
    let splits = min(unroll, TileAccumulators.splits(rows: rows, vectors: vectors, steps: nil))
    var tile = TileAccumulators(rows: rows, splits: splits, columns: columns, element: problem.result)
    let column = place.panel * .index(shape.width)
    func index(_ row: Int, _ lane: Expression) -> [Expression] { place.batch + [place.row + .index(row), column + lane] }
    let ahead = try TileAccumulators.prefetches(epilogue, &emitter, rows: rows, columns, steps: problem.steps, into: output, index)
    func reduce(_ emitter: inout ElementEmitter, _ tile: TileAccumulators) throws(CompileError) -> [Statement] {
      /// Some neighbouring steps, from `step` on, that begin at `start` in the panels.
      func steps(_ emitter: inout ElementEmitter, _ split: Int, _ step: Expression, _ start: Expression, together: Int) throws(CompileError) -> [Statement] {
        try emitter.scoped { emitter throws(CompileError) in
          try tile.step(&emitter, split: split, panels: (operand.panels, start), together: together) { emitter, row throws(CompileError) in
            try emitter.element(problem.left, place.batch + [place.row + .index(row), step])
          } right: { _, lane throws(CompileError) in .load(operand.panels, start + lane * .index(group)) }
        }
      }
      let variable = emitter.builder.variable("s")
      var body: [Statement] = []
      for number in 0..<unroll {
        let position = Expression.variable(variable) + .index(number)
        let step = emitter.builder.variable("k")
        emitter.ranges.set(step, to: problem.steps, multipleOf: group)
        body.append(.bind(step, operand.step(position)))
        body += try steps(&emitter, number, .variable(step), operand.start(position), together: group)
      }
      let whole = Statement.loop(Loop(variable, from: first, to: end, by: unroll, body: body))
      if rest == 0 { return [whole] }
      // Behind the last element of the left operand there is nothing to read.
      return [whole] + (try steps(&emitter, 0, .of(problem.steps - Extent(rest)), operand.rest(number), together: rest))
    }
    if epilogue.isCostly {
      return try tile.emitRowByRow(&emitter, ahead: ahead, reduce: reduce) { emitter, row, lane, sum throws(CompileError) in
        try epilogue.store(&emitter, at: place.batch + [place.row + row, column + lane], sum, into: output)
      }
    }
    return try tile.emit(&emitter, ahead: ahead, reduce: reduce) { emitter, row, lane, sum throws(CompileError) in
      try epilogue.store(&emitter, at: index(row, lane), sum, into: output)
    }
  }
}

extension DotProblem {
  /// True for the elements whose products have kernels that leave zeros out.
  var hasSparseKernel: Bool {
    switch (element, rightElement, result) {
    case (.f32, .f32, .f32), (.bf16, .bf16, .f32): true
    default: element.isByte && rightElement.isByte && result == .i32
    }
  }
}

extension BlockOccupancy {
  /// `20 % of blocks`: for problems that differ in this only.
  var note: String { "\(Int((density * 100).rounded())) % of blocks" }
}
