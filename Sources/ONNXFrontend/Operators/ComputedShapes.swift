import GraphIR
import TensorTypes

/// Operators that give a tensor a shape which the model computes.
///
/// What the standard says about negative numbers, zeros and broadcasting is computed on the numbers first; lengths are measured from what comes
/// out. Where the standard wants an error, the number becomes -1, which fails the run.
enum ComputedShapes {
  /// Broadcasting to computed lengths.
  static func expand(_ x: ValueID, to wanted: [Length], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let rank = max(b.rank(x), wanted.count)
    guard rank <= b.limits.rank else { throw b.refusal("Expand to \(rank) axes", operands: [x]) }
    let source = [Extent](repeating: 1, count: rank - b.rank(x)) + b.shape(x).extents
    let asked = [Length](repeating: .constant(1), count: rank - wanted.count) + wanted
    var targets: [Length] = []
    var stretched: [Int] = []
    for axis in 0..<rank {
      let (extent, length) = (source[axis], asked[axis])
      if let known = length.extent {
        guard let both = Shape([extent]).broadcast(with: [known]) else { throw b.refusal("Expand of \(extent) elements to \(known)", operands: [x]) }
        targets.append(.known(both[0]))
      } else if extent == 1 {
        targets.append(length)
      } else if extent.isConstant {
        targets.append(.known(extent))
      } else {
        // One element is repeated; otherwise the lengths are equal, or the wanted one is 1.
        let wrong = try b.choose(.equal, length, .constant(1), .known(extent), else: .constant(-1))
        let same = try b.choose(.equal, length, .known(extent), .known(extent), else: wrong)
        targets.append(try b.choose(.equal, .known(extent), .constant(1), length, else: same))
        stretched.append(axis)
      }
    }
    let lengths = try b.measured(targets)
    var result = try b.reshape(x, to: Shape(source))
    // An index beyond the only element is clamped to it.
    for axis in stretched { result = try b.add(Gather(axis: axis), result, b.add(Iota(.i64, [lengths[axis]], axis: 0))) }
    return try b.broadcast(result, to: Shape(lengths))
  }

  /// `Reshape` to computed lengths.
  static func reshaped(_ x: ValueID, to wanted: [Length], keepsZeros: Bool, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let source = b.shape(x)
    var lengths = wanted
    for axis in wanted.indices where !keepsZeros {
      if wanted[axis].constant == 0 {
        guard axis < source.rank else { throw b.refusal("Reshape copies axis \(axis), which is not there", operands: [x]) }
        lengths[axis] = .known(source[axis])
      } else if axis < source.rank {
        lengths[axis] = try b.choose(.equal, wanted[axis], .constant(0), .known(source[axis]), else: wanted[axis])
      }
    }
    let total = source.elementCount
    if let free = wanted.firstIndex(where: { $0.constant == -1 }) {
      lengths[free] = .constant(1)
      var extents = try b.measured(lengths)
      extents[free] = total.floorDivided(by: extents.reduce(1) { $0 * $1 })
      return try ShapeOperators.reshaped(x, to: Shape(extents), &b)
    }
    // If a single one is not known, the others decide it, and the model may say no other number.
    let computed = wanted.indices.filter { lengths[$0].isComputed }
    let others = lengths.compactMap(\.extent).reduce(Extent(1)) { $0 * $1 }
    if computed.count == 1, let product = others.constant, product > 0 {
      var extents = lengths.map { $0.extent ?? 0 }
      let axis = computed[0], inferred = total.floorDivided(by: others)
      extents[axis] = inferred
      let zero = Length.constant(0)
      let same = try b.choose(.equal, lengths[axis], .known(inferred), zero, else: .constant(-1))
      let offset = try b.measured(b.choose(.equal, lengths[axis], .constant(-1), zero, else: same))
      let result = try ShapeOperators.reshaped(x, to: Shape(extents), &b)
      // The whole axis, from an element that is 0 or fails the run: what nothing reads would not be measured.
      let checked = try b.slice(result, axis: axis, start: offset, size: inferred)
      if let contents = b.contents(result) { b.note(checked, contents) }
      return checked
    }
    var product = Length.known(others)
    for axis in computed { product = try b.apply(.multiply, product, b.choose(.equal, lengths[axis], .constant(-1), .constant(1), else: lengths[axis])) }
    let missing = try b.apply(.divide, .known(total), product)
    for axis in computed { lengths[axis] = try b.choose(.equal, lengths[axis], .constant(-1), missing, else: lengths[axis]) }
    return try ShapeOperators.reshaped(x, to: Shape(b.measured(lengths)), &b)
  }

