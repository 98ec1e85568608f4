import GraphIR
import TensorTypes

/// What a rewrite decided about one node.
public enum Rewrite: Sendable {
  case unchanged
  /// One value for each result, of the same types.
  case replacedAll(with: [ValueID])

  public static func replaced(with value: ValueID) -> Rewrite { .replacedAll(with: [value]) }
}

/// A node whose operation is known by type.
public struct Match<Op: Operation>: Sendable {
  public let node: Node
  public let operation: Op
  public subscript(operand: Int) -> ValueID { node.operands[operand] }
  public var operands: [ValueID] { node.operands }
  public var result: ValueID { node.results[0] }
}

/// A rule for the nodes of one operation.
public struct RewritePattern: Sendable {
  /// nil: every operation.
  let operation: ObjectIdentifier?
  let apply: @Sendable (Node, inout Rewriter) throws(TypeError) -> Rewrite

  /// A rule for one operation.
  public static func on<Op: Operation>(
    _ type: Op.Type, _ body: @escaping @Sendable (Match<Op>, inout Rewriter) throws(TypeError) -> Rewrite
  ) -> RewritePattern {
    RewritePattern(operation: ObjectIdentifier(type)) { node, rewriter throws(TypeError) in
      guard let operation = node.operation as? Op else { return .unchanged }
      return try body(Match(node: node, operation: operation), &rewriter)
    }
  }

  /// A rule that looks at every node.
  public static func onAny(_ body: @escaping @Sendable (Node, inout Rewriter) throws(TypeError) -> Rewrite) -> RewritePattern {
    RewritePattern(operation: nil, apply: body)
  }
}

/// A pass of one rule.
public func rewrite<Op: Operation>(
  _ name: String, _ summary: String, _ type: Op.Type,
  _ body: @escaping @Sendable (Match<Op>, inout Rewriter) throws(TypeError) -> Rewrite
) -> Pass<Graph> {
  rewrite(name, summary, [.on(type, body)])
}

/// A pass of several rules, applied until none fires. Graphs inside loops and branches are rewritten as well.
///
/// Each node is visited once, and again whenever an operand or a reader changed; so the work is linear in
/// the nodes as long as rules move toward the canonical form. A pass whose rules undo each other stops
/// after `16 * nodes + 1024` rewrites and is named in `PassContext.runawayPass`.
public func rewrite(_ name: String, _ summary: String, _ patterns: [RewritePattern]) -> Pass<Graph> {
  let driver = RewriteDriver(name: name, patterns: patterns)
  return Pass(name, summary) { graph, context throws(CompileError) in try driver.run(&graph, &context) }
}

private struct RewriteDriver: Sendable {
  let name: String
  let byOperation: [ObjectIdentifier: [RewritePattern]]
  let general: [RewritePattern]

  init(name: String, patterns: [RewritePattern]) {
    self.name = name
    general = patterns.filter { $0.operation == nil }
    byOperation = Dictionary(grouping: patterns.filter { $0.operation != nil }) { $0.operation ?? ObjectIdentifier(Constant.self) }
  }

  func run(_ graph: inout Graph, _ context: inout PassContext) throws(CompileError) -> Bool {
    var rewriter = Rewriter(graph)
    // The copy in the rewriter is then the only one, so that edits happen in place.
    graph = Graph()
    var budget = rewriter.graph.valueCount * 16 + 1024
    var hasChanged = false
    while let node = rewriter.next() {
      rewriter.begin(node)
      let outcome: Rewrite
      do throws(TypeError) {
        outcome = try apply(to: node, &rewriter, &context)
        guard case .replacedAll(let values) = outcome else {
          rewriter.abandon()
          continue
        }
        if budget == 0 || !context.spendRewrite() {
          if budget == 0 { context.runawayPass = name }
          rewriter.abandon()
          break
        }
        budget -= 1
        hasChanged = true
        try rewriter.replace(node, with: values)
      } catch {
        throw CompileError(error, stage: .pass(name), origin: node.origin, operands: rewriter.graph.types(of: node.operands))
      }
    }
    for (origin, reason) in rewriter.refused { context.refuse(name, origin, reason) }
    graph = rewriter.finish()
    return hasChanged
  }

  private func apply(to node: Node, _ rewriter: inout Rewriter, _ context: inout PassContext) throws(TypeError) -> Rewrite {
    for pattern in byOperation[ObjectIdentifier(Swift.type(of: node.operation))] ?? [] {
      let outcome = try pattern.apply(node, &rewriter)
      if case .replacedAll = outcome { return outcome }
    }
    for pattern in general {
      let outcome = try pattern.apply(node, &rewriter)
      if case .replacedAll = outcome { return outcome }
    }
    if let control = node.operation as? any ControlOperation { return try rewriteRegions(of: control, node, &rewriter, &context) }
    return .unchanged
  }

  private func rewriteRegions(
    of control: any ControlOperation, _ node: Node, _ rewriter: inout Rewriter, _ context: inout PassContext
  ) throws(TypeError) -> Rewrite {
    var regions = control.regions
    var hasChanged = false
    do throws(CompileError) {
      for position in regions.indices { if try run(&regions[position], &context) { hasChanged = true } }
    } catch {
      throw TypeError("inside `\(control.mnemonic)`: \(error.message)", hint: error.hint)
    }
    if !hasChanged { return .unchanged }
    return .replacedAll(with: try rewriter.insertAll(control.replacing(regions: regions), node.operands))
  }
}
