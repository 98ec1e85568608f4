import GraphIR
import KernelIR
import TensorTypes

/// What follows an anchor inside its fusion: from one element of the anchor's result to what is stored, and where.
struct TileEpilogue {
  let path: OutputPath
  let anchor: ValueID
  /// Between the anchor and the value that the template computes: each keeps the number of elements.
  private let steps: [Node]
  private let graph: Graph
  /// What is added to a sum of whole numbers first, and what that gives.
  private let start: (addend: ValueID, total: ValueID)?

  /// - Parameter result: The value that the template computes, if it is not the body's result.
  init(graph body: Graph, anchor: Node, upTo result: ValueID? = nil) throws(CompileError) {
    var graph = body
    if let result { graph.setOutputs([("result", result)]) }
    self.graph = graph
    self.anchor = anchor.results[0]
    path = OutputPath(graph: graph, anchor: anchor.results[0])
    steps = try Self.steps(from: anchor, to: path.computed, graph)
    start = Self.start(of: anchor, graph)
  }

  private static func start(of anchor: Node, _ graph: Graph) -> (addend: ValueID, total: ValueID)? {
    let sum = anchor.results[0]
    guard graph.type(of: sum).element == .i32, graph.useCount(of: sum) == 1, let use = graph.uses(of: sum).first else { return nil }
    let node = graph.node(use.node)
    guard let binary = node.operation as? Binary, binary.function == .add else { return nil }
    return (node.operands[node.operands[0] == sum ? 1 : 0], node.results[0])
  }

  /// True if something is added to a sum of whole numbers first, which are the same in any order.
  var canStart: Bool { start != nil }

  /// What a sum of whole numbers can start from, instead of zero; nil if there is nothing.
  func starting(_ emitter: inout ElementEmitter, at index: [Expression]) throws(CompileError) -> Expression? {
    guard let start else { return nil }
    return try emitter.element(start.addend, index)
  }

  /// The same for the registers of a tile; nil also if it is not there for every column.
  func starting(_ columns: TileAccumulators.Columns, at index: @escaping (_ row: Int, _ lane: Expression) -> [Expression]) -> TileAccumulators.Start? {
    guard let start, case .known(let stored, let computed) = columns, stored == computed else { return nil }
    return { emitter, row, lane throws(CompileError) in try emitter.element(start.addend, index(row, lane)) }
  }

  /// The nodes on one way from the anchor to a value; all ways lead through the same index spaces.
  private static func steps(from anchor: Node, to value: ValueID, _ graph: Graph) throws(CompileError) -> [Node] {
    var parent: [ValueID: Node] = [:]
    var (stack, visited): ([ValueID], Set<ValueID>) = ([value], [value])
    while let next = stack.popLast(), next != anchor.results[0] {
      guard let node = graph.producer(of: next) else { continue }
      for operand in node.operands where visited.insert(operand).inserted {
        parent[operand] = node
        stack.append(operand)
      }
    }
    var steps: [Node] = []
    var current = anchor.results[0]
    while current != value {
      guard let node = parent[current] else {
        throw CompileError(.unsupported, "the fusion's result does not depend on its anchor", stage: .lower, origin: anchor.origin)
      }
      switch node.operation {
      case is Unary, is Binary, is Compare, is Select, is Convert: break
      case is Reshape, is Transpose: steps.append(node)
      default: throw CompileError(.unsupported, "`\(node.operation.mnemonic)` cannot follow a contraction inside a fusion", stage: .lower, origin: node.origin)
      }
      current = node.results[0]
    }
    return steps
  }

  /// True if an element takes so many instructions that they should be written once for a tile, not for each register.
  var isCostly: Bool {
    var (stack, visited): ([ValueID], Set<ValueID>) = ([path.computed], [path.computed, anchor])
    while let next = stack.popLast() {
      guard next != anchor, let node = graph.producer(of: next) else { continue }
      if let unary = node.operation as? Unary, RowSpace.isExpensive(unary.function) { return true }
      if let binary = node.operation as? Binary, binary.function == .power { return true }
      for operand in node.operands where visited.insert(operand).inserted { stack.append(operand) }
    }
    return false
  }

  /// Instructions that one vector takes, about.
  func operations(_ emitter: ElementEmitter, _ sum: ElementType) -> Int {
    var emitter = emitter
    let index = graph.type(of: anchor).shape.map { extent in
      let variable = emitter.builder.variable("p")
      emitter.ranges.set(variable, to: extent)
      return Expression.variable(variable)
    }
    let acc = emitter.builder.local("acc", sum, count: 1)
    let statements = try? emitter.scoped { emitter throws(CompileError) in
      try self.finish(&emitter, at: index, .local(acc, .index(0))) { emitter, _, result throws(CompileError) in [.assign(acc, index: .index(0), value: result)] }
    }
    return (statements ?? []).reduce(0) { count, statement in
      switch statement {
      case .bind(_, let value), .assign(_, _, let value): count + Self.operations(value)
      default: count
      }
    }
  }

  private static func operations(_ expression: Expression) -> Int {
    switch expression {
    case .load, .local, .number, .variable, .index, .extent: 0
    case .bits(let x, _): operations(x)
    default: expression.children.reduce(1) { $0 + operations($1) }
    }
  }

