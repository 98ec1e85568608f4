import GraphIR
import TensorTypes

/// Operators that move elements without computing on them.
enum MovementOperators {
  static let table: [String: OperatorImporter] = [
    "Transpose": transpose, "Concat": concat, "Split": split, "Tile": tile, "DepthToSpace": depthToSpace, "SpaceToDepth": spaceToDepth,
    "Pad": pad, "Trilu": triangle, "ReverseSequence": reverseSequence,
  ]

  private static func transpose(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let permutation = try call.integers("perm") ?? Array((0..<b.rank(x)).reversed())
    guard permutation.sorted() == Array(0..<b.rank(x)) else { throw b.refusal("Transpose by \(permutation)", operands: [x]) }
    // PyTorch turns its lists of pads this way.
    let known = b.contents(x).flatMap { contents in
      contents.rearranged(to: permutation.map { contents.dimensions[$0] }) { index in
        var source = index
        for (position, axis) in permutation.enumerated() { source[axis] = index[position] }
        return source
      }
    }
    return [try b.settle(known, b.element(x)) { b throws(CompileError) in try b.transpose(x, permutation) }]
  }

  private static func concat(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let parts = try call.allInputs()
    let rank = b.rank(parts[0])
    let axis = try call.axis(call.integer("axis", default: call.opset < 4 ? 1 : nil), rank: rank)
    if let contents = known(parts, b) { return [try b.settle(contents, b.element(parts[0])) { b throws(CompileError) in try join(parts, axis, &b) }] }
    return [try join(parts, axis, &b)]
  }

  private static func known(_ parts: [ValueID], _ b: GraphBuilder) -> KnownContents? {
    var elements: [KnownElement] = []
    for part in parts {
      guard b.rank(part) == 1, b.element(part) == b.element(parts[0]), let contents = b.contents(part) else { return nil }
      elements += contents.elements
    }
    return elements.count <= KnownContents.maximumCount ? KnownContents(dimensions: [elements.count], elements: elements) : nil
  }

  /// Symbolic extents off the axis that differ in form are taken to be equal to the first part's.
  private static func join(_ given: [ValueID], _ axis: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    // An empty part adds nothing; exporters write them for the first step of a cache.
    let filled = given.filter { b.rank($0) <= axis || b.shape($0)[axis] != 0 }
    let parts = filled.isEmpty ? [given[0]] : filled
    var target = b.shape(parts[0])
    for part in parts {
      guard b.rank(part) == target.rank else { throw b.refusal("Concat of tensors of different ranks", operands: parts) }
      for other in 0..<target.rank where !target[other].isConstant && b.shape(part)[other].isConstant { target[other] = b.shape(part)[other] }
    }
    var aligned: [ValueID] = []
    for part in parts {
      var shape = b.shape(part)
      for other in 0..<target.rank where other != axis && (!shape[other].isConstant || !target[other].isConstant) { shape[other] = target[other] }
      aligned.append(try b.reshape(part, to: shape))
    }
    return try b.concatenate(aligned, axis: axis)
  }

  private static func split(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axis = try call.axis(call.integer("axis", default: 0), rank: b.rank(x))
    let extent = b.shape(x)[axis]
    let count = call.outputs.count
    var sizes: [Extent]
    if let given = try call.integers("split") { sizes = given.map { Extent($0) } } else if let given = call.optional(1) {
      sizes = try b.measured(given, "the sizes of the parts")
    } else {
      guard count >= 1, try call.integer("num_outputs", default: count) == count else { throw b.refusal("Split into \(count) outputs", operands: [x]) }
      let size = extent.ceilDivided(by: Extent(count))
      if let exact = extent.dividedExactly(by: Extent(count)) { sizes = [Extent](repeating: exact, count: count) } else {
        guard call.opset >= 18 || !extent.isConstant else { throw b.refusal("Split of \(extent) elements into \(count) equal parts", operands: [x]) }
        sizes = [Extent](repeating: size, count: count - 1)
        sizes.append(extent - size * Extent(count - 1))
      }
    }
    guard sizes.count >= count else { throw b.refusal("Split has \(sizes.count) sizes for \(count) outputs", operands: [x]) }
    let total = sizes.reduce(Extent(0)) { $0 + $1 }
    guard sizes.allSatisfy({ ($0.constant ?? 0) >= 0 }), !(total - extent).isConstant || total == extent else {
      throw b.refusal("Split of \(extent) elements into parts of \(Shape(sizes))", operands: [x])
    }
    let contents = b.rank(x) == 1 ? b.contents(x) : nil
    var results: [ValueID] = []
    var start = Extent(0)
    for size in sizes.prefix(count) {
      var part: KnownContents?
      if let contents, let first = start.constant, let length = size.constant, first + length <= contents.elements.count {
        part = KnownContents(dimensions: [length], elements: Array(contents.elements[first..<first + length]))
      }
      let begin = start
      results.append(try b.settle(part, b.element(x)) { b throws(CompileError) in try b.slice(x, axis: axis, start: begin, size: size) })
      start = start + size
    }
    return results
  }

