import GraphIR
import KernelIR
import TensorTypes

extension ConvolutionTemplate {
  /// A way to do a convolution. Others add a case here, their candidates to `candidates`, and an emitter to `lower`.
  enum Method: Sendable {
    case rows
    case image
    case winograd(WinogradPlan)

    var isImage: Bool { if case .image = self { true } else { false } }
  }
  struct Way: PackingWay {
    var packing: String? {
      if case .winograd(let plan) = method { "\(plan.transform.extent) x \(plan.transform.extent) transforms, panels of \(plan.shape.width)" } else { "panels of \(shape.width)" }
    }
    var method: Method
    var shape: TileShape
    /// Rows of pixels in a block; nil for symbolic extents: what the schedule does then.
    var tilesPerBlock: Int?

    /// The same with blocks of so many pixels that it pays to unpack a panel for each.
    func sharingPanels(_ problem: ConvolutionProblem) -> Way {
      var way = self
      way.tilesPerBlock = FilterPanels.rowsPerBlock(problem, atLeast: tilesPerBlock)
      return way
    }

    func name(_ schedule: TileSchedule) -> String {
      switch method {
      case .rows: "tile \(shape), rows of pixels\(schedule.blockName)"
      case .image: "tile \(shape), whole images\(schedule.blockName)"
      case .winograd(let plan): plan.name
      }
    }
  }

  /// Neighbouring steps of the sum that are multiplied together.
  func group(_ problem: ConvolutionProblem, _ fusion: FusionLowering) -> Int {
    problem.constantFilter(fusion) == nil ? 1 : problem.group(fusion.emitter().0)
  }

  /// Every way that applies, with its cost. Nothing else decides.
  func candidates(_ problem: ConvolutionProblem, _ fusion: FusionLowering) -> [Candidate<Way>] {
    let (emitter, _) = fusion.emitter()
    let together = group(problem, fusion)
    let sum = TileAccumulators.accumulator(of: problem.resultElement)
    let tiledAxis = problem.operation.layout == .channelsLast ? problem.outer.count + 1 : problem.outer.count + 2
    let stride = TileAccess.stride(of: problem.input, along: tiledAxis, emitter).map { $0 &* problem.tiled.stride &* problem.element.byteCount }
    func shapes(_ rows: Int?) -> [TileShape] {
      let usual = TileShape.candidates(rows: rows, columns: problem.outputChannels, accumulator: sum, strideBytes: stride, target)
      // The epilogue of a short sum of bytes takes as long as the sum; that of few registers runs beside the next tile's sum.
      guard together == 4, let wide = usual.first(where: { $0.vectors == 2 && $0.rows > 8 }) else { return usual }
      return usual + [TileShape(rows: 8, vectors: 2, lanes: wide.lanes)]
    }
    let operations = together == 4 ? (try? TileEpilogue(graph: fusion.body, anchor: problem.anchor))?.operations(emitter, problem.resultElement) ?? 0 : 0
    var candidates = shapes(pixelsInRow(problem)).flatMap { shape -> [Candidate<Way>] in
      let usual = schedule(problem, Way(method: .rows, shape: shape))
      let isKnown = problem.outerShape.elementCount.isConstant && pixelsInRow(problem) != nil
      return (isKnown ? usual.blockLengths : [usual.tilesPerBlock]).map { candidate(problem, Way(method: .rows, shape: shape, tilesPerBlock: isKnown ? $0 : nil), group: together, operations: operations) }
    }
    // A whole image is straight code: few pixels, few taps. Threads share its panels only.
    if let pixels = imagePixels(problem)?.count, pixels <= 64, problem.tapCount <= 25 {
      candidates += shapes(pixels).map { candidate(problem, Way(method: .image, shape: $0, tilesPerBlock: 1), group: together, operations: operations) }
    }
    // A filter of bytes is worth a tile that is a little slower.
    if FilterPanels.grid(problem, fusion) != nil, let least = candidates.map(\.cost.total).min() {
      let narrow = candidates.filter { FilterPanels.fits(problem, $0.way.shape) && $0.cost.total <= least * FilterPanels.worth }
      if !narrow.isEmpty { candidates = narrow }
    }
    var winograd = target.winograd.sizes.flatMap { WinogradPlan.candidates(problem, outputs: $0, target: target) }
    if !winograd.isEmpty, let filter = fusion.body.inputs.firstIndex(of: problem.filter), let tensor = fusion.constants[filter] {
      if !WinogradFilter.isTransformable(tensor) { winograd = [] }
    }
    return target.winograd.isForced && !winograd.isEmpty ? winograd : candidates + winograd
  }

  /// Pixels of a row of the result that share their taps; nil if that is only known at run time.
  private func pixelsInRow(_ problem: ConvolutionProblem) -> Int? {
    problem.tiled.output.constant.map { ($0 + phases(problem) - 1) / phases(problem) }
  }

  private func phases(_ problem: ConvolutionProblem) -> Int { problem.tiled.inputDilation == 1 ? 1 : max(1, SlidingPhase.phases(of: problem.tiled).count) }

  func schedule(_ problem: ConvolutionProblem, _ way: Way) -> TileSchedule {
    let layout = PanelLayout(steps: problem.steps, columns: Extent(problem.outputChannels), shape: way.shape)
    return TileSchedule(
      slices: problem.batch * Extent(problem.groups), panels: layout.panels, tiles: way.method.isImage ? 1 : problem.outerShape.elementCount,
      tileRows: way.method.isImage ? 64 : problem.tiled.output.constant ?? 64, tileBytes: rowBytes(problem), panelBytes: panelBytes(problem, way.shape),
      cycles: problem.cycles(target), tilesPerBlock: way.tilesPerBlock, target: target)
  }

  /// What a row of the result reads anew of the input.
  private func rowBytes(_ problem: ConvolutionProblem) -> Int {
    (problem.tiled.input.constant ?? 64) &* (problem.inputChannels.constant ?? 64) &* (problem.outer.last?.stride ?? 1) &* problem.element.byteCount
  }

  private func panelBytes(_ problem: ConvolutionProblem, _ shape: TileShape) -> Int {
    shape.width &* problem.tapCount &* (problem.inputChannels.constant ?? 64) &* problem.filterElement.byteCount
  }

  private func candidate(_ problem: ConvolutionProblem, _ way: Way, group: Int, operations: Int) -> Candidate<Way> {
    let schedule = schedule(problem, way)
    let rows = Double(problem.outerShape.elementCount.constant ?? 16)
    let isImage = way.method.isImage
    let sizes = TileRows.sizes(of: isImage ? imagePixels(problem)?.count ?? 1 : pixelsInRow(problem) ?? 64, most: way.shape.rows)
    let each = isImage ? 1 : rows * Double(phases(problem))
    let cost = ContractionCost(
      slices: Double(problem.batch.constant ?? 1) * Double(problem.groups), tiles: sizes.map { (count: Double($0.count) * each, rows: $0.rows) },
      columns: problem.outputChannels, steps: Double(problem.steps.constant ?? 64 * problem.tapCount) / Double(phases(problem) * group), shape: way.shape,
      tileBytes: Double(rowBytes(problem)), panelBytes: Double(panelBytes(problem, way.shape)), tilesPerBlock: isImage ? rows : Double(schedule.tilesPerBlock),
      blockedTiles: rows, threads: target.threads, isParallel: schedule.isParallel, operations: operations)
    return Candidate(way.name(schedule), way, cost: cost.estimate)
  }
}
