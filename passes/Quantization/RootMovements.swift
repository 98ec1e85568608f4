import GraphIR
import TensorTypes

/// Where the bytes of each value would come from, and which contraction's epilogue makes a value.
///
/// All of it is found in one walk along the graph: models hold chains of any depth, and concatenations that double what they are made of.
struct RootMovements {
  private let graph: Graph
  /// Of values that are made by movement alone: the first one that they are made of.
  private var firsts: [ValueID: ValueID] = [:]
  private var contractions: [ValueID: NodeID] = [:]
  /// Values whose roots were given.
  private var visited: Set<ValueID> = []

  init(_ graph: Graph) {
    self.graph = graph
    for id in graph.topologicalOrder() {
      let node = graph.node(id)
      guard let result = node.results.first else { continue }
      if let maker = maker(of: node), graph.useCount(of: result) == 1, graph.type(of: result).element == .f32 { contractions[result] = maker }
      if node.operation is Concatenate {
        let parts = node.operands.map { first(of: $0) }
        if let own = parts.first, parts.allSatisfy({ graph.constant($0) == nil && graph.type(of: $0).element == .f32 }) { firsts[result] = own }
      } else if Self.keepsBytes(node, graph) {
        firsts[result] = first(of: node.operands[0])
      }
    }
  }

  /// The first one of what a value is made of by movement alone.
  func first(of value: ValueID) -> ValueID { firsts[value] ?? value }

  /// What a value is made of by movement alone.
  ///
  /// - Returns: The roots, without those behind values that an earlier call has seen, but for the first one; and which of them share a scale
  ///   with which, being parts of one concatenation.
  mutating func roots(of value: ValueID) -> (roots: [ValueID], sharing: [(ValueID, ValueID)]) {
    var roots = [first(of: value)]
    var sharing: [(ValueID, ValueID)] = []
    var pending = [value]
    while let next = pending.popLast() {
      guard let own = firsts[next], let node = graph.producer(of: next) else {
        roots.append(next)
        continue
      }
      guard visited.insert(next).inserted else { continue }
      let sources = node.operation is Concatenate ? node.operands : [node.operands[0]]
      for source in sources where first(of: source) != own { sharing.append((first(of: source), own)) }
      pending += sources.reversed()
    }
    return (roots, sharing)
  }

  /// The contraction whose epilogue makes a value, if only this value is made of it.
  func contraction(behind value: ValueID) -> NodeID? { contractions[value] }

  private func maker(of node: Node) -> NodeID? {
    if node.operation is Dot || node.operation is Convolution { return node.id }
    guard Self.isElementwise(node.operation) else { return nil }
    let inputs = node.operands.filter { operand in
      if let broadcast = graph.producer(of: operand, as: Broadcast.self) { return graph.constant(broadcast.node.operands[0]) == nil }
      return graph.constant(operand) == nil
    }
    return inputs.count == 1 ? contractions[inputs[0]] : nil
  }

  /// True for what does to bytes just what it does to the numbers they stand for.
  static func keepsBytes(_ node: Node, _ graph: Graph) -> Bool {
    switch node.operation {
    case is Reshape, is Transpose, is Slice, is Reverse: return graph.constant(node.operands[0]) == nil
    case let pad as Pad: return pad.mode != .constant || graph.constant(node.operands[1]).map { $0.count == 1 && $0.doubles[0] == 0 } ?? false
    case let window as ReduceWindow: return window.reducer == .maximum
    default: return false
    }
  }

  static func isElementwise(_ operation: any Operation) -> Bool { operation is Unary || operation is Binary || operation is Select }
}
