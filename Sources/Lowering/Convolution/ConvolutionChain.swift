import GraphIR
import KernelIR
import TensorTypes

/// A convolution and the depthwise convolution or pooling that alone reads it, as one kernel: panel by panel of channels, the
/// first convolution's rows go into a ring in the first-level cache, from which the second one makes a row of results.
///
///     parallel item in bands x panels {
///       for row in band {
///         ring[new rows] = epilogue(convolution)
///         y[row] = epilogue(window over the ring)
///       }
///     }
///
/// Padding lies in the ring, so every tile of the window is the same straight code. Small images are computed whole, so that
/// tiles of pixels extend over rows.
struct ConvolutionChain {
  let target: LoweringTarget
  let first: ConvolutionProblem
  private let second: RingReader
  /// Rows and columns of the first convolution's result.
  private let height: Int
  private let width: Int
  /// Results of the second one.
  private let resultRows: Int

  /// Memory for the ring on the stack of a thread.
  private static let ringBytes = 48 << 10
  /// Pixels in a ring of the narrowest panels, at most.
  private static let mostPlaces = 1024
  /// Results of a tile of the window.
  private static let pixels = 8

  /// Nil if the fusion holds one anchor only.
  init?(_ fusion: FusionLowering, _ target: LoweringTarget) throws(CompileError) {
    let anchors = fusion.body.topologicalOrder().map { fusion.body.node($0) }.filter { $0.operation is Convolution || $0.operation is ReduceWindow }
    guard anchors.count == 2, let before = anchors[0].operation as? Convolution else { return nil }
    self.target = target
    first = try ConvolutionProblem(fusion, anchors[0], before)
    guard let second = try RingReader(fusion, anchors[1]), before.layout == .channelsLast, first.groups == 1, first.outer.count == 1,
      let height = first.outer[0].output.constant, let width = first.tiled.output.constant, let rows = second.outer.output.constant,
      second.tiled.output.isConstant, ([first.tiled] + first.outer).allSatisfy({ $0.inputDilation == 1 })
    else {
      throw CompileError(.unsupported, "two windows in one fusion that cannot be computed together", stage: .lower, origin: fusion.origin)
    }
    self.second = second
    (self.height, self.width, resultRows) = (height, width, rows)
    let (places, overflows) = slots.multipliedReportingOverflow(by: columns)
    guard !overflows, places > 0, places <= Self.mostPlaces else {
      throw CompileError(.unsupported, "a ring of \(slots) rows of \(columns) pixels between two windows", stage: .lower, origin: fusion.origin)
    }
  }

  // MARK: Geometry of the ring

  private var window: SlidingAxis { second.outer }
  /// Rows of the padded image that one row of results reads.
  private var reach: Int { (window.size - 1) * window.dilation + 1 }
  /// Columns of the ring, padding included.
  private var columns: Int { second.tiled.padLow + width + second.tiled.padHigh }
  private var isWhole: Bool { height * width <= 64 && first.tapCount <= 25 }
  private var slots: Int { isWhole ? window.padLow + height + window.padHigh : reach }

  // MARK: Candidates

  struct Way: Sendable {
    var shape: TileShape
    /// Into how many bands of rows the image is cut for threads; each computes `reach - stride` rows twice.
    var bands: Int
  }

  /// Tiles of the first convolution whose panels leave the ring small, by bands of the image.
  private func candidates() -> [Candidate<Way>] {
    let sum = TileAccumulators.accumulator(of: first.element)
    let columnBytes = slots * columns * first.element.byteCount
    let stride = (first.inputChannels.constant ?? 64) &* first.tiled.stride &* first.element.byteCount
    let pixels = isWhole ? height * width : width
    let shapes = TileShape.candidates(rows: pixels, columns: first.outputChannels, accumulator: sum, strideBytes: stride, target)
    var fitting = shapes.filter { $0.width * columnBytes <= Self.ringBytes }
    if fitting.isEmpty, let least = shapes.min(by: { $0.vectors < $1.vectors }) { fitting = [least] }
    return fitting.flatMap { shape in
      bandCounts.map { bands in
        let name = "tile \(shape), ring of \(slots) rows" + (bands > 1 ? ", \(bands) bands" : "")
        return Candidate(name, Way(shape: shape, bands: bands), cost: cost(shape, bands: bands, tiles: TileRows.sizes(of: pixels, most: shape.rows)))
      }
    }
  }

  private var isParallel: Bool {
    target.threads > 1 && ((first.cycles(target) + second.work.floorDivided(by: Extent(target.lanes))).constant ?? .max) >= TileSchedule.parallelCycles
  }

