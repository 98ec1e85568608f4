import GraphIR
import TensorTypes

/// Where windows found their maxima, and the ways back from windows to tensors.
enum UnpoolingOperators {
  static let table: [String: OperatorImporter] = ["MaxUnpool": maxUnpool, "Col2Im": columnsToImage]

  // MARK: MaxPool's second result

  /// The position in the whole input of each window's first maximum.
  ///
  /// Every window is spread out as a row of elements, [N, C, windows, taps]; those outside of the input are never chosen.
  static func maximumIndices(
    _ x: ValueID, _ geometry: WindowGeometry, isColumnMajor: Bool, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let shape = b.shape(x)
    let spatial = Array(shape.extents[2...])
    let padding = geometry.padding(spatial)
    let axes = spatial.count
    let table = Shape(padding.output + geometry.size.map { Extent($0) })
    var isInside: ValueID?, position: ValueID?, shown: ValueID?
    var shownStride = Extent(1)
    for axis in 0..<axes {
      let window = try b.binary(.multiply, b.add(Iota(.i64, table, axis: axis)), Double(geometry.strides[axis]))
      let tap = try b.binary(.multiply, b.add(Iota(.i64, table, axis: axes + axis)), Double(geometry.dilations[axis]))
      let index = try b.binary(.subtract, b.binary(.add, window, tap), b.materialize(scalar: padding.low[axis], .i64))
      let length = try b.materialize(scalar: spatial[axis], .i64)
      let fits = try b.binary(.and, b.compare(.greaterOrEqual, index, 0), b.compare(.less, index, length))
      isInside = try isInside.map { known throws(CompileError) in try b.binary(.and, known, fits) } ?? fits
      position = try position.map { known throws(CompileError) in try b.binary(.add, b.binary(.multiply, known, length), index) } ?? index
      let weighted = try b.binary(.multiply, index, b.materialize(scalar: shownStride, .i64))
      shown = try shown.map { known throws(CompileError) in try b.binary(.add, known, weighted) } ?? weighted
      shownStride = shownStride * spatial[axis]
    }
    guard let isInside, let position, let shown else { throw b.refusal("a window over no axis", operands: [x]) }
    let (windows, taps) = (padding.output.reduce(Extent(1)) { $0 * $1 }, geometry.size.reduce(Extent(1)) { $0 * Extent($1) })
    let count = spatial.reduce(Extent(1)) { $0 * $1 }
    let flat = try b.reshape(x, to: [shape[0], shape[1], count])
    let spread = try b.add(Gather(axis: 2), flat, b.reshape(position, to: [windows, taps]))
    let lowest = b.element(x).integerRange.map { Double($0.lowerBound) } ?? -.infinity
    let masked = try b.select(b.reshape(isInside, to: [windows, taps]), spread, b.scalar(lowest, b.element(x)))
    let best = try b.add(ArgReduce(.max, axis: 3), masked)  // [N, C, windows]
    let row = try b.binary(.add, best, b.binary(.multiply, b.add(Iota(.i64, [windows], axis: 0)), b.materialize(scalar: taps, .i64)))
    let inPlane = try b.add(Gather(axis: 0), b.reshape(isColumnMajor ? shown : position, to: [windows * taps]), row)
    let plane = try b.binary(
      .add, b.binary(.multiply, b.add(Iota(.i64, [shape[0], shape[1], 1], axis: 0)), b.materialize(scalar: shape[1], .i64)),
      b.add(Iota(.i64, [shape[0], shape[1], 1], axis: 1)))
    let result = try b.binary(.add, inPlane, b.binary(.multiply, plane, b.materialize(scalar: count, .i64)))
    return try b.reshape(result, to: Shape([shape[0], shape[1]] + padding.output))
  }

  // MARK: MaxUnpool

