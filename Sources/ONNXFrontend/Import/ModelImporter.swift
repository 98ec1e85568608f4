import GraphIR
import TensorTypes

/// Walks a decoded model and builds its graph.
struct ModelImporter {
  let decoder: TensorDecoder
  let options: ImportOptions
  private let proto: ModelProto
  private let functions: [String: FunctionProto]
  private let opsets: [String: Int]
  private var nodeCount = 0
  var assumptions = ShapeAssumptions()
  /// Set in an importer that looks for everything that it would refuse.
  var survey: ObstacleSurvey?
  /// The newest version of the standard's operator set whose definitions were read.
  static let newestOpset = 28

  init(_ proto: ModelProto, file: ModelFile, options: ImportOptions) throws(CompileError) {
    self.proto = proto
    var options = options
    for (name, tensor) in options.values { options.shapes[name] = tensor.dimensions }
    self.options = options
    decoder = TensorDecoder(file: file, limits: options.limits)
    let origin = NodeOrigin(file: file.name)
    opsets = Self.versions(proto.opsets)
    if let version = opsets[""] {
      guard version >= 1, version <= Self.newestOpset else {
        throw CompileError(
          version < 1 ? .badInput : .unsupported, "the model uses version \(version) of the operator set; 1 to \(Self.newestOpset) are supported",
          stage: .load, origin: origin, hint: "onnx.version_converter can change the version")
      }
    }
    var functions: [String: FunctionProto] = [:]
    for function in proto.functions {
      let key = Self.key(function.domain, function.name, function.overload)
      if functions.updateValue(function, forKey: key) != nil {
        throw CompileError(.badInput, "function `\(printable(key))` is defined twice", stage: .load, origin: origin)
      }
    }
    self.functions = functions
  }

  static func domain(_ name: String) -> String { name == "ai.onnx" ? "" : name }
  static func key(_ domain: String, _ name: String, _ overload: String) -> String { "\(Self.domain(domain))::\(name)::\(overload)" }
  static func versions(_ sets: [OperatorSetProto]) -> [String: Int] {
    var versions: [String: Int] = [:]
    for set in sets { versions[domain(set.domain)] = set.version }
    return versions
  }

  // MARK: The model

  mutating func run() throws(CompileError) -> Model {
    var first: CompileError?
    var total = 0
    for _ in 0..<ShapeAssumptions.mostAttempts {
      do throws(CompileError) {
        nodeCount = 0
        return try importModel()
      } catch {
        let known = first ?? error
        first = known
        total += nodeCount
        guard total <= options.limits.nodes, assumptions.retry() else { throw known }
      }
    }
    throw first ?? CompileError(.unsupported, "too many branches whose conditions on lengths decide ranks", stage: .load, origin: NodeOrigin(file: decoder.file.name))
  }

  private mutating func importModel() throws(CompileError) -> Model {
    let file = decoder.file.name
    guard let graph = proto.graph else { throw CompileError(.badInput, "the file holds no graph", stage: .load, origin: NodeOrigin(file: file)) }
    var builder = GraphBuilder(name: "main", origin: NodeOrigin(file: file), limits: options.limits)
    var scope = Scope()
    let constants = Set(graph.initializers.map(\.name))
    // Until IR version 3 every initializer was listed as an input, too; those are constants.
    let interface = try ModelInterface(graph.inputs.filter { !constants.contains($0.name) }, options, builder.origin)
    var types = try InputTypes(options: options, origin: builder.origin)
    let ports = interface.inputs.flatMap(\.ports)
    var values: [ValueID] = []
    for (input, type) in zip(ports, try types.resolve(ports)) {
      guard !input.name.isEmpty else { throw builder.refusal("an input has no name") }
      guard let tensor = options.values[input.name] else {
        values.append(try builder.addInput(input.name, type))
        continue
      }
      guard tensor.type == type else {
        throw CompileError(
          .usage, "input `\(printable(input.name))` is \(type), but the value given for it is \(tensor.type)", stage: .load, origin: builder.origin)
      }
      values.append(try builder.constant(tensor))
      builder.setName(input.name, of: values[values.count - 1])
    }
    var rest = values[...]
    for input in interface.inputs where !scope.define(input.name, input.structure.binding(taking: &rest)) {
      throw builder.refusal("input `\(printable(input.name))` is defined twice")
    }
    let results = try importGraph(graph, scope: &scope, context: BlockContext(opsets: opsets), builder: &builder)
    builder.origin = NodeOrigin(file: file)
    let outputs = try OutputPorts(graph.outputs, results, builder, checksRanks: !assumptions.isEmpty)
    builder.setOutputs(outputs.values, keys: outputs.keys)
    builder.removeDeadNodes()
    try builder.graph.verify(stage: .load)
    var model = Model(
      graph: builder.graph, name: graph.name, opsets: opsets, irVersion: proto.irVersion, modelVersion: proto.modelVersion,
      producerName: proto.producerName, producerVersion: proto.producerVersion, metadata: proto.metadata)
    (model.inputStructures, model.outputStructures) = (interface.structures, outputs.structures)
    return model
  }

