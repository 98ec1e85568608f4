import GraphIR
import TensorTypes

/// Constants, shapes as values, and tensors made from shapes.
enum ShapeOperators {
  static let table: [String: OperatorImporter] = [
    "Constant": constant,
    "ConstantOfShape": constantOfShape,
    "Shape": shape,
    "Size": { call, b throws(CompileError) in
      [try b.materialize(scalar: b.shape(call.input(0)).elementCount, .i64)]
    },
    "Range": range,
    "EyeLike": eyeLike,
    "Expand": expand,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
  ]

  // MARK: Values

  private static func constant(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let given = ["value", "sparse_value", "value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"].filter { call.has($0) }
    guard given.count <= 1 else { throw b.refusal("Constant has \(given.count) values: \(given.joined(separator: ", "))") }
    if let tensor = try call.tensor("value") { return [try b.constant(tensor)] }
    if call.has("value_float") { return [try b.scalar(call.number("value_float"), .f32)] }
    if call.has("value_int") { return [try b.constant(Tensor([try call.integer("value_int")], dimensions: []))] }
    if let values = try call.numbers("value_floats") { return [try b.constant(Tensor(.f32, [values.count], values))] }
    if let values = try call.integers("value_ints") { return [try b.constant(Tensor(values))] }
    if call.has("value_string") { return [try b.constant(Tensor(texts: [Text(call.string("value_string"))], dimensions: []))] }
    if let texts = try call.strings("value_strings") { return [try b.constant(Tensor(texts: texts.map { Text($0) }))] }
    if case .sparseTensor(let sparse)? = call.attributes["sparse_value"] { return [try b.constant(sparse, call.decoder)] }
    throw b.refusal("Constant has no value")
  }

  /// A scalar, repeated: however large the shape is, it takes no memory here.
  private static func constantOfShape(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let extents = try b.measured(call.input(0), "a shape")
    let value = try call.tensor("value") ?? Tensor(scalar: 0, .f32)
    guard value.count == 1, let scalar = value.reshaped([]) else { throw b.refusal("`value` of ConstantOfShape has \(value.count) elements") }
    return [try repeated(b.constant(scalar), to: Shape(extents), &b)]
  }

  /// A broadcast that keeps what is known of the elements.
  private static func repeated(_ x: ValueID, to target: Shape, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard target.rank <= b.limits.rank else { throw b.refusal("a shape of \(target.rank) axes") }
    if let negative = target.first(where: { ($0.constant ?? 0) < 0 }) { throw b.refusal("a shape with the negative extent \(negative)") }
    let contents = target.constants.flatMap { dimensions in
      b.contents(x)?.broadcast(to: dimensions).map { KnownContents(dimensions: dimensions, elements: $0) }
    }
    let result = try b.broadcast(x, to: target)
    if let contents, result != x { b.note(result, contents) }
    return result
  }

  private static func shape(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let extents = b.shape(try call.input(0)).extents
    func position(_ name: String, _ usual: Int) throws(CompileError) -> Int {
      let value = try call.integer(name, default: usual)
      return max(0, min(value < 0 ? value + extents.count : value, extents.count))
    }
    let (start, end) = (try position("start", 0), try position("end", extents.count))
    return [try b.materialize(start < end ? Array(extents[start..<end]) : [])]
  }

  private static func range(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let operands = try call.allInputs()
    guard operands.count == 3, operands.allSatisfy({ b.element($0) == b.element(operands[0]) }) else {
      throw b.refusal("Range takes start, limit and delta of one type", operands: operands)
    }
    let element = b.element(operands[0])
    if operands.contains(where: { b.contents($0) == nil }) {
      return [try ComputedShapes.range(b.reshape(operands[0], to: []), b.reshape(operands[1], to: []), b.reshape(operands[2], to: []), &b)]
    }
    let count: Extent
    if element.isFloatingPoint {
      var numbers: [Double] = []
      for operand in operands { numbers += try b.requireNumbers(operand, "its bounds") }
      guard numbers.count == 3, numbers[2] != 0 else { throw b.refusal("Range takes three numbers, the last one not 0", operands: operands) }
      let steps = ((numbers[1] - numbers[0]) / numbers[2]).rounded(.up)
      guard !steps.isNaN else { throw b.refusal("Range from \(numbers[0]) to \(numbers[1]) by \(numbers[2])", operands: operands) }
      count = Extent(max(0, Int(clamping: steps)))
    } else {
      var extents: [Extent] = []
      for operand in operands { extents += try b.requireExtents(operand, "its bounds") }
      guard extents.count == 3, let step = extents[2].constant, step != 0, step != .min else {
        throw b.refusal("Range takes three numbers, the last one a constant that is not 0", operands: operands)
      }
      let span = step > 0 ? extents[1] - extents[0] : extents[0] - extents[1]
      count = .greatest(span.ceilDivided(by: Extent(abs(step))), 0)
    }
    var result = try b.add(Iota(element, [count], axis: 0))
    let scalars = (delta: try b.reshape(operands[2], to: []), start: try b.reshape(operands[0], to: []))
    if b.contents(operands[2])?.elements.first?.constant != 1 { result = try b.binary(.multiply, result, scalars.delta) }
    if b.contents(operands[0])?.elements.first?.constant != 0 { result = try b.binary(.add, result, scalars.start) }
    if let length = count.constant, length <= KnownContents.maximumCount, !element.isFloatingPoint, let start = b.contents(operands[0])?.elements.first?.extent,
      let step = b.contents(operands[2])?.elements.first?.extent
    {
      b.note(result, KnownContents((0..<length).map { start + step * Extent($0) }))
    }
    return [result]
  }

