import GraphIR
import TensorTypes

/// The only way in which rewrites change a graph. Keeps use lists, origins and the worklist right.
///
/// Use counts see live nodes only: a node that lost its last reader is taken out at once, with everything
/// that only it read.
public struct Rewriter {
  public private(set) var graph: Graph
  /// The origin that inserted nodes inherit: that of the node being rewritten.
  private var origin = NodeOrigin()
  private var worklist: [NodeID] = []
  private var isQueued: [Bool] = []
  private var isDead: [Bool] = []
  private var inserted: [NodeID] = []
  /// Why nodes that are still there were left as they are.
  private var refusals: [NodeID: String] = [:]

  init(_ graph: Graph) {
    self.graph = graph
    self.graph.removeDeadNodes()
    // Popped from the end: operands come before their readers.
    for node in self.graph.topologicalOrder().reversed() { push(node) }
  }

  // MARK: Reading

  public func type(of id: ValueID) -> TensorType { graph.type(of: id) }
  public func producer(of id: ValueID) -> Node? { graph.producer(of: id) }
  public func producer<T: Operation>(of id: ValueID, as type: T.Type) -> (node: Node, operation: T)? { graph.producer(of: id, as: type) }
  public func constant(_ id: ValueID) -> Tensor? { graph.constant(id) }
  /// True if one operand position of one live node reads the value, and no output does.
  public func hasOneUse(_ id: ValueID) -> Bool { graph.useCount(of: id) == 1 }

  // MARK: Inserting

  /// Adds a node in the place of the one being rewritten.
  public mutating func insertAll(_ operation: any Operation, _ operands: [ValueID]) throws(TypeError) -> [ValueID] {
    let results = try graph.add(operation, operands, origin: origin)
    if let first = results.first, case .node(let id, _) = graph.value(first).producer {
      inserted.append(id)
      push(id)
    }
    return results
  }

  /// Adds a node with one result.
  public mutating func insert(_ operation: any Operation, _ operands: ValueID...) throws(TypeError) -> ValueID {
    try insertAll(operation, operands)[0]
  }

  public mutating func constant(_ tensor: Tensor) throws(TypeError) -> ValueID { try insert(Constant(tensor)) }

  /// The value under another shape with as many elements; itself if the shape is the same.
  public mutating func reshape(_ value: ValueID, to shape: Shape) throws(TypeError) -> ValueID {
    type(of: value).shape == shape ? value : try insert(Reshape(to: shape), value)
  }

  /// The value repeated to a shape; itself if the shape is the same.
  public mutating func broadcast(_ value: ValueID, to shape: Shape) throws(TypeError) -> ValueID {
    type(of: value).shape == shape ? value : try insert(Broadcast(to: shape), value)
  }

  /// Says why a node stays as it is although somebody might expect otherwise.
  public mutating func refuse(_ node: Node, _ reason: String) { refusals[node.id] = reason }

  // MARK: Driving

  private mutating func push(_ id: NodeID) {
    while isQueued.count <= id.index {
      isQueued.append(false)
      isDead.append(false)
    }
    if isQueued[id.index] || isDead[id.index] { return }
    isQueued[id.index] = true
    worklist.append(id)
  }

  mutating func next() -> Node? {
    while let id = worklist.popLast() {
      isQueued[id.index] = false
      if !isDead[id.index] { return graph.node(id) }
    }
    return nil
  }

  mutating func begin(_ node: Node) {
    origin = node.origin
    refusals[node.id] = nil
    inserted.removeAll(keepingCapacity: true)
  }

  /// Drops what a rewrite inserted before it decided against itself.
  mutating func abandon() {
    for id in inserted.reversed() {
      retireDefiner(id)
      removeIfUnused(id)
    }
  }

  mutating func replace(_ node: Node, with values: [ValueID]) throws(TypeError) {
    guard values.count == node.results.count else {
      throw TypeError("a rewrite of `\(node.operation.mnemonic)` gave \(values.count) values for \(node.results.count)")
    }
    for (old, new) in zip(node.results, values) where graph.type(of: old) != graph.type(of: new) {
      throw TypeError("a rewrite of `\(node.operation.mnemonic)` gave \(graph.type(of: new)) for \(graph.type(of: old))")
    }
    for (old, new) in zip(node.results, values) {
      for use in graph.uses(of: old) { push(use.node) }
      graph.replaceAllUses(of: old, with: new)
    }
    retireDefiner(node.id)
    removeIfUnused(node.id)
    for id in inserted { removeIfUnused(id) }
  }

  /// Takes a replaced node out although the symbols that it defined are still mentioned: its replacement defines them.
  private mutating func retireDefiner(_ id: NodeID) {
    let node = graph.node(id)
    if node.operation.definedSymbols.isEmpty || isDead[id.index] { return }
    isDead[id.index] = true
    graph.disconnect(id)
    for operand in node.operands { if let producer = graph.producer(of: operand) { removeIfUnused(producer.id) } }
  }

  private mutating func removeIfUnused(_ id: NodeID) {
    var candidates = [id]
    while let candidate = candidates.popLast() {
      let node = graph.node(candidate)
      // Symbols have no use lists: what defines one stays until the pass ends.
      if isDead[candidate.index] || !node.operation.definedSymbols.isEmpty { continue }
      if node.results.contains(where: { graph.useCount(of: $0) > 0 }) {
        push(candidate)
        continue
      }
      isDead[candidate.index] = true
      graph.disconnect(candidate)
      for operand in node.operands { if let producer = graph.producer(of: operand) { candidates.append(producer.id) } }
    }
  }

  /// What was refused, in the order of the nodes.
  var refused: [(origin: NodeOrigin, reason: String)] {
    refusals.filter { isDead.indices.contains($0.key.index) && !isDead[$0.key.index] }.sorted { $0.key.index < $1.key.index }.map { (graph.node($0.key).origin, $0.value) }
  }

  consuming func finish() -> Graph {
    graph.removeDeadNodes()
    return graph
  }
}
