import GraphIR
import KernelIR
import TensorTypes

/// Matrix products with weights of 8 or 4 bits that are unpacked in registers.
///
/// With few rows such a product takes as long as its weights take to arrive, so they are read once, front to back. The processor's own prefetching
/// follows two such streams best when left alone: measured on Zen 4, 100 M weights of 4 bits with f32 scales in 63 MB, 2.1 to 2.5 ms, and 3.9 with
/// weights asked for 2 or 4 KiB ahead; of 8 bits 4.4 to 4.9 ms, and 5.3 to 6.4.
///
///     float, 8 bits      acc += x[k] * f32(w)
///     float, 4 bits      acc += x[k] * (1 + w / 16): the number is put behind the leading bit of a 1.0, and 16 + zero times the sum of x is taken off later
///     integer            acc += four products of a byte of x and a byte of w (`vpdpbusd`)
///
/// A chunk of the sum then meets its scale. Each column is summed up in the same order, whatever the tile, so results do not depend on threads.
struct NarrowDotTemplate {
  let target: LoweringTarget

  struct Way: PackingWay {
    var shape: TileShape
    /// Panels are unpacked in front of the tiles.
    var isUnpacked = false
    var packing: String? { "narrow panels of \(shape.width)" }
  }

  /// What a kernel reads of the left operand beside, or instead of, the operand.
  struct Prepared {
    /// The rows rounded to 8 bits: [rows][units][steps of a unit].
    var numbers: Buffer?
    /// [rows][chunks]
    var scales: Buffer?
    var sums: Buffer?
  }

  /// What a tile works with.
  private struct Operands {
    var weights: Buffer
    var scales: Buffer
    var shifts: Buffer?
    var prepared: Prepared
    var output: Buffer
    var epilogue: TileEpilogue
  }

  /// More rows read a panel again, from the second-level cache.
  private static let mostRowsThatWait = 8

  /// The constants as kernels read them.
  struct PackedConstants {
    var weights: Tensor
    var scales: Tensor
    var shifts: Tensor?
  }

  func lower(_ fusion: inout FusionLowering, _ anchor: Node) throws(CompileError) {
    let problem = try NarrowDotProblem(anchor, fusion)
    fusion.explainZeros(problem)
    let way = try fusion.choose(anchor, among: candidates(problem, fusion))
    let panels = NarrowPanels(problem, way.shape)
    guard let weights = panels.packedWeights(), let scales = panels.packed(beside: problem.scale) else {
      throw CompileError(.unsupported, "a right operand that cannot be packed", stage: .lower, origin: fusion.origin)
    }
    var constants = PackedConstants(weights: weights, scales: scales)
    if case .each(let tensor) = problem.shift { constants.shifts = panels.packed(beside: tensor) }
    if way.isUnpacked { return try lowerUnpacked(&fusion, problem, way.shape, constants, guarded: false) }
    // The same panels serve few rows and many: a run has as many as it has.
    let many = problem.rows.isConstant ? nil : unpackedShapes(problem, fusion).first { $0.width == way.shape.width }
    try lowerPacked(&fusion, problem, panels, way, constants, guarded: many != nil)
    if let many { try lowerUnpacked(&fusion, problem, many, constants, guarded: true) }
  }

