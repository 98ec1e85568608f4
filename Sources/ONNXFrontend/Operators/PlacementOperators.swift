import GraphIR
import TensorTypes

/// Operators that put one tensor into, or into the middle of, another.
enum PlacementOperators {
  static let table: [String: OperatorImporter] = ["CenterCropPad": centerCropPad, "TensorScatter": tensorScatter]

  /// Each axis cut or padded with zeros on both sides to an extent.
  private static func centerCropPad(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var x = try call.input(0)
    let wanted = try b.measured(call.input(1), "a shape")
    let rank = b.rank(x)
    var axes = Array(0..<rank)
    if let given = try call.integers("axes") {
      axes = []
      for axis in given { axes.append(try call.axis(axis, rank: rank)) }
    }
    guard axes.count == wanted.count, Set(axes).count == axes.count, wanted.allSatisfy({ ($0.constant ?? 0) >= 0 }) else {
      throw b.refusal("CenterCropPad of axes \(axes) to \(Shape(wanted))", operands: [x])
    }
    var (low, high) = ([Extent](repeating: 0, count: rank), [Extent](repeating: 0, count: rank))
    for (axis, target) in zip(axes, wanted) {
      let extent = b.shape(x)[axis]
      if extent == target { continue }
      let (surplus, missing) = (Extent.greatest(extent - target, 0), Extent.greatest(target - extent, 0))
      x = try b.slice(x, axis: axis, start: surplus.floorDivided(by: 2), size: .least(extent, target))
      low[axis] = missing.floorDivided(by: 2)
      high[axis] = missing - low[axis]
    }
    return [try b.pad(x, low: low, high: high, value: 0)]
  }

  private enum Mode: String, CaseIterable { case linear, circular }

  /// A cache with an update written behind a position of each batch. Every element of the result comes from one of the two,
  /// which takes one pass over the cache and needs no copy of it before.
  private static func tensorScatter(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (past, update) = (try call.input(0), try call.input(1))
    let shape = b.shape(past)
    let axis = try call.axis(call.integer("axis", default: -2), rank: shape.rank)
    guard axis != 0, b.rank(update) == shape.rank, b.element(update) == b.element(past) else {
      throw b.refusal("TensorScatter along axis \(axis)", operands: [past, update])
    }
    let (room, length) = (shape[axis], b.shape(update)[axis])
    if let rest = (room - length).constant, rest < 0 { throw b.refusal("an update longer than the cache", operands: [past, update]) }
    if length == 0 { return [past] }
    var position = try b.add(Iota(.i64, shape, axis: axis))
    if let start = call.optional(2) {
      guard b.rank(start) == 1 else { throw b.refusal("one write index for each batch is needed", operands: [past, update, start]) }
      position = try b.binary(.subtract, position, b.alignedVector(b.convert(start, to: .i64), axis: 0, rank: shape.rank))
      if try call.word("mode", default: Mode.linear) == .circular {
        position = try b.binary(.modulo, position, b.materialize(scalar: room, .i64))
      }
    }
    let isNew = try b.binary(.and, b.compare(.greaterOrEqual, position, 0), b.compare(.less, position, b.materialize(scalar: length, .i64)))
    return [try b.select(isNew, b.add(GatherElements(axis: axis), update, position), past)]
  }
}
