import GraphIR

/// How many elements a kernel computes for one element of its result, as lowering writes them out.
///
/// Elementwise nodes ask for their operands at their own index, and a value that is asked for twice at one index is
/// computed once. Every other node asks at an index of its own for each operand: `concatenate %v, %v` computes `%v`
/// twice, and a chain of them computes it once for each path. That, and not the number of nodes, is a kernel's size.
struct Expansion {
  private struct Step: Hashable {
    var node: NodeID
    var operand: Int
    var index: Int
  }

  private struct Element: Hashable {
    var value: ValueID
    var index: Int
  }

  private let graph: Graph
  private let isInlined: (ValueID) -> Bool
  private var indices: [Step: Int] = [:]
  private var elements: Set<Element> = []

  private init(_ graph: Graph, _ isInlined: @escaping (ValueID) -> Bool) { (self.graph, self.isInlined) = (graph, isInlined) }

  /// The number of elements that computing one element of each of `values` takes, these included; nil if more than
  /// `limit` of them are of values counted already.
  static func count(of values: [ValueID], in graph: Graph, repeating limit: Int, isInlined: @escaping (ValueID) -> Bool) -> Int? {
    var expansion = Expansion(graph, isInlined)
    var pending = values.map { Element(value: $0, index: 0) }
    expansion.elements = Set(pending)
    var distinct = Set(values)
    while let element = pending.popLast() {
      guard let node = graph.producer(of: element.value) else { continue }
      for (position, operand) in node.operands.enumerated() where isInlined(operand) {
        let read = Element(value: operand, index: expansion.index(of: operand, at: position, node, element.index))
        guard expansion.elements.insert(read).inserted else { continue }
        distinct.insert(operand)
        if expansion.elements.count - distinct.count > limit { return nil }
        pending.append(read)
      }
    }
    return expansion.elements.count
  }

  private mutating func index(of operand: ValueID, at position: Int, _ node: Node, _ index: Int) -> Int {
    if FusionCost.isElementwise(node.operation) || graph.type(of: operand).rank == 0 { return index }
    let step = Step(node: node.id, operand: position, index: index)
    if let known = indices[step] { return known }
    indices[step] = indices.count + 1
    return indices.count
  }
}