  /// Tiles that take the weights apart themselves.
  ///
  /// - Parameter guarded: Does nothing if there are many rows, because another kernel does the work of those.
  private func lowerPacked(
    _ fusion: inout FusionLowering, _ problem: NarrowDotProblem, _ panels: NarrowPanels, _ way: Way, _ constants: PackedConstants, guarded: Bool
  ) throws(CompileError) {
    let anchor = problem.anchor
    let scratch = try lowerPreparation(&fusion, problem, panels)
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: anchor)
    // What the epilogue reads, and the left operand where it is read as it is.
    var read = fusion.inputs(of: [fusion.body.outputs[0]], notThrough: [anchor.results[0]])
    if problem.arithmetic == .float { read.formUnion(fusion.inputs(of: [problem.left])) }
    var (emitter, arguments) = fusion.emitter(skipping: Set(fusion.body.inputs.filter { !read.contains($0) }))
    func add(_ name: String, _ element: ElementType, _ argument: LoweredKernel.Argument) -> Buffer {
      arguments.append(argument)
      return emitter.builder.buffer(name, element, .read)
    }
    let weights = add("weights", panels.element, .packed(constants.weights)), scales = add("scales", constants.scales.element, .packed(constants.scales))
    let shifts = constants.shifts.map { add("shifts", $0.element, .packed($0)) }
    var prepared = Prepared()
    if let place = scratch.numbers { prepared.numbers = add("numbers", .i8, place) }
    if let place = scratch.scales { prepared.scales = add("steps", .f32, place) }
    if let place = scratch.sums { prepared.sums = add("sums", .f32, place) }
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let operands = Operands(weights: weights, scales: scales, shifts: shifts, prepared: prepared, output: output, epilogue: epilogue)
    let tiles = TileRows(problem.rows, most: way.shape.rows)
    let schedule = schedule(problem, way.shape)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements += try schedule.loops(&emitter) { emitter, _, lower, upper, panel throws(CompileError) in
      let work = try panels.layout.branch(&emitter, panel: panel) { emitter, columns, isTail throws(CompileError) in
        guard case .known(let stored, let computed) = columns else { return [] }
        return try tiles.loops(&emitter, from: lower, to: upper) { emitter, rows, first throws(CompileError) in
          let place = NarrowTile(problem: problem, panels: panels, rows: rows, stored: stored, computed: computed, isTail: isTail, first: first, panel: panel)
          return try tile(&emitter, place, operands)
        }
      }
      return guarded ? [.branch(if: .compare(.less, .of(problem.rows), .index(Self.rowsThatUnpack)), then: work, else: [])] : work
    }
    let kernel = emitter.builder.kernel(fusion.name("narrow_dot"), statements)
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: "dot, \(name(problem, way, schedule))" + schedule.note, flops: problem.products * 2))
  }

  // MARK: Choosing

  private func name(_ problem: NarrowDotProblem, _ way: Way, _ schedule: TileSchedule) -> String {
    let groups = problem.groups == 1 ? "" : " in groups of \(problem.block)"
    return "tile \(way.shape), weights of \(problem.bits) bits\(groups)\(problem.arithmetic == .integer ? ", activations of 8 bits" : "")\(schedule.blockName)"
  }

  private func schedule(_ problem: NarrowDotProblem, _ shape: TileShape) -> TileSchedule {
    TileSchedule(
      slices: 1, panels: Extent(problem.columns).ceilDivided(by: Extent(shape.width)), tiles: TileRows(problem.rows, most: shape.rows).count, tileRows: shape.rows,
      tileBytes: shape.rows * problem.steps * (problem.arithmetic == .integer ? 1 : 4), panelBytes: shape.width * problem.steps * problem.bits / 8, cycles: problem.cycles,
      target: target)
  }

  private func candidates(_ problem: NarrowDotProblem, _ fusion: FusionLowering) -> [Candidate<Way>] {
    let lanes = TileShape.lanes(of: .f32, target)
    var candidates: [Candidate<Way>] = []
    let unpacked = unpackedShapes(problem, fusion)
    // The number of threads must not decide: sums are not the same to the last bit.
    if (problem.rows.constant ?? 0) >= Self.rowsThatUnpack, !unpacked.isEmpty {
      return unpacked.map { shape in
        let schedule = unpackedSchedule(problem, shape)
        return Candidate(unpackedName(problem, shape, schedule), Way(shape: shape, isUnpacked: true), cost: unpackedCost(problem, shape, schedule))
      }
    }
    for vectors in [8, 4, 2, 1] where vectors == 1 || (vectors - 1) * lanes < problem.columns {
      // A number of rows that is only known when run needs panels for few and for many.
      if !problem.rows.isConstant, vectors > 4, !unpacked.isEmpty { continue }
      // Beside the sums: a unpacked vector and a loaded one for each column vector, two masks, a factor.
      let most = (target.registers - 2 * vectors - 4) / vectors
      if most < 1 && vectors > 1 { continue }
      let rows = problem.rows.constant ?? 64
      var shape = TileShape(rows: max(1, most), vectors: vectors, lanes: lanes)
      if problem.rows.isConstant { shape.rows = max(1, min(shape.rows, rows)) } else if shape.rows > 4 { shape.rows &= ~3 }
      let way = Way(shape: shape)
      let schedule = schedule(problem, shape)
      candidates.append(Candidate(name(problem, way, schedule), way, cost: cost(problem, shape, rows: rows, schedule)))
    }
    return candidates
  }

  private func cost(_ problem: NarrowDotProblem, _ shape: TileShape, rows: Int, _ schedule: TileSchedule) -> KernelCost {
    var cost = KernelCost()
    let panels = (problem.columns + shape.width - 1) / shape.width
    let work = Double(panels * shape.width) * Double(problem.steps) / Double(shape.lanes)
    let passes = Double((rows + shape.rows - 1) / max(1, shape.rows))
    let integer = problem.arithmetic == .integer
    // A vector of products, and its unpacking once for each pass; few sums wait for one another.
    let latency = max(1, 4 / Double(min(rows, shape.rows) * shape.vectors))
    cost[.arithmetic] = work * Double(rows) * (integer ? 0.25 : 1) * latency
    cost[.packing] = work * passes * (integer ? 0.3 : 0.9)
    // Sums that meet their scale.
    cost[.overhead] = work * Double(rows) * 4 / Double(problem.chunk)
    // Short runs of memory come more slowly than long ones.
    cost[.panels] = work * Double(shape.lanes * problem.bits) / 8 / 6 * (1 + 0.4 / Double(shape.vectors)) * (rows <= Self.mostRowsThatWait ? passes : 1)
    if schedule.isParallel {
      let rounds = (panels + target.threads - 1) / target.threads
      if rows <= shape.rows { cost[.idle] = cost.total * (Double(rounds * target.threads) / Double(panels) - 1) }
    }
    return cost
  }

  // MARK: A tile

  private func tile(_ emitter: inout ElementEmitter, _ tile: NarrowTile, _ operands: Operands) throws(CompileError) -> [Statement] {
    let problem = tile.problem
    let sums = (0..<tile.rows).map { _ in emitter.builder.local("acc", problem.arithmetic == .integer ? .i32 : .f32, count: tile.computed) }
    let totals = (0..<tile.rows).map { _ in emitter.builder.local("total", .f32, count: tile.computed) }
    func lanes(_ emitter: inout ElementEmitter, _ count: Int, _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]) throws(CompileError) -> [Statement] {
      [try emitter.loop("n", to: Extent(count), .vectorized, body)]
    }
    func scale(_ group: Expression, _ lane: Expression) -> Expression {
      let scale = Expression.load(operands.scales, tile.panels.scalePosition(panel: tile.panel, group: group, lane: lane, isTail: tile.isTail))
      return scale.element == .f32 ? scale : .convert(scale, .f32)
    }
    /// Sums up some steps, and adds them to the totals.
    func chunk(_ emitter: inout ElementEmitter, _ number: Expression, length: Int) throws(CompileError) -> [Statement] {
      var statements = try lanes(&emitter, tile.computed) { _, lane throws(CompileError) in sums.map { .assign($0, index: lane, value: .number(0, $0.element)) } }
      statements += try reduce(&emitter, tile, operands, sums, chunk: number, length: length)
      statements += try lanes(&emitter, tile.computed) { _, lane throws(CompileError) in
        try sums.indices.map { row throws(CompileError) in
          let sum = shifted(.local(sums[row], lane), tile, operands, row: row, chunk: number, lane: lane)
          let total = Expression.local(totals[row], lane)
          return .assign(totals[row], index: lane, value: problem.scalesChunks ? .multiplyAdd(sum, scale(number, lane), total) : .binary(.add, sum, total))
        }
      }
      return statements
    }
    var statements: [Statement] = (sums + totals).map { .allocate($0) }
    statements += try lanes(&emitter, tile.computed) { _, lane throws(CompileError) in totals.map { .assign($0, index: lane, value: .number(0, .f32)) } }
    let last = problem.steps - (problem.chunks - 1) * problem.chunk
    let whole = last == problem.chunk ? problem.chunks : problem.chunks - 1
    if whole == 1 {
      statements += try emitter.scoped { emitter throws(CompileError) in try chunk(&emitter, .index(0), length: problem.chunk) }
    } else if whole > 1 {
      statements.append(try emitter.loop("chunk", to: Extent(whole)) { emitter, number throws(CompileError) in try chunk(&emitter, number, length: problem.chunk) })
    }
    if whole < problem.chunks { statements += try emitter.scoped { emitter throws(CompileError) in try chunk(&emitter, .index(whole), length: last) } }

    func result(_ row: Int, _ lane: Expression) -> Expression {
      let total = Expression.local(totals[row], lane)
      return problem.scalesChunks ? total : .binary(.multiply, total, scale(.index(0), lane))
    }
    let column = tile.panel * .index(tile.panels.layout.width)
    if operands.epilogue.isCostly && tile.rows > 1 {
      // Written once, in a loop over the rows.
      let kept = emitter.builder.local("kept", .f32, count: tile.rows * tile.computed)
      statements.append(.allocate(kept))
      statements += try lanes(&emitter, tile.computed) { _, lane throws(CompileError) in
        totals.indices.map { .assign(kept, index: .index($0 * tile.computed) + lane, value: result($0, lane)) }
      }
      statements.append(
        try emitter.loop("row", to: Extent(tile.rows)) { emitter, row throws(CompileError) in
          try lanes(&emitter, tile.stored) { emitter, lane throws(CompileError) in
            try operands.epilogue.store(&emitter, at: [tile.first + row, column + lane], .local(kept, row * .index(tile.computed) + lane), into: operands.output)
          }
        })
      return statements
    }
    return statements + (try lanes(&emitter, tile.stored) { emitter, lane throws(CompileError) in
      var stores: [Statement] = []
      for row in totals.indices { stores += try operands.epilogue.store(&emitter, at: [tile.first + .index(row), column + lane], result(row, lane), into: operands.output) }
      return stores
    })
  }

  /// A chunk's sum without what the stored numbers have too much, in f32.
  private func shifted(_ sum: Expression, _ tile: NarrowTile, _ operands: Operands, row: Int, chunk: Expression, lane: Expression) -> Expression {
    let problem = tile.problem
    let place = (tile.first + .index(row)) * .index(problem.chunks) + chunk
    let base: Double = problem.arithmetic == .float && problem.bits == 4 ? 16 : 0
    var offset: Expression?
    if let sums = operands.prepared.sums {
      let total = Expression.load(sums, place)
      switch problem.shift {
      case .none: offset = base == 0 ? nil : .binary(.multiply, total, .number(base, .f32))
      case .uniform(let number): offset = .binary(.multiply, total, .number(base + Double(number), .f32))
      case .each:
        guard let shifts = operands.shifts else { break }
        let group: Expression = problem.scalesChunks ? chunk : .index(0)
        let number = Expression.convert(.load(shifts, tile.panels.scalePosition(panel: tile.panel, group: group, lane: lane, isTail: tile.isTail)), .f32)
        offset = .binary(.multiply, total, base == 0 ? number : .binary(.add, number, .number(base, .f32)))
      }
    }
    let value = sum.element == .f32 ? sum : .convert(sum, .f32)
    var factor: Expression?
    if base != 0 { factor = .number(base, .f32) }
    if let scales = operands.prepared.scales { factor = .load(scales, place) }
    switch (factor, offset) {
    case (let factor?, let offset?): return .multiplyAdd(value, factor, .unary(.negate, offset))
    case (let factor?, nil): return .binary(.multiply, value, factor)
    case (nil, let offset?): return .binary(.subtract, value, offset)
    case (nil, nil): return value
    }
  }

  /// The steps of a chunk.
  private func reduce(
    _ emitter: inout ElementEmitter, _ tile: NarrowTile, _ operands: Operands, _ sums: [Local], chunk: Expression, length: Int
  ) throws(CompileError) -> [Statement] {
    let (problem, panels) = (tile.problem, tile.panels)
    let perUnit = panels.stepsPerUnit
    func unit(_ emitter: inout ElementEmitter, _ number: Expression, steps: Int) throws(CompileError) -> [Statement] {
      let start = panels.position(panel: tile.panel, unit: chunk * .index(panels.unitsPerChunk) + number, isTail: tile.isTail)
      var statements: [Statement] = []
      for step in problem.arithmetic == .integer ? Array(stride(from: 0, to: perUnit, by: 4)) : Array(0..<steps) {
        for row in sums.indices {
          statements.append(
            try emitter.loop("n", to: Extent(tile.computed), .vectorized) { emitter, lane throws(CompileError) in
              let sum = Expression.local(sums[row], lane)
              if problem.arithmetic == .integer {
                return [.assign(sums[row], index: lane, value: fourProducts(sum, tile, operands, row: row, unit: chunk * .index(panels.unitsPerChunk) + number, step: step, start: start, lane: lane))]
              }
              let factor = try emitter.element(problem.left, [tile.first + .index(row), chunk * .index(problem.chunk) + number * .index(perUnit) + .index(step)])
              let weight = PanelUnpacking.number(.load(operands.weights, start + lane), step, panels.unit)
              return [.assign(sums[row], index: lane, value: .multiplyAdd(factor, weight, sum))]
            })
        }
      }
      return statements
    }
    let isWhole = problem.arithmetic == .integer
    let whole = isWhole ? (length + perUnit - 1) / perUnit : length / perUnit
    let busy = sums.count * (tile.computed + TileShape.lanes(of: .f32, target) - 1) / TileShape.lanes(of: .f32, target)
    let unroll = panels.unit == .bytes ? (busy >= 12 ? 1 : 2) : 1
    let full = panels.unit == .bytes ? 4 : busy <= 8 ? 8 : 1
    var statements = try TileAccumulators.reduction(&emitter, over: Extent(whole), unroll: unroll, fullUpTo: full) { emitter, number, _ throws(CompileError) in
      try unit(&emitter, number, steps: perUnit)
    }
    if !isWhole, length % perUnit > 0 {
      statements += try emitter.scoped { emitter throws(CompileError) in try unit(&emitter, .index(whole), steps: length % perUnit) }
    }
    return statements
  }

  /// sum + four products of bytes; half of a unit of eight.
  private func fourProducts(
    _ sum: Expression, _ tile: NarrowTile, _ operands: Operands, row: Int, unit: Expression, step: Int, start: Expression, lane: Expression
  ) -> Expression {
    guard let numbers = operands.prepared.numbers else { return sum }
    let panels = tile.panels
    let left = (tile.first + .index(row)) * .index(panels.units * panels.stepsPerUnit) + unit * .index(panels.stepsPerUnit) + .index(step)
    let right = start + lane * .index(4)
    return (0..<4).reduce(sum) { sum, place in
      let stored = Expression.load(operands.weights, right + .index(place))
      let byte: Expression =
        panels.unit == .quads ? stored : step == 0 ? .binary(.and, stored, .number(15, .u8)) : .binary(.shiftRight, stored, .number(4, .u8))
      return .binary(.add, sum, .binary(.multiply, .convert(.load(numbers, left + .index(place)), .i32), .convert(byte, .i32)))
    }
  }
}

/// Where a tile lies.
struct NarrowTile {
  let problem: NarrowDotProblem
  let panels: NarrowPanels
  let rows: Int
  /// Columns that are results, and those that are summed up.
  let stored: Int, computed: Int
  let isTail: Bool
  /// The first row.
  let first: Expression
  let panel: Expression
}
