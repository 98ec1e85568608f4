import GraphIR
import TensorTypes

extension ModelImporter {
  /// The operators that `importControlFlow` takes.
  static let structural: Set<String> = [
    "If", "Loop", "Scan", "SequenceMap", "SequenceConstruct", "SequenceEmpty", "SequenceAt", "SequenceInsert", "SequenceErase", "SequenceLength",
    "ConcatFromSequence", "SplitToSequence", "Optional", "OptionalHasElement", "OptionalGetElement",
  ]

  /// Imports operators that hold graphs or handle sequences and optionals; nil for every other operator.
  mutating func importControlFlow(
    _ node: NodeProto, _ operands: [Binding?], _ attributes: [String: AttributeProto.Value], scope: Scope, context: BlockContext,
    builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding]? {
    let call = OperatorCall(
      name: node.operatorName, opset: builder.origin.opset, inputs: operands.map { if case .value(let value)? = $0 { value } else { nil } },
      outputs: node.outputs, attributes: attributes, origin: builder.origin, decoder: decoder)
    defer { builder.origin = call.origin }
    switch node.operatorName {
    case "If": return try importIf(call, scope: scope, context: context, builder: &builder)
    case "Loop": return try importLoop(call, operands, scope: scope, context: context, builder: &builder)
    case "Scan": return try importScan(call, scope: scope, context: context, builder: &builder)
    case "SequenceMap": return try importSequenceMap(call, operands, scope: scope, context: context, builder: &builder)
    default: return try importSequence(call, operands, builder: &builder)
    }
  }

  // MARK: If

  /// A condition known at import chooses the branch here; otherwise both become regions of an `if`.
  private mutating func importIf(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding]? {
    let condition = try call.input(0)
    guard builder.element(condition) == .bool, builder.shape(condition).elementCount == 1 else {
      throw call.refusal("the condition of If is \(builder.type(condition)), not one bool")
    }
    let branches = [try call.graph("then_branch"), try call.graph("else_branch")]
    if let known = builder.contents(condition)?.elements.first?.integer {
      return try importBranch(branches[known != 0 ? 0 : 1], call, scope: scope, context: context, builder: &builder)
    }
    let captured = Captured(branches, scope, builder)
    let fact = ShapePredicate(condition, builder)
    var regions: [Region] = []
    var failures: [CompileError?] = []
    for branch in branches {
      let mark = assumptions.mark
      do throws(CompileError) {
        regions.append(try region(branch, formals: [], capturing: captured, call, context: context, around: builder))
        failures.append(nil)
      } catch {
        // Another assumption inside may make the branch right.
        if assumptions.canChange(since: mark) { throw error }
        failures.append(error)
      }
    }
    if let failure = failures.compactMap({ $0 }).first {
      // With a condition on lengths one branch may be for ranks and lengths that the model does not have here.
      if let fact { return try assume(fact, branches, call, scope: scope, context: context, builder: &builder) }
      guard regions.count == 1, failure.problem == .badInput else { throw failure }
      regions.insert(try Self.impossible(regions[0], failure, captured, call, builder), at: failures[0] == nil ? 1 : 0)
    }
    guard let operation = Self.joined(regions[0].graph, regions[1].graph, builder), regions[0].outputs == regions[1].outputs else {
      if let fact { return try assume(fact, branches, call, scope: scope, context: context, builder: &builder) }
      throw dependent("the branches of If give results of different ranks, element types or numbers, and its condition is only known when the model runs", on: [condition], call, builder)
    }
    let flag = try builder.reshape(condition, to: [])
    let results = operation.shapes.isEmpty ? [] : try builder.addAll(operation, [flag] + captured.values)
    return BindingStructure.bindings(regions[0].outputs, of: results)
  }

  /// In place of a branch that the shapes here make wrong.
  private static func impossible(_ other: Region, _ failure: CompileError, _ captured: Captured, _ call: OperatorCall, _ builder: GraphBuilder) throws(CompileError) -> Region {
    let computed = Set(other.graph.computedSymbols)
    let types = other.graph.types(of: other.graph.outputs)
    let results = types.map { type in TensorType(type.element, Shape(type.shape.map { computed.isDisjoint(with: $0.symbols) ? $0 : 0 })) }
    let graph: Graph
    do throws(TypeError) {
      graph = try If.impossible(inputs: captured.values.map { builder.type($0) }, results: results, violation: "\(call.origin): \(failure.message)")
    } catch { throw failure }
    return Region(graph: graph, outputs: other.outputs)
  }

  /// The branches as one operation; nil if they do not give results of the same element types and ranks.
  private static func joined(_ then: Graph, _ otherwise: Graph, _ builder: GraphBuilder) -> If? {
    let (first, second) = (then.types(of: then.outputs), otherwise.types(of: otherwise.outputs))
    guard first.count == second.count else { return nil }
    // Axes that differ in the same way have one length in common.
    var names: [[Extent]: String] = [:]
    var symbols: [String] = []
    var shapes: [Shape] = []
    for (a, b) in zip(first, second) {
      guard a.element == b.element, a.rank == b.rank else { return nil }
      var shape = a.shape
      for axis in 0..<a.rank where a.shape[axis] != b.shape[axis] {
        let pair = [a.shape[axis], b.shape[axis]]
        let name = names[pair] ?? builder.symbolNames.fresh(for: "If")
        if names.updateValue(name, forKey: pair) == nil { symbols.append(name) }
        shape[axis] = Extent(symbol: name)
      }
      shapes.append(shape)
    }
    return If(then: then, otherwise: otherwise, symbols: symbols, shapes: shapes)
  }

