import GraphIR
import KernelIR
import TensorTypes

/// Convolutions of each channel on its own: lanes are channels, and a tile of pixels shares every input element and
/// weight that it loads.
struct DepthwiseTemplate {
  let target: LoweringTarget
  /// Pixels of a tile: each takes an accumulator; more share more, but leave fewer registers for weights.
  private var mostPixels: Int { target.registers >= 32 ? 8 : 4 }

  func lower(_ fusion: inout FusionLowering, _ problem: ConvolutionProblem) throws(CompileError) {
    if let columns = ByteColumns(problem, fusion) { return try lower(&fusion, columns) }
    var (emitter, arguments) = fusion.emitter()
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    let sum = exactSum(problem, fusion)
    let channels = problem.groups * problem.outputChannels
    // Rows of few pixels are one tile each; wide kernels have fewer pixels, as everything along the row is unrolled.
    let most = max(1, min(mostPixels, 64 / max(1, problem.tiled.size)))
    let rows = problem.outerShape.elementCount
    let schedule = schedule(problem)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements += try schedule.loops(&emitter) { emitter, slice, lower, upper, _ throws(CompileError) in
      func row(_ emitter: inout ElementEmitter, _ number: Expression) throws(CompileError) -> [Statement] {
        let outer = emitter.mapping.delinearize(number, in: problem.outerShape)
        var statements: [Statement] = []
        for phase in SlidingPhase.phases(of: problem.tiled) {
          statements += try SlidingTiles(phase: phase, most: most).loops(&emitter) { emitter, pixels, first, taps throws(CompileError) in
            [
              try emitter.loop("c", to: Extent(channels), .vectorized) { emitter, channel throws(CompileError) in
                try tile(&emitter, problem, epilogue, output, pixels: pixels, phase, taps, sum: sum, at: (slice, outer, first, channel))
              }
            ]
          }
        }
        return statements
      }
      if rows == 1 { return try row(&emitter, .index(0)) }
      let variable = emitter.builder.variable("row")
      emitter.ranges.set(variable, to: rows)
      let body = try emitter.scoped { emitter throws(CompileError) in try row(&emitter, .variable(variable)) }
      return [.loop(Loop(variable, from: lower, to: upper, body: body))]
    }
    let kernel = emitter.builder.kernel(fusion.name("depthwise"), statements)
    let note = "depthwise convolution, tiles of up to \(most) pixels by all channels" + schedule.note
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: note, flops: problem.products * 2))
  }

  private func schedule(_ problem: ConvolutionProblem) -> TileSchedule {
    let cycles = problem.products.floorDivided(by: Extent(target.lanes / 2 + 1))
    let rowElements = (problem.tiled.input.constant ?? 64) &* problem.groups &* problem.outputChannels &* 2
    return TileSchedule(
      slices: problem.batch, panels: 1, tiles: problem.outerShape.elementCount, tileRows: 1, tileBytes: rowElements &* problem.element.byteCount, panelBytes: 0, cycles: cycles,
      target: target)
  }

  // MARK: Bytes

  private func lower(_ fusion: inout FusionLowering, _ columns: ByteColumns) throws(CompileError) {
    let problem = columns.problem
    var (emitter, arguments) = fusion.emitter(reading: [fusion.body.outputs[0]], notThrough: [problem.filter])
    let weights = emitter.builder.buffer("weights", problem.filterElement, .read)
    arguments.append(.packed(columns.weights))
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    // Every result takes a register, beside the weights of a row and what is being brought together.
    let most = max(1, min(target.registers >= 32 ? 14 : 6, 64 / max(1, problem.tiled.size)))
    let schedule = schedule(problem)
    guard let phase = SlidingPhase.phases(of: problem.tiled).first else { return }
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements += try schedule.loops(&emitter) { emitter, slice, lower, upper, _ throws(CompileError) in
      var statements: [Statement] = []
      for band in columns.bands {
        let variable = emitter.builder.variable("row")
        emitter.ranges.set(variable, to: Extent(band.results.upperBound))
        let body = try emitter.scoped { emitter throws(CompileError) in
          try row(&emitter, columns, band, weights, epilogue, output, most: most, phase, at: (slice, .variable(variable)))
        }
        let (first, end) = (Expression.index(band.results.lowerBound), Expression.index(band.results.upperBound))
        let isWhole = schedule.blocks == 1 && !schedule.isParallel
        statements.append(.loop(Loop(variable, from: isWhole ? first : .indexMaximum(lower, first), to: isWhole ? end : .indexMinimum(upper, end), body: body)))
      }
      return statements
    }
    let kernel = emitter.builder.kernel(fusion.name("depthwise"), statements)
    let note = "depthwise convolution of bytes, tiles of up to \(most) pixels by all channels" + schedule.note
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: note, flops: problem.products * 2))
  }

  /// A row of results.
  private func row(
    _ emitter: inout ElementEmitter, _ columns: ByteColumns, _ band: ByteColumns.Band, _ weights: Buffer, _ epilogue: TileEpilogue, _ output: Buffer, most: Int,
    _ phase: SlidingPhase, at place: (batch: Expression, row: Expression)
  ) throws(CompileError) -> [Statement] {
    let problem = columns.problem
    return try SlidingTiles(phase: phase, most: most).loops(&emitter) { emitter, pixels, first, taps throws(CompileError) in
      guard case .runs(let runs) = taps else {
        throw CompileError(.unsupported, "a depthwise convolution of bytes whose borders are only known at run time", stage: .lower, origin: problem.anchor.origin)
      }
      return [
        try emitter.loop("c", to: Extent(problem.groups), .vectorized) { emitter, channel throws(CompileError) in
          func index(_ pixel: Int) -> [Expression] {
            problem.index(batch: place.batch, outer: [place.row], tiled: phase.output(first + .index(pixel)), channel: channel)
          }
          var (statements, sums) = try columns.sums(
            &emitter, band, in: weights, pixels: pixels, phase, runs, at: (place.batch, place.row, first, channel)
          ) { emitter, pixel throws(CompileError) in try epilogue.starting(&emitter, at: index(pixel)) ?? .number(0, .i32) }
          for (pixel, sum) in sums.enumerated() { statements += try epilogue.store(&emitter, at: index(pixel), sum, isStarted: epilogue.canStart, into: output) }
          return statements
        }
      ]
    }
  }

  // MARK: Other numbers

  /// What the products of a window are summed up in. f32 sums up whole numbers below 2^24 exactly, in one instruction for each product; i32
  /// takes two.
  private func exactSum(_ problem: ConvolutionProblem, _ fusion: FusionLowering) -> ElementType {
    guard problem.resultElement == .i32 else { return problem.resultElement }
    var input = problem.input
    if let (node, convert) = fusion.body.producer(of: input, as: Convert.self), !convert.keepsBits { input = node.operands[0] }
    guard fusion.body.type(of: input).element.isByte else { return .i32 }
    var largest = problem.filterElement.isByte ? 255 : Int.max
    if problem.filterElement == .i32, let filter = problem.constantFilter(fusion)?.tensor {
      largest = filter.withBytes { bytes in (0..<filter.count).reduce(0) { max($0, Int(bytes.loadUnaligned(fromByteOffset: $1 * 4, as: Int32.self).magnitude)) } }
    }
    let (total, overflow) = largest.multipliedReportingOverflow(by: 255 * max(1, problem.tapCount))
    return !overflow && total < 1 << 24 ? .f32 : .i32
  }

  private func tile(
    _ emitter: inout ElementEmitter, _ problem: ConvolutionProblem, _ epilogue: TileEpilogue, _ output: Buffer, pixels: Int,
    _ phase: SlidingPhase, _ taps: SlidingTiles.Taps, sum: ElementType, at place: (batch: Expression, outer: [Expression], first: Expression, channel: Expression)
  ) throws(CompileError) -> [Statement] {
    let source = problem.outputChannels == 1 ? place.channel : place.channel.dividedByIndex(.index(problem.outputChannels))
    let tile = WindowTile(pixels: pixels, phase, from: place.first, of: sum, &emitter)
    var statements = tile.start
    statements += try outerTaps(&emitter, problem, place.outer, 0, [], []) { emitter, outerTaps, positions throws(CompileError) in
      try tile.row(&emitter, taps) { emitter, tap throws(CompileError) in
        try emitter.element(problem.filter, problem.filterIndex(taps: outerTaps + [tap], input: .index(0), output: place.channel))
      } input: { emitter, position throws(CompileError) in
        try emitter.element(problem.input, problem.index(batch: place.batch, outer: positions, tiled: position, channel: source))
      }
    }
    for pixel in 0..<pixels {
      let index = problem.index(batch: place.batch, outer: place.outer, tiled: phase.output(place.first + .index(pixel)), channel: place.channel)
      statements += try epilogue.store(&emitter, at: index, tile.result(pixel, as: problem.resultElement == .i32 ? sum : problem.resultElement), into: output)
    }
    return statements
  }

  private func outerTaps(
    _ emitter: inout ElementEmitter, _ problem: ConvolutionProblem, _ outer: [Expression], _ axis: Int, _ taps: [Expression], _ positions: [Expression],
    _ body: (inout ElementEmitter, [Expression], [Expression]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    if axis == outer.count { return try emitter.scoped { emitter throws(CompileError) in try body(&emitter, taps, positions) } }
    return try problem.outer[axis].loops(&emitter, at: outer[axis]) { emitter, tap, position throws(CompileError) in
      try outerTaps(&emitter, problem, outer, axis + 1, taps + [tap], positions + [position], body)
    }
  }
}
