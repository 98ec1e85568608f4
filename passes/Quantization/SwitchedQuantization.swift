public import GraphIR
public import TensorTypes

/// The graph with every layer of a plan both ways, and an input that says which of them is taken: bool, one element for each layer.
///
///     %y = select %enabled[3], (convolution of quantised operands), (convolution as it was)
///
/// It is for finding out what each layer's quantization does to the outputs without compiling a graph for each of them.
///
/// - Parameters:
///   - ranges: Of every root of the plan; nil for ranges that each run measures.
///   - corrections: As for `insertQuantization`.
public func insertSwitchedQuantization(
  _ graph: Graph, _ plan: QuantizationPlan, ranges: [ValueID: ValueRange]?, corrections: [NodeID: Tensor] = [:], switchName: String
) throws(CompileError) -> Graph {
  let merged = ranges.map(plan.merged)
  func rounded(_ value: ValueID, _ root: ValueID, _ new: inout Graph) throws(TypeError) -> ValueID? {
    guard let merged else { return try new.rounded(value, to: new.measuredScale(of: value)) }
    guard let range = merged[root] else { return nil }
    return try new.rounded(value, to: new.insert(plan.isSigned(root) ? ByteScale(around: range) : ByteScale(covering: range)))
  }
  return try graph.switched(plan.layers.map(\.node), by: switchName) { new, node, operands, place throws(TypeError) in
    guard let left = try rounded(operands[0], plan.root(of: plan.layers[place]), &new) else { return nil }
    let right: ValueID
    if let tensor = graph.constant(node.operands[1]) {
      let axis = QuantizedWeights.outputAxis(of: node.operation, rank: tensor.dimensions.count)
      let weights = QuantizedWeights(tensor, along: axis)
      right = try new.dequantizeLinear(new.insert(Constant(weights.bytes)), scale: new.insert(Constant(weights.scale)), axis: axis ?? 0)
    } else {
      guard let bytes = try rounded(operands[1], plan.rightRoot(of: plan.layers[place]), &new) else { return nil }
      right = bytes
    }
    var result = try new.insert(node.operation, left, right, origin: node.origin)
    if let correction = corrections[node.id] {
      let shape = new.type(of: result).shape
      let constant = try new.insert(Constant(correction.alignedWithOutputs(of: node.operation, rank: shape.rank)))
      result = try new.insert(Binary(.add), result, new.insert(Broadcast(to: shape), constant))
    }
    return (result, operands)
  }
}

/// The same for weights alone: every product, table and filter that `quantizeWeights` changes, both ways.
///
/// - Parameter exact: Weights by the name of their node, where those of `graph` were moved towards their numbers already.
/// - Returns: The graph, whose switches are in the order of `layers(of:)`. Layers of branches and loops have none.
public func insertSwitchedWeights(
  _ graph: Graph, _ quantization: WeightQuantization, exact: [String: Tensor], switchName: String
) throws(CompileError) -> Graph {
  let layers = quantization.layers(of: graph)
  return try graph.switched(layers.map(\.id), by: switchName) { new, node, operands, _ throws(TypeError) in
    let position = node.operation is Gather ? 0 : 1
    guard let weights = graph.constant(node.operands[position]), let narrow = quantization.narrowed(weights, of: node.operation) else { return nil }
    var (rounded, plain) = (operands, operands)
    rounded[position] = try new.dequantized(narrow, weights.element)
    if let exact = exact[node.origin.node] { plain[position] = try new.insert(Constant(exact)) }
    return (try new.add(node.operation, rounded, origin: node.origin)[0], plain)
  }
}

extension Graph {
  /// The graph with some nodes both ways.
  ///
  /// - Parameter ways: The node's quantised result, and the operands of what it was; nil where it only is what it was.
  fileprivate func switched(
    _ layers: [NodeID], by name: String,
    _ ways: (_ new: inout Graph, _ node: Node, _ operands: [ValueID], _ place: Int) throws(TypeError) -> (rounded: ValueID, plain: [ValueID])?
  ) throws(CompileError) -> Graph {
    let places = Dictionary(layers.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    var enabled: ValueID?
    return try rebuilt { new, node, operands throws(CompileError) in
      do throws(TypeError) {
        guard let place = places[node.id], let (rounded, left) = try ways(&new, node, operands, place) else {
          return try new.add(node.operation, operands, origin: node.origin, name: value(node.results[0]).name)
        }
        let plain = try new.add(node.operation, left, origin: node.origin, name: value(node.results[0]).name)[0]
        let switches = enabled ?? new.addInput(name, TensorType(.bool, [Extent(layers.count)]))
        enabled = switches
        let own = try new.insert(Slice(starts: [Extent(place)], sizes: [1], steps: [1]), switches)
        let (flag, shape) = (try new.insert(Reshape(to: []), own), new.type(of: plain).shape)
        return [try new.insert(Select(), new.insert(Broadcast(to: shape), flag), rounded, plain)]
      } catch { throw CompileError(error, stage: .pass("insert-quantization"), origin: node.origin, operands: new.types(of: operands)) }
    }
  }

  /// A value quantised and dequantised.
  fileprivate mutating func rounded(_ value: ValueID, to bytes: (scale: ValueID, zero: ValueID)) throws(TypeError) -> ValueID {
    let element = type(of: bytes.zero).element
    return try dequantizeLinear(quantizeLinear(value, scale: bytes.scale, zero: bytes.zero, to: element), scale: bytes.scale, zero: bytes.zero)
  }
}
