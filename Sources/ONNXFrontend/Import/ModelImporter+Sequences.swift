import GraphIR
import TensorTypes

extension ModelImporter {
  /// Sequences and optionals are resolved at import: a sequence is a list of values. Nil for every other operator.
  mutating func importSequence(
    _ call: OperatorCall, _ operands: [Binding?], builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding]? {
    func operand(_ position: Int) -> Binding? { operands.indices.contains(position) ? operands[position] : nil }
    func sequence(_ position: Int) throws(CompileError) -> [ValueID] {
      guard case .sequence(let list)? = operand(position) else { throw call.refusal("operand \(position) of \(call.name) must be a sequence") }
      return list
    }
    switch call.name {
    case "SequenceConstruct": return [.sequence(try call.allInputs())]
    case "SequenceEmpty": return [.sequence([])]
    case "SequenceAt": return [.value(try element(of: sequence(0), call, &builder))]
    case "SequenceInsert":
      let list = try sequence(0)
      let x = try call.input(1)
      guard let place = call.optional(2) else { return [.sequence(list + [x])] }
      return [.sequence(try inserted(x, into: list, at: place, call, &builder))]
    case "SequenceErase":
      let list = try sequence(0)
      guard !list.isEmpty else { throw call.refusal("SequenceErase of an empty sequence") }
      guard let place = call.optional(1) else { return [.sequence(list.dropLast())] }
      return [.sequence(try erased(from: list, at: place, call, &builder))]
    case "SequenceLength": return [.value(try builder.materialize(scalar: Extent(try sequence(0).count), .i64))]
    case "ConcatFromSequence":
      var list = try sequence(0)
      guard let first = list.first else { throw call.refusal("ConcatFromSequence of an empty sequence") }
      let isNew = try call.flag("new_axis")
      let axis = try call.axis(try call.integer("axis"), rank: builder.rank(first) + (isNew ? 1 : 0))
      if isNew { for position in list.indices { list[position] = try builder.unsqueeze(list[position], axis: axis) } }
      return [.value(try builder.concatenate(list, axis: axis))]
    case "SplitToSequence": return [.sequence(try split(call, builder: &builder))]
    case "Optional": return [operand(0) ?? .absent]
    case "OptionalHasElement":
      let isPresent: Bool
      switch operand(0) {
      case nil, .absent?: isPresent = false
      default: isPresent = true
      }
      return [.value(try builder.constant(Tensor(scalar: isPresent ? 1 : 0, .bool)))]
    case "OptionalGetElement":
      switch operand(0) {
      case nil, .absent?: throw call.refusal("OptionalGetElement of an optional that holds nothing")
      case .some(let binding): return [binding]
      }
    case "Identity":
      switch operand(0) {
      case .sequence?, .absent?: return [operand(0) ?? .absent]
      default: return nil
      }
    default: return nil
    }
  }

  // MARK: Positions

  /// A position in a sequence: a number, or an i64 scalar of which only the run knows the value.
  private enum Place {
    case known(Int)
    case computed(ValueID)
  }

