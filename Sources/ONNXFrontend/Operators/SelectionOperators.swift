import GraphIR
import TensorTypes

/// Operators whose results are as long as the data says: what a mask selects, what is different, which boxes are left.
enum SelectionOperators {
  static let table: [String: OperatorImporter] = [
    "NonZero": nonZero, "Compress": compress, "Unique": unique, "NonMaxSuppression": nonMaxSuppression,
  ]

  /// The flat positions of the true elements, in ascending order: i64 [n] with a symbol of its own for n.
  static func positions(_ mask: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let flat = try b.reshape(mask, to: [b.shape(mask).elementCount])
    let count = try b.reduce(.sum, b.convert(flat, to: .i64), axes: [0], keepsAxes: false)
    return try b.add(Compact(to: b.measured(.computed(count))), flat)
  }

  /// Flat positions as one index for each axis.
  private static func indices(_ positions: ValueID, in shape: Shape, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var found: [ValueID] = []
    var rest = positions
    for axis in shape.indices.dropFirst().reversed() {
      let length = try b.materialize(scalar: shape[axis], .i64)
      found.append(try b.binary(.remainder, rest, length))
      rest = try b.binary(.divide, rest, length)
    }
    return [rest] + found.reversed()
  }

  private static func isTrue(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    b.element(x) == .bool ? x : try b.compare(.notEqual, x, 0)
  }

  private static func nonZero(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let positions = try positions(isTrue(x, &b), &b)
    var rows: [ValueID] = []
    for index in try indices(positions, in: b.shape(x), &b) { rows.append(try b.unsqueeze(index, axis: 0)) }
    return [try b.concatenate(rows, axis: 0)]
  }

