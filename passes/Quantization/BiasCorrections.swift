public import GraphIR
public import TensorTypes

/// What rounding the weights of each layer takes away from the average of its outputs: what has to be added to them again.
///
/// With x the input's channels, W the weights and V the rounded ones, the average of (W - V) x is (W - V) times the average of x. The padding of
/// convolutions counts as if it were input.
///
/// Source: Nagel et al., Data-free quantization through weight equalization and bias correction (ICCV 2019), 4.2, with averages that
/// were measured.
///
/// - Parameter means: The averages of the channels of each layer's left operand.
/// - Returns: By layer, an f32 for each output; layers without averages are left out.
public func biasCorrections(_ graph: Graph, _ plan: QuantizationPlan, means: [ValueID: [Double]]) -> [NodeID: Tensor] {
  var corrections: [NodeID: Tensor] = [:]
  for layer in plan.layers {
    guard let average = means[layer.activation], let weights = graph.constant(layer.weights) else { continue }
    let operation = graph.node(layer.node).operation
    let rank = weights.dimensions.count
    guard let outputAxis = QuantizedWeights.outputAxis(of: operation, rank: rank) else { continue }
    let view = ContractionWeights(operation, weights.dimensions, outputAxis: outputAxis)
    guard view.inputs == average.count else { continue }
    let rounded = QuantizedWeights(weights, along: outputAxis)
    let (exact, bytes, scales) = (weights.doubles, rounded.bytes.integers, rounded.scale.doubles)
    var sums = [Double](repeating: 0, count: view.outputs)
    for position in exact.indices {
      let output = view.output(position)
      sums[output] += (exact[position] - Double(bytes[position]) * scales[output]) * average[view.input(position)]
    }
    corrections[layer.node] = Tensor(.f32, [view.outputs], sums)
  }
  return corrections
}

/// Which output and which input channel each element of a contraction's weights belongs to.
struct ContractionWeights {
  let outputs: Int
  /// Channels of the left operand.
  let inputs: Int
  private let groups: Int
  private let inputExtent: Int
  private let (outputStride, inputStride): (Int, Int)

  /// - Parameter outputAxis: Of the weights; the other operand's channels are the axis beside it.
  init(_ operation: any Operation, _ dimensions: [Int], outputAxis: Int) {
    func stride(_ axis: Int) -> Int { dimensions[(axis + 1)...].reduce(1, *) }
    let rank = dimensions.count
    let inputAxis = (operation as? Convolution)?.filterAxes(rank: rank).input ?? rank - 2
    groups = (operation as? Convolution)?.groups ?? 1
    outputs = dimensions[outputAxis]
    inputExtent = dimensions[inputAxis]
    inputs = inputExtent * groups
    (outputStride, inputStride) = (stride(outputAxis), stride(inputAxis))
  }

  func output(_ position: Int) -> Int { position / outputStride % max(outputs, 1) }

  func input(_ position: Int) -> Int {
    let own = position / inputStride % max(inputExtent, 1)
    return groups == 1 ? own : output(position) / max(outputs / groups, 1) * inputExtent + own
  }
}