  private var bandCounts: [Int] {
    guard isParallel, !isWhole, second.batch == 1 else { return [1] }
    return (1...8).filter { $0 == 1 || ($0 % target.threads == 0 && resultRows / $0 >= 2 * reach) }
  }

  private func cost(_ shape: TileShape, bands: Int, tiles: [(count: Int, rows: Int)]) -> KernelCost {
    let rows = isWhole ? 1 : Double(height + max(0, reach - window.stride) * (bands - 1))
    let channels = first.inputChannels.constant ?? 64, rowBytes = first.tiled.input.constant ?? 64
    let tileBytes = Double(rowBytes * channels * first.element.byteCount)
    var cost = ContractionCost(
      slices: 1, tiles: tiles.map { (count: Double($0.count) * rows, rows: $0.rows) }, columns: first.outputChannels, steps: Double(first.steps.constant ?? 64),
      shape: shape, tileBytes: tileBytes, panelBytes: Double(shape.width * (first.steps.constant ?? 64) * first.element.byteCount),
      tilesPerBlock: Double(height), blockedTiles: Double(height), threads: 1, isParallel: false
    ).estimate
    // The second window's products, at three quarters of a vector a cycle.
    let products = Double(resultRows) * Double(second.tiled.output.constant ?? width) * Double(first.outputChannels) * Double(second.tapCount)
    cost[.arithmetic] += products / Double(shape.lanes) / 0.75
    guard isParallel else { return cost }
    cost = cost.scaled(by: 1 / Double(target.threads))
    cost[.idle] += cost.total * (Self.idle(widths: panelWidths(shape), slices: max(1, (second.batch.constant ?? 1) * bands), threads: target.threads) - 1)
    return cost
  }

  private func panelWidths(_ shape: TileShape) -> [Int] {
    stride(from: 0, to: first.outputChannels, by: shape.width).map { PanelLayout.computed(min(shape.width, first.outputChannels - $0), lanes: shape.lanes) }
  }

  /// By what factor sharing panels takes longer than if they could be cut anywhere, if each thread takes the next one when it is done.
  private static func idle(widths: [Int], slices: Int, threads: Int) -> Double {
    let total = widths.reduce(0, +) * slices
    guard total > 0, slices <= 16 else { return 1 }
    var loads = [Int](repeating: 0, count: threads)
    for _ in 0..<slices {
      for width in widths { if let least = loads.indices.min(by: { loads[$0] < loads[$1] }) { loads[least] += width } }
    }
    return Double((loads.max() ?? 0) * threads) / Double(total)
  }

