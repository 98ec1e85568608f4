import GraphIR

/// An operator that a model uses and that cannot be imported.
public struct UnsupportedOperator: Sendable {
  /// Such as `GRU` or `ai.onnx.ml::TreeEnsembleClassifier`.
  public var name: String
  public var opset: Int
  public var count: Int
  /// The first node that uses it.
  public var origin: NodeOrigin

  var message: String { "operator \(name)\(opset > 0 ? " (opset \(opset))" : "") is not supported yet" }
}

/// Every operator of a model that has no importer, in the order of the file: nested graphs and functions included.
///
/// Loading stops at the first one; this is for telling a user at once what is missing. An operator that has an
/// importer can still be refused for its attributes, which only loading finds.
public func unsupportedOperators(path: String, limits: ImportLimits = ImportLimits()) throws(CompileError) -> [UnsupportedOperator] {
  let file = try ModelFile(path: path)
  let proto = try decodeModel(file, limits: limits)
  var census = OperatorCensus(proto, file: file.name)
  if let graph = proto.graph { census.visit(graph.nodes, opsets: ModelImporter.versions(proto.opsets)) }
  for function in proto.functions { census.visit(function.nodes, opsets: ModelImporter.versions(function.opsets)) }
  return census.found
}

private struct OperatorCensus {
  var found: [UnsupportedOperator] = []
  private var positions: [String: Int] = [:]
  private let functions: Set<String>
  private let file: String

  init(_ proto: ModelProto, file: String) {
    functions = Set(proto.functions.map { ModelImporter.key($0.domain, $0.name, $0.overload) })
    self.file = file
  }

  /// Graphs nest as deep as the decoder allowed.
  mutating func visit(_ nodes: [NodeProto], opsets: [String: Int]) {
    for node in nodes {
      for attribute in node.attributes { if case .graph(let graphs) = attribute.value { for graph in graphs { visit(graph.nodes, opsets: opsets) } } }
      let domain = ModelImporter.domain(node.domain)
      let isKnown = domain.isEmpty && ModelImporter.structural.contains(node.operatorName)
        || ModelImporter.preview.contains("\(domain)::\(node.operatorName)") || OperatorTable.importer(domain: domain, name: node.operatorName) != nil
      if isKnown || functions.contains(ModelImporter.key(domain, node.operatorName, node.overload)) { continue }
      let name = printable(domain.isEmpty ? node.operatorName : "\(domain)::\(node.operatorName)")
      if let position = positions[name] {
        found[position].count += 1
        continue
      }
      positions[name] = found.count
      let own = printable(node.name.isEmpty ? node.outputs.first { !$0.isEmpty } ?? "" : node.name)
      let opset = opsets[domain] ?? 0
      found.append(UnsupportedOperator(name: name, opset: opset, count: 1, origin: NodeOrigin(file: file, node: own, operatorName: name, opset: opset)))
    }
  }
}
