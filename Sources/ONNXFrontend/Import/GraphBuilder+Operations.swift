import GraphIR
import TensorTypes

// Core operations in the forms that operators need again and again; those that would change nothing add no node.
extension GraphBuilder {
  // MARK: Constants

  mutating func constant(_ tensor: Tensor) throws(CompileError) -> ValueID { try add(Constant(tensor)) }
  mutating func scalar(_ value: Double, _ element: ElementType) throws(CompileError) -> ValueID { try constant(Tensor(scalar: value, element)) }

  /// A number repeated to the type of another value.
  mutating func scalar(_ value: Double, like other: ValueID) throws(CompileError) -> ValueID {
    try broadcast(scalar(value, element(other)), to: shape(other))
  }

  // MARK: Elementwise, with NumPy broadcasting

  mutating func unary(_ function: UnaryFunction, _ x: ValueID) throws(CompileError) -> ValueID { try add(Unary(function), x) }

  mutating func binary(_ function: BinaryFunction, _ a: ValueID, _ b: ValueID) throws(CompileError) -> ValueID {
    let (x, y) = try together(a, b)
    return try add(Binary(function), x, y)
  }

  mutating func binary(_ function: BinaryFunction, _ a: ValueID, _ number: Double) throws(CompileError) -> ValueID {
    try add(Binary(function), a, scalar(number, like: a))
  }

  mutating func compare(_ comparison: Comparison, _ a: ValueID, _ b: ValueID) throws(CompileError) -> ValueID {
    let (x, y) = try together(a, b)
    return try add(Compare(comparison), x, y)
  }

  mutating func compare(_ comparison: Comparison, _ a: ValueID, _ number: Double) throws(CompileError) -> ValueID {
    try add(Compare(comparison), a, scalar(number, like: a))
  }

  mutating func select(_ condition: ValueID, _ a: ValueID, _ b: ValueID) throws(CompileError) -> ValueID {
    guard let inner = shape(a).broadcast(with: shape(b)), let target = inner.broadcast(with: shape(condition)) else {
      throw refusal("shapes that do not broadcast", operands: [condition, a, b])
    }
    return try add(Select(), broadcast(condition, to: target), broadcast(a, to: target), broadcast(b, to: target))
  }

  mutating func convert(_ x: ValueID, to element: ElementType) throws(CompileError) -> ValueID {
    self.element(x) == element ? x : try add(Convert(to: element), x)
  }

  private mutating func together(_ a: ValueID, _ b: ValueID) throws(CompileError) -> (ValueID, ValueID) {
    if shape(a) == shape(b) { return (a, b) }
    guard let target = shape(a).broadcast(with: shape(b)) else { throw refusal("shapes that do not broadcast", operands: [a, b]) }
    return (try broadcast(a, to: target), try broadcast(b, to: target))
  }

  // MARK: Movement

  /// Repeats a value to a shape. A symbolic extent that differs in form from the wanted one is taken to be equal.
  mutating func broadcast(_ x: ValueID, to target: Shape) throws(CompileError) -> ValueID {
    let source = shape(x)
    if source == target { return x }
    guard source.rank <= target.rank else { throw refusal("\(type(x)) does not broadcast to \(target)") }
    var aligned = source
    for axis in 0..<source.rank {
      let wanted = target[target.rank - source.rank + axis]
      if source[axis] == 1 || source[axis] == wanted { continue }
      guard !source[axis].isConstant || !wanted.isConstant else { throw refusal("\(type(x)) does not broadcast to \(target)") }
      aligned[axis] = wanted
    }
    let operand = try reshape(x, to: aligned)
    return aligned == target ? operand : try add(Broadcast(to: target), operand)
  }

  mutating func reshape(_ x: ValueID, to target: Shape) throws(CompileError) -> ValueID {
    shape(x) == target ? x : try add(Reshape(to: target), x)
  }

  mutating func transpose(_ x: ValueID, _ permutation: [Int]) throws(CompileError) -> ValueID {
    permutation == Array(0..<rank(x)) ? x : try add(Transpose(permutation), x)
  }

  /// Part of one axis.
  mutating func slice(_ x: ValueID, axis: Int, start: Extent, size: Extent, step: Int = 1) throws(CompileError) -> ValueID {
    let shape = shape(x)
    if start == 0 && size == shape[axis] && step == 1 { return x }
    var (starts, sizes, steps) = ([Extent](repeating: 0, count: shape.rank), shape.extents, [Int](repeating: 1, count: shape.rank))
    (starts[axis], sizes[axis], steps[axis]) = (start, size, step)
    return try add(Slice(starts: starts, sizes: sizes, steps: steps), x)
  }

  /// One position of an axis, without the axis.
  mutating func select(_ x: ValueID, axis: Int, at position: Extent) throws(CompileError) -> ValueID {
    let part = try slice(x, axis: axis, start: position, size: 1)
    var extents = shape(part).extents
    extents.remove(at: axis)
    return try reshape(part, to: Shape(extents))
  }

  mutating func concatenate(_ parts: [ValueID], axis: Int) throws(CompileError) -> ValueID {
    parts.count == 1 ? parts[0] : try addAll(Concatenate(axis: axis), parts)[0]
  }

  /// Padding with a number.
  mutating func pad(_ x: ValueID, low: [Extent], high: [Extent], value: Double) throws(CompileError) -> ValueID {
    if (low + high).allSatisfy({ $0 == 0 }) { return x }
    return try add(Pad(low: low, high: high), x, scalar(value, element(x)))
  }

  mutating func unsqueeze(_ x: ValueID, axis: Int) throws(CompileError) -> ValueID {
    var extents = shape(x).extents
    extents.insert(1, at: axis)
    return try reshape(x, to: Shape(extents))
  }

  /// A vector along one axis of a tensor of some rank: [C] as [C, 1, 1].
  mutating func alignedVector(_ vector: ValueID, axis: Int, rank: Int) throws(CompileError) -> ValueID {
    guard self.rank(vector) == 1 else { throw refusal("a vector is needed, not \(type(vector))", operands: [vector]) }
    return try reshape(vector, to: Shape(shape(vector).extents + [Extent](repeating: 1, count: rank - 1 - axis)))
  }

  // MARK: Reductions

  mutating func reduce(_ reducer: Reducer, _ x: ValueID, axes: [Int], keepsAxes: Bool) throws(CompileError) -> ValueID {
    var target = shape(x)
    for axis in axes { target[axis] = 1 }
    if axes.isEmpty { return x }
    let reduced = try add(Reduce(reducer, axes: axes), x)
    return keepsAxes ? try reshape(reduced, to: target) : reduced
  }

  /// The number of elements along some axes, as a scalar.
  mutating func count(_ x: ValueID, axes: [Int], _ element: ElementType) throws(CompileError) -> ValueID {
    try materialize(scalar: axes.reduce(Extent(1)) { $0 * shape(x)[$1] }, element)
  }

  mutating func mean(_ x: ValueID, axes: [Int], keepsAxes: Bool) throws(CompileError) -> ValueID {
    let sum = try reduce(.sum, x, axes: axes, keepsAxes: keepsAxes)
    return try binary(.divide, sum, count(x, axes: axes, element(x)))
  }

  /// The element type that sums are taken in: f32 for the 16-bit types.
  func accumulator(_ element: ElementType) -> ElementType { element.isNarrowFloat ? .f32 : element }
}