  private static func eyeLike(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    guard b.rank(x) == 2 else { throw b.refusal("EyeLike takes a matrix", operands: [x]) }
    let shape = b.shape(x)
    let shifted = try b.binary(.add, b.add(Iota(.i64, shape, axis: 0)), Double(call.integer("k", default: 0)))
    let isDiagonal = try b.compare(.equal, shifted, b.add(Iota(.i64, shape, axis: 1)))
    return [try b.convert(isDiagonal, to: call.element("dtype", default: b.element(x)))]
  }

  private static func expand(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let lengths = try b.lengths(call.input(1), "a shape")
    if lengths.contains(where: \.isComputed) { return [try ComputedShapes.expand(x, to: lengths, &b)] }
    let wanted = Shape(lengths.compactMap(\.extent))
    guard let target = b.shape(x).broadcast(with: wanted) else { throw b.refusal("Expand to \(wanted)", operands: [x]) }
    return [try repeated(x, to: target, &b)]
  }

  // MARK: Other shapes of the same elements

  static func reshaped(_ x: ValueID, to target: Shape, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let contents = target.constants.flatMap { b.contents(x)?.reshaped($0) }
    if b.shape(x) == target { return x }
    return try b.settle(contents, b.element(x)) { b throws(CompileError) in try b.reshape(x, to: target) }
  }

  private static func reshape(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let source = b.shape(x)
    let lengths = try b.lengths(call.input(1), "a shape")
    let keepsZeros = try call.flag("allowzero")
    if lengths.contains(where: \.isComputed) {
      return [try ComputedShapes.reshaped(x, to: lengths, keepsZeros: keepsZeros, &b)]
    }
    var wanted = lengths.compactMap(\.extent)
    for axis in wanted.indices where wanted[axis] == 0 && !keepsZeros {
      guard axis < source.rank else { throw b.refusal("Reshape copies axis \(axis), which is not there", operands: [x]) }
      wanted[axis] = source[axis]
    }
    let free = wanted.indices.filter { wanted[$0] == -1 }
    guard free.count <= 1, wanted.allSatisfy({ $0 == -1 || ($0.constant ?? 0) >= 0 }) else {
      throw b.refusal("Reshape to \(Shape(wanted))", operands: [x], hint: "one extent may be -1, none may be less")
    }
    if let axis = free.first {
      wanted[axis] = try missing(source, wanted.indices.filter { $0 != axis }.map { wanted[$0] }, x, b)
    }
    return [try reshaped(x, to: Shape(wanted), &b)]
  }

  /// The extent that makes up for the others, which need not be written in the same form as the source's.
  private static func missing(_ source: Shape, _ others: [Extent], _ x: ValueID, _ b: GraphBuilder) throws(CompileError) -> Extent {
    let total = source.elementCount
    let product = others.reduce(Extent(1)) { $0 * $1 }
    if let count = total.constant, let part = product.constant {
      guard part != 0, count % part == 0 else { throw b.refusal("Reshape of \(count) elements into rows of \(part)", operands: [x]) }
    }
    if let exact = total.dividedExactly(by: product) { return exact }
    // Extents that appear on both sides cancel, sums included, which the normal form has multiplied out.
    var (left, right) = (source.extents, others)
    for extent in others {
      if let position = left.firstIndex(of: extent), let twin = right.firstIndex(of: extent) {
        left.remove(at: position)
        right.remove(at: twin)
      }
    }
    return left.reduce(Extent(1)) { $0 * $1 }.floorDivided(by: right.reduce(Extent(1)) { $0 * $1 })
  }

  private static func flatten(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let extents = b.shape(x).extents
    let given = try call.integer("axis", default: 1)
    guard given >= -extents.count, given <= extents.count else { throw b.refusal("Flatten at axis \(given)", operands: [x]) }
    let axis = given < 0 ? given + extents.count : given
    return [try reshaped(x, to: [extents[..<axis].reduce(1) { $0 * $1 }, extents[axis...].reduce(1) { $0 * $1 }], &b)]
  }

  private static func squeeze(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let shape = b.shape(x)
    let axes: [Int]
    if let given = try call.integers("axes", orInput: 1, b) { axes = try call.axes(given, rank: shape.rank) } else {
      axes = (0..<shape.rank).filter { shape[$0] == 1 }
    }
    for axis in axes where shape[axis].isConstant && shape[axis] != 1 { throw b.refusal("Squeeze of axis \(axis)", operands: [x]) }
    return [try reshaped(x, to: Shape((0..<shape.rank).filter { !axes.contains($0) }.map { shape[$0] }), &b)]
  }

  private static func unsqueeze(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    guard let given = try call.integers("axes", orInput: 1, b) else { throw b.refusal("Unsqueeze has no axes", operands: [x]) }
    guard given.count <= b.limits.rank else { throw b.refusal("Unsqueeze adds \(given.count) axes", operands: [x]) }
    var extents = b.shape(x).extents
    for axis in try call.axes(given, rank: extents.count + given.count) { extents.insert(1, at: axis) }
    return [try reshaped(x, to: Shape(extents), &b)]
  }
}