  private static func compress(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, condition) = (try call.input(0), try call.input(1))
    guard b.rank(condition) == 1, b.element(condition) == .bool else { throw b.refusal("Compress takes a vector of bool", operands: [x, condition]) }
    let isFlat = !call.has("axis")
    let source = try isFlat ? b.reshape(x, to: [b.shape(x).elementCount]) : x
    let axis = try isFlat ? 0 : call.axis(call.integer("axis"), rank: b.rank(x))
    // What a condition says beyond the end of the axis is ignored, as ONNX Runtime does.
    let (length, extent) = (b.shape(condition)[0], b.shape(source)[axis])
    let hasRoom = ((extent - length).lowerBound ?? -1) >= 0
    let mask = try hasRoom ? condition : b.slice(condition, axis: 0, start: 0, size: .least(length, extent))
    return [try b.add(Gather(axis: axis), source, positions(mask, &b))]
  }

  // MARK: Boxes

  private static func nonMaxSuppression(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (boxes, scores) = (try call.input(0), try call.input(1))
    guard b.rank(boxes) == 3, b.rank(scores) == 3, b.shape(boxes)[2] == 4, !b.shape(boxes)[2].isOverflow else {
      throw b.refusal("NonMaxSuppression takes boxes [batch, n, 4] and scores [batch, classes, n]", operands: [boxes, scores])
    }
    let shape = b.shape(scores)
    let aligned = try b.reshape(b.convert(boxes, to: .f32), to: [shape[0], shape[2], 4])
    func threshold(_ position: Int, _ usual: Double, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      guard let given = call.optional(position) else { return try b.scalar(usual, .f32) }
      return try b.convert(b.reshape(given, to: []), to: .f32)
    }
    var most = Length.constant(0)
    if let given = call.optional(2) { most = try b.length(given, "the number of boxes") }
    most = try b.apply(.minimum, b.apply(.maximum, most, .constant(0)), .known(shape[2]))
    let extent = try b.measured(most)
    if extent == 0 { return [try b.constant(Tensor([Int](), dimensions: [0, 3]))] }
    let chosen = try b.add(
      Suppress(to: extent, isCentered: call.flag("center_point_box")), aligned, b.convert(scores, to: .f32), threshold(3, 0, &b), threshold(4, -.infinity, &b))
    let found = try positions(b.compare(.greaterOrEqual, chosen, 0), &b)
    let flat = try b.reshape(chosen, to: [b.shape(chosen).elementCount])
    let places = try indices(found, in: b.shape(chosen), &b)
    var columns: [ValueID] = []
    for column in [places[0], places[1], try b.add(Gather(axis: 0), flat, found)] { columns.append(try b.unsqueeze(column, axis: 1)) }
    return [try b.concatenate(columns, axis: 1)]
  }

  // MARK: Unique

  /// A sorted order, and which of its elements differ from the one before.
  private struct Order {
    /// The original position of each sorted element; equal ones in their original order.
    var positions: ValueID
    /// bool [n]
    var isNew: ValueID
  }

  private static func unique(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let input = try call.input(0)
    let hasAxis = call.has("axis")
    let axis = try hasAxis ? call.axis(call.integer("axis"), rank: b.rank(input)) : 0
    let x = hasAxis ? input : try b.reshape(input, to: [b.shape(input).elementCount])
    let count = b.shape(x)[axis]
    let order = try hasAxis && b.rank(x) > 1 ? sortedSlices(x, axis, &b) : sortedElements(x, &b)
    let groups = try b.binary(.subtract, b.add(Cumulative(.sum, axis: 0), b.convert(order.isNew, to: .i64)), 1)
    let starts = try positions(order.isNew, &b)
    let found = b.shape(starts)[0]
    var first = try b.add(Gather(axis: 0), order.positions, starts)
    let behind = try b.add(Pad(low: [0], high: [1]), starts, b.materialize(scalar: count, .i64))
    var counts = try b.binary(.subtract, b.slice(behind, axis: 0, start: 1, size: found), starts)
    var numbers = try scattered(groups, to: order.positions, &b)
    if try !call.flag("sorted", default: true) {
      // By first appearance: `rank` of a sorted group is its place there.
      let byAppearance = try b.addAll(TopK(k: found, axis: 0, isAscending: true), [first])
      first = byAppearance[0]
      counts = try b.add(Gather(axis: 0), counts, byAppearance[1])
      let rank = try scattered(b.add(Iota(.i64, [found], axis: 0)), to: byAppearance[1], &b)
      numbers = try b.add(Gather(axis: 0), rank, numbers)
    }
    return [try b.add(Gather(axis: axis), x, first), first, numbers, counts]
  }

  /// Values put at positions, which are a permutation.
  private static func scattered(_ values: ValueID, to positions: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try b.add(ScatterElements(axis: 0), b.scalar(0, like: values), positions, values)
  }

  private static func sortedElements(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> Order {
    let count = b.shape(x)[0]
    let sorted = try b.addAll(TopK(k: count, axis: 0, isAscending: true), [b.element(x) == .bool ? b.convert(x, to: .u8) : x])
    let before = try b.slice(b.pad(sorted[0], low: [1], high: [0], value: 0), axis: 0, start: 0, size: count)
    var isDifferent = try b.compare(.notEqual, sorted[0], before)
    if b.element(x).isFloatingPoint {
      // All NaNs are one value.
      let areNaN = try b.binary(.and, b.unary(.isNaN, sorted[0]), b.unary(.isNaN, before))
      isDifferent = try b.binary(.and, isDifferent, b.unary(.not, areNaN))
    }
    return Order(positions: sorted[1], isNew: try b.binary(.or, isDifferent, isFirst(count, &b)))
  }

  private static func isFirst(_ count: Extent, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try b.compare(.equal, b.add(Iota(.i64, [count], axis: 0)), 0)
  }

  /// Slices along an axis in lexicographic order: every pair is compared at the first place where it differs.
  private static func sortedSlices(_ x: ValueID, _ axis: Int, _ b: inout GraphBuilder) throws(CompileError) -> Order {
    let count = b.shape(x)[axis]
    let others = (0..<b.rank(x)).filter { $0 != axis }
    let width = others.reduce(Extent(1)) { $0 * b.shape(x)[$1] }
    let plain = b.element(x) == .bool ? try b.convert(x, to: .u8) : x
    let rows = try b.reshape(b.transpose(plain, [axis] + others), to: [count, width])
    let (left, right) = (try b.unsqueeze(rows, axis: 1), try b.unsqueeze(rows, axis: 0))
    let differs = try b.convert(b.compare(.notEqual, left, right), to: .u8)
    // [i, j]: where row i first differs from row j; 0 for equal ones.
    let place = try b.add(ArgReduce(.max, axis: 2, selectsLast: false), differs)
    let mine = try b.add(GatherElements(axis: 1), rows, place)
    let theirs = try b.transpose(b.add(GatherElements(axis: 1), rows, b.transpose(place, [1, 0])), [1, 0])
    let square: Shape = [count, count]
    let isEqual = try b.compare(.equal, mine, theirs)
    let isEarlier = try b.compare(.less, b.add(Iota(.i64, square, axis: 0)), b.add(Iota(.i64, square, axis: 1)))
    let isBefore = try b.binary(.or, b.compare(.less, mine, theirs), b.binary(.and, isEqual, isEarlier))
    let ranks = try b.reduce(.sum, b.convert(isBefore, to: .i64), axes: [0], keepsAxes: false)
    let sorted = try scattered(b.add(Iota(.i64, [count], axis: 0)), to: ranks, &b)
    // Row r of the sorted ones against the one before it.
    let previous = try b.slice(b.pad(sorted, low: [1], high: [0], value: 0), axis: 0, start: 0, size: count)
    let pairs = try b.concatenate([b.unsqueeze(sorted, axis: 1), b.unsqueeze(previous, axis: 1)], axis: 1)
    let isSame = try b.add(GatherND(), isEqual, pairs)
    return Order(positions: sorted, isNew: try b.binary(.or, b.unary(.not, isSame), isFirst(count, &b)))
  }
}