  /// `Range` of scalars of one type: the number of steps is rounded up, and none if the limit lies behind the start. It is -1 if the step is 0,
  /// a bound is NaN, or the span has no i64.
  static func range(_ start: ValueID, _ limit: ValueID, _ delta: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let element = b.element(start)
    let count: Length
    if element.isFloatingPoint {
      let (from, to, by) = (try b.convert(start, to: .f64), try b.convert(limit, to: .f64), try b.convert(delta, to: .f64))
      let steps = try b.unary(.ceiling, b.binary(.divide, b.binary(.subtract, to, from), by))
      let isWrong = try b.binary(.or, b.unary(.isNaN, steps), b.compare(.equal, by, 0))
      // Further than any limit on lengths, and still an i64.
      let bounded = try b.binary(.minimum, b.binary(.maximum, steps, 0), 0x1p62)
      count = .computed(try b.convert(b.select(isWrong, b.scalar(-1, .f64), bounded), to: .i64))
    } else {
      let zero = Length.constant(0)
      let (from, to, by) = (try b.length(start, "its bounds"), try b.length(limit, "its bounds"), try b.length(delta, "its bounds"))
      let span = try b.choose(.greater, by, zero, b.apply(.subtract, to, from), else: b.apply(.subtract, from, to))
      let backward = try b.apply(.subtract, zero, b.apply(.maximum, by, .constant(-.max)))
      let stride = try b.apply(.maximum, b.choose(.greater, by, zero, by, else: backward), .constant(1))
      let rounded = try b.apply(.add, b.apply(.divide, b.apply(.subtract, span, .constant(1)), stride), .constant(1))
      // Where the limit lies ahead, only a span that wrapped is not positive.
      let steps = try b.choose(.greater, span, zero, rounded, else: .constant(-1))
      let ascending = try b.choose(.greater, to, from, steps, else: zero)
      let descending = try b.choose(.less, by, zero, b.choose(.less, to, from, steps, else: zero), else: .constant(-1))
      count = try b.choose(.greater, by, zero, ascending, else: descending)
    }
    let index = try b.add(Iota(element, [b.measured(count)], axis: 0))
    return try b.binary(.add, b.binary(.multiply, index, delta), start)
  }

  /// The elements of one axis from `start`, as many as come before `end`, by steps of any sign that the model computes; 0 fails the run.
  static func stepped(_ x: ValueID, axis: Int, from start: Length, to end: Length, by given: Length, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let extent = b.shape(x)[axis]
    let zero = Length.constant(0)
    // A step across the whole axis is as good as any longer one, and nothing wraps.
    let step = try b.apply(.minimum, b.apply(.maximum, given, .known(-1 - extent)), .known(extent + 1))
    let low = try b.choose(.greater, step, zero, zero, else: .constant(-1))
    let high = try b.apply(.add, .known(extent), low)
    func bounded(_ position: Length, _ b: inout GraphBuilder) throws(CompileError) -> Length {
      let wrapped = try b.choose(.less, position, zero, b.apply(.add, position, .known(extent)), else: position)
      return try b.apply(.minimum, b.apply(.maximum, wrapped, low), high)
    }
    let (first, last) = (try bounded(start, &b), try bounded(end, &b))
    let span = try b.choose(.greater, step, zero, b.apply(.subtract, last, first), else: b.apply(.subtract, first, last))
    let stride = try b.apply(.maximum, b.choose(.greater, step, zero, step, else: b.apply(.subtract, zero, step)), .constant(1))
    let count = try b.ceilDivided(b.apply(.maximum, span, zero), by: stride)
    let size = try b.measured(b.choose(.equal, step, zero, .constant(-1), else: count))
    let index = try b.binary(.multiply, b.add(Iota(.i64, [size], axis: 0)), b.scalar(step))
    return try b.add(Gather(axis: axis), x, b.binary(.add, index, b.scalar(first)))
  }
}
