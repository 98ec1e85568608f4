public import GraphIR
public import TensorTypes

/// A constant that contractions multiply with, as a matrix of steps of the sum by columns of the result.
public struct PrunableWeights: Sendable {
  /// The constant.
  public let value: ValueID
  /// The contractions that read it.
  public let nodes: [NodeID]
  public let steps: Int
  public let columns: Int
  /// Distances in elements.
  public let stepStride: Int
  public let columnStride: Int
  public let isConvolution: Bool
  /// The name of the first contraction, for people.
  public let name: String

  /// Where a weight lies in the constant.
  public func position(step: Int, column: Int) -> Int { step * stepStride + column * columnStride }
  public var count: Int { steps * columns }
}

extension Graph {
  /// Smaller ones are left alone: they take no time, and every weight counts.
  private static var fewestWeights: Int { 1024 }

  /// The weights of linear layers and convolutions that can be zeroed, in the order of the graph, and for the others the reason.
  public func prunableWeights() -> (weights: [PrunableWeights], refused: [(name: String, reason: String)]) {
    var nodes: [ValueID: [NodeID]] = [:]
    var order: [ValueID] = []
    var weights: [PrunableWeights] = []
    var refused: [(name: String, reason: String)] = []
    for id in topologicalOrder() {
      let node = node(id)
      guard node.operation is Dot || node.operation is Convolution else { continue }
      guard let value = constantOperand(of: node) else {
        if readsQuantizedWeights(node) { refused.append((node.origin.node.isEmpty ? "%\(node.results.first?.index ?? 0)" : node.origin.node, "its weights are quantized already")) }
        continue
      }
      if nodes[value] == nil { order.append(value) }
      nodes[value, default: []].append(id)
    }
    for value in order {
      let readers = nodes[value] ?? []
      guard let first = readers.first.map({ node($0) }), let tensor = constant(value) else { continue }
      let name = first.origin.node.isEmpty ? "%\(first.results.first?.index ?? 0)" : first.origin.node
      guard tensor.element == .f32 else {
        refused.append((name, tensor.element.isInteger ? "its weights are quantized already" : "its weights are \(tensor.element.name)"))
        continue
      }
      if uses(of: value).contains(where: { !readers.contains($0.node) && !(node($0.node).operation is Broadcast) }) || isOutput(value) {
        refused.append((name, "its weights are also read by something that is no contraction"))
        continue
      }
      guard let found = matrix(value, tensor, readers, first, name) else {
        refused.append((name, "a convolution in groups: each weight has few others to take its place"))
        continue
      }
      if found.count < Self.fewestWeights {
        refused.append((name, "only \(found.count) weights"))
        continue
      }
      weights.append(found)
    }
    return (weights, refused)
  }

  /// The constant that is the right operand or filter, seen through a repetition along batch axes.
  private func constantOperand(of node: Node) -> ValueID? {
    guard node.operands.count == 2 else { return nil }
    var value = node.operands[1]
    if node.operation is Dot, let (broadcast, _) = producer(of: value, as: Broadcast.self) {
      let (inner, outer) = (type(of: broadcast.operands[0]).shape, type(of: value).shape)
      guard inner.rank >= 2, inner.extents.suffix(2) == outer.extents.suffix(2) else { return nil }
      value = broadcast.operands[0]
    }
    guard let tensor = constant(value), tensor.count > 0 else { return nil }
    return value
  }

  /// True for a contraction whose right operand or filter is a dequantised constant, through views or not.
  package func readsQuantizedWeights(_ node: Node) -> Bool {
    guard node.operation is Dot || node.operation is Convolution, node.operands.count == 2 else { return false }
    var value = node.operands[1]
    while let view = producer(of: value), view.operation is Broadcast || view.operation is Reshape || view.operation is Transpose { value = view.operands[0] }
    return DequantizedValue(value, in: self).map { constant($0.quantized) != nil } ?? false
  }

  private func matrix(_ value: ValueID, _ tensor: Tensor, _ readers: [NodeID], _ first: Node, _ name: String) -> PrunableWeights? {
    let dimensions = tensor.dimensions
    if let convolution = first.operation as? Convolution {
      let rank = dimensions.count
      guard convolution.groups == 1, rank >= 3, readers.allSatisfy({ (node($0).operation as? Convolution)?.layout == convolution.layout }) else { return nil }
      let columns = dimensions[convolution.filterAxes(rank: rank).output]
      let steps = tensor.count / max(1, columns)
      let isFirst = convolution.layout == .channelsFirst
      return PrunableWeights(
        value: value, nodes: readers, steps: steps, columns: columns, stepStride: isFirst ? 1 : columns, columnStride: isFirst ? steps : 1, isConvolution: true, name: name)
    }
    guard dimensions.count >= 2, readers.allSatisfy({ node($0).operation is Dot }) else { return nil }
    let (steps, columns) = (dimensions[dimensions.count - 2], dimensions[dimensions.count - 1])
    guard tensor.count == steps * columns else { return nil }
    return PrunableWeights(value: value, nodes: readers, steps: steps, columns: columns, stepStride: columns, columnStride: 1, isConvolution: false, name: name)
  }

  /// The same graph with other tensors for some constants. Values and nodes keep their ids; those that nothing reads any more are left.
  ///
  /// - Throws: `TypeError` if a tensor has another type than the constant.
  public func replacing(constants: [ValueID: Tensor]) throws(TypeError) -> Graph {
    var graph = self
    for (value, tensor) in constants.sorted(by: { $0.key.index < $1.key.index }) {
      guard let node = producer(of: value), node.operation is Constant else { continue }
      guard tensor.type == type(of: value) else { throw TypeError("\(tensor.type) cannot take the place of the constant \(type(of: value))") }
      let new = try graph.add(Constant(tensor), [], origin: node.origin, name: self.value(value).name)[0]
      graph.replaceAllUses(of: value, with: new)
    }
    return graph
  }
}