  /// [a, b] repeated [r, s] times: as [1, a, 1, b] broadcast to [r, a, s, b].
  private static func tile(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let shape = b.shape(x).extents
    let repeats = try b.measured(call.input(1), "the number of repeats")
    guard repeats.count == shape.count, repeats.allSatisfy({ ($0.constant ?? 0) >= 0 }) else { throw b.refusal("Tile by \(Shape(repeats))", operands: [x]) }
    var (spread, full): ([Extent], [Extent]) = ([], [])
    for (extent, count) in zip(shape, repeats) {
      if count != 1 {
        spread.append(1)
        full.append(count)
      }
      spread.append(extent)
      full.append(extent)
    }
    let repeated = try b.broadcast(b.reshape(x, to: Shape(spread)), to: Shape(full))
    return [try b.reshape(repeated, to: Shape(zip(shape, repeats).map { $0 * $1 }))]
  }

  // MARK: Blocks

  private enum BlockOrder: String, CaseIterable { case depthFirst = "DCR", channelFirst = "CRD" }

  private static func blocks(_ call: OperatorCall, _ b: GraphBuilder) throws(CompileError) -> (x: ValueID, size: Extent, isChannelFirst: Bool) {
    let x = try call.input(0)
    let size = try call.integer("blocksize")
    guard b.rank(x) == 4, size >= 1, size < 1 << 20 else { throw b.refusal("\(call.name) with blocks of \(size)", operands: [x]) }
    return (x, Extent(size), try call.word("mode", default: BlockOrder.depthFirst) == .channelFirst)
  }

  private static func exact(_ extent: Extent, _ divisor: Extent, _ x: ValueID, _ b: GraphBuilder) throws(CompileError) -> Extent {
    if let value = extent.constant, let by = divisor.constant, value % by != 0 { throw b.refusal("\(extent) elements in blocks of \(divisor)", operands: [x]) }
    return extent.floorDivided(by: divisor)
  }