  // MARK: Graphs

  /// Imports the nodes of a graph whose inputs are in scope.
  ///
  /// - Returns: What the graph's outputs stand for.
  mutating func importGraph(
    _ graph: GraphProto, scope: inout Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    for sparse in graph.sparseInitializers {
      builder.origin = NodeOrigin(file: decoder.file.name, node: printable(sparse.values.name))
      let value = try builder.constant(sparse, decoder)
      builder.setName(sparse.values.name, of: value)
      guard scope.define(sparse.values.name, .value(value)) else { throw builder.refusal("value `\(printable(sparse.values.name))` is defined twice") }
    }
    for initializer in graph.initializers {
      let origin = NodeOrigin(file: decoder.file.name, node: initializer.name)
      builder.origin = NodeOrigin(file: decoder.file.name)
      let value = try builder.constant(try decoder.tensor(initializer, origin: builder.origin))
      builder.setName(initializer.name, of: value)
      guard scope.define(initializer.name, .value(value)) else {
        throw CompileError(.badInput, "value `\(printable(initializer.name))` is defined twice", stage: .load, origin: origin)
      }
    }
    survey?.declare(graph)
    try importNodes(graph.nodes, outputs: graph.outputs.map(\.name), scope: &scope, context: context, builder: &builder)
    var results: [Binding] = []
    for output in graph.outputs {
      guard let binding = scope[output.name] else {
        if let survey, survey.isLost(output.name) { throw survey.failure(builder.origin) }
        throw CompileError(
          .badInput, "output `\(printable(output.name))` is never defined", stage: .load, origin: NodeOrigin(file: decoder.file.name))
      }
      results.append(binding)
    }
    return results
  }

  /// Imports those of some nodes that the outputs need, and adds what they compute to the scope.
  mutating func importNodes(
    _ nodes: [NodeProto], outputs: [String], scope: inout Scope, context outer: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) {
    var context = outer
    context.nodes = nodes
    guard context.depth <= options.limits.nesting else {
      throw builder.refusal("graphs and functions are nested more than \(options.limits.nesting) deep", hint: "--limit nesting=N allows more")
    }
    let visible = scope
    let order = try NodeOrder(nodes, outputs: outputs, isVisible: { visible[$0] != nil }) { origin($0, context) }
    for position in order.positions {
      let node = nodes[position]
      nodeCount += 1
      guard nodeCount <= options.limits.nodes else { throw builder.refusal("the model has more than \(options.limits.nodes) nodes", hint: "--limit nodes=N allows more") }
      builder.origin = origin(node, context)
      if isLost(node, scope: scope) { continue }
      let results: [Binding]
      do throws(CompileError) { results = try importNode(node, scope: scope, context: context, builder: &builder) } catch {
        guard survive(error, node, scope: &scope, builder: &builder) else { throw error }
        continue
      }
      for (name, binding) in zip(node.outputs, results) where !name.isEmpty {
        if case .value(let value) = binding, builder.graph.value(value).name.isEmpty { builder.setName(name, of: value) }
        guard scope.define(name, binding) else { throw builder.refusal("value `\(printable(name))` is defined twice") }
      }
      if let missing = node.outputs.dropFirst(results.count).first(where: { !$0.isEmpty }) {
        throw builder.unsupported(
          "output \(results.count) (`\(printable(missing))`) of \(node.operatorName) is not supported yet")
      }
    }
  }

  func origin(_ node: NodeProto, _ context: BlockContext) -> NodeOrigin {
    let domain = Self.domain(node.domain)
    let own = node.name.isEmpty ? node.outputs.first { !$0.isEmpty } ?? "" : node.name
    return NodeOrigin(
      file: decoder.file.name, node: printable(context.prefix + own), operatorName: printable(domain.isEmpty ? node.operatorName : "\(domain)::\(node.operatorName)"),
      opset: context.opsets[domain] ?? 0)
  }