  /// Zeros with the elements put where the indices say.
  private static func maxUnpool(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, indices) = (try call.input(0), try call.input(1))
    let axes = b.rank(x) - 2
    guard axes >= 1, b.shape(indices) == b.shape(x), let size = try call.integers("kernel_shape"), size.count == axes else {
      throw b.refusal("MaxUnpool of operands of these shapes", operands: [x, indices])
    }
    let geometry = try WindowGeometry(call, size: size)
    var target = Array(b.shape(x).extents[..<2])
    for axis in 0..<axes {
      let reached = (b.shape(x)[axis + 2] - 1) * Extent(geometry.strides[axis]) + Extent(size[axis])
      target.append(reached - Extent(geometry.low[axis]) - Extent(geometry.high[axis]))
    }
    let count = target.reduce(Extent(1)) { $0 * $1 }
    let zeros = try b.broadcast(b.scalar(0, b.element(x)), to: [count])
    let elements = b.shape(x).elementCount
    let flat = try b.add(
      ScatterElements(axis: 0), zeros, b.reshape(b.convert(indices, to: .i64), to: [elements]), b.reshape(x, to: [elements]))
    var result = try b.reshape(flat, to: Shape(target))
    // A stated shape adds zeros behind, or takes elements away; indices are of the shape without it.
    guard let stated = call.optional(2) else { return [result] }
    let wanted = try b.measured(stated, "a shape")
    guard wanted.count == target.count else { throw b.refusal("MaxUnpool to \(Shape(wanted))", operands: [x]) }
    for axis in wanted.indices where wanted[axis] != target[axis] {
      result = try b.slice(result, axis: axis, start: 0, size: .least(target[axis], wanted[axis]))
    }
    let high = wanted.indices.map { wanted[$0] == target[$0] ? Extent(0) : .greatest(wanted[$0] - target[$0], 0) }
    return [try b.pad(result, low: high.map { _ in 0 }, high: high, value: 0)]
  }

  // MARK: Col2Im

  /// Blocks [N, C * taps, blocks] added up where they overlap: each element of the image sums what the taps of its blocks hold.
  private static func columnsToImage(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let image = try b.measured(call.input(1), "the shape of the image")
    let size = try b.requireIntegers(call.input(2), "the shape of a block")
    let axes = size.count
    guard b.rank(x) == 3, image.count == axes, axes >= 1, size.allSatisfy({ $0 >= 1 }), let taps = elementCount(of: size), taps <= 1 << 24 else {
      throw b.refusal("Col2Im of blocks of \(size) into \(Shape(image))", operands: [x])
    }
    let geometry = try WindowGeometry(call, size: size)
    let blocks = geometry.padding(image).output
    let blockCount = blocks.reduce(Extent(1)) { $0 * $1 }
    let shape = b.shape(x)
    guard let channels = shape[1].dividedExactly(by: Extent(taps)), !(shape[2] - blockCount).isConstant || shape[2] == blockCount else {
      throw b.refusal("Col2Im of \(blockCount) blocks of \(taps) elements", operands: [x])
    }
    // For each element of the image and each tap the block whose tap it is, if there is one.
    let table = Shape(image + size.map { Extent($0) })
    var exists: ValueID?, block: ValueID?, tap: ValueID?
    for axis in 0..<axes {
      let own = try b.add(Iota(.i64, table, axis: axes + axis))
      let position = try b.binary(.add, b.add(Iota(.i64, table, axis: axis)), Double(geometry.low[axis]))
      let distance = try b.binary(.subtract, position, b.binary(.multiply, own, Double(geometry.dilations[axis])))
      let index = try b.binary(.divide, distance, Double(geometry.strides[axis]))
      let length = try b.materialize(scalar: blocks[axis], .i64)
      var fits = try b.binary(.and, b.compare(.greaterOrEqual, distance, 0), b.compare(.less, index, length))
      if geometry.strides[axis] > 1 {
        fits = try b.binary(.and, fits, b.compare(.equal, b.binary(.multiply, index, Double(geometry.strides[axis])), distance))
      }
      exists = try exists.map { known throws(CompileError) in try b.binary(.and, known, fits) } ?? fits
      block = try block.map { known throws(CompileError) in try b.binary(.add, b.binary(.multiply, known, length), index) } ?? index
      tap = try tap.map { known throws(CompileError) in try b.binary(.add, b.binary(.multiply, known, Double(size[axis])), own) } ?? own
    }
    guard let exists, let block, let tap else { throw b.refusal("Col2Im without an axis", operands: [x]) }
    let element = b.element(x)
    let wide = b.accumulator(element)
    let count = image.reduce(Extent(1)) { $0 * $1 }
    let index = try b.binary(.add, b.binary(.multiply, tap, b.materialize(scalar: blockCount, .i64)), block)
    let flat = try b.reshape(b.convert(x, to: wide), to: [shape[0], channels, Extent(taps) * blockCount])
    let spread = try b.add(Gather(axis: 2), flat, b.reshape(index, to: [count, Extent(taps)]))
    let masked = try b.select(b.reshape(exists, to: [count, Extent(taps)]), spread, b.scalar(0, wide))
    let sum = try b.reduce(.sum, masked, axes: [3], keepsAxes: false)
    return [try b.convert(b.reshape(sum, to: Shape([shape[0], channels] + image)), to: element)]
  }
}
