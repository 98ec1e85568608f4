import GraphIR
import KernelIR
import TensorTypes

/// One tile of a convolution: pixels of one image by the output channels of one panel.
struct ConvolutionTile {
  let context: ConvolutionTemplate.Context
  let columns: TileAccumulators.Columns
  let isTail: Bool
  let batch: Expression
  let group: Expression
  let panel: Expression

  private var problem: ConvolutionProblem { context.problem }

  /// A tile of neighbouring results along the last spatial axis.
  func emit(
    _ emitter: inout ElementEmitter, rows: Int, outer: [Expression], phase: SlidingPhase, first: Expression, taps: SlidingTiles.Taps
  ) throws(CompileError) -> [Statement] {
    try emit(&emitter, rows: rows) { emitter, tile throws(CompileError) in
      try outerTaps(&emitter, at: outer, 0, [], []) { emitter, outerTaps, positions throws(CompileError) in
        try SlidingTiles.taps(&emitter, of: phase, taps, first: first) { emitter, tap, offset, selected throws(CompileError) in
          try channels(&emitter, tile, taps: outerTaps + [tap], rows: selected) { row in
            (positions, (first + .index(row)) * .index(phase.stride) + offset)
          }
        }
      }
    } result: { row in (outer, phase.output(first + .index(row))) }
  }

  /// Loops over the taps of the axes before the last.
  private func outerTaps(
    _ emitter: inout ElementEmitter, at outer: [Expression], _ axis: Int, _ taps: [Expression], _ positions: [Expression],
    _ body: (inout ElementEmitter, [Expression], [Expression]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    if axis == outer.count { return try body(&emitter, taps, positions) }
    return try problem.outer[axis].loops(&emitter, at: outer[axis]) { emitter, tap, position throws(CompileError) in
      try outerTaps(&emitter, at: outer, axis + 1, taps + [tap], positions + [position], body)
    }
  }

  /// A tile whose sum `reduce` writes.
  ///
  /// - Parameter result: The spatial index of a row's result.
  func emit(
    _ emitter: inout ElementEmitter, rows: Int,
    reduce: (inout ElementEmitter, TileAccumulators) throws(CompileError) -> [Statement],
    result: @escaping (Int) -> (outer: [Expression], tiled: Expression)
  ) throws(CompileError) -> [Statement] {
    var columns = columns
    if context.filter.isInPlace, case .known(let stored, _) = columns { columns = .known(stored: stored, computed: stored) }
    let steps = problem.tapCount == 1 ? problem.inputChannels.constant : nil
    let splits = TileAccumulators.splits(rows: rows, vectors: vectors, steps: (steps ?? problem.inputChannels.constant).map { $0 / context.layout.group })
    var tile = TileAccumulators(rows: rows, splits: splits, columns: columns, element: problem.resultElement)
    func index(_ row: Int, _ lane: Expression) -> [Expression] {
      let (outer, tiled) = result(row)
      let channel = group * .index(problem.outputChannels) + panel * .index(context.shape.width) + lane
      return problem.index(batch: batch, outer: outer, tiled: tiled, channel: channel)
    }
    let ahead: [Statement]
    if context.keep == nil {
      ahead = try TileAccumulators.prefetches(context.epilogue, &emitter, rows: rows, columns, steps: problem.steps, into: context.output, index)
    } else { ahead = [] }
    let start = context.epilogue.starting(columns, at: index)
    return try tile.emit(&emitter, ahead: ahead, start: start, reduce: reduce) { emitter, row, lane, sum throws(CompileError) in
      if let keep = context.keep {
        return try context.epilogue.finish(&emitter, at: index(row, lane), sum, isStarted: start != nil) { emitter, index, result throws(CompileError) in
          try keep(&emitter, index, lane, result)
        }
      }
      return try context.epilogue.store(&emitter, at: index(row, lane), sum, isStarted: start != nil, into: context.output)
    }
  }

  private var vectors: Int {
    if case .known(_, let computed) = columns { (computed + context.shape.lanes - 1) / context.shape.lanes } else { 1 }
  }

  /// The loop over the input channels for one window position.
  ///
  /// - Parameter position: Where a row's pixel lies in the input.
  func channels(
    _ emitter: inout ElementEmitter, _ tile: TileAccumulators, taps: [Expression], rows: [Int],
    _ position: (Int) -> (outer: [Expression], tiled: Expression)
  ) throws(CompileError) -> [Statement] {
    let registers = tile.rows * vectors
    let unroll = max(tile.splits, registers >= 12 ? 1 : registers >= 6 ? 2 : 4)
    let number = problem.tapNumber(taps)
    // Neighbouring channels may be one group of steps.
    let together = context.layout.group
    func sum(_ emitter: inout ElementEmitter, over channels: Extent, from start: Int) throws(CompileError) -> [Statement] {
      try TileAccumulators.reduction(
        &emitter, over: channels.floorDivided(by: Extent(together)), unroll: unroll, fullUpTo: 4
      ) { emitter, channel, split throws(CompileError) in
        try step(&emitter, tile, taps: taps, number: number, channel: channel + .index(start / together), split: split, rows: rows, position)
      }
    }
    let pieces = problem.pieces(emitter.graph)
    if pieces.isEmpty { return try sum(&emitter, over: problem.inputChannels, from: 0) }
    var statements: [Statement] = []
    for piece in pieces {
      let outer = emitter.pieces[piece.node]
      emitter.pieces[piece.node] = .operand(piece.operand)
      defer { emitter.pieces[piece.node] = outer }
      statements += try sum(&emitter, over: Extent(piece.count), from: piece.start)
    }
    return statements
  }

  /// The products with one input channel, or one group of channels; `channel` counts groups.
  private func step(
    _ emitter: inout ElementEmitter, _ tile: TileAccumulators, taps: [Expression], number: Expression, channel: Expression, split: Int, rows: [Int],
    _ position: (Int) -> (outer: [Expression], tiled: Expression)
  ) throws(CompileError) -> [Statement] {
    let together = context.layout.group
    let groups = problem.inputChannels.floorDivided(by: Extent(together))
    let step = together == 1 ? problem.step(tap: number, channel: channel) : number * .of(groups) + channel
    let start = context.filter.panels.map { ($0, context.layout.position(matrix: group, panel: panel, step: step, lane: .index(0), isTail: isTail)) }
    return try tile.step(&emitter, rows: rows, split: split, panels: problem.operation.layout == .channelsLast ? start : nil, together: together) { emitter, row throws(CompileError) in
      let (outer, tiled) = position(row)
      let index = problem.index(batch: batch, outer: outer, tiled: tiled, channel: group * .of(problem.inputChannels) + channel * .index(together))
      return try emitter.element(problem.input, index)
    } right: { emitter, lane throws(CompileError) in
      if let element = context.filter.element(context.layout, group: group, panel: panel, step: step, lane: lane, isTail: isTail) { return element }
      let output = group * .index(problem.outputChannels) + panel * .index(context.shape.width) + lane
      return try emitter.element(problem.filter, problem.filterIndex(taps: taps, input: channel, output: output))
    }
  }
}

/// A small image as a list of pixels, cut into tiles whose places are known while compiling.
///
/// For each window position a tile leaves out the pixels that see padding there.
struct ConvolutionPixels {
  struct Pixel: Hashable {
    var outer: Int
    var tiled: Int
  }
  private let tiles: [[Pixel]]
  private let problem: ConvolutionProblem
  private let outerPhase: SlidingPhase?
  private let tiledPhase: SlidingPhase