  // MARK: Nodes

  private mutating func importNode(
    _ node: NodeProto, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    let domain = Self.domain(node.domain)
    var operands: [Binding?] = []
    for name in node.inputs {
      if name.isEmpty { operands.append(nil) } else if let binding = scope[name] { operands.append(binding) } else {
        throw builder.refusal("value `\(printable(name))` is read but never defined")
      }
    }
    let attributes = try self.attributes(node, context)
    if domain.isEmpty, let results = try importControlFlow(node, operands, attributes, scope: scope, context: context, builder: &builder) { return results }
    if let results = try importPreview(node, domain, operands, attributes, scope: scope, context: context, builder: &builder) { return results }
    let origin = builder.origin
    if let importer = OperatorTable.importer(domain: domain, name: node.operatorName) {
      guard domain != "" || context.opsets[""] != nil else { throw builder.refusal("the model names no version of the operator set that \(node.operatorName) is from") }
      var values: [ValueID?] = []
      for operand in operands {
        switch operand {
        case nil, .absent?: values.append(nil)
        case .value(let value)?: values.append(value)
        case .sequence?: throw builder.refusal("\(node.operatorName) does not take a sequence")
        }
      }
      var call = OperatorCall(
        name: node.operatorName, opset: origin.opset, inputs: values, outputs: node.outputs, attributes: attributes, origin: origin, decoder: decoder)
      if domain.isEmpty, origin.opset <= LegacyForms.lastVersion { call = try LegacyForms.modernized(call, &builder) }
      return try importer(call, &builder).map { .value($0) }
    }
    if let function = functions[Self.key(domain, node.operatorName, node.overload)] {
      return try inline(function, node, operands, attributes, context: context, builder: &builder)
    }
    throw builder.unsupported(
      "operator \(origin.operatorName)\(origin.opset > 0 ? " (opset \(origin.opset))" : "") is not supported yet",
      hint: [SupportAdvice(operator: origin.operatorName).text, "`ingot inspect` lists everything in the model that is not"].compactMap { $0 }.joined(separator: "; "))
  }

  /// The attributes of a node; those that refer to the function around it are looked up there.
  private func attributes(_ node: NodeProto, _ context: BlockContext) throws(CompileError) -> [String: AttributeProto.Value] {
    var table: [String: AttributeProto.Value] = [:]
    for attribute in node.attributes {
      var value = attribute.value
      if case .reference(let name) = value {
        guard let outer = context.functionAttributes else {
          throw CompileError(
            .badInput, "attribute `\(printable(attribute.name))` refers to a function's attribute outside of a function", stage: .load,
            origin: origin(node, context))
        }
        guard let given = outer[name] else { continue }
        value = given
      }
      if table.updateValue(value, forKey: attribute.name) != nil {
        throw CompileError(.badInput, "attribute `\(printable(attribute.name))` is given twice", stage: .load, origin: origin(node, context))
      }
    }
    return table
  }

  /// Puts the body of a model-local function in place of its call.
  private mutating func inline(
    _ function: FunctionProto, _ node: NodeProto, _ operands: [Binding?], _ attributes: [String: AttributeProto.Value], context: BlockContext,
    builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    guard operands.count <= function.inputs.count, node.outputs.count <= function.outputs.count else {
      throw builder.refusal("function \(function.name) takes \(function.inputs.count) operands and gives \(function.outputs.count) results")
    }
    var scope = Scope()
    for (position, name) in function.inputs.enumerated() {
      let operand = operands.indices.contains(position) ? operands[position] : nil
      guard scope.define(name, operand ?? .absent) else { throw builder.refusal("function \(function.name) has two operands `\(printable(name))`") }
    }
    var given = attributes
    for attribute in function.attributeDefaults where given[attribute.name] == nil { given[attribute.name] = attribute.value }
    let outer = builder.origin
    let inner = BlockContext(
      opsets: Self.versions(function.opsets), functionAttributes: given, depth: context.depth + 1,
      prefix: String((outer.node + "/").suffix(120)))
    try importNodes(function.nodes, outputs: function.outputs, scope: &scope, context: inner, builder: &builder)
    builder.origin = outer
    var results: [Binding] = []
    for (name, wanted) in zip(function.outputs, node.outputs) {
      if wanted.isEmpty { results.append(.absent) } else if let binding = scope[name] { results.append(binding) } else {
        throw builder.refusal("function \(function.name) never defines its result `\(printable(name))`")
      }
    }
    return results
  }
}
