import GraphIR
import TensorTypes

/// Values for the symbols of a graph, read from the shapes of its inputs.
///
/// An extent that is nothing but a symbol defines it at its first appearance; every other extent is checked.
struct SymbolBinding {
  private(set) var values: [String: Int]

  init(_ graph: Graph, inputs: [Tensor], given: [String: Int]) throws(CompileError) {
    try self.init(graph.name, graph.inputs.map { (graph.value($0).name, graph.type(of: $0)) }, inputs: inputs, given: given)
  }

  init(_ model: String, _ ports: [(name: String, type: TensorType)], inputs: [Tensor], given: [String: Int]) throws(CompileError) {
    values = given
    guard inputs.count == ports.count else {
      throw CompileError(.badInput, "`\(model)` takes \(ports.count) inputs but is given \(inputs.count)", stage: .run)
    }
    for (port, tensor) in zip(ports, inputs) {
      guard port.type.element == tensor.element, port.type.rank == tensor.dimensions.count else {
        throw CompileError(.badInput, "input `\(port.name)` is \(tensor.type) but the model takes \(port.type)", stage: .run)
      }
      for (extent, dimension) in zip(port.type.shape, tensor.dimensions) {
        if let symbol = extent.symbol, values[symbol] == nil { values[symbol] = dimension }
      }
    }
    for (port, tensor) in zip(ports, inputs) {
      for (axis, extent) in port.type.shape.enumerated() {
        guard let value = extent.evaluated(values) else {
          throw CompileError(
            .badInput, "axis \(axis) of input `\(port.name)`, \(extent), does not follow from the inputs", stage: .run,
            hint: "give values for " + extent.symbols.filter { values[$0] == nil }.joined(separator: ", "))
        }
        guard value == tensor.dimensions[axis] else {
          let binding = extent.symbols.map { "\($0) = \(values[$0] ?? 0)" }.joined(separator: ", ")
          throw CompileError(
            .badInput, "input `\(port.name)` is \(tensor.type) but the model takes \(port.type)\(binding.isEmpty ? "" : " with \(binding)")", stage: .run)
        }
      }
    }
  }

  var extents: [String: Extent] { values.mapValues { Extent($0) } }
}
