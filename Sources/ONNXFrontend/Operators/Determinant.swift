import GraphIR
import TensorTypes

/// `Det`: determinants of square matrices by elimination.
enum Determinant {
  static let table: [String: OperatorImporter] = ["Det": importer]

  /// A scan over the columns of [matrices, n, n]: the row with the largest element of a column comes up, and is subtracted from
  /// those below so that their elements of the column become 0. The determinant is the product of the pivots.
  private static func importer(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let (shape, rank) = (b.shape(x), b.rank(x))
    guard rank >= 2, b.element(x).isFloatingPoint, !(shape[rank - 1] - shape[rank - 2]).isConstant || shape[rank - 1] == shape[rank - 2] else {
      throw b.refusal("Det takes square matrices", operands: [x])
    }
    let outer = Array(shape.extents.dropLast(2))
    let (count, size) = (outer.reduce(Extent(1)) { $0 * $1 }, shape[rank - 1])
    let wide = b.accumulator(b.element(x))
    let matrices = try b.reshape(b.convert(x, to: wide), to: [count, size, size])
    let types = [TensorType(wide, [count, size, size]), TensorType(wide, [count]), TensorType(.i64, [])]
    let body = try b.region("det", types: types) { b, inputs throws(CompileError) in
      let (matrix, product, step) = (inputs[0], inputs[1], inputs[2])
      let row = try b.add(Iota(.i64, [1, size], axis: 1))
      let column = try b.add(Gather(axis: 2), matrix, step)  // [matrices, n]
      let candidates = try b.select(b.compare(.less, row, step), b.scalar(-1, wide), b.unary(.absolute, column))
      let pivot = try b.add(ArgReduce(.max, axis: 1), candidates)  // [matrices]
      let chosen = try b.broadcast(b.reshape(pivot, to: [count, 1, 1]), to: [count, 1, size])
      let top = try b.add(GatherElements(axis: 1), matrix, chosen)  // [matrices, 1, n]
      let replaced = try b.reshape(b.add(Gather(axis: 1), matrix, step), to: [count, 1, size])
      let rows = try b.add(Iota(.i64, [1, size, 1], axis: 1))
      let isPivot = try b.compare(.equal, rows, b.reshape(pivot, to: [count, 1, 1]))
      let isBelow = try b.compare(.greater, rows, step)
      // What stands below once the pivot's row has changed places.
      let exchanged = try b.select(isPivot, replaced, matrix)
      let value = try b.add(Gather(axis: 2), top, step)  // [matrices, 1]
      let entries = try b.unsqueeze(b.add(Gather(axis: 2), exchanged, step), axis: 2)  // [matrices, n, 1]
      let divisor = try b.unsqueeze(b.select(b.compare(.equal, value, 0), b.scalar(1, wide), value), axis: 2)
      let reduced = try b.binary(.subtract, exchanged, b.binary(.multiply, b.binary(.divide, entries, divisor), top))
      let next = try b.select(isBelow, reduced, matrix)
      let signed = try b.select(b.compare(.equal, pivot, step), product, b.unary(.negate, product))
      return [next, try b.binary(.multiply, signed, b.reshape(value, to: [count]))]
    }
    let ones = try b.broadcast(b.scalar(1, wide), to: [count])
    let steps = try b.add(Iota(.i64, [size], axis: 0))
    let results = try b.addAll(Scan(carried: 2, scanned: 1, extent: size, body: body), [matrices, ones, steps])
    return [try b.convert(b.reshape(results[1], to: Shape(outer)), to: b.element(x))]
  }
}
