import GraphIR
import TensorTypes

/// Everything that keeps a model from being imported, found in one go.
///
/// - Returns: An error for each node whose operator is not supported, in the order of the file, and then what stops the
///   import besides; empty if the model loads.
/// - Throws: `CompileError` if the file cannot be read at all.
public func unsupportedOperators(path: String, options: ImportOptions = ImportOptions()) throws(CompileError) -> [CompileError] {
  let file = try ModelFile(path: path)
  let proto = try decodeModel(file, limits: options.limits)
  var obstacles = ObstacleList(file: file.name, functions: Set(proto.functions.map { ModelImporter.key($0.domain, $0.name, $0.overload) }))
  if let graph = proto.graph { obstacles.collect(graph.nodes, ModelImporter.versions(proto.opsets)) }
  for function in proto.functions { obstacles.collect(function.nodes, ModelImporter.versions(function.opsets)) }
  do throws(CompileError) {
    var importer = try ModelImporter(proto, file: file, options: options)
    _ = try importer.run()
    // What is not needed for an output is no obstacle.
    return []
  } catch {
    if !obstacles.errors.contains(where: { $0.origin == error.origin }) { obstacles.errors.append(error) }
  }
  return obstacles.errors
}

/// Nodes without an importer, those inside graphs of nodes included.
private struct ObstacleList {
  var file: String
  var functions: Set<String>
  var errors: [CompileError] = []

  init(file: String, functions: Set<String>) { (self.file, self.functions) = (file, functions) }

  mutating func collect(_ nodes: [NodeProto], _ opsets: [String: Int]) {
    for node in nodes {
      let domain = ModelImporter.domain(node.domain)
      let isKnown =
        OperatorTable.importer(domain: domain, name: node.operatorName) != nil || (domain.isEmpty && ModelImporter.structural.contains(node.operatorName))
        || functions.contains(ModelImporter.key(domain, node.operatorName, node.overload))
      if !isKnown {
        let name = node.name.isEmpty ? node.outputs.first { !$0.isEmpty } ?? "" : node.name
        let shown = printable(domain.isEmpty ? node.operatorName : "\(domain)::\(node.operatorName)")
        let origin = NodeOrigin(file: file, node: printable(name), operatorName: shown, opset: opsets[domain] ?? 0)
        errors.append(CompileError(.unsupported, "operator \(shown)\(origin.opset > 0 ? " (opset \(origin.opset))" : "") is not supported yet", stage: .load, origin: origin))
      }
      for attribute in node.attributes {
        if case .graph(let graphs) = attribute.value { for graph in graphs { collect(graph.nodes, opsets) } }
      }
    }
  }
}
