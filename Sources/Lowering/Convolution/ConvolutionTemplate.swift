import GraphIR
import KernelIR
import TensorTypes

/// Convolutions as sums of matrix products that read the input in place: tiles of pixels by output channels, summed
/// up over the window and the input channels, with the filter packed while compiling.
///
/// Tiles extend along the last spatial axis. Small images are tiled as one list of pixels instead, so that the filter, which is
/// then the larger part of the traffic, passes by few and full tiles.
struct ConvolutionTemplate {
  let target: LoweringTarget

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    if let chain = try ConvolutionChain(fusion, target) {
      fusion.explainWinograd(chain.first, nil)
      return try chain.lower(&fusion)
    }
    let problem = try ConvolutionProblem(fusion)
    if problem.isDepthwise {
      fusion.explainWinograd(problem, nil)
      return try DepthwiseTemplate(target: target).lower(&fusion, problem)
    }
    let way = try fusion.choose(problem.anchor, among: candidates(problem, fusion))
    fusion.explainWinograd(problem, way)
    fusion.explainZeros(problem.anchor, problem.constantFilter(fusion))
    fusion.explainWideFilter(problem, way, way.shape)
    switch way.method {
    case .rows, .image: try lowerTiles(&fusion, problem, way)
    case .winograd(let plan): try WinogradTemplate(target: target, problem: problem, plan: plan).lower(&fusion)
    }
  }

  /// Every pixel of the result, for known extents and at most two spatial axes.
  func imagePixels(_ problem: ConvolutionProblem) -> [ConvolutionPixels.Pixel]? {
    guard problem.outer.count <= 1, (problem.outer + [problem.tiled]).allSatisfy({ $0.inputDilation == 1 && $0.input.isConstant }) else { return nil }
    guard let columns = problem.tiled.output.constant, let rows = problem.outerShape.elementCount.constant, rows <= 64, columns <= 64 else { return nil }
    return (0..<rows).flatMap { row in (0..<columns).map { ConvolutionPixels.Pixel(outer: row, tiled: $0) } }
  }

  /// Everything that the emission of a tile needs to know.
  struct Context {
    let problem: ConvolutionProblem
    let shape: TileShape
    let layout: PanelLayout
    let filter: FilterPanels
    let epilogue: TileEpilogue
    let output: Buffer
    /// What becomes of an element of the epilogue's result, if it is not stored in `output`.
    var keep: ((inout ElementEmitter, _ index: [Expression], _ lane: Expression, _ result: Expression) throws(CompileError) -> [Statement])?
  }

  private func lowerTiles(_ fusion: inout FusionLowering, _ problem: ConvolutionProblem, _ way: Way) throws(CompileError) {
    let shape = way.shape
    let layout = PanelLayout(steps: problem.steps, columns: Extent(problem.outputChannels), shape: shape, group: group(problem, fusion))
    let isInPlace = problem.constantFilter(fusion) == nil
    let needed = fusion.inputs(of: [problem.input])
    var (emitter, arguments) = fusion.emitter(reading: [fusion.body.outputs[0]], notThrough: isInPlace || needed.contains(problem.filter) ? [] : [problem.filter])
    let filter = FilterPanels(problem, layout, shape, fusion, &emitter, &arguments)
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    let context = Context(problem: problem, shape: shape, layout: layout, filter: filter, epilogue: epilogue, output: output)

    let schedule = schedule(problem, filter.isUnpacked ? way.sharingPanels(problem) : way)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements += try schedule.loops(&emitter) { emitter, slice, lower, upper, panel throws(CompileError) in
      let place = emitter.mapping.delinearize(slice, in: [problem.batch, Extent(problem.groups)])
      return filter.allocation + (try layout.branch(&emitter, panel: panel) { emitter, columns, isTail throws(CompileError) in
        let tile = ConvolutionTile(context: context, columns: columns, isTail: isTail, batch: place[0], group: place[1], panel: panel)
        let prepared = try filter.prepare(&emitter, panel: panel, isTail: isTail)
        switch way.method {
        case .image: return prepared + (try ConvolutionPixels(imagePixels(problem) ?? [], most: shape.rows, problem).emit(&emitter, tile))
        case .rows, .winograd: return prepared + (try rows(&emitter, problem, tile, from: lower, to: upper, isWhole: schedule.blocks == 1))
        }
      })
    }
    let kernel = emitter.builder.kernel(fusion.name("convolution"), statements)
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: "convolution, " + way.name(schedule) + filter.note + schedule.note, flops: problem.products * 2))
  }

  /// Rows of the result, one after the other, each in tiles along the last axis.
  private func rows(
    _ emitter: inout ElementEmitter, _ problem: ConvolutionProblem, _ tile: ConvolutionTile, from lower: Expression, to upper: Expression, isWhole: Bool
  ) throws(CompileError) -> [Statement] {
    func row(_ emitter: inout ElementEmitter, _ number: Expression) throws(CompileError) -> [Statement] {
      let outer = emitter.mapping.delinearize(number, in: problem.outerShape)
      var statements: [Statement] = []
      for phase in SlidingPhase.phases(of: problem.tiled) {
        statements += try SlidingTiles(phase: phase, most: tile.context.shape.rows).loops(&emitter) { emitter, rows, first, taps throws(CompileError) in
          try tile.emit(&emitter, rows: rows, outer: outer, phase: phase, first: first, taps: taps)
        }
      }
      return statements
    }
    let count = problem.outerShape.elementCount
    if count == 1 { return try row(&emitter, .index(0)) }
    let variable = emitter.builder.variable("row")
    emitter.ranges.set(variable, to: count)
    let body = try emitter.scoped { emitter throws(CompileError) in try row(&emitter, .variable(variable)) }
    return [.loop(Loop(variable, from: isWhole ? .index(0) : lower, to: isWhole ? .of(count) : upper, body: body))]
  }
}
