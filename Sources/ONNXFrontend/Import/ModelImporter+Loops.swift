import GraphIR
import TensorTypes

extension ModelImporter {
  /// One `Loop` of the model.
  private struct LoopCall {
    let call: OperatorCall
    let graph: GraphProto
    let scope: Scope
    let context: BlockContext
    /// Initial values; nil for an input that is left out.
    let carried: [Binding?]
    let captured: Captured
    /// The most rounds; nil if nothing is known of them.
    var limit: Extent?
    /// Whether there is a first round.
    var start: Start

    enum Start {
      case known(Bool)
      /// A bool without axes.
      case value(ValueID)
    }

    var values: [ValueID] { carried.flatMap { $0?.values ?? [] } }
    var stacked: Int { graph.outputs.count - carried.count - 1 }
    /// What decides the number of rounds.
    var deciders: [ValueID] { [call.optional(0), call.optional(1)].compactMap { $0 } }

    func formals(_ types: [TensorType]) -> [Formal] {
      var rest = types[...]
      return zip(graph.inputs.dropFirst(2), carried).map { input, binding in
        let structure = binding.map { BindingStructure($0) } ?? .absent
        defer { rest = rest.dropFirst(structure.count) }
        return Formal(input.name, structure, Array(rest.prefix(structure.count)))
      }
    }
  }

  /// A value that goes from round to round as another thing than it came: only steps one after the other can do that.
  private static let changesItsNature = "Loop that carries values whose element type, number of axes or number of elements in a sequence changes"

  /// A loop of a number of steps that is known before it begins becomes a `scan`, every other one a `while`. Few steps that carry
  /// what changes its rank, or sequences that grow, are put one after the other.
  mutating func importLoop(
    _ call: OperatorCall, _ operands: [Binding?], scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    let graph = try call.graph("body")
    let carried = Array(operands.dropFirst(2))
    guard graph.inputs.count == carried.count + 2, graph.outputs.count >= carried.count + 1 else {
      throw call.refusal("the body of Loop has \(graph.inputs.count) inputs for \(carried.count) carried values")
    }
    var loop = LoopCall(
      call: call, graph: graph, scope: scope, context: context, carried: carried, captured: Captured([graph], scope, builder), limit: nil, start: .known(true))
    if let condition = call.optional(1) {
      guard builder.element(condition) == .bool, builder.shape(condition).elementCount == 1 else { throw call.refusal("the condition of Loop is \(builder.type(condition)), not one bool") }
      if let known = builder.contents(condition)?.elements.first?.integer { loop.start = .known(known != 0) } else {
        loop.start = .value(try builder.reshape(condition, to: []))
      }
    }
    if let count = call.optional(0) { loop.limit = try tripCount(count, call, &builder) }
    if case .known(false) = loop.start { loop.limit = 0 }
    if loop.limit == 0 { return try withoutRounds(loop, builder: &builder) }
    do throws(CompileError) {
      if case .known(true) = loop.start, let limit = loop.limit, let results = try scanned(loop, steps: limit, builder: &builder) { return results }
      return try repeated(loop, builder: &builder)
    } catch {
      guard error.problem == .unsupported, error.dependsOn.isEmpty || error.message == Self.changesItsNature, case .known(true) = loop.start, loop.limit.map(\.isConstant) ?? true else { throw error }
      return try unrolled(loop, instead: error, builder: &builder)
    }
  }

