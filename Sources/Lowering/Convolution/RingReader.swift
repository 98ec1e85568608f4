import GraphIR
import KernelIR
import TensorTypes

/// The second part of a `ConvolutionChain`: a depthwise convolution or a pooling, over [batch, rows, columns, channels].
struct RingReader {
  let anchor: Node
  /// What it reads.
  let input: ValueID
  let batch: Extent
  let outer: SlidingAxis
  let tiled: SlidingAxis
  let combination: WindowTile.Combination
  private let element: ElementType
  private let depthwise: ConvolutionProblem?
  private let results: Extent

  /// Nil if the node is no window that reads each channel on its own.
  init?(_ fusion: FusionLowering, _ node: Node) throws(CompileError) {
    let type = fusion.body.type(of: node.operands[0]), result = fusion.body.type(of: node.results[0]).shape
    guard type.shape.rank == 4 else { return nil }
    (anchor, input, batch, element) = (node, node.operands[0], type.shape[0], type.element)
    results = result.elementCount
    if let operation = node.operation as? Convolution {
      let problem = try ConvolutionProblem(fusion, node, operation)
      guard problem.isDepthwise, problem.outputChannels == 1, operation.layout == .channelsLast, problem.outer[0].inputDilation == 1, problem.tiled.inputDilation == 1
      else { return nil }
      (depthwise, outer, tiled, combination) = (problem, problem.outer[0], problem.tiled, .products)
    } else if let operation = node.operation as? ReduceWindow {
      guard operation.size[0] == 1, operation.size[3] == 1, type.element.isFloatingPoint else { return nil }
      depthwise = nil
      combination = .reduction(operation.reducer)
      func axis(_ number: Int) -> SlidingAxis {
        SlidingAxis(input: type.shape[number], output: result[number], size: operation.size[number], window: operation.window, inputDilation: 1, axis: number)
      }
      (outer, tiled) = (axis(1), axis(2))
    } else {
      return nil
    }
  }

  var name: String { depthwise == nil ? "pooling" : "depthwise convolution" }
  var tapCount: Int { outer.size &* tiled.size }
  /// Elements that are combined.
  var work: Extent { results * Extent(tapCount) }
  var flops: Extent { depthwise == nil ? work : work * 2 }

  /// What lies around the image.
  var padding: Expression {
    if case .reduction(let reducer) = combination { ReductionTemplate.neutral(reducer, element) } else { .number(0, element) }
  }

  /// The weight of a tap; of no use to a pooling.
  func weight(_ emitter: inout ElementEmitter, tap: [Expression], channel: Expression) throws(CompileError) -> Expression {
    guard let depthwise else { return .number(1, element) }
    return try emitter.element(depthwise.filter, depthwise.filterIndex(taps: tap, input: .index(0), output: channel))
  }
}
