import GraphIR
import KernelIR
import TensorTypes

/// The constant filter of a convolution as its tiles read it: panels in memory, or, of a quantized filter, panels of bytes that are laid out in
/// floating point on the stack in front of the tiles that share them.
struct FilterPanels {
  /// Nil if the filter is read in place, or laid out on the stack.
  private(set) var panels: Buffer?
  private let unpacking: PanelUnpacking?
  private let panel: Local?

  /// A panel on the stack, alone and beside the rings of a chain.
  private static let mostBytes = 148 << 10, mostBytesBesideRings = 96 << 10
  /// How much longer a product may take for a filter of a quarter of the size.
  static let worth = 1.05
  /// Laying a panel out takes as long as two or three pixels.
  private static let leastPixels = 32

  /// The filter's numbers of 8 bits; nil for one that is not quantized, or that cannot be unpacked in time.
  static func grid(_ problem: ConvolutionProblem, _ fusion: FusionLowering) -> WeightGrid? {
    guard fusion.target.narrowsFilters, obstacle(problem) == nil, let source = problem.constantFilter(fusion) else { return nil }
    return WeightGrid(source)
  }

  /// Why no filter of this convolution is stored in 8 bits.
  static func obstacle(_ problem: ConvolutionProblem) -> String? {
    if problem.groups != 1 { return "it has groups" }
    if problem.element != .f32 || problem.resultElement != .f32 { return "it does not compute in f32" }
    if problem.operation.layout != .channelsLast { return "its channels are not the last axis" }
    guard let pixels = (problem.outerShape.elementCount * problem.tiled.output).constant else { return "how many pixels share an unpacked filter is only known when the model runs (--dim fixes lengths)" }
    if pixels < leastPixels { return "only \(pixels) pixels would share the unpacked filter, and unpacking takes as long as two or three" }
    return nil
  }

  static func fits(_ problem: ConvolutionProblem, _ shape: TileShape, besideRings: Bool = false) -> Bool {
    let (bytes, overflow) = (problem.steps.constant ?? .max).multipliedReportingOverflow(by: shape.width &* 4)
    return !overflow && bytes <= (besideRings ? mostBytesBesideRings : mostBytes)
  }

  /// Rows of pixels for which a panel is laid out once, so many that it takes a few hundredths of their time.
  static func rowsPerBlock(_ problem: ConvolutionProblem, atLeast rows: Int?) -> Int? {
    guard let rows, let pixels = problem.tiled.output.constant, pixels > 0 else { return rows }
    return max(rows, (4 * leastPixels + pixels - 1) / pixels)
  }

  init(
    _ problem: ConvolutionProblem, _ layout: PanelLayout, _ shape: TileShape, _ fusion: FusionLowering, _ emitter: inout ElementEmitter,
    _ arguments: inout [LoweredKernel.Argument], besideRings: Bool = false
  ) {
    if let grid = Self.grid(problem, fusion), Self.fits(problem, shape, besideRings: besideRings), let steps = layout.steps.constant {
      let scalePanels = PanelLayout(steps: 1, columns: layout.columns, shape: shape)
      if let numbers = grid.panels(of: grid.numbers).packed(layout), let factors = grid.panels(of: grid.scale).packed(scalePanels) {
        let weights = emitter.builder.buffer("weights", .i8, .read), scales = emitter.builder.buffer("scales", .f32, .read)
        arguments += [.packed(numbers), .packed(factors)]
        let local = emitter.builder.local("panel", .f32, count: steps * layout.width)
        panel = local
        unpacking = PanelUnpacking(
          layout: layout, scalePanels: scalePanels, steps: steps, block: steps, unit: .bytes, weights: weights, scales: scales, shifts: nil, shift: 0, target: .local(local))
        return
      }
    }
    (unpacking, panel) = (nil, nil)
    guard let packed = problem.constantFilter(fusion)?.packed(layout) else { return }
    panels = emitter.builder.buffer("panels", problem.filterElement, .read)
    arguments.append(.packed(packed))
  }

  /// True if tiles read the filter where it is.
  var isInPlace: Bool { panels == nil && panel == nil }
  var isUnpacked: Bool { panel != nil }
  var note: String { isInPlace ? ", filter in place" : panel == nil ? "" : ", weights of 8 bits, unpacked first" }

  /// An element of a panel.
  func element(_ layout: PanelLayout, group: Expression, panel number: Expression, step: Expression, lane: Expression, isTail: Bool) -> Expression? {
    if let panel { return .local(panel, layout.position(matrix: .index(0), panel: .index(0), step: step, lane: lane, isTail: isTail)) }
    return panels.map { .load($0, layout.position(matrix: group, panel: number, step: step, lane: lane, isTail: isTail)) }
  }

  /// What comes before everything that concerns a panel.
  var allocation: [Statement] { panel.map { [.allocate($0)] } ?? [] }

  /// What comes before the tiles of a panel.
  func prepare(_ emitter: inout ElementEmitter, panel number: Expression, isTail: Bool) throws(CompileError) -> [Statement] {
    try unpacking?.unpack(&emitter, panel: number, isTail: isTail, into: .index(0)) ?? []
  }
}
