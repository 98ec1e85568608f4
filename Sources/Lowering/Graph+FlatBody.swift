import GraphIR
import TensorTypes

extension Graph {
  /// The graph with every fusion's body in its place, and constants that are no scalars as further inputs.
  ///
  /// - Returns: The graph, and the tensors of those inputs, which follow the graph's own.
  func flattened() throws(TypeError) -> (graph: Graph, constants: [Tensor]) {
    var constants: [Tensor] = []
    let flat = try rebuilt { graph, node, operands throws(TypeError) in
      if let constant = node.operation as? Constant, constant.tensor.count != 1 {
        constants.append(constant.tensor)
        return [graph.addInput(value(node.results[0]).name, type(of: node.results[0]))]
      }
      guard let fusion = node.operation as? Fusion else { return try graph.add(node.operation, operands, origin: node.origin) }
      var renamed: [ValueID: ValueID] = [:]
      for (input, operand) in zip(fusion.body.inputs, operands) { renamed[input] = operand }
      for id in fusion.body.topologicalOrder() {
        let inner = fusion.body.node(id)
        let results = try graph.add(inner.operation, inner.operands.compactMap { renamed[$0] }, origin: inner.origin)
        for (old, new) in zip(inner.results, results) { renamed[old] = new }
      }
      return fusion.body.outputs.compactMap { renamed[$0] }
    }
    return (flat, constants)
  }
}