  // MARK: Emission

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    let way = try fusion.choose(first.anchor, among: candidates())
    let shape = way.shape
    fusion.explainWideFilter(first, nil, shape)
    let layout = PanelLayout(steps: first.steps, columns: Extent(first.outputChannels), shape: shape)
    let isInPlace = first.constantFilter(fusion) == nil
    let needed = fusion.inputs(of: [first.input])
    var (emitter, arguments) = fusion.emitter(reading: [fusion.body.outputs[0]], notThrough: isInPlace || needed.contains(first.filter) ? [] : [first.filter])
    let filter = FilterPanels(first, layout, shape, fusion, &emitter, &arguments, besideRings: true)
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let between = try TileEpilogue(graph: fusion.body, anchor: first.anchor, upTo: second.input)
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: second.anchor)
    guard between.path.nodes.isEmpty, between.path.computed == second.input else {
      throw CompileError(.unsupported, "movement between two convolutions of one fusion", stage: .lower, origin: fusion.origin)
    }
    let context = ConvolutionTemplate.Context(problem: first, shape: shape, layout: layout, filter: filter, epilogue: between, output: output, keep: nil)

    let rows = (resultRows + way.bands - 1) / way.bands
    let count = (resultRows + rows - 1) / max(1, rows)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    let loops = [(name: "slice", extent: second.batch), (name: "band", extent: Extent(count)), (name: "panel", extent: layout.panels)]
    statements += try TileSchedule.nest(&emitter, loops, isParallel: isParallel) { emitter, index throws(CompileError) in
      let lower = index[1] * .index(rows)
      let upper: Expression = count == 1 ? .index(resultRows) : .indexMinimum(lower + .index(rows), .index(resultRows))
      return filter.allocation + (try layout.branch(&emitter, panel: index[2]) { emitter, columns, isTail throws(CompileError) in
        let tile = ConvolutionTile(context: context, columns: columns, isTail: isTail, batch: index[0], group: .index(0), panel: index[2])
        return try filter.prepare(&emitter, panel: index[2], isTail: isTail) + panel(&emitter, tile, columns, epilogue, output, rows: (lower, upper))
      })
    }
    let kernel = emitter.builder.kernel(fusion.name("chain"), statements)
    let note = "convolution and \(second.name), tile \(shape), ring of \(slots) rows\(filter.note)" + (count > 1 ? ", \(count) bands" : "") + (isParallel ? ", parallel" : "")
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: note, flops: first.products * 2 + second.flops))
  }

  /// Rows of results for the channels of one panel.
  private func panel(
    _ emitter: inout ElementEmitter, _ tile: ConvolutionTile, _ channels: TileAccumulators.Columns, _ epilogue: TileEpilogue, _ output: Buffer,
    rows: (lower: Expression, upper: Expression)
  ) throws(CompileError) -> [Statement] {
    guard case .known(let stored, let computed) = channels else { return [] }
    let ring = Ring(local: emitter.builder.local("ring", first.element, count: slots * columns * computed), columns: columns, lanes: computed, stored: stored)
    var statements: [Statement] = [.allocate(ring.local)] + (try fillBorders(&emitter, ring))
    if isWhole {
      statements += try whole(&emitter, tile, ring)
      let body = try window(&emitter, tile, ring, epilogue, output, at: rows)
      return statements + [body]
    }
    let row = emitter.builder.variable("row")
    emitter.ranges.set(row, to: Extent(resultRows))
    let body = try emitter.scoped { emitter throws(CompileError) in
      // Rows of the padded image that no row before this one has left in the ring.
      let start = Expression.variable(row) * .index(window.stride)
      let from = Expression.select(.compare(.equal, .variable(row), rows.lower), start, start + .index(max(0, reach - window.stride)))
      let line = emitter.builder.variable("line")
      emitter.ranges.set(line, to: Extent(window.padLow + height + window.padHigh))
      let fill = try emitter.scoped { emitter throws(CompileError) in try self.line(&emitter, tile, ring, .variable(line)) }
      let results = try results(&emitter, tile, ring, epilogue, output, row: .variable(row))
      return [.loop(Loop(line, from: from, to: start + .index(reach), body: fill))] + results
    }
    return statements + [.loop(Loop(row, from: rows.lower, to: rows.upper, body: body))]
  }

  /// The memory between the two convolutions: [slots][columns][lanes].
  private struct Ring {
    let local: Local
    let columns: Int
    let lanes: Int
    let stored: Int

    func position(slot: Expression, column: Expression, lane: Expression) -> Expression { (slot * .index(columns) + column) * .index(lanes) + lane }
  }

  private func pad(_ emitter: inout ElementEmitter, _ ring: Ring, slot: Expression, from column: Expression, count: Int) throws(CompileError) -> [Statement] {
    if count == 0 { return [] }
    return [
      try emitter.loop("x", to: Extent(count)) { emitter, x throws(CompileError) in
        [
          try emitter.loop("n", to: Extent(ring.stored), .vectorized) { _, lane throws(CompileError) in
            [.assign(ring.local, index: ring.position(slot: slot, column: column + x, lane: lane), value: second.padding)]
          }
        ]
      }
    ]
  }

  /// Writes the padding that no row of the first convolution overwrites.
  private func fillBorders(_ emitter: inout ElementEmitter, _ ring: Ring) throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    if second.tiled.padLow + second.tiled.padHigh > 0 {
      statements.append(
        try emitter.loop("slot", to: Extent(slots)) { emitter, slot throws(CompileError) in
          try pad(&emitter, ring, slot: slot, from: .index(0), count: second.tiled.padLow)
            + pad(&emitter, ring, slot: slot, from: .index(second.tiled.padLow + width), count: second.tiled.padHigh)
        })
    }
    if isWhole {
      for slot in 0..<slots where slot < window.padLow || slot >= window.padLow + height {
        statements += try pad(&emitter, ring, slot: .index(slot), from: .index(0), count: columns)
      }
    }
    return statements
  }

  /// The whole image of the first convolution.
  private func whole(_ emitter: inout ElementEmitter, _ tile: ConvolutionTile, _ ring: Ring) throws(CompileError) -> [Statement] {
    let pixels = (0..<height).flatMap { row in (0..<width).map { ConvolutionPixels.Pixel(outer: row, tiled: $0) } }
    let tile = tile.keeping { [window, second, ring] _, index, lane, value in
      let place = ring.position(slot: index[1] + .index(window.padLow), column: index[2] + .index(second.tiled.padLow), lane: lane)
      return [.assign(ring.local, index: place, value: value)]
    }
    return try ConvolutionPixels(pixels, most: tile.context.shape.rows, first).emit(&emitter, tile)
  }

  /// One line of the padded image, into its slot.
  private func line(_ emitter: inout ElementEmitter, _ tile: ConvolutionTile, _ ring: Ring, _ line: Expression) throws(CompileError) -> [Statement] {
    let slot = emitter.builder.variable("slot")
    emitter.ranges.set(slot, to: Extent(slots))
    let row = line - .index(window.padLow)
    let tile = tile.keeping { [second, ring] _, index, lane, value in
      [.assign(ring.local, index: ring.position(slot: .variable(slot), column: index[2] + .index(second.tiled.padLow), lane: lane), value: value)]
    }
    var compute: [Statement] = []
    for phase in SlidingPhase.phases(of: first.tiled) {
      compute += try SlidingTiles(phase: phase, most: tile.context.shape.rows).loops(&emitter) { emitter, rows, start, taps throws(CompileError) in
        try tile.emit(&emitter, rows: rows, outer: [row], phase: phase, first: start, taps: taps)
      }
    }
    let bind = Statement.bind(slot, line.remainderByIndex(.index(slots)))
    if window.padLow == 0 && window.padHigh == 0 { return [bind] + compute }
    let isInside = Expression.binary(.and, .compare(.greaterOrEqual, row, .index(0)), .compare(.less, row, .index(height)))
    return [bind, .branch(if: isInside, then: compute, else: try pad(&emitter, ring, slot: .variable(slot), from: .index(0), count: columns))]
  }

  /// A loop over rows of results, all from a whole image.
  private func window(
    _ emitter: inout ElementEmitter, _ tile: ConvolutionTile, _ ring: Ring, _ epilogue: TileEpilogue, _ output: Buffer, at rows: (lower: Expression, upper: Expression)
  ) throws(CompileError) -> Statement {
    let row = emitter.builder.variable("row")
    emitter.ranges.set(row, to: Extent(resultRows))
    let body = try emitter.scoped { emitter throws(CompileError) in try results(&emitter, tile, ring, epilogue, output, row: .variable(row)) }
    return .loop(Loop(row, from: rows.lower, to: rows.upper, body: body))
  }

  /// One row of results of the second window.
  private func results(
    _ emitter: inout ElementEmitter, _ tile: ConvolutionTile, _ ring: Ring, _ epilogue: TileEpilogue, _ output: Buffer, row: Expression
  ) throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    var lines: [Expression] = []
    for tap in 0..<window.size {
      let slot = emitter.builder.variable("slot")
      let line = row * .index(window.stride) + .index(tap * window.dilation)
      statements.append(.bind(slot, isWhole ? line : line.remainderByIndex(.index(slots))))
      lines.append(.variable(slot))
    }
    // The ring holds the padding.
    var axis = second.tiled
    (axis.input, axis.padLow, axis.padHigh) = (Extent(columns), 0, 0)
    guard let phase = SlidingPhase.phases(of: axis).first else { return statements }
    let channel = tile.panel * .index(tile.context.shape.width)
    statements += try SlidingTiles(phase: phase, most: max(1, min(Self.pixels, 64 / max(1, axis.size)))).loops(&emitter) { emitter, pixels, start, taps throws(CompileError) in
      [
        try emitter.loop("c", to: Extent(ring.stored), .vectorized) { emitter, lane throws(CompileError) in
          let sums = WindowTile(pixels: pixels, phase, from: start, second.combination, of: first.element, &emitter)
          var body = sums.start
          for (tap, slot) in lines.enumerated() {
            body += try sums.row(&emitter, taps) { emitter, column throws(CompileError) in
              try second.weight(&emitter, tap: [.index(tap), column], channel: channel + lane)
            } input: { _, column throws(CompileError) in .local(ring.local, ring.position(slot: slot, column: column, lane: lane)) }
          }
          for pixel in 0..<pixels {
            let index = [tile.batch, row, start + .index(pixel), channel + lane]
            body += try epilogue.store(&emitter, at: index, sums.result(pixel, as: first.element), into: output)
          }
          return body
        }
      ]
    }
    return statements
  }
}

extension ConvolutionTile {
  /// The same tile, with its results handed to `keep` instead of stored.
  fileprivate func keeping(
    _ keep: @escaping (inout ElementEmitter, [Expression], _ lane: Expression, Expression) throws(CompileError) -> [Statement]
  ) -> ConvolutionTile {
    var context = context
    context.keep = keep
    return ConvolutionTile(context: context, columns: columns, isTail: isTail, batch: batch, group: group, panel: panel)
  }
}
