import GraphIR
import KernelIR
import TensorTypes

/// Products of many rows: every panel is unpacked to floating point once, and read by ordinary tiles.
///
/// Measured, 128 rows of the Llama-like decoder's 100 M weights, 8 bits, on Zen 4: unpacked by each tile 373 ms, so 254, in f32 247.
extension NarrowDotTemplate {
  /// Run-time numbers of rows from which on panels are unpacked first.
  static let rowsThatUnpack = 12

  func unpackedSchedule(_ problem: NarrowDotProblem, _ shape: TileShape) -> TileSchedule {
    let (dot, plain) = (DotTemplate(target: target), DotProblem(problem))
    let usual = dot.schedule(plain, shape)
    let panels = (problem.columns + shape.width - 1) / shape.width
    guard usual.isParallel, panels < 2 * target.threads, let tiles = usual.tiles.constant else { return usual }
    // Threads that find too few panels share the rows as well, and each unpacks for its own.
    let blocks = max(1, min(tiles, (4 * target.threads + panels - 1) / panels))
    return dot.schedule(plain, shape, tilesPerBlock: (tiles + blocks - 1) / blocks)
  }

  /// How the work is shared: ranges of panels, and blocks of rows if there are few panels. Each item has a place of its own for one panel.
  private func shares(_ panels: Int, _ schedule: TileSchedule) -> (blocks: Int, panels: Int) {
    guard schedule.isParallel else { return (1, 1) }
    if panels < 2 * target.threads, let blocks = schedule.blocks.constant { return (max(1, blocks), panels) }
    return (1, max(1, min(panels, 4 * target.threads)))
  }

  /// Tiles that may read unpacked panels.
  func unpackedShapes(_ problem: NarrowDotProblem, _ fusion: FusionLowering) -> [TileShape] {
    guard problem.arithmetic == .float else { return [] }
    let stride = TileAccess.stride(of: problem.left, along: 0, fusion.emitter().0).map { $0 &* 4 }
    let shapes = TileShape.candidates(rows: problem.rows.constant, columns: problem.columns, accumulator: .f32, strideBytes: stride, target)
    func fits(_ shape: TileShape) -> Bool {
      let (bytes, overflow) = problem.steps.multipliedReportingOverflow(by: shape.width &* 4)
      return !overflow && (bytes <= PanelUnpacking.mostBytes || shape.vectors == 1)
    }
    return shapes.filter(fits)
  }

  /// What unpacking adds to the cost of a product of dense weights.
  func unpackedCost(_ problem: NarrowDotProblem, _ shape: TileShape, _ schedule: TileSchedule) -> KernelCost {
    let dot = DotTemplate(target: target)
    let way = DotTemplate.Way(right: .packed, shape: shape, tilesPerBlock: nil)
    var cost = dot.cost(DotProblem(problem), way, schedule, isContiguous: true, group: 1)
    let vectors = Double(problem.columns) * Double(problem.steps) / Double(shape.lanes)
    let unit: NarrowPanels.Unit = problem.bits == 4 ? .nibbles : .bytes
    cost[.packing] += vectors * PanelUnpacking.cycles(unit) * Double(schedule.blocks.constant ?? 1) / Double(schedule.isParallel ? target.threads : 1)
    return cost
  }

