import GraphIR
import TensorTypes

/// Values for the symbols of a graph, read from the shapes of its inputs.
///
/// An extent that is nothing but a symbol defines it at its first appearance; every other extent is checked.
struct SymbolBinding {
  private(set) var values: [String: Int]

  init(_ graph: Graph, inputs: [Tensor], given: [String: Int]) throws(CompileError) {
    values = given
    guard inputs.count == graph.inputs.count else {
      throw CompileError(.badInput, "`\(graph.name)` takes \(graph.inputs.count) inputs but is given \(inputs.count)", stage: .run)
    }
    for (id, tensor) in zip(graph.inputs, inputs) {
      let (name, wanted) = (graph.value(id).name, graph.type(of: id))
      guard wanted.element == tensor.element, wanted.rank == tensor.dimensions.count else {
        throw CompileError(.badInput, "input `\(name)` is \(tensor.type) but the model takes \(wanted)", stage: .run)
      }
      for (extent, dimension) in zip(wanted.shape, tensor.dimensions) {
        if let symbol = extent.symbol, values[symbol] == nil { values[symbol] = dimension }
      }
    }
    for (id, tensor) in zip(graph.inputs, inputs) {
      let (name, wanted) = (graph.value(id).name, graph.type(of: id))
      for (axis, extent) in wanted.shape.enumerated() {
        guard let value = extent.evaluated(values) else {
          throw CompileError(
            .badInput, "axis \(axis) of input `\(name)`, \(extent), does not follow from the inputs", stage: .run,
            hint: "give values for " + extent.symbols.filter { values[$0] == nil }.joined(separator: ", "))
        }
        guard value == tensor.dimensions[axis] else {
          let binding = extent.symbols.map { "\($0) = \(values[$0] ?? 0)" }.joined(separator: ", ")
          throw CompileError(
            .badInput, "input `\(name)` is \(tensor.type) but the model takes \(wanted)\(binding.isEmpty ? "" : " with \(binding)")", stage: .run)
        }
      }
    }
  }

  var extents: [String: Extent] { values.mapValues { Extent($0) } }
}
