import GraphIR
import KernelIR

/// Puts every node into a kernel: anchors with what they take along, the rest inlined or in loops of its own.
///
/// Numerics: none; a fusion means exactly its body.
public let formFusionGroups = Pass<Graph>(
  "form-fusion-groups", "Groups nodes into kernels: contractions, reductions and windows with the elementwise work around them."
) { graph, _ throws(CompileError) in
  graph = try graph.formingFusionGroups()
  return true
}