  /// - Parameter guarded: Does nothing unless there are many rows, because another kernel does the work of few.
  func lowerUnpacked(_ fusion: inout FusionLowering, _ problem: NarrowDotProblem, _ shape: TileShape, _ constants: PackedConstants, guarded: Bool) throws(CompileError) {
    let dot = DotTemplate(target: target), plain = DotProblem(problem)
    let layout = PanelLayout(steps: plain.steps, columns: plain.columns, shape: shape)
    let schedule = unpackedSchedule(problem, shape)
    let panels = (problem.columns + shape.width - 1) / shape.width
    let shares = shares(panels, schedule)
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    let read = fusion.inputs(of: [fusion.body.outputs[0]], notThrough: [problem.anchor.results[0]]).union(fusion.inputs(of: [problem.left]))
    var (emitter, arguments) = fusion.emitter(skipping: Set(fusion.body.inputs.filter { !read.contains($0) }))
    func add(_ name: String, _ element: ElementType, _ access: Kernel.Access, _ argument: LoweredKernel.Argument) -> Buffer {
      arguments.append(argument)
      return emitter.builder.buffer(name, element, access)
    }
    let weights = add("weights", constants.weights.element, .read, .packed(constants.weights))
    let scales = add("scales", constants.scales.element, .read, .packed(constants.scales))
    let shifts = constants.shifts.map { add("shifts", $0.element, .read, .packed($0)) }
    let place = add("panel", .f32, .readWrite, fusion.addScratch(.f32, Extent(shares.blocks) * Extent(shares.panels) * plain.steps * Extent(shape.width)))
    let output = add("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write, .result(0))
    let shift = if case .uniform(let number) = problem.shift { number } else { 0 }
    let unpacking = PanelUnpacking(
      layout: layout, scalePanels: PanelLayout(steps: Extent(problem.groups), columns: plain.columns, shape: shape), steps: problem.steps, block: problem.block,
      unit: problem.bits == 4 ? .nibbles : .bytes, weights: weights, scales: scales, shifts: shifts, shift: shift, target: .buffer(place))
    let tiles = TileRows(problem.rows, most: shape.rows)

    func panel(_ emitter: inout ElementEmitter, _ number: Expression, _ share: Expression, _ block: Expression) throws(CompileError) -> [Statement] {
      let lower = block * .index(schedule.tilesPerBlock)
      let upper: Expression = schedule.blocks == 1 ? .of(tiles.count) : .indexMinimum(lower + .index(schedule.tilesPerBlock), .of(tiles.count))
      return try layout.branch(&emitter, panel: number) { emitter, columns, isTail throws(CompileError) in
        let unpacked = try unpacking.unpack(&emitter, panel: number, isTail: isTail, into: share)
        return unpacked + (try tiles.loops(&emitter, from: lower, to: upper) { emitter, rows, first throws(CompileError) in
          try dot.tile(
            &emitter, plain, shape, layout, .unpacked(place, place: share), epilogue, output, rows: rows, columns: columns, isTail: isTail, at: ([], .index(0), first, number))
        })
      }
    }
    func range(_ emitter: inout ElementEmitter, _ share: Expression, _ place: Expression, _ block: Expression) throws(CompileError) -> [Statement] {
      let variable = emitter.builder.variable("panel")
      emitter.ranges.set(variable, to: Extent(panels))
      func boundary(_ share: Expression) -> Expression { (share * .index(panels)).dividedByIndex(.index(shares.panels)) }
      let body = try emitter.scoped { emitter throws(CompileError) in try panel(&emitter, .variable(variable), place, block) }
      return [.loop(Loop(variable, from: boundary(share), to: boundary(share + .index(1)), body: body))]
    }
    var statements = guarded ? [] : try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    let axes = [("part", Extent(shares.blocks)), ("share", Extent(shares.panels))]
    statements += try TileSchedule.nest(&emitter, axes, isParallel: schedule.isParallel) { emitter, index throws(CompileError) in
      if shares.blocks > 1 { return try range(&emitter, index[1], index[0] * .index(shares.panels) + index[1], index[0]) }
      let work = try TileSchedule.nest(&emitter, [("block", schedule.blocks)], isParallel: false) { emitter, block throws(CompileError) in
        try range(&emitter, index[1], index[1], block[0])
      }
      return guarded ? [.branch(if: .compare(.less, .of(problem.rows), .index(Self.rowsThatUnpack)), then: [], else: work)] : work
    }
    let kernel = emitter.builder.kernel(fusion.name("unpacked_dot"), statements)
    let note = "dot, \(unpackedName(problem, shape, schedule))" + schedule.note
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: note, flops: problem.products * 2))
  }

  func unpackedName(_ problem: NarrowDotProblem, _ shape: TileShape, _ schedule: TileSchedule) -> String {
    let groups = problem.groups == 1 ? "" : " in groups of \(problem.block)"
    return "tile \(shape), weights of \(problem.bits) bits\(groups), unpacked first\(schedule.blockName)"
  }
}
