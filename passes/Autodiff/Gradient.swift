import GraphIR
import TensorTypes

/// Derivatives of a graph's output with respect to some of its inputs, by reverse mode.
///
/// The result computes the graph's values again and walks back through them once: it costs a small multiple of the graph,
/// however many inputs there are. Values that the caller has already are shared again by `eliminate-common-subexpressions`.
/// Where a function has a corner (maximum, absolute value) one of its derivatives is taken; of a whole-number operand or a comparison there is none.
///
/// - Parameters:
///   - graph: Any graph of core operations and composites, whose first output is floating point. An output of more than one
///     element stands for its sum.
///   - positions: Of inputs of floating point.
/// - Returns: A graph with the same inputs, and one output for each of `positions`: zeros for an input that the output does not depend on.
/// - Throws: `CompileError`, `.unsupported` for an operation between them that has no rule, naming it.
/// - Source: ONNX `ai.onnx.preview.training::Gradient`; Griewank and Walther, "Evaluating Derivatives", chapter 3.
public func gradient(of graph: Graph, withRespectTo positions: [Int]) throws(CompileError) -> Graph {
  guard let output = graph.outputs.first, graph.type(of: output).element.isFloatingPoint else {
    throw CompileError(.badInput, "the gradient of a graph whose first output is not floating point", stage: .pass("gradient"), origin: NodeOrigin(file: graph.name))
  }
  var sweep = BackwardSweep(graph)
  let seed = try sweep.filled(1, graph.type(of: output))
  return try sweep.finished([output], seeds: [seed], withRespectTo: positions)
}

extension Graph {
  /// A graph that takes the inputs of this one and a seed for each of its floating-point outputs, and gives the derivatives of the sum of
  /// products of outputs and seeds with respect to some inputs.
  func vectorJacobianProduct(withRespectTo positions: [Int]) throws(CompileError) -> Graph {
    var sweep = BackwardSweep(self)
    var seeds: [ValueID?] = []
    for output in outputs {
      let isFloating = type(of: output).element.isFloatingPoint
      seeds.append(isFloating ? sweep.addInput("seed\(seeds.count)", type(of: output)) : nil)
    }
    return try sweep.finished(outputs, seeds: seeds, withRespectTo: positions)
  }
}

extension BackwardSweep {
  /// The graph with the derivatives as its only outputs.
  fileprivate consuming func finished(_ outputs: [ValueID], seeds: [ValueID?], withRespectTo positions: [Int]) throws(CompileError) -> Graph {
    var sweep = self
    var inputs: [ValueID] = []
    for position in positions {
      guard sweep.graph.inputs.indices.contains(position), sweep.element(sweep.graph.inputs[position]).isFloatingPoint else {
        throw CompileError(
          .badInput, "the gradient with respect to input \(position), which is not floating point", stage: .pass("gradient"),
          origin: NodeOrigin(file: sweep.graph.name))
      }
      inputs.append(sweep.graph.inputs[position])
    }
    let found = try sweep.derivatives(of: outputs, seeds: seeds, withRespectTo: inputs)
    var results: [(name: String, value: ValueID)] = []
    for (input, derivative) in zip(inputs, found) {
      let value: ValueID
      if let derivative { value = derivative } else { value = try sweep.filled(0, sweep.type(input)) }
      results.append(("d_" + sweep.graph.value(input).name, value))
    }
    sweep.setOutputs(results)
    var graph = sweep.graph
    graph.removeDeadNodes()
    return graph
  }
}
