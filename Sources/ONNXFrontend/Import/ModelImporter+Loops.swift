import GraphIR
import TensorTypes

extension ModelImporter {
  // MARK: Bodies

  /// A graph inside a node as a region of its own.
  private struct Body {
    var region: Graph
    /// Values from around that every step reads whole, in the order of the region's last inputs.
    var captured: [ValueID]
  }

  /// Imports a body whose first inputs are of the given types.
  ///
  /// Constants and extents from around are repeated inside, where shape arithmetic can see them; other values are captured.
  /// `bind` may define further inputs of the body as values of the inner builder, and `finish` sees its outputs.
  private mutating func body(
    _ graph: GraphProto, formals: [(name: String, type: TensorType)], _ call: OperatorCall, scope: Scope, context: BlockContext, builder: GraphBuilder,
    bind: (inout Scope, inout GraphBuilder) throws(CompileError) -> Void,
    finish: (inout GraphBuilder, [ValueID]) throws(CompileError) -> [ValueID]
  ) throws(CompileError) -> Body {
    var outer: [(name: String, value: ValueID)] = []
    var captured: [ValueID] = []
    for name in NodeOrder.freeNames(graph) {
      guard case .value(let value)? = scope[name] else { continue }
      outer.append((name, value))
      if builder.graph.constant(value) == nil, builder.contents(value)?.extents == nil || builder.element(value) == .bool { captured.append(value) }
    }
    var deeper = context
    deeper.depth += 1
    let types = formals.map(\.type) + captured.map { builder.type($0) }
    let region = try builder.region(call.name.lowercased(), types: types) { b, inputs throws(CompileError) in
      var next = formals.count
      var visible = Scope()
      for (name, value) in outer {
        let copy: ValueID
        if next < inputs.count, captured[next - formals.count] == value {
          copy = inputs[next]
          next += 1
        } else if let tensor = builder.graph.constant(value) { copy = try b.constant(tensor) } else if let contents = builder.contents(value),
          let known = try b.materialize(contents, builder.element(value))
        {
          copy = known
        } else {
          throw call.unsupported("\(call.name) reads `\(printable(name))` from around in a way that is not supported")
        }
        _ = visible.define(name, .value(copy))
      }
      var body = Scope(inside: visible)
      for (formal, input) in zip(formals, inputs) where !body.define(formal.name, .value(input)) {
        throw call.refusal("the body of \(call.name) has two inputs `\(printable(formal.name))`")
      }
      try bind(&body, &b)
      var values: [ValueID] = []
      for binding in try self.importGraph(graph, scope: &body, context: deeper, builder: &b) {
        guard case .value(let value) = binding else { throw call.unsupported("the body of \(call.name) gives \(binding.kind)") }
        values.append(value)
      }
      b.origin = call.origin
      return try finish(&b, values)
    }
    return Body(region: region, captured: captured)
  }

  // MARK: Loop

  /// A loop whose number of steps is known becomes a `scan`, or its steps one after the other where values change
  /// their shape or are sequences.
  mutating func importLoop(
    _ call: OperatorCall, _ operands: [Binding?], scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    let graph = try call.graph("body")
    let carried = Array(operands.dropFirst(2))
    guard graph.inputs.count == carried.count + 2, graph.outputs.count >= carried.count + 1 else {
      throw call.refusal("the body of Loop has \(graph.inputs.count) inputs for \(carried.count) carried values")
    }
    if let condition = call.optional(1), builder.contents(condition)?.elements.first?.integer != 1 {
      throw call.unsupported("Loop with a condition that is not true from the start")
    }
    let limit = call.optional(0).flatMap { builder.contents($0)?.elements.first?.extent }
    if call.optional(0) != nil && limit == nil {
      throw call.unsupported("Loop whose number of steps is only known when the model runs", hint: "shapes may depend on the shapes of inputs, but not on their contents")
    }
    let values = carried.compactMap { if case .value(let value)? = $0 { value } else { nil } }
    if let limit, limit != 0, values.count == carried.count {
      do throws(CompileError) {
        return try scanned(call, graph, values, steps: .greatest(limit, 0), scope: scope, context: context, builder: &builder)
      } catch {
        guard let count = limit.constant, count <= 256 else { throw error }
      }
    }
    return try unrolled(call, graph, carried, limit: limit, scope: scope, context: context, builder: &builder)
  }

  private mutating func scanned(
    _ call: OperatorCall, _ graph: GraphProto, _ carried: [ValueID], steps: Extent, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    defer { builder.origin = call.origin }
    var formals = zip(graph.inputs.dropFirst(2), carried).map { (name: $0.name, type: builder.type($1)) }
    formals.append((graph.inputs[0].name, TensorType(.i64, [])))
    let types = carried.map { builder.type($0) }
    let condition = graph.inputs[1].name
    let body = try body(
      graph, formals: formals, call, scope: scope, context: context, builder: builder,
      bind: { scope, b throws(CompileError) in _ = scope.define(condition, .value(try b.constant(Tensor(scalar: 1, .bool)))) },
      finish: { b, outputs throws(CompileError) in
        guard b.contents(outputs[0])?.elements.first?.integer == 1 else {
          throw call.unsupported("Loop that ends when computed data says so", hint: "the number of steps must be known from shapes")
        }
        guard outputs[1...].prefix(types.count).elementsEqual(types, by: { b.type($0) == $1 }) else {
          throw call.unsupported("Loop that carries values whose shape changes")
        }
        return Array(outputs.dropFirst())
      })
    let counter = try builder.add(Iota(.i64, [steps], axis: 0))
    let results = try builder.addAll(
      Scan(carried: carried.count, scanned: 1, extent: steps, body: body.region), carried + [counter] + body.captured)
    return results.map { .value($0) }
  }

