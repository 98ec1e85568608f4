import GraphIR
import TensorTypes

/// A part of a graph as a graph of its own.
struct GraphPiece {
  var graph: Graph
  /// Values of the whole graph that are the inputs, in their order.
  var inputs: [ValueID] = []
  /// What stands for values of the whole graph.
  var values: [ValueID: ValueID] = [:]

  /// What computes some values of a graph from others.
  ///
  /// - Parameters:
  ///   - cut: Values that are given; the graph's inputs are given anyway. Those that nothing reads are left out.
  ///   - results: The piece's outputs.
  init(of whole: Graph, from cut: Set<ValueID>, to results: [ValueID]) throws(TypeError) {
    graph = Graph(name: whole.name)
    let given = cut.union(whole.inputs)
    var needed: Set<NodeID> = []
    var reached: Set<ValueID> = []
    var stack = results
    while let value = stack.popLast() {
      guard reached.insert(value).inserted, !given.contains(value), let node = whole.producer(of: value) else { continue }
      if needed.insert(node.id).inserted { stack += node.operands }
    }
    for value in reached.filter(given.contains).sorted(by: { $0.index < $1.index }) {
      inputs.append(value)
      values[value] = graph.addInput("input.\(value.index)", whole.type(of: value))
    }
    for id in whole.topologicalOrder() where needed.contains(id) {
      let node = whole.node(id)
      var operands: [ValueID] = []
      for operand in node.operands {
        guard let own = values[operand] else { throw TypeError("the graph is not in order") }
        operands.append(own)
      }
      let new = try graph.add(node.operation, operands, origin: node.origin)
      for (old, own) in zip(node.results, new) where !given.contains(old) { values[old] = own }
    }
    graph.setOutputs(results.compactMap { value in values[value].map { ("output.\(value.index)", $0) } })
  }
}

/// The order in which a graph's values are computed, and which of them are still needed behind a point of it. Constants are in none.
struct ComputationOrder {
  private var places: [ValueID: Int] = [:]
  private var lastUses: [ValueID: Int] = [:]

  init(_ graph: Graph) {
    for value in graph.inputs { places[value] = -1 }
    for (place, id) in graph.topologicalOrder().enumerated() {
      let node = graph.node(id)
      if node.operation is Constant { continue }
      for result in node.results { places[result] = place }
      for operand in node.operands { lastUses[operand] = place }
    }
  }

  /// When a value is computed; nil for constants and what no output needs.
  func place(_ value: ValueID) -> Int? { places[value] }

  /// What is computed up to a place and read behind it.
  func live(after place: Int) -> [ValueID] {
    places.filter { $0.value <= place && lastUses[$0.key, default: -1] > place }.keys.sorted { $0.index < $1.index }
  }
}
