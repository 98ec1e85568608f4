import TensorTypes

/// A typed graph of whole-tensor operations in single assignment form.
///
/// Nodes are kept by id, without an order of their own: `topologicalOrder` derives one, and nodes from which
/// no output can be reached are simply not in it. A graph is a value; copies are independent.
public struct Graph: Sendable {
  public var name: String
  public private(set) var inputs: [ValueID] = []
  public private(set) var outputs: [ValueID] = []
  /// The outputs' names in the model's interface; one for each output.
  public private(set) var outputNames: [String] = []
  /// By name: outputs that are a map for each row, and what the columns of their tensors stand for. Passes need not know it.
  public var outputKeys: [String: MapKeys] = [:]
  /// What the graph takes for granted of its symbols beside what its nodes say; see `statingConditions`.
  public var requirements: [ShapeCondition] = []
  private var nodes: [Node] = []
  private var values: [Value] = []
  private var users: [[Use]] = []
  /// The nodes that define each computed symbol, the newest last. While a rewrite is under way there may be two.
  private(set) var definers: [String: [NodeID]] = [:]
  /// The symbols that each node mentions, by id; and those of all of them and of the inputs, dead nodes included until `removeDeadNodes`.
  private(set) var mentions: [Set<String>] = []
  public private(set) var mentionedSymbols: Set<String> = []

  public init(name: String = "main") { self.name = name }

  // MARK: Building

  /// Adds an input.
  @discardableResult
  public mutating func addInput(_ name: String, _ type: TensorType) -> ValueID {
    let id = addValue(type, .input(inputs.count), name: name)
    inputs.append(id)
    mentionedSymbols.formUnion(mentioned: type.shape.extents)
    return id
  }

  /// Adds a node whose operands exist in this graph.
  ///
  /// - Throws: `TypeError` if the operands do not fit the operation.
  @discardableResult
  public mutating func add(
    _ operation: any Operation, _ operands: [ValueID], origin: NodeOrigin = NodeOrigin(), name: String = ""
  ) throws(TypeError) -> [ValueID] {
    let types = try operation.checkedResultTypes(for: operands.map { type(of: $0) })
    let id = NodeID(nodes.count)
    let results = types.enumerated().map { position, type in
      addValue(type, .node(id, result: position), name: position == 0 ? name : "")
    }
    append(Node(id: id, operation: operation, operands: operands, results: results, origin: origin))
    return results
  }

  private mutating func append(_ node: Node) {
    nodes.append(node)
    for (position, operand) in node.operands.enumerated() { users[operand.index].append(Use(node: node.id, operand: position)) }
    for symbol in node.operation.definedSymbols { definers[symbol, default: []].append(node.id) }
    mentions.append(Self.symbols(mentionedBy: node.operation, types: types(of: node.results)))
    mentionedSymbols.formUnion(mentions[node.id.index])
  }

  /// Adds a node with exactly one result.
  public mutating func insert(
    _ operation: any Operation, _ operands: ValueID..., origin: NodeOrigin = NodeOrigin(), name: String = ""
  ) throws(TypeError) -> ValueID {
    try add(operation, operands, origin: origin, name: name)[0]
  }

  private mutating func addValue(_ type: TensorType, _ producer: Value.Producer, name: String) -> ValueID {
    let id = ValueID(values.count)
    values.append(Value(id: id, type: type, producer: producer, name: name))
    users.append([])
    return id
  }

  /// Gives a value a name for people.
  public mutating func rename(_ id: ValueID, _ name: String) { values[id.index].name = name }

  /// Declares what the graph returns.
  public mutating func setOutputs(_ outputs: [(name: String, value: ValueID)]) {
    self.outputs = outputs.map(\.value)
    outputNames = outputs.map(\.name)
  }

  // MARK: Reading

  public func node(_ id: NodeID) -> Node { nodes[id.index] }
  public func value(_ id: ValueID) -> Value { values[id.index] }
  public func type(of id: ValueID) -> TensorType { values[id.index].type }
  public func types(of ids: [ValueID]) -> [TensorType] { ids.map { type(of: $0) } }
  /// Ids below this bound may exist; for tables indexed by value.
  public var valueCount: Int { values.count }

