import GraphIR

/// Writes down what a graph and the graphs inside it take for granted of their symbols.
///
///     %y = reshape %x : f32[n] -> f32[m]            // n and m from inputs
/// ->
///     require zero [n - m] "..."
///
/// What follows may take the nodes away from which the conditions come, or move a branch whose conditions hold only there.
/// Numerics: none.
public let stateConditions = Pass<Graph>("state-conditions", "Writes down what the graph takes for granted of its symbols, before nodes that say so go.") {
  graph, _ throws(CompileError) in
  let before = graph.requirements
  graph = try graph.statingConditions()
  return graph.requirements != before
}