  /// The trip count as an extent. More than any length, such as the INT64_MAX of exporters, means no limit: nil.
  private func tripCount(_ value: ValueID, _ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> Extent? {
    guard builder.element(value).isInteger, builder.shape(value).elementCount == 1 else { throw call.refusal("the trip count of Loop is \(builder.type(value)), not one integer") }
    if let known = builder.contents(value)?.elements.first?.extent {
      if let constant = known.constant { return constant > Self.largestTripCount ? nil : Extent(max(0, constant)) }
      return .greatest(known, 0)
    }
    let wide = try builder.convert(builder.reshape(value, to: []), to: .i64)
    let bounded = try builder.binary(.minimum, builder.binary(.maximum, wide, builder.materialize(scalar: 0, .i64)), builder.materialize(scalar: Extent(Self.largestTripCount), .i64))
    return try builder.measured(bounded, "the trip count").first
  }

  private static let largestTripCount = 1 << 40

  /// What a loop without a round gives: what it was given, and stacks without a slice.
  private mutating func withoutRounds(_ loop: LoopCall, builder: inout GraphBuilder) throws(CompileError) -> [Binding] {
    var results = loop.carried.map { $0 ?? .absent }
    if loop.stacked == 0 { return results }
    let inner = try region(
      loop.graph, formals: [Formal(loop.graph.inputs[0].name, TensorType(.i64, [])), Formal(loop.graph.inputs[1].name, TensorType(.bool, []))] + loop.formals(loop.values.map { builder.type($0) }),
      capturing: loop.captured, loop.call, context: loop.context, around: builder,
      finish: { _, bindings throws(CompileError) in Array(bindings.suffix(loop.stacked)) })
    let computed = Set(inner.graph.computedSymbols)
    for type in inner.graph.types(of: inner.graph.outputs) {
      // Lengths that only a round would find are 0.
      let shape = Shape([0] + type.shape.map { computed.isDisjoint(with: $0.symbols) ? $0 : 0 })
      results.append(.value(try builder.broadcast(builder.scalar(0, type.element), to: shape)))
    }
    return results
  }

  // MARK: A number of rounds that is known before

  /// nil where the loop ends when computed data says so, or where lengths change.
  private mutating func scanned(_ loop: LoopCall, steps: Extent, builder: inout GraphBuilder) throws(CompileError) -> [Binding]? {
    let types = loop.values.map { builder.type($0) }
    let round = builder.symbolNames.fresh(for: "Loop")
    var goesOn = true
    let body = try region(
      loop.graph, formals: loop.formals(types), capturing: loop.captured, operands: loop.values.map { [$0] }, loop.call, context: loop.context, around: builder,
      bind: { scope, b throws(CompileError) in try Self.bindRound(loop.graph, round, &scope, &b) },
      finish: { b, outputs throws(CompileError) in
        guard case .value(let condition)? = outputs.first, b.contents(condition)?.elements.first?.integer == 1 else {
          goesOn = false
          return []
        }
        return Array(outputs.dropFirst())
      })
    guard goesOn, Array(body.outputs.prefix(loop.carried.count)) == loop.carried.map({ $0.map { BindingStructure($0) } ?? .absent }) else { return nil }
    let outputs = body.graph.types(of: body.graph.outputs)
    guard Array(outputs.prefix(types.count)) == types else { return nil }
    let results = try builder.addAll(
      Scan(carried: types.count, scanned: 0, extent: steps, round: body.graph.mentionedSymbols.contains(round) ? round : nil, body: body.graph), loop.values + loop.captured.values)
    return BindingStructure.bindings(body.outputs, of: results)
  }

  /// The round's number and the condition, which is true in every round.
  private static func bindRound(_ graph: GraphProto, _ round: String, _ scope: inout Scope, _ b: inout GraphBuilder) throws(CompileError) {
    let number = try b.materialize(scalar: Extent(symbol: round), .i64)
    _ = scope.define(graph.inputs[0].name, .value(try b.inForm(number, of: graph.inputs[0])))
    _ = scope.define(graph.inputs[1].name, .value(try b.inForm(b.constant(Tensor(scalar: 1, .bool)), of: graph.inputs[1])))
  }

  // MARK: A number of rounds that the loop finds

  /// Lengths of carried values that change get symbols: the body is imported again until what it returns fits what it takes.
  private mutating func repeated(_ loop: LoopCall, builder: inout GraphBuilder) throws(CompileError) -> [Binding] {
    let round = builder.symbolNames.fresh(for: "Loop")
    let initial = loop.values.map { builder.type($0) }
    // Axes that begin with one length and go on with one have it in common.
    var groups: [Extent: String] = [:]
    var symbols: [[String?]] = initial.map { $0.shape.map { _ in nil } }
    var types = initial
    for _ in 0..<8 {
      let taken = types
      let body = try region(
        loop.graph, formals: loop.formals(taken), capturing: loop.captured, operands: loop.values.map { [$0] }, loop.call, context: loop.context, around: builder,
        bind: { scope, b throws(CompileError) in try Self.bindRound(loop.graph, round, &scope, &b) },
        finish: { b, outputs throws(CompileError) in
          guard case .value(let condition)? = outputs.first, b.element(condition) == .bool else { throw loop.call.refusal("the body of Loop does not give a condition") }
          var again = try b.reshape(condition, to: [])
          if let limit = loop.limit {
            let next = try b.materialize(scalar: Extent(symbol: round) + 1, .i64)
            again = try b.binary(.and, again, b.compare(.less, next, b.materialize(scalar: limit, .i64)))
          }
          return [.value(again)] + outputs.dropFirst()
        })
      guard Array(body.outputs.dropFirst().prefix(loop.carried.count)) == loop.carried.map({ $0.map { BindingStructure($0) } ?? .absent }) else {
        throw dependent(Self.changesItsNature, on: loop.deciders, loop.call, builder)
      }
      let returned = Array(body.graph.types(of: body.graph.outputs).dropFirst().prefix(initial.count))
      var isStable = true
      var next: [String: Extent] = [:]
      var splits: [String: String] = [:]
      for (position, (before, after)) in zip(taken, returned).enumerated() {
        guard before.element == after.element, before.rank == after.rank else { throw dependent(Self.changesItsNature, on: loop.deciders, loop.call, builder) }
        for axis in 0..<before.rank {
          var symbol = symbols[position][axis]
          if let known = symbol {
            if next[known] == nil { next[known] = after.shape[axis] }
            if next[known] == after.shape[axis] { continue }
            let key = "\(known) \(after.shape[axis])"
            symbol = splits[key] ?? builder.symbolNames.fresh(for: "Loop")
            splits[key] = symbol
          } else {
            if before.shape[axis] == after.shape[axis] { continue }
            symbol = groups[before.shape[axis]] ?? builder.symbolNames.fresh(for: "Loop")
            groups[before.shape[axis]] = symbol
          }
          symbols[position][axis] = symbol
          if let symbol { types[position].shape[axis] = Extent(symbol: symbol) }
          isStable = false
        }
      }
      if isStable { return try finished(loop, round, body, initial, types, &builder) }
    }
    throw loop.call.unsupported("Loop that carries values whose shapes change in a way that is not understood")
  }

  private func finished(
    _ loop: LoopCall, _ round: String, _ body: Region, _ initial: [TensorType], _ types: [TensorType], _ builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    var lengths: [String] = []
    for (before, type) in zip(initial, types) {
      for axis in 0..<type.rank where type.shape[axis] != before.shape[axis] {
        if let symbol = type.shape[axis].symbol, !lengths.contains(symbol) { lengths.append(symbol) }
      }
    }
    var start: ValueID
    switch loop.start {
    case .known(let known): start = try builder.constant(Tensor(scalar: known ? 1 : 0, .bool))
    case .value(let value): start = value
    }
    if let limit = loop.limit, !(limit.isProvablyAtLeast(1)) {
      start = try builder.binary(.and, start, builder.compare(.less, builder.materialize(scalar: 0, .i64), builder.materialize(scalar: limit, .i64)))
    }
    let changing = Set([round] + lengths + body.graph.computedSymbols)
    for type in body.graph.types(of: body.graph.outputs).dropFirst(types.count + 1) where !changing.isDisjoint(with: type.shape.symbols) {
      throw dependent("Loop that stacks slices whose shape is not the same in every round, as far as is known before it runs: \(type)", on: loop.deciders, loop.call, builder)
    }
    if body.graph.outputs.count == 1 { return BindingStructure.bindings(Array(body.outputs.dropFirst()), of: []) }
    let results = try builder.addAll(
      While(carried: types.count, round: round, lengths: lengths, limit: loop.limit, body: body.graph), [start] + loop.values + loop.captured.values)
    return BindingStructure.bindings(Array(body.outputs.dropFirst()), of: results)
  }

  // MARK: Rounds one after the other

  /// - Parameter error: Why it is no loop; said if it cannot be unrolled either.
  private mutating func unrolled(_ loop: LoopCall, instead error: CompileError, builder: inout GraphBuilder) throws(CompileError) -> [Binding] {
    let mostRounds = builder.limits.loopSteps
    let bound = min(loop.limit?.constant ?? mostRounds, mostRounds)
    var carried = loop.carried
    var stacks = [[ValueID]](repeating: [], count: loop.stacked)
    var deeper = loop.context
    deeper.depth += 1
    var isOver = false
    for step in 0..<max(0, bound) {
      var inner = Scope(inside: loop.scope)
      _ = inner.define(loop.graph.inputs[0].name, .value(try builder.inForm(builder.materialize(scalar: Extent(step), .i64), of: loop.graph.inputs[0])))
      _ = inner.define(loop.graph.inputs[1].name, .value(try builder.inForm(builder.constant(Tensor(scalar: 1, .bool)), of: loop.graph.inputs[1])))
      for (input, value) in zip(loop.graph.inputs.dropFirst(2), carried) { _ = inner.define(input.name, value ?? .absent) }
      let outputs = try importGraph(loop.graph, scope: &inner, context: deeper, builder: &builder)
      builder.origin = loop.call.origin
      guard case .value(let condition)? = outputs.first, let flag = builder.contents(condition)?.elements.first?.integer else { throw error }
      carried = Array(outputs[1...].prefix(carried.count))
      for (position, binding) in outputs.dropFirst(1 + carried.count).enumerated() {
        guard case .value(let value) = binding else { throw loop.call.unsupported("Loop that stacks \(binding.kind)") }
        stacks[position].append(try builder.unsqueeze(value, axis: 0))
      }
      isOver = flag == 0
      if isOver { break }
    }
    guard isOver || loop.limit?.constant == bound else { throw error }
    var results: [Binding] = carried.map { $0 ?? .absent }
    for stack in stacks { results.append(.value(try builder.concatenate(stack, axis: 0))) }
    return results
  }
}

extension GraphBuilder {
  /// A scalar with as many axes, of one element each, as a graph's input is declared with.
  fileprivate mutating func inForm(_ value: ValueID, of input: ValueInfoProto) throws(CompileError) -> ValueID {
    guard case .tensor(_, let shape?) = input.type, !shape.isEmpty, shape.count <= limits.rank else { return value }
    let contents = contents(value)
    let reshaped = try reshape(value, to: Shape([Extent](repeating: 1, count: shape.count)))
    if let contents, let same = contents.reshaped([Int](repeating: 1, count: shape.count)) { note(reshaped, same) }
    return reshaped
  }
}
