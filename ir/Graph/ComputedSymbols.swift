import TensorTypes

/// Symbols that the graph finds itself while it runs, by `measure` and other operations with `definedSymbols`.
///
/// A node whose types, attributes or inner graphs mention such a symbol depends on the node that defines it, as if it read a result.
extension Graph {
  /// The node that defines each computed symbol of this graph; those of nested graphs are theirs.
  public var definitions: [String: NodeID] { definers.compactMapValues(\.last) }

  /// The computed symbols, in the order in which the live nodes define them, those of nested graphs included.
  public var computedSymbols: [String] {
    var found: [String] = []
    for id in topologicalOrder() {
      let operation = node(id).operation
      let inner = operation.regions.flatMap(\.computedSymbols)
      let isInner = inner.isEmpty ? [] : Set(inner)
      found += inner + operation.definedSymbols.filter { !isInner.contains($0) }
    }
    return found
  }

  /// The symbols that a node's result types, attributes and inner graphs mention.
  public func mentionedSymbols(of node: Node) -> Set<String> { mentions[node.id.index] }

  static func symbols(mentionedBy operation: any Operation, types: [TensorType]) -> Set<String> {
    var found: Set<String> = []
    for type in types { found.formUnion(mentioned: type.shape.extents) }
    switch operation {
    case is Constant, is Unary, is Binary, is Compare, is Select, is Convert, is Transpose, is Concatenate, is Dot, is Reduce: return found
    default: break
    }
    for entry in operation.attributes.entries { if case .extents(let extents) = entry.value { found.formUnion(mentioned: extents) } }
    for region in operation.regions { found.formUnion(region.mentionedSymbols) }
    // The number of a scan's step exists in its body only.
    if let round = (operation as? Scan)?.round { found.remove(round) }
    return found
  }

  /// The nodes that define symbols which the node mentions; none for a graph without computed symbols.
  public func symbolDependencies(of node: Node) -> [NodeID] {
    if definers.isEmpty { return [] }
    var found: Set<NodeID> = []
    for symbol in mentionedSymbols(of: node) { if let definer = definers[symbol]?.last, definer != node.id { found.insert(definer) } }
    return found.sorted()
  }
}

extension Set<String> {
  mutating func formUnion(mentioned extents: [Extent]) { for extent in extents where !extent.isConstant { formUnion(extent.symbols) } }
}
