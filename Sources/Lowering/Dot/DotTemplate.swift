import GraphIR
import KernelIR
import TensorTypes

/// Matrix products: register tiles over panels of the right operand, with whatever follows them as epilogue.
///
/// The left operand is read in place, an element at a time, through any view. The right one is packed while
/// compiling if it is constant, read in place if its columns are contiguous and it is small or used once, summed up along
/// contiguous rows if there are few rows on the left, and otherwise packed into scratch memory by a kernel of its own.
struct DotTemplate {
  let target: LoweringTarget

  /// Where a tile finds the right operand.
  enum Right {
    case packed(Buffer, isShared: Bool)
    /// One panel of a constant, laid out as a packed one just before its tiles, in the place of that number.
    case unpacked(Buffer, place: Expression)
    case inPlace(ValueID)
  }

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    let problem = try DotProblem(fusion)
    let occupancy = occupancy(problem, fusion)
    let way = try fusion.choose(problem.anchor, among: candidates(problem, fusion) + sparseCandidates(problem, occupancy, fusion), distinguishedBy: occupancy?.note)
    if way.right != .sparse { fusion.explainZeros(problem.anchor, fusion.constantPanels(of: problem.right, slices: problem.slices.constant ?? 0)?.source, problem, occupancy) }
    let layout = PanelLayout(steps: problem.steps, columns: problem.columns, shape: way.shape, group: group(problem, way.right, fusion.emitter().0))
    switch way.right {
    case .innerProducts: try lowerInnerProducts(&fusion, problem)
    case .packed:
      guard let (source, isShared) = fusion.constantPanels(of: problem.right, slices: problem.slices.constant ?? 0), let packed = source.packed(layout) else {
        throw CompileError(.unsupported, "a right operand that cannot be packed", stage: .lower, origin: fusion.origin)
      }
      try lowerTiles(&fusion, problem, way, layout, packed: .packed(packed), isShared: isShared)
    case .scratch:
      let scratch = fusion.addScratch(problem.rightElement, problem.slices * layout.matrixElements)
      try lowerPacking(&fusion, problem, layout, into: scratch)
      try lowerTiles(&fusion, problem, way, layout, packed: scratch, isShared: false)
    case .inPlace: try lowerTiles(&fusion, problem, way, layout, packed: nil, isShared: false)
    case .sparse: try lowerSparse(&fusion, problem, way, layout, occupancy)
    }
  }

  /// - Parameter some: The steps of a panel on average, if it does not hold all.
  func schedule(_ problem: DotProblem, _ shape: TileShape, tilesPerBlock: Int? = nil, steps some: Double? = nil) -> TileSchedule {
    let panels = PanelLayout(steps: problem.steps, columns: problem.columns, shape: shape).panels
    return TileSchedule(
      slices: problem.slices, panels: panels, tiles: TileRows(problem.rows, most: shape.rows).count, tileRows: shape.rows, tileBytes: shape.rows * problem.bytesPerRow,
      panelBytes: shape.width * (some.map { Int($0) } ?? problem.steps.constant ?? 512) * problem.rightElement.byteCount, cycles: problem.cycles(target), tilesPerBlock: tilesPerBlock, target: target)
  }

  private func lowerTiles(
    _ fusion: inout FusionLowering, _ problem: DotProblem, _ way: Way, _ layout: PanelLayout, packed: LoweredKernel.Argument?, isShared: Bool
  ) throws(CompileError) {
    let shape = way.shape
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    var (emitter, arguments) = packed == nil ? fusion.emitter(reading: [fusion.body.outputs[0]]) : packedEmitter(problem, fusion)
    var right = Right.inPlace(problem.right)
    if let packed {
      right = .packed(emitter.builder.buffer("panels", problem.rightElement, .read), isShared: isShared)
      arguments.append(packed)
    }
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let tiles = TileRows(problem.rows, most: shape.rows)
    let schedule = schedule(problem, shape, tilesPerBlock: way.tilesPerBlock)
    let ahead = way.right == .packed && isShared ? PanelAhead(layout, rows: problem.rows, tileRows: shape.rows, schedule, element: problem.rightElement) : nil
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements += try schedule.loops(&emitter) { emitter, slice, lower, upper, panel throws(CompileError) in
      let batch = emitter.mapping.delinearize(slice, in: problem.batch)
      return try layout.branch(&emitter, panel: panel) { emitter, columns, isTail throws(CompileError) in
        try tiles.loops(&emitter, from: lower, to: upper) { emitter, rows, first throws(CompileError) in
          try tile(&emitter, problem, shape, layout, right, epilogue, output, rows: rows, columns: columns, isTail: isTail, ahead: ahead, at: (batch, slice, first, panel))
        }
      }
    }
    let kernel = emitter.builder.kernel(fusion.name("dot"), statements)
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: "dot, \(way.name(schedule))" + schedule.note, flops: problem.products * 2))
  }

  /// An emitter that reads all but the right operand.
  func packedEmitter(_ problem: DotProblem, _ fusion: FusionLowering) -> (ElementEmitter, [LoweredKernel.Argument]) {
    var (emitter, arguments) = fusion.emitter(reading: [fusion.body.outputs[0]], notThrough: [problem.right])
    // The left operand may be the same value as a right one that is packed.
    let left = fusion.inputs(of: [problem.left])
    for (position, input) in fusion.body.inputs.enumerated() where left.contains(input) && emitter.buffers[input] == nil {
      emitter.buffers[input] = emitter.builder.buffer("x\(position)", fusion.body.type(of: input).element, .read)
      arguments.append(.operand(position))
    }
    return (emitter, arguments)
  }

  func tile(
    _ emitter: inout ElementEmitter, _ problem: DotProblem, _ shape: TileShape, _ layout: PanelLayout, _ right: Right, _ epilogue: TileEpilogue, _ output: Buffer,
    rows: Int, columns: TileAccumulators.Columns, isTail: Bool, ahead: PanelAhead? = nil, at place: (batch: [Expression], slice: Expression, row: Expression, panel: Expression)
  ) throws(CompileError) -> [Statement] {
    var columns = columns
    // In place there is nothing behind the last column to read.
    if case .inPlace = right, case .known(let stored, _) = columns { columns = .known(stored: stored, computed: stored) }
    let vectors = if case .known(_, let computed) = columns { (computed + shape.lanes - 1) / shape.lanes } else { 1 }
    let groups = problem.steps.floorDivided(by: Extent(layout.group))
    let splits = TileAccumulators.splits(rows: rows, vectors: vectors, steps: groups.constant)
    var tile = TileAccumulators(rows: rows, splits: splits, columns: columns, element: problem.result)
    let first = place.panel * .index(shape.width)
    let unroll = max(splits, rows * vectors >= 12 ? 1 : rows * vectors >= 6 ? 2 : 4)
    func index(_ row: Int, _ lane: Expression) -> [Expression] { place.batch + [place.row + .index(row), first + lane] }
    func position(_ step: Expression, _ lane: Expression) -> (Buffer, Expression)? {
      switch right {
      case .packed(let buffer, let isShared):
        (buffer, layout.position(matrix: isShared ? .index(0) : place.slice, panel: place.panel, step: step, lane: lane, isTail: isTail))
      case .unpacked(let buffer, let panel): (buffer, layout.position(matrix: .index(0), panel: panel, step: step, lane: lane, isTail: isTail))
      case .inPlace: nil
      }
    }
    let requests = try TileAccumulators.prefetches(epilogue, &emitter, rows: rows, columns, steps: problem.steps, into: output, index)
    func reduce(_ emitter: inout ElementEmitter, _ tile: TileAccumulators) throws(CompileError) -> [Statement] {
      /// - Parameter behind: How far behind the first step of the group.
      func step(_ emitter: inout ElementEmitter, _ step: Expression, behind: Expression = .index(0), _ number: Int, together: Int) throws(CompileError) -> [Statement] {
        var start = position(step, .index(0))
        var asked: [Statement] = []
        if let ahead, case .packed(let buffer, _) = right {
          asked = ahead.request(buffer, panel: place.panel, row: place.row, step: step)
          start = nil
        }
        return asked + (try tile.step(&emitter, split: number, panels: start, together: together) { emitter, row throws(CompileError) in
          try emitter.element(problem.left, place.batch + [place.row + .index(row), step * .index(layout.group) + behind])
        } right: { emitter, lane throws(CompileError) in
          if let (buffer, start) = position(step, lane) { return .load(buffer, start + behind) }
          return try emitter.element(problem.right, place.batch + [step, first + lane])
        })
      }
      let whole = try TileAccumulators.reduction(&emitter, over: groups, unroll: unroll, fullUpTo: 64 / max(4, rows * vectors)) { emitter, group, number throws(CompileError) in
        try step(&emitter, group, number, together: layout.group)
      }
      let rest = problem.steps.modulo(Extent(layout.group))
      if rest == 0 { return whole }
      // What is left over is multiplied step by step: behind the last element of the left operand there is nothing to read.
      if let count = rest.constant { return whole + (try emitter.scoped { emitter throws(CompileError) in try step(&emitter, .of(groups), 0, together: count) }) }
      return whole + (try TileAccumulators.reduction(&emitter, over: rest, unroll: 1, fullUpTo: 0) { emitter, behind, number throws(CompileError) in
        try step(&emitter, .of(groups), behind: behind, number, together: 1)
      })
    }
    if epilogue.isCostly {
      return try tile.emitRowByRow(&emitter, ahead: requests, reduce: reduce) { emitter, row, lane, sum throws(CompileError) in
        try epilogue.store(&emitter, at: place.batch + [place.row + row, first + lane], sum, into: output)
      }
    }
    return try tile.emit(&emitter, ahead: requests, reduce: reduce) { emitter, row, lane, sum throws(CompileError) in
      try epilogue.store(&emitter, at: index(row, lane), sum, into: output)
    }
  }

  // MARK: Packing when run

  /// A kernel that lays the right operand out in panels.
  private func lowerPacking(_ fusion: inout FusionLowering, _ problem: DotProblem, _ layout: PanelLayout, into scratch: LoweredKernel.Argument) throws(CompileError) {
    var (emitter, arguments) = fusion.emitter(reading: [problem.right])
    let panels = emitter.builder.buffer("panels", problem.rightElement, .write)
    arguments.append(scratch)
    let elements = (problem.slices * problem.steps * problem.columns).constant ?? .max
    let isParallel = target.threads > 1 && elements >= target.parallelThreshold
    let statements = try TileSchedule.nest(&emitter, [("slice", problem.slices), ("panel", layout.panels)], isParallel: isParallel) { emitter, index throws(CompileError) in
      let batch = emitter.mapping.delinearize(index[0], in: problem.batch)
      let width = Expression.index(layout.width)
      return try layout.branch(&emitter, panel: index[1]) { emitter, columns, isTail throws(CompileError) in
        let lane = emitter.builder.variable("n")
        let count: Expression
        switch columns {
        case .known(let stored, _):
          emitter.ranges.set(lane, to: Extent(stored))
          count = .index(stored)
        case .runtime(let number): count = number
        }
        /// Lays out some steps of a group, side by side for each column.
        func copy(_ emitter: inout ElementEmitter, group: Expression, behind: Expression = .index(0), steps: Int) throws(CompileError) -> [Statement] {
          let n = Expression.variable(lane)
          let body = try emitter.scoped { emitter throws(CompileError) in
            let place = layout.position(matrix: index[0], panel: index[1], step: group, lane: n, isTail: isTail)
            return try (0..<steps).map { part throws(CompileError) in
              let k = group * .index(layout.group) + behind + .index(part)
              return .store(panels, index: place + behind + .index(part), value: try emitter.element(problem.right, batch + [k, index[1] * width + n]))
            }
          }
          return [.loop(Loop(lane, to: count, kind: .vectorized, body: body))]
        }
        let groups = problem.steps.floorDivided(by: Extent(layout.group))
        let whole = try emitter.loop("k", to: groups) { emitter, group throws(CompileError) in try copy(&emitter, group: group, steps: layout.group) }
        let rest = problem.steps.modulo(Extent(layout.group))
        if rest == 0 { return [whole] }
        if let count = rest.constant { return [whole] + (try copy(&emitter, group: .of(groups), steps: count)) }
        return [whole, try emitter.loop("k", to: rest) { emitter, behind throws(CompileError) in try copy(&emitter, group: .of(groups), behind: behind, steps: 1) }]
      }
    }
    let kernel = emitter.builder.kernel(fusion.name("pack"), statements)
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: "packs the right operand of the dot after it"))
  }
}

extension TileSchedule {
  /// For the note of a kernel.
  var note: String { isParallel ? ", parallel" : "" }
}
