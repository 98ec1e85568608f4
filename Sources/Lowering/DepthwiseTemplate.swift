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
    var (emitter, arguments) = fusion.emitter()
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    let channels = problem.groups * problem.outputChannels
    // Rows of few pixels are one tile each; wide kernels have fewer pixels, as everything along the row is unrolled.
    let most = max(1, min(mostPixels, 64 / max(1, problem.tiled.size)))
    let rows = problem.outerShape.elementCount
    let cycles = problem.products.floorDivided(by: Extent(target.lanes / 2 + 1))
    let rowElements = (problem.tiled.input.constant ?? 64) &* channels &* 2
    let schedule = TileSchedule(
      slices: problem.batch, panels: 1, tiles: rows, tileRows: 1, tileBytes: rowElements &* problem.element.byteCount, panelBytes: 0, cycles: cycles, target: target)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements += try schedule.loops(&emitter) { emitter, slice, lower, upper, _ throws(CompileError) in
      func row(_ emitter: inout ElementEmitter, _ number: Expression) throws(CompileError) -> [Statement] {
        let outer = emitter.mapping.delinearize(number, in: problem.outerShape)
        var statements: [Statement] = []
        for phase in SlidingPhase.phases(of: problem.tiled) {
          statements += try SlidingTiles(phase: phase, most: most).loops(&emitter) { emitter, pixels, first, taps throws(CompileError) in
            [
              try emitter.loop("c", to: Extent(channels), .vectorized) { emitter, channel throws(CompileError) in
                try tile(&emitter, problem, epilogue, output, pixels: pixels, phase, taps, at: (slice, outer, first, channel))
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

  private func tile(
    _ emitter: inout ElementEmitter, _ problem: ConvolutionProblem, _ epilogue: TileEpilogue, _ output: Buffer, pixels: Int,
    _ phase: SlidingPhase, _ taps: SlidingTiles.Taps, at place: (batch: Expression, outer: [Expression], first: Expression, channel: Expression)
  ) throws(CompileError) -> [Statement] {
    let type = TileAccumulators.accumulator(of: problem.element)
    func widened(_ expression: Expression) -> Expression { expression.element == type ? expression : .convert(expression, type) }
    let source = problem.outputChannels == 1 ? place.channel : place.channel.dividedByIndex(.index(problem.outputChannels))
    let sums = (0..<pixels).map { _ in emitter.builder.local("acc", type, count: 1) }
    func add(_ x: Expression, _ weight: Expression, to pixel: Int) -> Statement {
      .assign(sums[pixel], index: .index(0), value: TileAccumulators.multiplyAdd(x, weight, .local(sums[pixel], .index(0))))
    }
    func weight(_ emitter: inout ElementEmitter, _ taps: [Expression]) throws(CompileError) -> Expression {
      widened(try emitter.element(problem.filter, problem.filterIndex(taps: taps, input: .index(0), output: place.channel)))
    }
    func input(_ emitter: inout ElementEmitter, _ outer: [Expression], _ tiled: Expression) throws(CompileError) -> Expression {
      widened(try emitter.element(problem.input, problem.index(batch: place.batch, outer: outer, tiled: tiled, channel: source)))
    }
    var statements: [Statement] = sums.flatMap { [.allocate($0), .assign($0, index: .index(0), value: .number(0, type))] }
    statements += try outerTaps(&emitter, problem, place.outer, 0, [], []) { emitter, outerTaps, positions throws(CompileError) in
      guard case .runs(let runs) = taps else {
        return try SlidingTiles.taps(&emitter, of: phase, taps, first: place.first) { emitter, tap, offset, _ throws(CompileError) in
          [add(try input(&emitter, positions, place.first * .index(phase.stride) + offset), try weight(&emitter, outerTaps + [tap]), to: 0)]
        }
      }
      // Each weight and each input element of the row is loaded once, the inputs from left to right.
      var body: [Statement] = []
      func named(_ name: String, _ value: Expression, _ emitter: inout ElementEmitter) -> Expression {
        let variable = emitter.builder.variable(name, type)
        body.append(.bind(variable, value))
        return .variable(variable)
      }
      var weights: [Int: Expression] = [:]
      var products: [Int: [(tap: Int, pixel: Int)]] = [:]
      for run in runs {
        for tap in run.first..<run.first + run.count {
          weights[tap] = named("w", try weight(&emitter, outerTaps + [.index(phase.taps[tap].index)]), &emitter)
          for pixel in run.rows { products[pixel * phase.stride + phase.taps[tap].offset, default: []].append((tap, pixel)) }
        }
      }
      for offset in products.keys.sorted() {
        let x = named("x", try input(&emitter, positions, place.first * .index(phase.stride) + .index(offset)), &emitter)
        for (tap, pixel) in products[offset] ?? [] { body.append(add(x, weights[tap] ?? x, to: pixel)) }
      }
      return body
    }
    for pixel in 0..<pixels {
      let sum = Expression.local(sums[pixel], .index(0))
      let index = problem.index(batch: place.batch, outer: place.outer, tiled: phase.output(place.first + .index(pixel)), channel: place.channel)
      statements += try epilogue.store(&emitter, at: index, type == problem.resultElement ? sum : .convert(sum, problem.resultElement), into: output)
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
