import GraphIR

extension Pass<Graph> {
  /// The same pass on a graph and then on all graphs inside its loops and branches, which are as much a part of the model as what is around them.
  func insideRegions() -> Pass<Graph> {
    let single = run
    return Pass(name, summary) { graph, context throws(CompileError) in try Self.run(single, name, on: &graph, &context) }
  }

  private static func run(
    _ single: @Sendable (inout Graph, inout PassContext) throws(CompileError) -> Bool, _ name: String, on graph: inout Graph, _ context: inout PassContext
  ) throws(CompileError) -> Bool {
    let hasChanged = try single(&graph, &context)
    let inner = try graph.mapRegions(stage: .pass(name)) { region throws(CompileError) in try run(single, name, on: &region, &context) }
    return hasChanged || inner
  }
}

extension Graph {
  /// Changes the graphs inside loops and branches, not those inside them in turn.
  ///
  /// - Parameter change: True if anything is different afterwards. What a graph takes and returns stays.
  public mutating func mapRegions(stage: CompileError.Stage, _ change: (inout Graph) throws(CompileError) -> Bool) throws(CompileError) -> Bool {
    var changed: [NodeID: any ControlOperation] = [:]
    for id in topologicalOrder() {
      guard let control = node(id).operation as? any ControlOperation else { continue }
      var regions = control.regions
      var isChanged = false
      for position in regions.indices { if try change(&regions[position]) { isChanged = true } }
      if isChanged { changed[id] = control.replacing(regions: regions) }
    }
    if changed.isEmpty { return false }
    self = try rebuilt { graph, node, operands throws(CompileError) in
      do throws(TypeError) {
        return try graph.add(changed[node.id] ?? node.operation, operands, origin: node.origin)
      } catch {
        throw CompileError(error, stage: stage, origin: node.origin, operands: graph.types(of: operands))
      }
    }
    return true
  }
}
