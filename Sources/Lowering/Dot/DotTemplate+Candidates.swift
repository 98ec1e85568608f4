import GraphIR
import KernelIR
import TensorTypes

extension DotTemplate {
  /// A way to do a matrix product.
  struct Way: PackingWay {
    var packing: String? {
      switch right {
      case .packed: "panels of \(shape.width)"
      case .sparse: "occupied steps of panels of \(shape.width)"
      case .scratch, .inPlace, .innerProducts: nil
      }
    }
    enum Right: String, Sendable {
      /// Packed while compiling.
      case packed
      /// Packed while compiling, without the steps at which a panel holds only zeros.
      case sparse
      /// Packed into scratch memory by a kernel of its own.
      case scratch = "packed when run"
      case inPlace = "read in place"
      /// Sums along contiguous rows of the right operand.
      case innerProducts = "inner products"
    }
    var right: Right
    var shape: TileShape
    /// Nil for symbolic extents: what the schedule does then.
    var tilesPerBlock: Int?

    func name(_ schedule: TileSchedule) -> String { right == .innerProducts ? right.rawValue : "tile \(shape), \(right.rawValue)\(schedule.blockName)" }
  }

  /// Neighbouring steps of the sum that are multiplied together.
  func group(_ problem: DotProblem, _ right: Way.Right, _ emitter: ElementEmitter) -> Int {
    switch right {
    case .packed, .scratch, .sparse: problem.group(emitter)
    case .inPlace, .innerProducts: 1
    }
  }

  /// Every way that applies, with its cost.
  ///
  /// OpenBLAS is not among them: an artifact links nothing that would hold it, its call takes no epilogue, and it would not win. Measured on one Zen 4
  /// core (peak 118 GFLOP/s), 1024x1024x1024: 93 to 99 GFLOP/s, tiles with packed panels 115. `bench --yardstick` keeps measuring it.
  func candidates(_ problem: DotProblem, _ fusion: FusionLowering) -> [Candidate<Way>] {
    let (emitter, _) = fusion.emitter()
    let (rows, columns) = (problem.rows.constant, problem.columns.constant)
    let shapes = TileShape.candidates(
      rows: rows, columns: columns, accumulator: TileAccumulators.accumulator(of: problem.result),
      strideBytes: TileAccess.stride(of: problem.left, along: problem.batch.rank, emitter).map { $0 &* problem.element.byteCount }, target)
    if fusion.constantPanels(of: problem.right, slices: problem.slices.constant ?? 0) != nil, problem.steps.isConstant, columns != nil {
      return shapes.flatMap { tiled(problem, .packed, $0, group: group(problem, .packed, emitter)) }
    }
    if problem.prefersInnerProducts(emitter), let shape = shapes.first {
      // Nothing else reads such an operand along its cache lines.
      let way = Way(right: .innerProducts, shape: shape, tilesPerBlock: nil)
      var cost = KernelCost()
      cost[.panels] = Double(problem.cycles(target).evaluated(ones(problem.cycles(target))) ?? 0)
      return [Candidate(way.name(schedule(problem, shape)), way, cost: cost)]
    }
    let isContiguous = TileAccess.stride(of: problem.right, along: problem.batch.rank + 1, emitter) == 1
    var candidates: [Candidate<Way>] = []
    let together = group(problem, .scratch, emitter)
    // Groups of steps lie side by side in no operand by itself.
    if (together == 1 && isContiguous) || !problem.prefersScratch(emitter) {
      var wide: [TileShape] = []
      for shape in shapes.map({ TileShape.inPlace($0, rows: rows, columns: columns) }) where !wide.contains(shape) { wide.append(shape) }
      candidates += wide.flatMap { tiled(problem, .inPlace, $0, isContiguous: isContiguous) }
    }
    if (rows ?? 64) >= 4 { candidates += shapes.flatMap { tiled(problem, .scratch, $0, isContiguous: isContiguous, group: together) } }
    return candidates
  }

  /// A tile with every length of block.
  private func tiled(_ problem: DotProblem, _ right: Way.Right, _ shape: TileShape, isContiguous: Bool = true, group: Int = 1) -> [Candidate<Way>] {
    let usual = schedule(problem, shape)
    let isKnown = problem.rows.isConstant && usual.panels.isConstant
    return (isKnown ? usual.blockLengths : [usual.tilesPerBlock]).map { length in
      let way = Way(right: right, shape: shape, tilesPerBlock: isKnown ? length : nil)
      let schedule = isKnown ? schedule(problem, shape, tilesPerBlock: length) : usual
      return Candidate(way.name(schedule), way, cost: cost(problem, way, schedule, isContiguous: isContiguous, group: group))
    }
  }

  func cost(_ problem: DotProblem, _ way: Way, _ schedule: TileSchedule, isContiguous: Bool, group: Int, steps some: Double? = nil) -> KernelCost {
    let (rows, columns, steps) = (problem.rows.constant ?? 64, problem.columns.constant ?? 256, some ?? Double(problem.steps.constant ?? 512))
    let slices = Double(problem.slices.constant ?? 8), size = Double(problem.element.byteCount)
    let tiles = TileRows.sizes(of: rows, most: way.shape.rows).map { (count: Double($0.count), rows: $0.rows) }
    var cost = ContractionCost(
      slices: slices, tiles: tiles, columns: columns, steps: steps / Double(group), shape: way.shape, tileBytes: Double(way.shape.rows) * steps * size,
      panelBytes: Double(way.shape.width) * steps * size, tilesPerBlock: Double(schedule.tilesPerBlock), blockedTiles: tiles.reduce(0) { $0 + $1.count },
      threads: target.threads, isParallel: schedule.isParallel
    ).estimate
    let share = schedule.isParallel ? Double(target.threads) : 1
    let elements = slices * steps * Double(columns) / share
    switch way.right {
    case .packed, .innerProducts, .sparse: break
    case .scratch: cost[.packing] += elements * (isContiguous ? 0.25 : 1)
    case .inPlace:
      // Rows that are far apart come slowly, again for every tile.
      let passes = tiles.reduce(0) { $0 + $1.count }
      if steps * Double(columns) * size > Double(1 << 18), rows > 2 { cost[.panels] += elements * passes * 0.08 }
      if !isContiguous { cost[.panels] += elements * passes * 0.5 }
    }
    return cost
  }

  private func ones(_ extent: Extent) -> [String: Int] { Dictionary(uniqueKeysWithValues: extent.symbols.map { ($0, 1) }) }
}
