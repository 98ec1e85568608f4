import GraphIR
import KernelIR
import TensorTypes

/// The movement nodes between the value that a template computes in its own index space and the fusion's result.
///
/// A template walks its domain once and stores each element where it ends up; a `pad` at the end becomes an
/// offset and a filled border, a `reshape` and `transpose` (splitting attention heads, say) only a position.
struct OutputPath {
  /// The value whose elements the template computes.
  let computed: ValueID
  /// From `computed` to the result, each the only user of the one before.
  let nodes: [Node]
  let graph: Graph

  /// Follows single-use movement nodes back from the body's result, but not beyond `anchor`.
  init(graph: Graph, anchor: ValueID?) {
    self.graph = graph
    var nodes: [Node] = []
    var value = graph.outputs[0]
    while value != anchor, let node = graph.producer(of: value), Self.canStoreThrough(node), graph.useCount(of: node.operands[0]) == 1 {
      nodes.append(node)
      value = node.operands[0]
    }
    computed = value
    self.nodes = nodes.reversed()
  }

  static func canStoreThrough(_ node: Node) -> Bool {
    switch node.operation {
    case is Reshape, is Transpose: true
    case let pad as Pad: pad.mode == .constant
    default: false
    }
  }

  /// The position in the result of an element of `computed`.
  func position(_ index: [Expression], _ mapping: IndexMapping) -> Expression {
    Self.position(index, through: nodes[...], of: computed, graph, mapping)
  }

  private static func position(_ index: [Expression], through nodes: ArraySlice<Node>, of value: ValueID, _ graph: Graph, _ mapping: IndexMapping) -> Expression {
    var index = index
    var shape = graph.type(of: value).shape
    for node in nodes {
      let next = graph.type(of: node.results[0]).shape
      switch node.operation {
      case let transpose as Transpose: index = transpose.permutation.map { index[$0] }
      case let pad as Pad: index = index.indices.map { index[$0] + .of(pad.low[$0]) }
      default: index = mapping.reshape(index, from: shape, to: next)
      }
      shape = next
    }
    return IndexMapping.linearize(index, in: shape)
  }

  /// Loops that fill the borders of every `pad` on the path.
  func fillBorders(_ output: Buffer, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    for (place, node) in nodes.enumerated() {
      guard let pad = node.operation as? Pad else { continue }
      let inner = graph.type(of: node.operands[0]).shape
      let whole = graph.type(of: node.results[0]).shape
      let rest = nodes[(place + 1)...]
      for axis in 0..<inner.rank {
        for (start, size) in [(Extent(0), pad.low[axis]), (pad.low[axis] + inner[axis], pad.high[axis])] where size != 0 {
          // Axes before this one only over the interior: their borders are filled already.
          let region = (0..<inner.rank).map { $0 < axis ? (pad.low[$0], inner[$0]) : $0 == axis ? (start, size) : (Extent(0), whole[$0]) }
          statements.append(contentsOf: try fill(region, node, rest, output, &emitter))
        }
      }
    }
    return statements
  }

  private func fill(
    _ region: [(start: Extent, size: Extent)], _ node: Node, _ rest: ArraySlice<Node>, _ output: Buffer, _ emitter: inout ElementEmitter
  ) throws(CompileError) -> [Statement] {
    let graph = graph
    func nest(_ axis: Int, _ index: [Expression], _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
      if axis == region.count {
        let value = try emitter.element(node.operands[1], [])
        return [.store(output, index: Self.position(index, through: rest, of: node.results[0], graph, emitter.mapping), value: value)]
      }
      let (start, size) = region[axis]
      if size == 1 { return try nest(axis + 1, index + [.of(start)], &emitter) }
      let isLast = region[(axis + 1)...].allSatisfy { $0.size == 1 }
      return [
        try emitter.loop("b", to: size, isLast ? .vectorized : .serial) { emitter, variable throws(CompileError) in
          try nest(axis + 1, index + [variable + .of(start)], &emitter)
        }
      ]
    }
    return try nest(0, [], &emitter)
  }
}
