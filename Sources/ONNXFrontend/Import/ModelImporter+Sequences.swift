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
    func index(_ position: Int, count: Int, default usual: Int) throws(CompileError) -> Int {
      guard let value = call.optional(position) else { return usual }
      let index = try builder.requireInteger(value, "a position in a sequence")
      guard index >= -count, index <= count else { throw call.refusal("position \(index) of a sequence of \(count) elements") }
      return index < 0 ? index + count : index
    }
    switch call.name {
    case "SequenceConstruct": return [.sequence(try call.allInputs())]
    case "SequenceEmpty": return [.sequence([])]
    case "SequenceAt":
      let list = try sequence(0)
      let position = try index(1, count: list.count, default: 0)
      guard position < list.count else { throw call.refusal("position \(position) of a sequence of \(list.count) elements") }
      return [.value(list[position])]
    case "SequenceInsert":
      var list = try sequence(0)
      list.insert(try call.input(1), at: try index(2, count: list.count, default: list.count))
      return [.sequence(list)]
    case "SequenceErase":
      var list = try sequence(0)
      let position = try index(1, count: list.count, default: list.count - 1)
      guard list.indices.contains(position) else { throw call.refusal("position \(position) of a sequence of \(list.count) elements") }
      list.remove(at: position)
      return [.sequence(list)]
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
      if case .sequence? = operand(0) { return [operand(0) ?? .absent] }
      return nil
    default: return nil
    }
  }

  private func split(_ call: OperatorCall, builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axis = try call.axis(try call.integer("axis", default: 0), rank: builder.rank(x))
    guard let length = builder.shape(x)[axis].constant else {
      throw call.unsupported("SplitToSequence along a symbolic axis", hint: "bind the axis with --dim")
    }
    var keepsAxis = true
    var sizes: [Int] = []
    if let given = call.optional(1) {
      let numbers = try builder.requireIntegers(given, "the sizes of the parts")
      if builder.rank(given) == 0 {
        guard let size = numbers.first, size >= 1 else { throw call.refusal("SplitToSequence into parts of \(numbers)") }
        sizes = stride(from: 0, to: length, by: size).map { min(size, length - $0) }
      } else {
        sizes = numbers
      }
    } else {
      keepsAxis = try call.flag("keepdims", default: true)
      guard length <= 4096 else { throw call.refusal("SplitToSequence into \(length) parts") }
      sizes = [Int](repeating: 1, count: length)
    }
    guard sizes.count <= 4096, sizes.allSatisfy({ $0 >= 0 && $0 <= length }), sizes.reduce(0, +) == length else {
      throw call.refusal("SplitToSequence of \(length) elements into parts of \(sizes.prefix(16))")
    }
    var parts: [ValueID] = []
    var start = 0
    for size in sizes {
      parts.append(
        keepsAxis ? try builder.slice(x, axis: axis, start: Extent(start), size: Extent(size)) : try builder.select(x, axis: axis, at: Extent(start)))
      start += size
    }
    return parts
  }
}
