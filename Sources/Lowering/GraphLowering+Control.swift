import GraphIR
import KernelIR
import TensorTypes

extension GraphLowering {
  // MARK: Branches

  /// Each branch writes its results where the node's results lie; a length that differs between the branches is set before that.
  mutating func lower(_ branch: If, _ node: Node, _ scope: inout Scope) throws(CompileError) -> [KernelProgram.Step] {
    let condition = try view(node.operands[0], scope, node)
    var places: [KernelProgram.View] = []
    for result in node.results {
      let place = scope.destinations[result] ?? buffer(scope.graph.value(result).name, scope.graph.type(of: result), .arena(offset: nil))
      scope.views[result] = place
      places.append(place)
    }
    var arms: [[KernelProgram.Step]] = []
    for (number, region) in branch.regions.enumerated() {
      var inner = try Scope(region, reading: Array(node.operands.dropFirst()), of: node, around: scope, &self)
      for (symbol, extents) in branch.lengths(after: number) {
        if let first = extents.first { inner.pending.append(.set(symbol, first, failure: failure(node, "the length of a result"))) }
        for other in extents.dropFirst() { inner.pending.append(.require(.zero, other - extents[0], failure: failure(node, "an axis would have two lengths"))) }
      }
      for (output, place) in zip(region.outputs, places) where inner.destinations[output] == nil { inner.destinations[output] = place }
      var steps = try steps(&inner)
      for (output, place) in zip(region.outputs, places) {
        let computed = try view(output, inner, node)
        if computed != place { steps.append(try copy(computed, to: place, region.type(of: output), node.origin)) }
      }
      arms.append(steps)
    }
    return [.branch(if: condition, then: arms[0], else: arms[1])]
  }

  // MARK: Loops

  /// Carried values of one size have two places that take turns. Those whose length changes have one, and are moved there at the end
  /// of each round, when the new length is known. Stacked results have room for as many slices as there can be rounds.
  mutating func lower(_ loop: While, _ node: Node, _ scope: inout Scope) throws(CompileError) -> [KernelProgram.Step] {
    let body = loop.body
    let round = Extent(symbol: loop.round)
    let lengths: [While.Length]
    do throws(TypeError) { lengths = try loop.bindings(scope.graph.types(of: node.operands)) } catch {
      throw CompileError(error, stage: .lower, origin: node.origin)
    }
    let initial = Array(node.operands[1...].prefix(loop.carried))
    var inner = try Scope(body, reading: Array(node.operands.dropFirst()), of: node, around: scope, skipping: loop.carried, &self)

    let again = buffer("again", TensorType(.bool, []), .arena(offset: nil))
    var before = [try copy(try view(node.operands[0], scope, node), to: again, TensorType(.bool, []), node.origin)]
    inner.destinations[body.outputs[0]] = again

    let changing = Set(loop.lengths)
    var turns: [Int: Turns] = [:]
    for position in 0..<loop.carried where changing.isDisjoint(with: body.type(of: body.inputs[position]).shape.symbols) {
      let turn = self.turns(body.type(of: body.inputs[position]))
      turns[position] = turn
      before.append(try copy(try view(initial[position], scope, node), to: turn.place(0), body.type(of: body.inputs[position]), node.origin))
      inner.views[body.inputs[position]] = turn.place(round)
      let next = body.outputs[position + 1]
      if inner.destinations[next] == nil { inner.destinations[next] = turn.place(round + 1) }
    }
    for length in lengths { before.append(.set(symbol: length.symbol, to: length.initial, failure: failure(node, "the length of a carried value"))) }
    for position in 0..<loop.carried where turns[position] == nil {
      let input = body.inputs[position]
      let place = buffer("state", body.type(of: input), .arena(offset: nil))
      inner.views[input] = place
      before.append(try copy(try view(initial[position], scope, node), to: place, scope.graph.type(of: initial[position]), node.origin))
    }

    var slices: [(value: ValueID, place: KernelProgram.View, whole: KernelProgram.View)] = []
    let slicedTypes = body.outputs.dropFirst(loop.carried + 1).map { body.type(of: $0) }
    let room = room(for: slicedTypes, limit: loop.limit)
    for output in body.outputs.dropFirst(loop.carried + 1) {
      let type = body.type(of: output)
      let whole = buffer("stack", TensorType(type.element, Shape([room] + type.shape.extents)), .arena(offset: nil))
      var slice = whole
      slice.elementOffset = round * type.shape.elementCount
      slices.append((output, slice, whole))
      if inner.destinations[output] == nil { inner.destinations[output] = slice }
    }
    var round0: [KernelProgram.Step] = []
    if !slices.isEmpty {
      round0.append(.require(.nonNegative, room - 1 - round, failure: failure(node, "more rounds than there is room for the results that are stacked (\(room)); --max-trips makes room for more")))
    }
    var steps = round0 + (try self.steps(&inner))
    for (value, place, _) in slices {
      let computed = try view(value, inner, node)
      if computed != place { steps.append(try copy(computed, to: place, body.type(of: value), node.origin)) }
    }
    let decision = try view(body.outputs[0], inner, node)
    if decision != again { steps.append(try copy(decision, to: again, TensorType(.bool, []), node.origin)) }
    var moves: [KernelProgram.Advance.Move] = []
    for position in 0..<loop.carried {
      let next = body.outputs[position + 1]
      let computed = try view(next, inner, node)
      if let turn = turns[position] {
        if computed != turn.place(round + 1) { steps.append(try copy(computed, to: turn.place(round + 1), body.type(of: next), node.origin)) }
      } else {
        moves.append(.init(from: computed, to: try view(body.inputs[position], inner, node), elementCount: body.type(of: next).shape.elementCount))
      }
    }
    if !lengths.isEmpty {
      steps.append(
        .advance(.init(lengths.map { .init($0.symbol, to: $0.next) }, moves: moves, failure: failure(node, "the length of a carried value"))))
    }

    var after: [KernelProgram.Step] = []
    for (position, result) in node.results.enumerated() {
      let place: KernelProgram.View
      if position >= loop.carried { place = slices[position - loop.carried].whole } else if let turn = turns[position] { place = turn.place(round) } else {
        place = try view(body.inputs[position], inner, node)
      }
      after += try settle(result, in: place, node, &scope)
    }
    return before + [.repeatWhile(again, symbol: loop.round, body: steps)] + after
  }