  /// The node that computes a value, or nil for an input.
  public func producer(of id: ValueID) -> Node? {
    if case .node(let node, _) = values[id.index].producer { return nodes[node.index] }
    return nil
  }

  /// The operation that computes a value, if it is of one type.
  public func producer<T: Operation>(of id: ValueID, as type: T.Type) -> (node: Node, operation: T)? {
    guard let node = producer(of: id), let operation = node.operation as? T else { return nil }
    return (node, operation)
  }

  /// The tensor, if the value is a constant.
  public func constant(_ id: ValueID) -> Tensor? { producer(of: id, as: Constant.self)?.operation.tensor }

  /// Every operand position that reads the value, dead nodes included until `removeDeadNodes`.
  public func uses(of id: ValueID) -> [Use] { users[id.index] }

  /// Reads by nodes plus appearances among the outputs.
  public func useCount(of id: ValueID) -> Int { users[id.index].count + outputs.count { $0 == id } }

  public func isOutput(_ id: ValueID) -> Bool { outputs.contains(id) }

  /// All nodes that an output needs, each after the producers of its operands and of the computed symbols that it mentions.
  /// The order depends on the graph alone: depth first from the outputs, operands from left to right, then symbols.
  public func topologicalOrder() -> [NodeID] {
    var order: [NodeID] = []
    var isDone = [Bool](repeating: false, count: nodes.count)
    var stack: [(node: NodeID, next: Int, definers: [NodeID])] = []
    func enter(_ id: NodeID) {
      isDone[id.index] = true
      stack.append((id, 0, symbolDependencies(of: nodes[id.index])))
    }
    for output in outputs {
      if case .node(let root, _) = values[output.index].producer, !isDone[root.index] { enter(root) }
      while let (id, next, definers) = stack.last {
        let operands = nodes[id.index].operands
        if next == operands.count + definers.count {
          order.append(id)
          stack.removeLast()
          continue
        }
        stack[stack.count - 1].next += 1
        if next >= operands.count {
          if !isDone[definers[next - operands.count].index] { enter(definers[next - operands.count]) }
        } else if case .node(let producer, _) = values[operands[next].index].producer, !isDone[producer.index] {
          enter(producer)
        }
      }
    }
    return order
  }

  /// The symbols in the types of inputs and of all live values, in alphabetical order, but for those that the graph computes.
  public var symbols: [String] {
    var found: Set<String> = []
    for input in inputs { found.formUnion(type(of: input).shape.symbols) }
    for id in topologicalOrder() { for result in node(id).results { found.formUnion(type(of: result).shape.symbols) } }
    return found.filter { definers[$0] == nil }.sorted()
  }

  /// What the graph computes, added to wherever `add` puts nodes.
  ///
  /// - Parameters:
  ///   - operands: What stands for each input.
  ///   - add: Adds one node and returns its results.
  /// - Returns: What stands for each output.
  public func replayed<Failure: Error>(
    on operands: [ValueID], _ add: (any Operation, [ValueID]) throws(Failure) -> [ValueID]
  ) throws(Failure) -> [ValueID] {
    var renamed: [ValueID: ValueID] = [:]
    for (input, operand) in zip(inputs, operands) { renamed[input] = operand }
    for id in topologicalOrder() {
      let node = self.node(id)
      let results = try add(node.operation, node.operands.compactMap { renamed[$0] })
      for (old, new) in zip(node.results, results) { renamed[old] = new }
    }
    return outputs.compactMap { renamed[$0] }
  }

  // MARK: Editing

  /// Gives a value a name for people.
  public mutating func setName(_ name: String, of id: ValueID) { values[id.index].name = name }

  /// Makes every reader of one value, and the outputs, read another one of the same type.
  public mutating func replaceAllUses(of old: ValueID, with new: ValueID) {
    precondition(type(of: old) == type(of: new), "a replacement must keep the type: \(type(of: old)) by \(type(of: new))")
    if old == new { return }
    for use in users[old.index] { nodes[use.node.index].operands[use.operand] = new }
    users[new.index] += users[old.index]
    users[old.index] = []
    for position in outputs.indices where outputs[position] == old { outputs[position] = new }
    if values[new.index].name.isEmpty { values[new.index].name = values[old.index].name }
  }

