import GraphIR
import KernelIR
import TensorTypes

extension GraphLowering {
  // MARK: Recurrent layers

  /// Scans that one kernel runs.
  struct ScanGroup {
    var members: [(node: Node, problem: RecurrentProblem)]
  }

  /// The recurrent layers of a graph, by the place in `order` where each group is lowered.
  ///
  /// With several threads, layers that do not depend on each other (the directions of a bidirectional one) run side by
  /// side. What a later one needs is then computed earlier, so `order` changes, and the later one leaves it.
  func scanGroups(_ order: inout [NodeID], _ scope: Scope) -> [NodeID: ScanGroup] {
    let graph = scope.graph
    var problems: [NodeID: RecurrentProblem] = [:]
    for id in order {
      let node = graph.node(id)
      guard let scan = node.operation as? Scan else { continue }
      var constants: [Int: Tensor] = [:]
      for (position, operand) in node.operands.enumerated() { constants[position] = scope.constant(operand) }
      problems[id] = RecurrentProblem(scan, operands: constants, origin: node.origin, target: target)
    }
    if problems.isEmpty { return [:] }
    var groups: [NodeID: ScanGroup] = [:]
    var result: [NodeID] = []
    var done: Set<NodeID> = []
    for id in order where !done.contains(id) {
      guard let problem = problems[id] else {
        result.append(id)
        done.insert(id)
        continue
      }
      var group = ScanGroup(members: [(graph.node(id), problem)])
      var members: Set<NodeID> = [id]
      for other in order where target.threads > 1 && group.members.count < target.threads && !done.contains(other) && !members.contains(other) {
        guard let problem = problems[other] else { continue }
        let needed = graph.ancestors(of: other)
        // A scan inside the cone would have to be lowered first, on its own.
        guard needed.isDisjoint(with: members), !needed.contains(where: { problems[$0] != nil && !done.contains($0) }) else { continue }
        for earlier in order where needed.contains(earlier) && !done.contains(earlier) {
          result.append(earlier)
          done.insert(earlier)
        }
        group.members.append((graph.node(other), problem))
        members.insert(other)
      }
      result.append(id)
      groups[id] = group
      done.formUnion(members)
    }
    order = result
    return groups
  }

  /// Lowers recurrent layers side by side, or a single one.
  mutating func lower(_ group: ScanGroup, _ scope: inout Scope) throws(CompileError) -> [KernelProgram.Step] {
    let template = RecurrentTemplate(target: target)
    let problems = group.members.map(\.problem), nodes = group.members.map(\.node)
    let name = "recurrent_" + nodes[0].origin.operatorName.lowercased().filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
    var places: [RecurrentKernel.Argument: KernelProgram.View] = [:]
    loopCount += 1
    let symbol = "%step\(loopCount)"
    let written: (before: RecurrentTemplate.Written?, stages: [RecurrentTemplate.Written], after: RecurrentTemplate.Written?)
    do throws(CompileError) {
      if template.sharesSteps(problems) {
        let parts = try template.stepwise(problems[0], symbol: Extent(symbol: symbol), name: name)
        written = (parts.before, parts.stages, parts.after)
      } else {
        written = (nil, [try template.whole(problems, name: name)], nil)
      }
    } catch {
      // Indices that the probe did not foresee: kernels of their own for each operation.
      var steps: [KernelProgram.Step] = []
      for node in nodes { if let scan = node.operation as? Scan { steps += try lower(scan, node, &scope) } }
      return steps
    }
    for node in nodes {
      for result in node.results {
        let place = scope.destinations[result] ?? buffer(scope.graph.value(result).name, scope.graph.type(of: result), .arena(offset: nil))
        scope.views[result] = place
      }
    }
    func call(_ written: RecurrentTemplate.Written, _ lowering: inout GraphLowering) throws(CompileError) -> KernelProgram.Step {
      do throws(KernelError) { try written.kernel.verify() } catch {
        preconditionFailure("lowering \(nodes[0].origin) made an invalid kernel: \(error)\n\(written.kernel.text)")
      }
      var views: [KernelProgram.View] = []
      var bytes: Extent = 0
      for argument in written.arguments {
        let view = try lowering.place(argument, group, scope, &places)
        views.append(view)
        bytes = bytes + lowering.program.buffers[view.buffer].byteCount
      }
      return .call(
        .init(
          kernel: lowering.program.add(written.kernel), arguments: views, symbols: written.kernel.symbols.map { Extent(symbol: $0) },
          origin: nodes.map { "\($0.origin.node) (\($0.origin.operatorName))" }.joined(separator: " + "), flops: written.flops, bytes: bytes, note: written.note))
    }
    var body: [KernelProgram.Step] = []
    for stage in written.stages { body.append(try call(stage, &self)) }
    guard let before = written.before, let after = written.after else { return body }
    return [try call(before, &self), .loop(symbol: symbol, count: problems[0].scan.extent, body: body), try call(after, &self)]
  }

