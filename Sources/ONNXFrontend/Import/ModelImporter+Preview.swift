import GraphIR
import TensorTypes

// Preview operators that hold graphs, or name parts of the graph around them.
extension ModelImporter {
  /// The operators that `importPreview` takes.
  static let preview: Set<String> = ["ai.onnx.preview::FlexAttention", "ai.onnx.preview.training::Gradient"]

  /// Imports a preview operator that needs more than its operands and attributes; nil for every other operator.
  mutating func importPreview(
    _ node: NodeProto, _ domain: String, _ operands: [Binding?], _ attributes: [String: AttributeProto.Value], scope: Scope, context: BlockContext,
    builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding]? {
    guard Self.preview.contains("\(domain)::\(node.operatorName)") else { return nil }
    let call = OperatorCall(
      name: node.operatorName, opset: builder.origin.opset, inputs: operands.map { if case .value(let value)? = $0 { value } else { nil } },
      outputs: node.outputs, attributes: attributes, origin: builder.origin, decoder: decoder)
    if node.operatorName == "Gradient" { return try importGradient(call, scope: scope, context: context, builder: &builder) }
    return [.value(try importFlexAttention(call, scope: scope, context: context, builder: &builder))]
  }

  // MARK: FlexAttention

  /// Attention whose scores and probabilities pass through graphs of the model.
  private mutating func importFlexAttention(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let (query, key, value) = (try call.input(0), try call.input(1), try call.input(2))
    guard [query, key, value].allSatisfy({ b.rank($0) == 4 }), let size = b.shape(query)[3].constant, size > 0 else {
      throw b.refusal("FlexAttention takes operands of four axes", operands: [query, key, value])
    }
    let element = b.element(query)
    let precision = try call.element("softmax_precision", default: element == .f64 ? .f64 : .f32)
    let wide: ElementType = element == .f64 || precision == .f64 ? .f64 : .f32
    let heads = b.shape(query)[1]
    let keys = try AttentionOperators.repeated(b.convert(key, to: wide), heads: heads, &b)
    let values = try AttentionOperators.repeated(b.convert(value, to: wide), heads: heads, &b)
    var scores = try MatrixOperators.product(b.convert(query, to: wide), b.transpose(keys, [0, 1, 3, 2]), &b)
    scores = try b.binary(.multiply, scores, call.number("scale", default: Float(1 / Double(size).squareRoot())))
    scores = try modified(b.convert(scores, to: precision), by: "score_mod", call, scope: scope, context: context, builder: &b)
    let softmax = try NormalizationOperators.softmaxBody(scores, axis: 3, isLogarithmic: false, &b)
    let weights = try modified(softmax, by: "prob_mod", call, scope: scope, context: context, builder: &b)
    return try b.convert(MatrixOperators.product(b.convert(weights, to: wide), values, &b), to: element)
  }

  private mutating func modified(
    _ x: ValueID, by attribute: String, _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    guard call.has(attribute) else { return x }
    let graph = try call.graph(attribute)
    guard graph.inputs.count == 1, graph.outputs.count == 1 else { throw call.refusal("`\(attribute)` must take one tensor and give one") }
    var inner = Scope(inside: scope)
    _ = inner.define(graph.inputs[0].name, .value(x))
    var deeper = context
    deeper.depth += 1
    let results = try importGraph(graph, scope: &inner, context: deeper, builder: &builder)
    builder.origin = call.origin
    guard case .value(let result)? = results.first, builder.element(result) == builder.element(x) else {
      throw call.refusal("`\(attribute)` must give \(builder.type(x))")
    }
    return try builder.broadcast(result, to: builder.shape(x))
  }

  // MARK: Gradient

  /// Derivatives of a value of the graph around with respect to other values of it, at the operands.
  ///
  /// The nodes between them are imported again as a graph of their own, whose inputs are the named values: so a named value that
  /// depends on another one is independent here. What does not depend on the operands is shared again later.
  private mutating func importGradient(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    guard let differentiate = options.differentiate else { throw call.unsupported("Gradient") }
    guard let names = try call.strings("xs"), !names.isEmpty else { throw call.refusal("Gradient needs `xs`") }
    let independent = names + (try call.strings("zs") ?? [])
    let operands = try call.allInputs()
    let target = try call.string("y")
    guard operands.count == independent.count, Set(independent).count == independent.count, !independent.contains("") else {
      throw call.refusal("Gradient names \(independent.count) values but has \(operands.count) operands")
    }
    var nodes = context.nodes
    for position in nodes.indices {
      for output in nodes[position].outputs.indices where independent.contains(nodes[position].outputs[output]) { nodes[position].outputs[output] = "" }
    }
    // Values from around: constants are repeated inside, others become further inputs.
    let defined = Set(nodes.flatMap(\.outputs) + independent)
    var outer: [(name: String, value: ValueID)] = []
    for name in Set(nodes.flatMap { NodeOrder.reads($0) }).subtracting(defined).sorted() {
      if case .value(let value)? = scope[name] { outer.append((name, value)) }
    }
    let captured = outer.map(\.value).filter { builder.graph.constant($0) == nil }
    var deeper = context
    deeper.depth += 1
    deeper.prefix = String((call.origin.node + "/").suffix(120))
    let graph = builder.graph
    let region = try builder.region("gradient", types: (operands + captured).map { builder.type($0) }) { b, inputs throws(CompileError) in
      var inner = Scope()
      for (name, input) in zip(independent, inputs) { _ = inner.define(name, .value(input)) }
      var next = independent.count
      for (name, value) in outer {
        if let tensor = graph.constant(value) { _ = inner.define(name, .value(try b.constant(tensor))) } else {
          _ = inner.define(name, .value(inputs[next]))
          next += 1
        }
      }
      try self.importNodes(nodes, outputs: [target], scope: &inner, context: deeper, builder: &b)
      b.origin = call.origin
      guard case .value(let result)? = inner[target] else { throw call.refusal("Gradient of `\(printable(target))`, which no node computes") }
      return [result]
    }
    builder.origin = call.origin
    return try builder.splice(differentiate(region, Array(names.indices)), operands + captured).map { .value($0) }
  }
}

extension GraphBuilder {
  /// Adds the nodes of a graph whose inputs are values of this one.
  mutating func splice(_ inner: Graph, _ operands: [ValueID]) throws(CompileError) -> [ValueID] {
    try inner.replayed(on: operands) { operation, operands throws(CompileError) in try addAll(operation, operands) }
  }
}