  private static func depthToSpace(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, size, isChannelFirst) = try blocks(call, b)
    let shape = b.shape(x)
    let depth = try exact(shape[1], size * size, x, b)
    let split: Shape = isChannelFirst ? [shape[0], depth, size, size, shape[2], shape[3]] : [shape[0], size, size, depth, shape[2], shape[3]]
    let moved = try b.transpose(b.reshape(x, to: split), isChannelFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2])
    return [try b.reshape(moved, to: [shape[0], depth, shape[2] * size, shape[3] * size])]
  }

  private static func spaceToDepth(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, size, isChannelFirst) = try blocks(call, b)
    let shape = b.shape(x)
    let (height, width) = (try exact(shape[2], size, x, b), try exact(shape[3], size, x, b))
    let split = try b.reshape(x, to: [shape[0], shape[1], height, size, width, size])
    let moved = try b.transpose(split, isChannelFirst ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4])
    return [try b.reshape(moved, to: [shape[0], shape[1] * size * size, height, width])]
  }

  // MARK: Padding, triangles

  private static func pad(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var x = try call.input(0)
    let rank = b.rank(x)
    let mode = try call.word("mode", default: Pad.Mode.constant)
    let amounts: [Length]
    if call.opset < 11 { amounts = (try call.integers("pads") ?? []).map { .constant($0) } } else {
      amounts = try b.lengths(call.input(1), "the padding")
    }
    var axes = Array(0..<rank)
    if let given = call.optional(3) {
      axes = []
      for axis in try b.requireIntegers(given, "the axes") { axes.append(try call.axis(axis, rank: rank)) }
    }
    guard amounts.count == 2 * axes.count, Set(axes).count == axes.count else {
      throw b.refusal("Pad has \(amounts.count) amounts for \(axes.count) axes", operands: [x])
    }
    var (low, high) = ([Extent](repeating: 0, count: rank), [Extent](repeating: 0, count: rank))
    var computed: [Int: Extent] = [:]
    for (position, axis) in axes.enumerated() {
      let (before, after) = (amounts[position], amounts[position + axes.count])
      guard let first = before.extent, let last = after.extent else {
        (low[axis], high[axis], computed[axis]) = try cutComputed(&x, axis, before, after, &b)
        continue
      }
      // A negative amount takes elements away.
      let (cutLow, cutHigh) = (Extent(max(0, -(first.constant ?? 0))), Extent(max(0, -(last.constant ?? 0))))
      (low[axis], high[axis]) = (cutLow == 0 ? first : 0, cutHigh == 0 ? last : 0)
      if cutLow != 0 || cutHigh != 0 { x = try b.slice(x, axis: axis, start: cutLow, size: b.shape(x)[axis] - cutLow - cutHigh) }
    }
    if (low + high).allSatisfy({ $0 == 0 }) { return [x] }
    var operands = [x]
    if mode == .constant {
      if call.opset < 11 { operands.append(try b.scalar(call.number("value", default: 0), b.element(x))) } else if let given = call.optional(2) {
        operands.append(try b.reshape(given, to: []))
      } else {
        operands.append(try b.scalar(0, b.element(x)))
      }
    }
    if computed.isEmpty { return [try b.addAll(Pad(low: low, high: high, mode: mode), operands)[0]] }
    return [try paddedByAxis(operands, low, high, computed, mode, &b)]
  }

  /// Takes away what computed amounts take away from an axis.
  ///
  /// - Returns: What they add, and the length that results.
  private static func cutComputed(
    _ x: inout ValueID, _ axis: Int, _ before: Length, _ after: Length, _ b: inout GraphBuilder
  ) throws(CompileError) -> (low: Extent, high: Extent, length: Extent) {
    let (zero, extent) = (Length.constant(0), Length.known(b.shape(x)[axis]))
    let (cutLow, cutHigh) = (try b.apply(.minimum, before, zero), try b.apply(.minimum, after, zero))
    let found = try b.measured([
      b.apply(.subtract, zero, cutLow), b.apply(.add, b.apply(.add, extent, cutLow), cutHigh), b.apply(.maximum, before, zero),
      b.apply(.maximum, after, zero), b.apply(.add, b.apply(.add, extent, before), after),
    ])
    x = try b.slice(x, axis: axis, start: found[0], size: found[1])
    return (found[2], found[3], found[4])
  }

  /// One axis after the other, so that each computed length is one symbol and not a sum that products of lengths would multiply out.
  private static func paddedByAxis(
    _ operands: [ValueID], _ low: [Extent], _ high: [Extent], _ lengths: [Int: Extent], _ mode: Pad.Mode, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    var result = operands[0]
    let none = low.map { _ in Extent(0) }
    for axis in low.indices where low[axis] != 0 || high[axis] != 0 {
      var (before, after) = (none, none)
      (before[axis], after[axis]) = (low[axis], high[axis])
      result = try b.addAll(Pad(low: before, high: after, mode: mode), [result] + operands.dropFirst())[0]
      guard let length = lengths[axis] else { continue }
      var shape = b.shape(result)
      shape[axis] = length
      result = try b.reshape(result, to: shape)
    }
    return result
  }

  private static func triangle(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let rank = b.rank(x)
    guard rank >= 2 else { throw b.refusal("Trilu takes matrices", operands: [x]) }
    let plane: Shape = [b.shape(x)[rank - 2], b.shape(x)[rank - 1]]
    let isUpper = try call.flag("upper", default: true)
    var rows = try b.add(Iota(.i64, plane, axis: 0))
    if let k = call.optional(1), b.contents(k)?.elements.first?.integer != 0 { rows = try b.binary(.add, rows, b.reshape(k, to: [])) }
    let columns = try b.add(Iota(.i64, plane, axis: 1))
    let isKept = try b.compare(isUpper ? .lessOrEqual : .greaterOrEqual, rows, columns)
    return [try b.select(isKept, x, b.scalar(0, b.element(x)))]
  }

  /// Element t of a sequence of length n comes from n - 1 - t; elements behind the length stay.
  private static func reverseSequence(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, lengths) = (try call.input(0), try call.input(1))
    let rank = b.rank(x)
    let time = try call.axis(call.integer("time_axis", default: 0), rank: rank)
    let batch = try call.axis(call.integer("batch_axis", default: 1), rank: rank)
    guard time != batch, b.rank(lengths) == 1 else { throw b.refusal("ReverseSequence over axes \(time) and \(batch)", operands: [x, lengths]) }
    let shape = b.shape(x)
    let position = try b.add(Iota(.i64, shape, axis: time))
    let length = try b.broadcast(b.alignedVector(b.convert(lengths, to: .i64), axis: batch, rank: rank), to: shape)
    let mirrored = try b.binary(.subtract, b.binary(.subtract, length, 1), position)
    let source = try b.select(b.compare(.less, position, length), mirrored, position)
    return [try b.add(GatherElements(axis: time), x, source)]
  }
}