  private mutating func importBranch(
    _ branch: GraphProto, _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    var inner = Scope(inside: scope)
    var deeper = context
    deeper.depth += 1
    return try importGraph(branch, scope: &inner, context: deeper, builder: &builder)
  }

  /// Takes one branch for all lengths, which the model then demands of its inputs: behind branches of different ranks only one of
  /// them makes sense as a rule. `ShapeAssumptions` finds out which.
  private mutating func assume(
    _ fact: ShapePredicate, _ branches: [GraphProto], _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    let holds = assumptions.next(usual: !fact.isEquality)
    let violation = "\(call.origin): the model is compiled for lengths with \(holds ? fact.text : "not \(fact.text)"), where If takes its \(holds ? "then" : "else") branch"
    builder.require(fact.condition(holds, violation: violation))
    return try importBranch(branches[holds ? 0 : 1], call, scope: scope, context: context, builder: &builder)
  }
}

/// A condition that compares lengths of axes.
struct ShapePredicate {
  private let comparison: Comparison
  private let a: Extent
  private let b: Extent

  /// - Returns: Nil if the value is not computed from lengths alone.
  init?(_ value: ValueID, _ builder: GraphBuilder) {
    var value = value
    var isNegated = false
    while let node = builder.graph.producer(of: value) {
      switch node.operation {
      case is Reshape: value = node.operands[0]
      case let convert as Convert where convert.element == .bool:
        value = node.operands[0]
        guard builder.element(value) != .bool else { continue }
        guard let extent = Self.extent(value, builder) else { return nil }
        self.init(isNegated ? .equal : .notEqual, extent, 0)
        return
      case let unary as Unary where unary.function == .not:
        isNegated.toggle()
        value = node.operands[0]
      case let compare as Compare:
        guard let a = Self.extent(node.operands[0], builder), let b = Self.extent(node.operands[1], builder) else { return nil }
        self.init(isNegated ? Self.opposite(compare.comparison) : compare.comparison, a, b)
        return
      default: return nil
      }
    }
    return nil
  }

  private init(_ comparison: Comparison, _ a: Extent, _ b: Extent) { (self.comparison, self.a, self.b) = (comparison, a, b) }

  private static func extent(_ value: ValueID, _ builder: GraphBuilder) -> Extent? {
    var value = value
    while true {
      if let extents = builder.contents(value)?.extents, extents.count == 1 { return extents[0] }
      guard let node = builder.graph.producer(of: value), node.operation is Reshape || node.operation is Broadcast || node.operation is Convert else { return nil }
      value = node.operands[0]
    }
  }

  var isEquality: Bool { comparison == .equal }

  var text: String {
    let sign =
      switch comparison {
      case .equal: "="
      case .notEqual: "!="
      case .less: "<"
      case .lessOrEqual: "<="
      case .greater: ">"
      case .greaterOrEqual: ">="
      }
    return "\(a) \(sign) \(b)"
  }

  private static func opposite(_ comparison: Comparison) -> Comparison {
    switch comparison {
    case .equal: .notEqual
    case .notEqual: .equal
    case .less: .greaterOrEqual
    case .lessOrEqual: .greater
    case .greater: .lessOrEqual
    case .greaterOrEqual: .less
    }
  }

  /// What has to hold of the lengths if the condition is true, or if it is false.
  func condition(_ holds: Bool, violation: String) -> ShapeCondition {
    let difference = a - b
    switch holds ? comparison : Self.opposite(comparison) {
    case .equal: return ShapeCondition(.zero, difference, violation: violation)
    case .notEqual: return ShapeCondition(.nonNegative, difference * difference - 1, violation: violation)
    case .less: return ShapeCondition(.nonNegative, b - a - 1, violation: violation)
    case .lessOrEqual: return ShapeCondition(.nonNegative, b - a, violation: violation)
    case .greater: return ShapeCondition(.nonNegative, a - b - 1, violation: violation)
    case .greaterOrEqual: return ShapeCondition(.nonNegative, a - b, violation: violation)
    }
  }
}

/// Which branch is taken where a condition on lengths decides ranks. The import goes on with the first choice; where it then fails,
/// it is done again with another one.
struct ShapeAssumptions {
  private var choices: [(value: Bool, isFirst: Bool)] = []
  private var used = 0
  /// More attempts than this only cost time.
  static let mostAttempts = 24

  /// True if the import has assumed anything.
  var isEmpty: Bool { choices.isEmpty }

  mutating func next(usual: Bool) -> Bool {
    if used == choices.count { choices.append((usual, true)) }
    used += 1
    return choices[used - 1].value
  }

  /// The number of choices so far.
  var mark: Int { used }

  /// True if one of the choices since then has another one left.
  func canChange(since mark: Int) -> Bool { choices[min(mark, used)..<used].contains { $0.isFirst } }

  /// Begins the import again; false if every choice has been tried.
  mutating func retry() -> Bool {
    used = 0
    while let last = choices.popLast() {
      guard last.isFirst else { continue }
      choices.append((!last.value, false))
      return true
    }
    return false
  }
}
