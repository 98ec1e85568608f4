import GraphIR
import TensorTypes

/// One fusion inlined into another that reads its result.
enum FusionMerge {
  /// - Parameter position: Which operand of the reader is the result of `producer`.
  /// - Returns: The merged fusion and its operands, each once; nil if the bodies do not fit together.
  static func inline(
    _ producer: Fusion, _ producerOperands: [ValueID], into reader: Fusion, _ readerOperands: [ValueID], at position: Int, _ template: Fusion.Template, reason: String
  ) -> (fusion: Fusion, operands: [ValueID])? {
    var body = Graph(name: reader.body.name)
    var operands: [ValueID] = []
    var inputs: [ValueID: ValueID] = [:]
    func input(_ outer: ValueID, like old: ValueID, in graph: Graph) -> ValueID {
      if let known = inputs[outer] { return known }
      let added = body.addInput(graph.value(old).name, graph.type(of: old))
      inputs[outer] = added
      operands.append(outer)
      return added
    }
    func copy(_ graph: Graph, _ renamed: inout [ValueID: ValueID]) -> Bool {
      for id in graph.topologicalOrder() {
        let node = graph.node(id)
        let mapped = node.operands.compactMap { renamed[$0] }
        guard mapped.count == node.operands.count, let first = node.results.first,
          let results = try? body.add(node.operation, mapped, origin: node.origin, name: graph.value(first).name)
        else { return false }
        for (before, after) in zip(node.results, results) { renamed[before] = after }
      }
      return true
    }
    var before: [ValueID: ValueID] = [:], after: [ValueID: ValueID] = [:]
    for (outer, inner) in zip(producerOperands, producer.body.inputs) { before[inner] = input(outer, like: inner, in: producer.body) }
    guard copy(producer.body, &before), let result = producer.body.outputs.first, let value = before[result] else { return nil }
    for (number, (outer, inner)) in zip(readerOperands, reader.body.inputs).enumerated() {
      after[inner] = number == position ? value : input(outer, like: inner, in: reader.body)
    }
    guard copy(reader.body, &after) else { return nil }
    let outputs = reader.body.outputs.compactMap { after[$0] }
    guard outputs.count == reader.body.outputs.count else { return nil }
    body.setOutputs(Array(zip(reader.body.outputNames, outputs)).map { (name: $0, value: $1) })
    return (Fusion(template, body: body, reason: reason), operands)
  }
}
