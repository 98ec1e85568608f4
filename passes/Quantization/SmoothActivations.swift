public import GraphIR
import TensorTypes

/// Moves outliers of activations into the weights of matrix products, where a scale for each output hides them less.
///
///     %y = dot %x, %w
/// ->
///     %z = mul %x, broadcast (1 / s)
///     %y = dot %z, (w with row j times s[j])
///
/// `SmoothingFactors` says how s is found. All products that read one value share s, so that it is still quantised once. Where they are all that reads a layer norm, the factors
/// go into its scale and bias and cost nothing; else the multiplication is part of the kernel that makes the bytes.
/// Numerics: exact but for the rounding of one multiplication each.
///
/// Source: Xiao et al., SmoothQuant (ICML 2023), equation 4.
///
/// - Parameters:
///   - channels: What the products' left operands are like, over samples.
/// - Returns: The graph, and how many values were smoothed.
public func smoothActivations(
  _ graph: Graph, _ plan: QuantizationPlan, channels: [ValueID: ChannelStatistics], _ smoothing: Smoothing
) throws(CompileError) -> (graph: Graph, count: Int) {
  let factors = smoothingFactors(graph, plan, channels, smoothing)
  // Products that read one value through the same reshape, by that value.
  var smoothed: [ValueID: ValueID] = [:]
  let norms = Set(factors.keys.compactMap { value in graph.absorbingNorm(of: value, plan) })
  let result = try graph.rebuilt { new, node, operands throws(CompileError) in
    do throws(TypeError) {
      if let composite = node.operation as? Composite, norms.contains(node.id), let value = graph.smoothedReading(of: node.results[0], factors), let scales = factors[value] {
        let inverse = Tensor(.f32, [scales.count], scales.map { 1 / $0 })
        var operands = operands
        for position in 1..<operands.count { operands[position] = try new.insert(Binary(.multiply), operands[position], new.insert(Constant(inverse)), origin: node.origin) }
        return try new.add(composite, operands, origin: node.origin, name: graph.value(node.results[0]).name)
      }
      guard node.operation is Dot, let scales = factors[node.operands[0]], plan.layer(node.id) != nil, let weights = graph.constant(node.operands[1]), weights.dimensions.count == 2 else {
        return try new.add(node.operation, operands, origin: node.origin, name: graph.value(node.results[0]).name)
      }
      var left = operands[0]
      if graph.absorbingNorm(of: node.operands[0], plan) == nil {
        if let known = smoothed[node.operands[0]] { left = known } else {
          let inverse = try new.insert(Constant(Tensor(.f32, [scales.count], scales.map { 1 / $0 })))
          left = try new.insert(Binary(.multiply), left, new.insert(Broadcast(to: new.type(of: left).shape), inverse), origin: node.origin)
          smoothed[node.operands[0]] = left
        }
      }
      let columns = weights.dimensions[1]
      let numbers = weights.doubles.enumerated().map { $1 * scales[$0 / max(columns, 1)] }
      let right = try new.insert(Constant(Tensor(.f32, weights.dimensions, numbers)), name: graph.value(node.operands[1]).name)
      return try new.add(node.operation, [left, right], origin: node.origin, name: graph.value(node.results[0]).name)
    } catch { throw CompileError(error, stage: .pass("smooth-activations"), origin: node.origin, operands: new.types(of: operands)) }
  }
  return (result, factors.count)
}

/// A factor for each channel of each left operand that smoothing applies to.
private func smoothingFactors(_ graph: Graph, _ plan: QuantizationPlan, _ channels: [ValueID: ChannelStatistics], _ smoothing: Smoothing) -> [ValueID: [Double]] {
  var readers: [ValueID: [Tensor]] = [:]
  for layer in plan.layers where graph.node(layer.node).operation is Dot {
    guard let weights = graph.constant(layer.weights), weights.dimensions.count == 2, channels[layer.activation]?.means.count == weights.dimensions[0] else { continue }
    readers[layer.activation, default: []].append(weights)
  }
  var factors: [ValueID: [Double]] = [:]
  for (value, weights) in readers { if let seen = channels[value] { factors[value] = SmoothingFactors(seen, weights).chosen(smoothing) } }
  return factors
}

extension Graph {
  /// The layer norm whose scale and bias can take the factors of a value: everything that reads it, through one reshape or not, is a smoothed product.
  fileprivate func absorbingNorm(of value: ValueID, _ plan: QuantizationPlan) -> NodeID? {
    var source = value
    while let view = producer(of: source), view.operation is Reshape, useCount(of: view.operands[0]) == 1,
      type(of: view.operands[0]).shape.extents.last == type(of: source).shape.extents.last
    { source = view.operands[0] }
    guard let (node, composite) = producer(of: source, as: Composite.self), composite.name == "layer_norm", node.operands.count == 3, !isOutput(value), !isOutput(source) else { return nil }
    // One vector along the last axis each.
    let width = type(of: source).shape.extents.last
    guard node.operands.dropFirst().allSatisfy({ constant($0) != nil && type(of: $0).rank == 1 && type(of: $0).shape[0] == width }) else { return nil }
    let isSmoothed: (Use) -> Bool = { use in
      plan.layer(use.node) != nil && use.operand == 0 && self.node(use.node).operation is Dot && constant(self.node(use.node).operands[1])?.dimensions.count == 2
    }
    return uses(of: value).allSatisfy(isSmoothed) ? node.id : nil
  }

  /// The value among those with factors that a layer norm's result is read as.
  fileprivate func smoothedReading(of result: ValueID, _ factors: [ValueID: [Double]]) -> ValueID? {
    var value = result
    while factors[value] == nil {
      guard let use = uses(of: value).first, node(use.node).operation is Reshape else { return nil }
      value = node(use.node).results[0]
    }
    return value
  }
}
