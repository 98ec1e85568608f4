import GraphIR

/// Drops nodes that no output needs.
///
/// Inputs stay, used or not: they are the model's interface. Numerics: exact.
public let eliminateDeadNodes = Pass<Graph>("eliminate-dead-nodes", "Drops nodes that no output needs.") { graph, _ throws(CompileError) in
  let before = graph.valueCount
  graph.removeDeadNodes()
  return graph.valueCount != before
}.insideRegions()
