import GraphIR

/// The nodes of one graph that its outputs need, each after those it reads.
///
/// The standard wants nodes in that order already; exporters that break the rule are forgiven, cycles are not.
struct NodeOrder {
  /// Positions in the graph's node list.
  private(set) var positions: [Int] = []

  init(_ nodes: [NodeProto], outputs: [String], isVisible: (String) -> Bool, origin: (NodeProto) -> NodeOrigin) throws(CompileError) {
    var producers: [String: Int] = [:]
    for (position, node) in nodes.enumerated() {
      for output in node.outputs where !output.isEmpty {
        if producers.updateValue(position, forKey: output) != nil {
          throw CompileError(.badInput, "value `\(printable(output))` is defined twice", stage: .load, origin: origin(node))
        }
      }
    }
    enum Mark { case new, open, done }
    var marks = [Mark](repeating: .new, count: nodes.count)
    // Depth first from the outputs, without recursion: hostile graphs may be long chains.
    var stack: [(node: Int, reads: [String], next: Int)] = []
    func enter(_ position: Int) {
      marks[position] = .open
      stack.append((position, Self.reads(nodes[position]), 0))
    }
    for output in outputs {
      if let root = producers[output], marks[root] == .new { enter(root) }
      while let top = stack.last {
        guard top.next < top.reads.count else {
          marks[top.node] = .done
          positions.append(top.node)
          stack.removeLast()
          continue
        }
        stack[stack.count - 1].next += 1
        let name = top.reads[top.next]
        if let producer = producers[name] {
          switch marks[producer] {
          case .new: enter(producer)
          case .open:
            throw CompileError(.badInput, "the graph has a cycle through value `\(printable(name))`", stage: .load, origin: origin(nodes[top.node]))
          case .done: break
          }
        } else if !isVisible(name) {
          throw CompileError(.badInput, "value `\(printable(name))` is read but never defined", stage: .load, origin: origin(nodes[top.node]))
        }
      }
    }
  }

  /// The names that a node reads, those inside its graphs included.
  static func reads(_ node: NodeProto) -> [String] {
    var names = node.inputs.filter { !$0.isEmpty }
    for attribute in node.attributes {
      if case .graph(let graphs) = attribute.value { for graph in graphs { names += freeNames(graph) } }
    }
    return names
  }

  /// The names that a graph reads from around it, in the order of their first use.
  static func freeNames(_ graph: GraphProto) -> [String] {
    var defined = Set(graph.inputs.map(\.name))
    defined.formUnion(graph.initializers.map(\.name))
    for node in graph.nodes { defined.formUnion(node.outputs) }
    var seen: Set<String> = []
    var names: [String] = []
    for name in graph.nodes.flatMap({ reads($0) }) + graph.outputs.map(\.name) where !defined.contains(name) {
      if seen.insert(name).inserted { names.append(name) }
    }
    return names
  }
}
