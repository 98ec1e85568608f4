import GraphIR
import TensorTypes

/// What became one kernel, or stayed alone, and why.
struct FusionGroup {
  /// The kind of kernel; `-` for what is no fusion.
  var template: String
  /// Operations inside, in order: `3 multiply, add`.
  var members: String
  /// How many there are.
  var count: Int
  var result: String
  var origin: String
  var reason: String

  /// A group of its own although it is nothing but elementwise work: what it computes could not go into a kernel that reads it, for the reason given.
  var wasRefused: Bool { template == Fusion.Template.loop.rawValue && !reason.isEmpty }

  static func all(of graph: Graph) -> [FusionGroup] {
    graph.topologicalOrder().compactMap { id -> FusionGroup? in
      let node = graph.node(id)
      if node.operation is Constant { return nil }
      let result = node.results.first.map { "\(graph.type(of: $0))" } ?? ""
      guard let fusion = node.operation(as: Fusion.self) else {
        return FusionGroup(template: "-", members: node.operation.mnemonic, count: 1, result: result, origin: node.origin.node, reason: "")
      }
      var names: [(name: String, count: Int)] = []
      for inner in fusion.body.topologicalOrder() {
        let operation = fusion.body.node(inner).operation
        if operation is Constant { continue }
        if let last = names.indices.last, names[last].name == operation.mnemonic { names[last].count += 1 } else { names.append((operation.mnemonic, 1)) }
      }
      var shown = names.prefix(6).map { $0.count == 1 ? $0.name : "\($0.count) \($0.name)" }.joined(separator: ", ")
      if names.count > 6 { shown += ", ..." }
      return FusionGroup(
        template: fusion.template.rawValue, members: shown, count: names.reduce(0) { $0 + $1.count }, result: result, origin: node.origin.node, reason: fusion.reason)
    }
  }
}