  /// For how many rounds the stacked results get room. Pages that no round writes to cost nothing, but addresses are limited, too: without
  /// a number that the user names, a stack gets up to 2 GiB.
  private func room(for slices: [TensorType], limit: Extent?) -> Extent {
    var room = Extent(target.maximumRounds ?? LoweringTarget.usualMaximumRounds)
    if let limit { room = .minimum(room, limit) }
    guard target.maximumRounds == nil else { return room }
    for type in slices { room = .minimum(room, Extent(2 << 30).floorDivided(by: .maximum(type.byteCount, 1))) }
    return room
  }

  /// Two places that take turns.
  struct Turns {
    let buffer: KernelProgram.View
    /// Elements of one place, in whole cache lines.
    let stride: Extent

    /// The place that holds the value before the round of this number.
    func place(_ round: Extent) -> KernelProgram.View {
      var view = buffer
      view.elementOffset = view.elementOffset + round.modulo(2) * stride
      return view
    }
  }

  mutating func turns(_ type: TensorType) -> Turns {
    let line = Extent(max(1, 64 / max(1, type.element.byteCount)))
    let stride = type.shape.elementCount.ceilDivided(by: line) * line
    return Turns(buffer: buffer("state", TensorType(type.element, [stride * 2]), .arena(offset: nil)), stride: stride)
  }

  /// Says where a loop left a result, and copies it where it is wanted.
  mutating func settle(_ result: ValueID, in place: KernelProgram.View, _ node: Node, _ scope: inout Scope) throws(CompileError) -> [KernelProgram.Step] {
    guard let wanted = scope.destinations[result] else {
      scope.views[result] = place
      return []
    }
    scope.views[result] = wanted
    return [try copy(place, to: wanted, scope.graph.type(of: result), node.origin)]
  }

  /// The number of a reason for a run to stop.
  mutating func failure(_ node: Node, _ what: String) -> Int { program.addFailure("\(node.origin): \(what)") }

  /// A call that copies a whole tensor.
  mutating func copy(_ source: KernelProgram.View, to place: KernelProgram.View, _ type: TensorType, _ origin: NodeOrigin) throws(CompileError) -> KernelProgram.Step {
    var emitter = ElementEmitter(graph: Graph())
    let from = emitter.builder.buffer("x", type.element, .read)
    let to = emitter.builder.buffer("y", type.element, .write)
    let loop = try emitter.loop("i", to: type.shape.elementCount, .vectorized) { _, index throws(CompileError) in
      [.store(to, index: index, value: .load(from, index))]
    }
    let kernel = emitter.builder.kernel("copy", [loop])
    return .call(
      .init(
        kernel: program.add(kernel), arguments: [source, place], symbols: kernel.symbols.map { Extent(symbol: $0) }, origin: "\(origin.node) (copy)",
        bytes: type.byteCount * 2, note: "copy"))
  }
}

extension GraphLowering.Scope {
  /// A step that waits until the symbols of its extent are bound.
  enum Pending {
    case set(String, Extent, failure: Int)
    case require(KernelProgram.Requirement, Extent, failure: Int)

    var extent: Extent {
      switch self {
      case .set(_, let extent, _), .require(_, let extent, _): extent
      }
    }

    var step: KernelProgram.Step {
      switch self {
      case .set(let symbol, let extent, let failure): .set(symbol: symbol, to: extent, failure: failure)
      case .require(let kind, let extent, let failure): .require(kind, extent, failure: failure)
      }
    }
  }

  /// The scope of a graph inside a node: what it reads lies where the node's operands lie.
  ///
  /// - Parameters:
  ///   - operands: One for each of the graph's inputs.
  ///   - count: Inputs at the beginning that get their places otherwise.
  init(
    _ region: Graph, reading operands: [ValueID], of node: Node, around outer: Self, skipping count: Int = 0, _ lowering: inout GraphLowering
  ) throws(CompileError) {
    self.init(graph: region)
    for (input, operand) in zip(region.inputs, operands).dropFirst(count) {
      views[input] = try lowering.view(operand, outer, node)
      constants[input] = outer.constant(operand)
    }
    require(region.requirements, &lowering)
  }

  /// Checks facts as soon as their symbols are bound.
  mutating func require(_ conditions: [ShapeCondition], _ lowering: inout GraphLowering) {
    // What nothing reads any more is not computed.
    let known = Set(lowering.program.symbols + lowering.program.computedSymbols)
    for condition in conditions where known.isSuperset(of: condition.extent.symbols) {
      pending.append(.require(condition.kind == .zero ? .zero : .nonNegative, condition.extent, failure: lowering.program.addFailure(condition.violation)))
    }
  }

  /// The steps whose symbols are all bound by now.
  mutating func takeReady() -> [KernelProgram.Step] {
    if pending.isEmpty { return [] }
    var (ready, waiting): ([KernelProgram.Step], [Pending]) = ([], [])
    for item in pending { if unbound.isDisjoint(with: item.extent.symbols) { ready.append(item.step) } else { waiting.append(item) } }
    pending = waiting
    return ready
  }
}