  init(_ pixels: [Pixel], most: Int, _ problem: ConvolutionProblem) {
    self.problem = problem
    var tiles: [[Pixel]] = []
    var start = 0
    for size in TileRows.sizes(of: pixels.count, most: most) {
      for _ in 0..<size.count {
        tiles.append(Array(pixels[start..<start + size.rows]))
        start += size.rows
      }
    }
    self.tiles = tiles
    outerPhase = problem.outer.first.flatMap { SlidingPhase.phases(of: $0).first }
    tiledPhase = SlidingPhase.phases(of: problem.tiled).first ?? SlidingPhase(taps: [], stride: 1, outputStart: 0, outputStep: 1, count: 0, input: 0)
  }

  func emit(_ emitter: inout ElementEmitter, _ tile: ConvolutionTile) throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    for pixels in tiles {
      statements += try emitter.scoped { emitter throws(CompileError) in
        try tile.emit(&emitter, rows: pixels.count) { emitter, registers throws(CompileError) in
          try reduce(&emitter, tile, registers, pixels)
        } result: { row in (outerPhase == nil ? [] : [.index(pixels[row].outer)], .index(pixels[row].tiled)) }
      }
    }
    return statements
  }

  /// Window rows in a row that see the same pixels.
  private struct Band {
    var first: Int
    var count: Int
    var runs: [TapRun]
  }

  private func reduce(_ emitter: inout ElementEmitter, _ tile: ConvolutionTile, _ registers: TileAccumulators, _ pixels: [Pixel]) throws(CompileError) -> [Statement] {
    let columns = tiledPhase.runs(for: pixels.map(\.tiled))
    func run(_ emitter: inout ElementEmitter, _ run: TapRun, _ outerTaps: [Expression], _ outerOffset: Expression) throws(CompileError) -> [Statement] {
      try SlidingTiles.taps(&emitter, of: tiledPhase, .runs([run]), first: .index(0)) { emitter, tap, offset, selected throws(CompileError) in
        try tile.channels(&emitter, registers, taps: outerTaps + [tap], rows: selected) { row in
          let tiled = Expression.index(pixels[row].tiled * tiledPhase.stride) + offset
          return (outerPhase.map { [.index(pixels[row].outer * $0.stride) + outerOffset] } ?? [], tiled)
        }
      }
    }
    guard let outerPhase else {
      var statements: [Statement] = []
      for each in columns { statements += try run(&emitter, each, [], .index(0)) }
      return statements
    }
    var bands: [Band] = []
    for tap in outerPhase.taps.indices {
      let inside = Set(outerPhase.runs(for: pixels.map(\.outer)).first { ($0.first..<$0.first + $0.count).contains(tap) }?.rows ?? [])
      let runs = columns.compactMap { column -> TapRun? in
        let rows = column.rows.filter(inside.contains)
        return rows.isEmpty ? nil : TapRun(first: column.first, count: column.count, rows: rows)
      }
      if runs.isEmpty { continue }
      if let last = bands.last, last.runs == runs, last.first + last.count == tap { bands[bands.count - 1].count += 1 } else {
        bands.append(Band(first: tap, count: 1, runs: runs))
      }
    }
    var statements: [Statement] = []
    for band in bands {
      let whole = TapRun(first: band.first, count: band.count, rows: [])
      statements += try SlidingTiles.taps(&emitter, of: outerPhase, .runs([whole]), first: .index(0)) { emitter, tap, offset, _ throws(CompileError) in
        var inner: [Statement] = []
        for each in band.runs { inner += try run(&emitter, each, [tap], offset) }
        return inner
      }
    }
    return statements
  }
}
