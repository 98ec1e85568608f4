import GraphIR
import TensorTypes

/// Puts the core operations of composites in their place.
///
///     %y = composite %x {name = gelu} ( graph @gelu(...) { ... } )
/// ->
///     the nodes of @gelu
///
/// Numerics: exact; the body is what the composite means.
public let expandComposites = expandingComposites(except: [])

/// `expandComposites`, without those for which a kernel of their own exists.
public func expandingComposites(except names: Set<String>) -> Pass<Graph> {
  rewrite("expand-composites", "Puts the core operations of composites in their place.", Composite.self) { match, rewriter throws(TypeError) in
    if names.contains(match.operation.name) { return .unchanged }
    let body = match.operation.body
    var renamed: [ValueID: ValueID] = [:]
    for (input, operand) in zip(body.inputs, match.operands) { renamed[input] = operand }
    for id in body.topologicalOrder() {
      let node = body.node(id)
      let results = try rewriter.insertAll(node.operation, node.operands.compactMap { renamed[$0] })
      for (old, new) in zip(node.results, results) { renamed[old] = new }
    }
    return .replacedAll(with: body.outputs.compactMap { renamed[$0] })
  }
}