  /// Takes a node that nobody reads any more out of its operands' use lists, so that `uses` counts only what is left,
  /// and lets it define no symbol.
  ///
  /// The node keeps its id until `removeDeadNodes`.
  public mutating func disconnect(_ id: NodeID) {
    for operand in Set(nodes[id.index].operands) { users[operand.index].removeAll { $0.node == id } }
    for symbol in nodes[id.index].operation.definedSymbols {
      definers[symbol]?.removeAll { $0 == id }
      if definers[symbol]?.isEmpty == true { definers[symbol] = nil }
    }
  }

  /// Drops every node that no output needs, and renumbers what is left in topological order.
  ///
  /// Ids from before are void. Inputs stay, used or not: they are the model's interface.
  public mutating func removeDeadNodes() {
    self = rebuilt { graph, node, operands throws(Never) in
      graph.append(node, operands: operands, types: types(of: node.results))
    }
  }

  /// The same graph with symbols bound or replaced, in every type and attribute. A `measure` whose symbols are all replaced is its operand.
  public func substituting(_ bindings: [String: Extent]) throws(CompileError) -> Graph {
    var result = try rebuilt(inputType: { TensorType($0.element, $0.shape.substituting(bindings)) }) { graph, node, operands throws(CompileError) in
      if let measure = node.operation as? Measure, measure.symbols.allSatisfy({ bindings[$0] != nil }) { return operands }
      do throws(TypeError) {
        return try graph.add(node.operation.substituting(bindings), operands, origin: node.origin, name: value(node.results[0]).name)
      } catch {
        throw CompileError(error, stage: .load, origin: node.origin, operands: graph.types(of: operands))
      }
    }
    result.requirements = requirements.map { $0.substituting(bindings) }
    return result
  }

  /// The same graph with large constants hollow: types and shapes without the memory, for when only the structure
  /// is still of interest.
  public func withoutWeights(above byteCount: Int = 4096) -> Graph {
    rebuilt { graph, node, operands throws(Never) in
      let results = graph.append(node, operands: operands, types: types(of: node.results))
      if let tensor = (node.operation as? Constant)?.tensor, tensor.byteCount > byteCount, let storage = TensorStorage.hollow(byteCount: tensor.byteCount),
        let hollow = Tensor(tensor.element, tensor.dimensions, storage: storage, byteOffset: 0)
      {
        graph.replaceOperation(of: results[0], with: Constant(hollow))
      }
      return results
    }
  }

  private mutating func replaceOperation(of result: ValueID, with operation: any Operation) {
    guard case .node(let id, _) = values[result.index].producer else { return }
    let node = nodes[id.index]
    nodes[id.index] = Node(id: id, operation: operation, operands: node.operands, results: node.results, origin: node.origin)
  }

  /// Gives mapped weights back to the system until they are read again.
  public func releaseMappedWeights() {
    for node in nodes { (node.operation as? Constant)?.tensor.storage.releasePages() }
  }

  /// A new graph built node by node in topological order.
  public func rebuilt<Failure: Error>(
    inputType: (TensorType) -> TensorType = { $0 },
    _ emit: (inout Graph, Node, [ValueID]) throws(Failure) -> [ValueID]
  ) throws(Failure) -> Graph {
    var graph = Graph(name: name)
    graph.outputKeys = outputKeys
    graph.requirements = requirements
    var renamed = [ValueID?](repeating: nil, count: values.count)
    for input in inputs { renamed[input.index] = graph.addInput(value(input).name, inputType(type(of: input))) }
    for id in topologicalOrder() {
      let node = self.node(id)
      let results = try emit(&graph, node, node.operands.map { renamed[$0.index] ?? $0 })
      for (old, new) in zip(node.results, results) {
        renamed[old.index] = new
        if graph.values[new.index].name.isEmpty { graph.values[new.index].name = values[old.index].name }
      }
    }
    graph.setOutputs(zip(outputNames, outputs).map { ($0, renamed[$1.index] ?? $1) })
    return graph
  }

  /// Adds a node whose result types are known to be right.
  private mutating func append(_ node: Node, operands: [ValueID], types: [TensorType]) -> [ValueID] {
    let id = NodeID(nodes.count)
    let results = types.enumerated().map { addValue($1, .node(id, result: $0), name: "") }
    append(Node(id: id, operation: node.operation, operands: operands, results: results, origin: node.origin))
    return results
  }
}
