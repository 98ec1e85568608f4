import GraphIR
import TensorTypes

extension ModelImporter {
  /// The operators that `importControlFlow` takes.
  static let structural: Set<String> = [
    "If", "Loop", "Scan", "SequenceConstruct", "SequenceEmpty", "SequenceAt", "SequenceInsert", "SequenceErase", "SequenceLength", "ConcatFromSequence",
    "SplitToSequence", "Optional", "OptionalHasElement", "OptionalGetElement",
  ]

  /// Imports operators that hold graphs or handle sequences and optionals; nil for every other operator.
  mutating func importControlFlow(
    _ node: NodeProto, _ operands: [Binding?], _ attributes: [String: AttributeProto.Value], scope: Scope, context: BlockContext,
    builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding]? {
    let call = OperatorCall(
      name: node.operatorName, opset: builder.origin.opset, inputs: operands.map { if case .value(let value)? = $0 { value } else { nil } },
      outputs: node.outputs, attributes: attributes, origin: builder.origin, decoder: decoder)
    switch node.operatorName {
    case "If": return try importIf(call, scope: scope, context: context, builder: &builder)
    case "Loop": return try importLoop(call, operands, scope: scope, context: context, builder: &builder)
    case "Scan": return try importScan(call, scope: scope, context: context, builder: &builder)
    default: return try importSequence(call, operands, builder: &builder)
    }
  }

  /// A condition known at import chooses the branch here. Otherwise both are computed and one is selected, which
  /// is right because operators have no effects, and possible if both give the same types.
  private mutating func importIf(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding]? {
    let condition = try call.input(0)
    guard builder.element(condition) == .bool else { throw call.refusal("the condition of If is \(builder.type(condition)), not bool") }
    if let known = builder.contents(condition)?.elements.first?.integer {
      return try importBranch(try call.graph(known != 0 ? "then_branch" : "else_branch"), call, scope: scope, context: context, builder: &builder)
    }
    let first = try importBranch(try call.graph("then_branch"), call, scope: scope, context: context, builder: &builder)
    let second = try importBranch(try call.graph("else_branch"), call, scope: scope, context: context, builder: &builder)
    guard first.count == second.count else { throw call.refusal("the branches of If give \(first.count) and \(second.count) results") }
    let flag = try builder.reshape(condition, to: [])
    var results: [Binding] = []
    for (a, b) in zip(first, second) {
      guard case .value(let x) = a, case .value(let y) = b, builder.element(x) == builder.element(y), builder.rank(x) == builder.rank(y),
        let target = builder.shape(x).broadcast(with: builder.shape(y)), target == builder.shape(x) || !target.isStatic
      else {
        throw call.unsupported(
          "the branches of If give results of different types, and its condition is only known when the model runs",
          hint: "a condition on a symbolic axis is known once the axis is bound with --dim or --shape")
      }
      results.append(.value(try builder.select(flag, x, y)))
    }
    return results
  }

  private mutating func importBranch(
    _ branch: GraphProto, _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    var inner = Scope(inside: scope)
    var deeper = context
    deeper.depth += 1
    defer { builder.origin = call.origin }
    return try importGraph(branch, scope: &inner, context: deeper, builder: &builder)
  }
}
