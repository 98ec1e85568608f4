import GraphIR
import TensorTypes

extension CalibrationSamples {
  /// A graph with the lengths of symbolic axes that all samples share.
  ///
  /// - Parameter graph: Its inputs are what the samples are for.
  func binding(_ graph: Graph) throws(CompileError) -> Graph {
    var lengths: [String: Set<Int>] = [:]
    if graph.inputs.allSatisfy({ graph.type(of: $0).shape.constants != nil }) { return graph }
    for sample in 0..<count {
      for (input, tensor) in zip(graph.inputs, try tensors(sample)) {
        for (extent, length) in zip(graph.type(of: input).shape, tensor.dimensions) { if let symbol = extent.symbol { lengths[symbol, default: []].insert(length) } }
      }
    }
    let bindings = lengths.compactMapValues { $0.count == 1 ? $0.first.map { Extent($0) } : nil }
    return bindings.isEmpty ? graph : try graph.substituting(bindings)
  }
}