  private mutating func unrolled(
    _ call: OperatorCall, _ graph: GraphProto, _ initial: [Binding?], limit: Extent?, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    defer { builder.origin = call.origin }
    guard limit?.isConstant ?? true else { throw call.unsupported("Loop over a symbolic number of steps that carries such values", hint: "bind the axis with --dim") }
    let bound = min(limit?.constant ?? 1024, 1024)
    var carried = initial
    var stacks = [[ValueID]](repeating: [], count: graph.outputs.count - 1 - carried.count)
    var deeper = context
    deeper.depth += 1
    var isOver = false
    for step in 0..<max(0, bound) {
      var inner = Scope(inside: scope)
      _ = inner.define(graph.inputs[0].name, .value(try builder.materialize(scalar: Extent(step), .i64)))
      _ = inner.define(graph.inputs[1].name, .value(try builder.constant(Tensor(scalar: 1, .bool))))
      for (input, value) in zip(graph.inputs.dropFirst(2), carried) { _ = inner.define(input.name, value ?? .absent) }
      let outputs = try importGraph(graph, scope: &inner, context: deeper, builder: &builder)
      builder.origin = call.origin
      guard case .value(let condition) = outputs[0], let flag = builder.contents(condition)?.elements.first?.integer else {
        throw call.unsupported("Loop that ends when computed data says so", hint: "the number of steps must be known from shapes")
      }
      carried = Array(outputs[1...].prefix(carried.count))
      for (position, binding) in outputs.dropFirst(1 + carried.count).enumerated() {
        guard case .value(let value) = binding else { throw call.unsupported("Loop that stacks \(binding.kind)") }
        stacks[position].append(try builder.unsqueeze(value, axis: 0))
      }
      isOver = flag == 0
      if isOver { break }
    }
    guard isOver || limit?.constant == bound else { throw call.unsupported("Loop of more than 1024 steps that carries such values") }
    var results: [Binding] = carried.map { $0 ?? .absent }
    for stack in stacks {
      guard !stack.isEmpty else { throw call.unsupported("Loop without a step, whose stacked results have no shape") }
      results.append(.value(try builder.concatenate(stack, axis: 0)))
    }
    return results
  }

  // MARK: Scan

  mutating func importScan(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    guard call.opset >= 9 else { throw call.unsupported("operator Scan (opset \(call.opset)) is not supported yet") }
    defer { builder.origin = call.origin }
    let graph = try call.graph("body")
    let inputs = try call.allInputs()
    let count = try call.integer("num_scan_inputs")
    guard count >= 1, count <= inputs.count, graph.inputs.count == inputs.count, graph.outputs.count >= inputs.count - count else {
      throw call.refusal("Scan of \(inputs.count) operands, \(count) of them scanned, by a body of \(graph.inputs.count) inputs")
    }
    let states = inputs.count - count
    func list(_ name: String, _ count: Int) throws(CompileError) -> [Int] {
      let values = try call.integers(name) ?? []
      guard values.isEmpty || values.count == count else { throw call.refusal("`\(name)` of Scan has \(values.count) entries for \(count)") }
      return values.isEmpty ? [Int](repeating: 0, count: count) : values
    }
    let outputs = graph.outputs.count - states
    let (inputAxes, inputDirections) = (try list("scan_input_axes", count), try list("scan_input_directions", count))
    let (outputAxes, outputDirections) = (try list("scan_output_axes", outputs), try list("scan_output_directions", outputs))
    var scanned: [ValueID] = []
    for (position, x) in inputs[states...].enumerated() {
      let axis = try call.axis(inputAxes[position], rank: builder.rank(x))
      let moved = try builder.transpose(x, [axis] + (0..<builder.rank(x)).filter { $0 != axis })
      scanned.append(inputDirections[position] == 0 ? moved : try builder.add(Reverse(axes: [0]), moved))
    }
    let steps = builder.shape(scanned[0])[0]
    var formals = zip(graph.inputs, inputs[..<states]).map { (name: $0.name, type: builder.type($1)) }
    for (input, x) in zip(graph.inputs.dropFirst(states), scanned) {
      formals.append((input.name, TensorType(builder.element(x), Shape(Array(builder.shape(x).extents.dropFirst())))))
    }
    let body = try body(
      graph, formals: formals, call, scope: scope, context: context, builder: builder, bind: { _, _ throws(CompileError) in },
      finish: { _, outputs throws(CompileError) in outputs })
    let results = try builder.addAll(
      Scan(carried: states, scanned: count, extent: steps, body: body.region), Array(inputs[..<states]) + scanned + body.captured)
    var bindings: [Binding] = results[..<states].map { .value($0) }
    for (position, stacked) in results[states...].enumerated() {
      let forward = outputDirections[position] == 0 ? stacked : try builder.add(Reverse(axes: [0]), stacked)
      let rank = builder.rank(forward)
      let axis = try call.axis(outputAxes[position], rank: rank)
      bindings.append(.value(try builder.transpose(forward, Array(1..<axis + 1) + [0] + Array(axis + 1..<rank))))
    }
    return bindings
  }
}