  /// Stores one element.
  ///
  /// - Parameters:
  ///   - index: Where it lies in the anchor's result.
  ///   - value: The anchor's result there.
  ///   - isStarted: True if the sum started from what `starting` gave.
  func store(
    _ emitter: inout ElementEmitter, at index: [Expression], _ value: Expression, isStarted: Bool = false, into output: Buffer
  ) throws(CompileError) -> [Statement] {
    try finish(&emitter, at: index, value, isStarted: isStarted) { emitter, index, result throws(CompileError) in
      [.store(output, index: path.position(index, emitter.mapping), value: result)]
    }
  }

  /// Computes one element, and hands it to `keep` with its place in the value that the template computes.
  func finish(
    _ emitter: inout ElementEmitter, at index: [Expression], _ value: Expression, isStarted: Bool = false,
    _ keep: (inout ElementEmitter, _ index: [Expression], _ result: Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    try emitter.scoped { emitter throws(CompileError) in
      var index = index
      for node in steps {
        if let transpose = node.operation as? Transpose { index = transpose.permutation.map { index[$0] } } else {
          index = emitter.mapping.reshape(index, from: graph.type(of: node.operands[0]).shape, to: graph.type(of: node.results[0]).shape)
        }
      }
      let outer = emitter.provided
      emitter.provided[isStarted ? start?.total ?? anchor : anchor] = value
      let result = try emitter.element(path.computed, index)
      emitter.provided = outer
      return try keep(&emitter, index, result)
    }
  }

  /// Prefetches of what the epilogue of a tile reads and writes, to be put in front of the tile's sum: they come from
  /// beyond the caches in large networks, and a processor does not look so far ahead.
  ///
  /// Measured inside ResNet-50, where the residual lies beyond the caches: 1.18 instead of 1.36 ms for 56x56x64 -> 256.
  /// - Parameter index: Where an element of the tile lies in the anchor's result.
  func prefetches(
    _ emitter: inout ElementEmitter, rows: Int, columns: Int, into output: Buffer, _ index: (_ row: Int, _ lane: Expression) -> [Expression]
  ) throws(CompileError) -> [Statement] {
    let lane = emitter.builder.variable("n")
    emitter.ranges.set(lane, to: Extent(columns))
    var requests: [Access] = []
    var shared: Set<Access> = []
    for row in 0..<rows {
      let statements = try store(&emitter, at: index(row, .variable(lane)), .number(0, graph.type(of: anchor).element), into: output)
      let found = Self.accesses(of: statements, lane)
      // What all rows read alike is small and stays in the cache.
      if row == 1 { shared = Set(requests).intersection(found) }
      requests += found
    }
    var statements: [Statement] = []
    var done = shared
    for request in requests where done.insert(request).inserted {
      for column in stride(from: 0, to: columns, by: max(1, 64 / request.buffer.element.byteCount)) {
        let place = request.index.map { $0 == .variable(lane) ? .index(column) : $0 }
        statements.append(.prefetch(request.buffer, index: place, forWriting: request.isWritten))
      }
    }
    return statements
  }

  private struct Access: Hashable {
    var buffer: Buffer
    var index: Expression
    var isWritten: Bool
  }

  /// Loads and stores that move with the lane, a step at a time, and whose place is known before the statements.
  private static func accesses(of statements: [Statement], _ lane: Variable) -> [Access] {
    var bound: Set<Variable> = []
    var found: [Access] = []
    for statement in statements {
      if case .bind(let variable, _) = statement { bound.insert(variable) }
      if case .store(let buffer, let index, _) = statement { found.append(Access(buffer: buffer, index: index, isWritten: true)) }
      statement.visitExpressions { if case .load(let buffer, let index) = $0 { found.append(Access(buffer: buffer, index: index, isWritten: false)) } }
    }
    func isKnown(_ index: Expression) -> Bool {
      if case .variable(let variable) = index { return !bound.contains(variable) }
      if case .load = index { return false }
      return index.children.allSatisfy(isKnown)
    }
    return found.filter { TileAccess.coefficient(of: lane, in: $0.index) == 1 && isKnown($0.index) }
  }
}

extension FusionLowering {
  /// The only node of the body with one kind of operation.
  func anchor<T: Operation>(_ type: T.Type) throws(CompileError) -> (node: Node, operation: T) {
    for id in body.topologicalOrder() {
      if let operation = body.node(id).operation as? T { return (body.node(id), operation) }
    }
    throw CompileError(.unsupported, "a fusion with template `\(fusion.template.rawValue)` has no such anchor", stage: .lower, origin: origin)
  }

  /// The body's inputs that an element of some values depends on.
  func inputs(of values: [ValueID], notThrough provided: Set<ValueID> = []) -> Set<ValueID> {
    var (stack, visited): ([ValueID], Set<ValueID>) = (values, Set(values))
    var found: Set<ValueID> = []
    while let next = stack.popLast() {
      if provided.contains(next) { continue }
      guard let node = body.producer(of: next) else {
        found.insert(next)
        continue
      }
      for operand in node.operands where visited.insert(operand).inserted { stack.append(operand) }
    }
    return found
  }

  /// An emitter that reads only what some values need.
  func emitter(reading values: [ValueID], notThrough provided: Set<ValueID> = []) -> (ElementEmitter, [LoweredKernel.Argument]) {
    let needed = inputs(of: values, notThrough: provided)
    return emitter(skipping: Set(body.inputs.filter { !needed.contains($0) }))
  }
}
