import GraphIR
import KernelIR
import TensorTypes

/// A convolution inside a fusion: its operands, axes and extents, whatever its layout and number of spatial axes.
struct ConvolutionProblem {
  let anchor: Node
  let operation: Convolution
  let input: ValueID
  let filter: ValueID
  /// Of the input, and of the filter.
  let element: ElementType
  let filterElement: ElementType
  let resultElement: ElementType
  let batch: Extent
  let groups: Int
  /// Channels of one group.
  let inputChannels: Extent
  let outputChannels: Int
  /// The spatial axes but the last, along which tiles do not extend; and the last.
  let outer: [SlidingAxis]
  let tiled: SlidingAxis
  /// True if the filter is known while compiling.
  let isFilterConstant: Bool
  private let inputRank: Int

  init(_ fusion: FusionLowering) throws(CompileError) {
    let (node, operation) = try fusion.anchor(Convolution.self)
    try self.init(fusion, node, operation)
  }

  /// - Parameter node: One of the fusion's convolutions.
  init(_ fusion: FusionLowering, _ node: Node, _ operation: Convolution) throws(CompileError) {
    let (input, filter) = (fusion.body.type(of: node.operands[0]), fusion.body.type(of: node.operands[1]))
    let result = fusion.body.type(of: node.results[0])
    let axes = operation.axes(rank: input.rank), filterAxes = operation.filterAxes(rank: filter.rank)
    guard let outputs = filter.shape[filterAxes.output].constant else {
      throw CompileError(.unsupported, "a convolution with a symbolic number of output channels", stage: .lower, origin: node.origin, operands: [input, filter])
    }
    var sliding: [SlidingAxis] = []
    for (place, axis) in axes.spatial.enumerated() {
      sliding.append(
        SlidingAxis(
          input: input.shape[axis], output: result.shape[axis], size: filter.shape[filterAxes.window[place]].constant ?? 1, window: operation.window,
          inputDilation: operation.inputDilations[place], axis: place))
    }
    (anchor, self.operation, self.input, self.filter) = (node, operation, node.operands[0], node.operands[1])
    (element, filterElement) = (input.element, filter.element)
    resultElement = result.element
    batch = input.shape[axes.batch]
    groups = operation.groups
    inputChannels = filter.shape[filterAxes.input]
    outputChannels = outputs / max(1, operation.groups)
    tiled = sliding.removeLast()
    outer = sliding
    isFilterConstant = fusion.body.inputs.firstIndex(of: node.operands[1]).map { fusion.constants[$0] != nil } ?? false
    inputRank = input.rank
  }

  /// The number of window positions.
  var tapCount: Int { outer.reduce(tiled.size) { $0 &* $1.size } }
  var outerShape: Shape { Shape(outer.map(\.output)) }
  var steps: Extent { Extent(tapCount) * inputChannels }
  /// Multiply-adds, those with padding included.
  var products: Extent { batch * outerShape.elementCount * tiled.output * Extent(groups * outputChannels) * steps }

  /// True if each channel is convolved on its own.
  var isDepthwise: Bool { inputChannels == 1 && groups > 1 && outputChannels < 8 }

  /// A part of the input channels that lies in one operand of a concatenation.
  struct Piece {
    var node: NodeID
    var operand: Int
    var start: Int
    var count: Int
  }

  /// The input channels by where they lie, if the input is a concatenation inside the fusion and there are few of them; else nothing.
  func pieces(_ body: Graph) -> [Piece] {
    guard groups == 1, let node = body.producer(of: input), let concatenate = node.operation as? Concatenate,
      concatenate.axis == (operation.layout == .channelsLast ? body.type(of: input).rank - 1 : 1), node.operands.count <= 8
    else { return [] }
    var pieces: [Piece] = []
    var start = 0
    for (number, operand) in node.operands.enumerated() {
      guard let count = body.type(of: operand).shape[concatenate.axis].constant else { return [] }
      if count > 0 { pieces.append(Piece(node: node.id, operand: number, start: start, count: count)) }
      start += count
    }
    return pieces
  }

  /// How many channels can be multiplied together: they are neighbours in memory, and none is left over.
  func group(_ emitter: ElementEmitter) -> Int {
    let size = GroupedSteps.size(element, filterElement, result: resultElement)
    guard size > 1, operation.layout == .channelsLast, let channels = inputChannels.constant, channels % size == 0, channels > 0 else { return 1 }
    let pieces = pieces(emitter.graph)
    if pieces.isEmpty { return TileAccess.stride(of: input, along: inputRank - 1, emitter) == 1 ? size : 1 }
    let isWhole = pieces.allSatisfy { piece in
      let operand = emitter.graph.node(piece.node).operands[piece.operand]
      return piece.start % size == 0 && piece.count % size == 0 && TileAccess.stride(of: operand, along: inputRank - 1, emitter) == 1
    }
    return isWhole ? size : 1
  }

  /// An index into the input or the result.
  func index(batch: Expression, outer: [Expression], tiled: Expression, channel: Expression) -> [Expression] {
    operation.layout == .channelsLast ? [batch] + outer + [tiled, channel] : [batch, channel] + outer + [tiled]
  }

  /// An index into the filter; `output` counts over all groups, `input` within one.
  func filterIndex(taps: [Expression], input: Expression, output: Expression) -> [Expression] {
    operation.layout == .channelsLast ? taps + [input, output] : [output, input] + taps
  }

  /// The number of a window position, row-major.
  func tapNumber(_ taps: [Expression]) -> Expression {
    IndexMapping.linearize(taps, in: Shape((outer + [tiled]).map { Extent($0.size) }))
  }

  /// The step of the sum in which a filter element is used, in the order in which the filter is packed.
  func step(tap: Expression, channel: Expression) -> Expression {
    operation.layout == .channelsLast ? tap * .of(inputChannels) + channel : channel * .index(tapCount) + tap
  }

  /// The filter as matrices of [steps, output channels], one for each group, if it is constant.
  func constantFilter(_ fusion: FusionLowering) -> PanelSource? {
    var source = filter
    if let node = fusion.body.producer(of: filter), node.operation is Convert, element == .bf16, fusion.body.type(of: node.operands[0]).element == .f32 { source = node.operands[0] }
    guard let position = fusion.body.inputs.firstIndex(of: source), let tensor = fusion.constants[position], let steps = steps.constant else { return nil }
    if operation.layout == .channelsLast {
      return PanelSource(
        tensor: tensor, element: filterElement, matrices: groups, steps: steps, columns: outputChannels, matrixStride: outputChannels, stepStride: groups * outputChannels, columnStride: 1)
    }
    return PanelSource(
      tensor: tensor, element: filterElement, matrices: groups, steps: steps, columns: outputChannels, matrixStride: outputChannels * steps, stepStride: 1, columnStride: steps)
  }

  /// Estimated duration on one thread.
  func cycles(_ target: LoweringTarget) -> Extent {
    let arithmetic = products.floorDivided(by: Extent((target.lanes >= 16 ? 16 : target.lanes * 2) * GroupedSteps.size(element, filterElement, result: resultElement)))
    return .maximum(arithmetic, (steps * Extent(groups * outputChannels)).floorDivided(by: 4))
  }
}