  /// - Parameter most: The largest position that is allowed; negative ones count from `count`.
  private func place(_ value: ValueID, count: Int, most: Int, _ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> Place {
    guard builder.element(value).isInteger, builder.shape(value).elementCount == 1 else { throw call.refusal("a position in a sequence is \(builder.type(value)), not one integer") }
    guard let position = builder.contents(value)?.elements.first?.integer else {
      let wide = try builder.convert(builder.reshape(value, to: []), to: .i64)
      let wrapped = try builder.select(builder.compare(.less, wide, 0), builder.binary(.add, wide, Double(count)), wide)
      return .computed(wrapped)
    }
    guard position >= -count, position <= most else { throw call.refusal("position \(position) of a sequence of \(count) elements") }
    return .known(position < 0 ? position + count : position)
  }

  private func requireAlike(_ list: [ValueID], _ place: Int, _ call: OperatorCall, _ builder: GraphBuilder) throws(CompileError) {
    guard Set(list.map { builder.type($0) }).count == 1 else {
      throw dependent("\(call.name) at a position that is only known when the model runs, in a sequence of tensors of different shapes", on: [call.inputs[place]].compactMap { $0 }, call, builder)
    }
  }

  private func element(of list: [ValueID], _ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard !list.isEmpty else { throw call.refusal("SequenceAt of an empty sequence") }
    switch try place(try call.input(1), count: list.count, most: list.count - 1, call, &builder) {
    case .known(let position): return list[position]
    case .computed(let position):
      try requireAlike(list, 1, call, builder)
      var parts: [ValueID] = []
      for value in list { parts.append(try builder.unsqueeze(value, axis: 0)) }
      return try builder.add(Gather(axis: 0), builder.concatenate(parts, axis: 0), position)
    }
  }

  private func inserted(_ x: ValueID, into list: [ValueID], at operand: ValueID, _ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    switch try place(operand, count: list.count, most: list.count, call, &builder) {
    case .known(let position): return Array(list[..<position]) + [x] + list[position...]
    case .computed(let position):
      try requireAlike(list + [x], 2, call, builder)
      var result: [ValueID] = []
      for number in 0...list.count {
        var value = x
        if number > 0 { value = try builder.select(builder.compare(.less, position, Double(number)), list[number - 1], value) }
        if number < list.count { value = try builder.select(builder.compare(.greater, position, Double(number)), list[number], value) }
        result.append(value)
      }
      return result
    }
  }

  private func erased(from list: [ValueID], at operand: ValueID, _ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    switch try place(operand, count: list.count, most: list.count - 1, call, &builder) {
    case .known(let position): return Array(list[..<position]) + list[(position + 1)...]
    case .computed(let position):
      try requireAlike(list, 1, call, builder)
      var result: [ValueID] = []
      for number in 0..<list.count - 1 {
        result.append(try builder.select(builder.compare(.greater, position, Double(number)), list[number], list[number + 1]))
      }
      return result
    }
  }

  // MARK: Splitting

  private func split(_ call: OperatorCall, builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axis = try call.axis(try call.integer("axis", default: 0), rank: builder.rank(x))
    let extent = builder.shape(x)[axis]
    var sizes: [Extent]
    var keepsAxis = true
    if let given = call.optional(1), builder.rank(given) > 0 {
      sizes = try builder.measured(given, "the sizes of the parts")
      let total = sizes.reduce(Extent(0)) { $0 + $1 }
      guard sizes.count <= builder.limits.sequenceLength, sizes.allSatisfy({ ($0.constant ?? 0) >= 0 }), total == extent || !total.isConstant || !extent.isConstant else {
        throw call.refusal("SplitToSequence of \(extent) elements into parts of \(Shape(Array(sizes.prefix(16))))")
      }
      if total != extent { builder.require(ShapeCondition(.zero, total - extent, violation: "\(call.origin): the parts are \(total) elements long together, of \(extent)")) }
    } else {
      guard let length = extent.constant else {
        throw call.unsupported("SplitToSequence along a symbolic axis into as many parts as it has elements", hint: "bind the axis with --dim")
      }
      var size = 1
      if let given = call.optional(1) {
        guard let known = builder.extents(given)?.first?.constant else {
          throw dependent("SplitToSequence into parts whose size, and so their number, is only known when the model runs", on: [given], call, builder)
        }
        guard known >= 1 else { throw call.refusal("SplitToSequence into parts of \(known)") }
        size = known
      } else {
        keepsAxis = try call.flag("keepdims", default: true)
      }
      guard length / size <= builder.limits.sequenceLength else {
        throw call.refusal("SplitToSequence into \(length / size) parts", hint: "--limit sequence-length=N allows more")
      }
      sizes = stride(from: 0, to: length, by: size).map { Extent(min(size, length - $0)) }
    }
    var parts: [ValueID] = []
    var start = Extent(0)
    for size in sizes {
      parts.append(keepsAxis ? try builder.slice(x, axis: axis, start: start, size: size) : try builder.select(x, axis: axis, at: start))
      start = start + size
    }
    return parts
  }

  // MARK: SequenceMap

  /// One copy of the body for each element of the first sequence; other operands are sequences of the same length, or the same tensor for all.
  mutating func importSequenceMap(
    _ call: OperatorCall, _ operands: [Binding?], scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    let graph = try call.graph("body")
    guard case .sequence(let first)?? = operands.first, graph.inputs.count == operands.count else {
      throw call.refusal("SequenceMap takes a sequence, and a body with as many inputs as it has operands")
    }
    var results = [[ValueID]](repeating: [], count: graph.outputs.count)
    var deeper = context
    deeper.depth += 1
    for position in first.indices {
      var inner = Scope(inside: scope)
      for (input, operand) in zip(graph.inputs, operands) {
        switch operand {
        case .value(let value)?: _ = inner.define(input.name, .value(value))
        case .sequence(let list)?:
          guard list.count == first.count else { throw call.refusal("SequenceMap over sequences of \(first.count) and \(list.count) elements") }
          _ = inner.define(input.name, .value(list[position]))
        case .absent?, nil: _ = inner.define(input.name, .absent)
        }
      }
      for (output, binding) in try importGraph(graph, scope: &inner, context: deeper, builder: &builder).enumerated() {
        guard case .value(let value) = binding else { throw call.refusal("the body of SequenceMap gives \(binding.kind)") }
        results[output].append(value)
      }
      builder.origin = call.origin
    }
    return results.map { .sequence($0) }
  }
}