  /// Where a buffer of a recurrent kernel lies.
  private mutating func place(
    _ argument: RecurrentKernel.Argument, _ group: ScanGroup, _ scope: Scope, _ places: inout [RecurrentKernel.Argument: KernelProgram.View]
  ) throws(CompileError) -> KernelProgram.View {
    if let known = places[argument] { return known }
    let view: KernelProgram.View
    switch argument {
    case .operand(let scan, let position):
      let node = group.members[scan].node
      view = try self.view(node.operands[position], scope, node)
    case .constant(let scan, let number): view = constant(group.members[scan].problem.constants[number], name: "constant")
    case .result(let scan, let position):
      let node = group.members[scan].node
      view = try self.view(node.results[position], scope, node)
    case .state(let scan, let position):
      let body = group.members[scan].problem.body
      let type = body.type(of: body.inputs[position])
      view = buffer("state", TensorType(type.element, [type.shape.elementCount * 2]), .arena(offset: nil))
    case .left(let scan, let stage):
      let problem = group.members[scan].problem
      view = buffer("left", problem.body.type(of: problem.stages[stage].targets[0]), .arena(offset: nil))
    case .weights(let scan, let stage, let product):
      let problem = group.members[scan].problem
      let tile = RecurrentTile(problem.stages[stage], target)
      let offsets = problem.stages[stage].gates.filter { $0.product == product }.map(\.offset)
      guard let packed = tile.packed(problem.products[product].source, offsets: offsets, units: problem.stages[stage].units) else {
        throw CompileError(.unsupported, "the weights of a recurrent step lie outside of their constant", stage: .lower, origin: group.members[scan].node.origin)
      }
      view = constant(packed, name: "weights")
    }
    places[argument] = view
    return view
  }

  // MARK: Any body

  mutating func lower(_ scan: Scan, _ node: Node, _ scope: inout Scope) throws(CompileError) -> [KernelProgram.Step] {
    let body = scan.body
    loopCount += 1
    let symbol = "%step\(loopCount)"
    let time = scan.isReversed ? scan.extent - 1 - Extent(symbol: symbol) : Extent(symbol: symbol)
    var inner = Scope(graph: body)
    var first: [KernelProgram.Step] = []
    if let round = scan.round {
      program.computedSymbols.append(round)
      first.append(.set(symbol: round, to: Extent(symbol: symbol), failure: failure(node, "the number of a step")))
    }
    inner.require(body.requirements, &self)
    var before: [KernelProgram.Step] = []

    // Each carried value has two places that take turns.
    let step = Extent(symbol: symbol)
    var turns: [Turns] = []
    for position in 0..<scan.carried {
      let type = body.type(of: body.inputs[position])
      let turn = self.turns(type)
      turns.append(turn)
      inner.views[body.inputs[position]] = turn.place(step)
      let next = body.outputs[position]
      if inner.destinations[next] == nil { inner.destinations[next] = turn.place(step + 1) }
      before.append(try copy(try view(node.operands[position], scope, node), to: turn.place(0), type, node.origin))
    }
    for position in scan.carried..<body.inputs.count {
      let input = body.inputs[position]
      var place = try view(node.operands[position], scope, node)
      if position < scan.carried + scan.scanned {
        place.elementOffset = place.elementOffset + time * body.type(of: input).shape.elementCount
      } else {
        inner.constants[input] = scope.constant(node.operands[position])
      }
      inner.views[input] = place
    }
    // Stacked results are written in place where the body computes them.
    var slices: [(value: ValueID, place: KernelProgram.View)] = []
    for position in scan.carried..<body.outputs.count {
      let result = node.results[position]
      let whole = scope.destinations[result] ?? buffer("stack", scope.graph.type(of: result), .arena(offset: nil))
      scope.views[result] = whole
      var slice = whole
      slice.elementOffset = slice.elementOffset + time * body.type(of: body.outputs[position]).shape.elementCount
      slices.append((body.outputs[position], slice))
      if inner.destinations[body.outputs[position]] == nil { inner.destinations[body.outputs[position]] = slice }
    }
    var steps = first + (try self.steps(&inner))
    for (value, place) in slices {
      let computed = try view(value, inner, node)
      if computed != place { steps.append(try copy(computed, to: place, body.type(of: value), node.origin)) }
    }
    for position in 0..<scan.carried {
      let next = try view(body.outputs[position], inner, node)
      if next != turns[position].place(step + 1) { steps.append(try copy(next, to: turns[position].place(step + 1), body.type(of: body.outputs[position]), node.origin)) }
    }
    var after: [KernelProgram.Step] = []
    for position in 0..<scan.carried { after += try settle(node.results[position], in: turns[position].place(scan.extent), node, &scope) }
    return before + [.loop(symbol: symbol, count: scan.extent, body: steps)] + after
  }
}

extension Graph {
  /// Every node that a node's operands and symbols depend on.
  fileprivate func ancestors(of id: NodeID) -> Set<NodeID> {
    var (stack, found): ([NodeID], Set<NodeID>) = ([id], [])
    while let next = stack.popLast() {
      for operand in node(next).operands { if let producer = producer(of: operand), found.insert(producer.id).inserted { stack.append(producer.id) } }
      for definer in symbolDependencies(of: node(next)) where found.insert(definer).inserted { stack.append(definer) }
    }
    return found
  }
}
