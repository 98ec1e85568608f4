import GraphIR
import TensorTypes

/// Pooling of regions of interest.
enum RegionOperators {
  static let table: [String: OperatorImporter] = ["RoiAlign": align, "MaxRoiPool": maxPool]

  // MARK: RoiAlign

  private enum Mode: String, CaseIterable { case avg, max }
  private enum Coordinates: String, CaseIterable { case halfPixel = "half_pixel", outputHalfPixel = "output_half_pixel" }

  /// Where one axis is sampled: two neighbours and their weights for each point [regions, bins, points].
  private struct Samples {
    var low: ValueID
    var high: ValueID
    var lowWeight: ValueID
    var highWeight: ValueID
    /// The points of a region that count, where regions have different numbers of them: a mask [regions, 1, points].
    var exists: ValueID?
    /// How many points a bin has: a scalar, or one number for each region.
    var count: ValueID
    var points: Extent
  }

  /// Averages or maxima over points that are interpolated inside each bin.
  private static func align(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, regions, batches) = (try call.input(0), try call.input(1), try call.input(2))
    guard b.rank(x) == 4, b.rank(regions) == 2, b.shape(regions)[1] == 4, b.rank(batches) == 1 else {
      throw b.refusal("RoiAlign of operands of these shapes", operands: [x, regions, batches])
    }
    let coordinates = try call.word("coordinate_transformation_mode", default: call.opset < 16 ? Coordinates.outputHalfPixel : .halfPixel)
    let isHalf = coordinates == .halfPixel
    let bins = (try call.integer("output_height", default: 1), try call.integer("output_width", default: 1))
    guard bins.0 >= 1, bins.1 >= 1, bins.0 < 1 << 20, bins.1 < 1 << 20 else { throw b.refusal("RoiAlign to \(bins.0) x \(bins.1)", operands: [x]) }
    let element = b.element(x)
    let wide = b.accumulator(element)
    let shape = b.shape(x)
    let rows = try samples(call, regions, axis: 1, of: shape[2], bins: bins.0, isHalf: isHalf, wide, &b)
    let columns = try samples(call, regions, axis: 0, of: shape[3], bins: bins.1, isHalf: isHalf, wide, &b)

    // Positions in the flat input, over [regions, channels, bins, points, bins, points].
    let count = b.shape(regions)[0]
    func onRows(_ value: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      try b.reshape(value, to: Shape([b.shape(value)[0], 1, b.shape(value)[1], b.shape(value)[2], 1, 1]))
    }
    func onColumns(_ value: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      try b.reshape(value, to: Shape([b.shape(value)[0], 1, 1, 1, b.shape(value)[1], b.shape(value)[2]]))
    }
    let flat = try b.reshape(b.convert(x, to: wide), to: [shape.elementCount])
    let batch = try b.reshape(b.convert(batches, to: .i64), to: [count, 1])
    let plane = try b.binary(
      .add, b.binary(.multiply, batch, b.materialize(scalar: shape[1], .i64)), b.add(Iota(.i64, [1, shape[1]], axis: 1)))
    let start = try b.reshape(b.binary(.multiply, plane, b.materialize(scalar: shape[2] * shape[3], .i64)), to: [count, shape[1], 1, 1, 1, 1])
    let width = try b.materialize(scalar: shape[3], .i64)
    var terms: [ValueID] = []
    for (y, yWeight) in [(rows.low, rows.lowWeight), (rows.high, rows.highWeight)] {
      let row = try b.binary(.add, start, b.binary(.multiply, onRows(y, &b), width))
      for (x, xWeight) in [(columns.low, columns.lowWeight), (columns.high, columns.highWeight)] {
        let found = try b.add(Gather(axis: 0), flat, b.binary(.add, row, onColumns(x, &b)))
        terms.append(try b.binary(.multiply, found, b.binary(.multiply, onRows(yWeight, &b), onColumns(xWeight, &b))))
      }
    }
    let isMaximum = try call.word("mode", default: Mode.avg) == .max
    var value = terms[0]
    for term in terms.dropFirst() { value = try b.binary(isMaximum ? .maximum : .add, value, term) }
    if let first = rows.exists, let second = columns.exists {
      let exists = try b.binary(.and, onRows(first, &b), onColumns(second, &b))
      value = try b.select(exists, value, b.scalar(isMaximum ? -.infinity : 0, wide))
    }
    var result = try b.reduce(isMaximum ? .maximum : .sum, value, axes: [3, 5], keepsAxes: false)
    if isMaximum {
      // A region without a point gives 0.
      if rows.exists != nil { result = try b.select(b.compare(.equal, result, -.infinity), b.scalar(0, wide), result) }
    } else {
      let number = try b.binary(.maximum, b.binary(.multiply, rows.count, columns.count), 1)
      result = try b.binary(.divide, result, b.rank(number) == 0 ? number : b.reshape(number, to: [count, 1, 1, 1]))
    }
    return [try b.convert(result, to: element)]
  }

  private static func samples(
    _ call: OperatorCall, _ regions: ValueID, axis: Int, of extent: Extent, bins: Int, isHalf: Bool, _ wide: ElementType, _ b: inout GraphBuilder
  ) throws(CompileError) -> Samples {
    let scale = try call.number("spatial_scale", default: 1)
    func bound(_ column: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      let scaled = try b.binary(.multiply, b.convert(b.select(regions, axis: 1, at: Extent(column)), to: wide), scale)
      return try isHalf ? b.binary(.subtract, scaled, 0.5) : scaled
    }
    let start = try bound(axis, &b)
    var size = try b.binary(.subtract, bound(axis + 2, &b), start)
    // Before half pixels were shifted, a region had at least one element.
    if !isHalf { size = try b.binary(.maximum, size, 1) }
    let bin = try b.binary(.divide, size, Double(bins))
    let regionCount = b.shape(regions)[0]
    let ratio = try call.integer("sampling_ratio", default: 0)
    guard ratio >= 0, ratio <= 1 << 12 else { throw b.refusal("RoiAlign with a sampling ratio of \(ratio)", operands: [regions]) }
    let points: Extent, count: ValueID
    var exists: ValueID?
    if ratio > 0 {
      points = Extent(ratio)
      count = try b.scalar(Double(ratio), wide)
    } else {
      // As many points as the bin has elements, in each region; the others are masked.
      count = try b.binary(.maximum, b.unary(.ceiling, bin), 0)
      let most = try b.binary(.maximum, b.reduce(.maximum, count, axes: [0], keepsAxes: false), 1)
      points = try b.measured(b.convert(b.binary(.minimum, most, 65536), to: .i64), "points")[0]
      let number = try b.add(Iota(wide, [1, 1, points], axis: 2))
      exists = try b.compare(.less, number, b.reshape(count, to: [regionCount, 1, 1]))
    }
    func column(_ value: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      try b.rank(value) == 0 ? value : b.reshape(value, to: [regionCount, 1, 1])
    }
    let number = try b.add(Iota(wide, [1, Extent(bins), 1], axis: 1))
    let point = try b.binary(.add, b.add(Iota(wide, [1, 1, points], axis: 2)), 0.5)
    let corner = try b.binary(.add, column(start, &b), b.binary(.multiply, number, column(bin, &b)))
    let position = try b.binary(.add, corner, b.binary(.divide, b.binary(.multiply, point, column(bin, &b)), column(count, &b)))

    let length = try b.materialize(scalar: extent, wide)
    let last = try b.binary(.subtract, length, 1)
    let isInside = try b.binary(.and, b.compare(.greaterOrEqual, position, -1), b.compare(.lessOrEqual, position, length))
    let inner = try b.binary(.minimum, b.binary(.maximum, position, 0), last)
    let low = try b.unary(.floor, inner)
    let fraction = try b.binary(.subtract, inner, low)
    let zero = try b.scalar(0, wide)
    return Samples(
      low: try b.convert(low, to: .i64), high: try b.convert(b.binary(.minimum, b.binary(.add, low, 1), last), to: .i64),
      lowWeight: try b.select(isInside, b.binary(.subtract, b.scalar(1, wide), fraction), zero), highWeight: try b.select(isInside, fraction, zero),
      exists: exists, count: count, points: points)
  }

  // MARK: MaxRoiPool

  /// Maxima over bins with whole borders, first along rows, then along columns.
  private static func maxPool(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, regions) = (try call.input(0), try call.input(1))
    guard b.rank(x) == 4, b.rank(regions) == 2, b.shape(regions)[1] == 5, let pooled = try call.integers("pooled_shape"), pooled.count == 2,
      pooled.allSatisfy({ $0 >= 1 && $0 < 1 << 20 })
    else { throw b.refusal("MaxRoiPool of operands of these shapes", operands: [x, regions]) }
    let element = b.element(x)
    let scale = try call.number("spatial_scale", default: 1)
    let batch = try b.convert(b.select(regions, axis: 1, at: 0), to: .i64)
    let own = try b.add(Gather(axis: 0), x, batch)  // [regions, channels, height, width]
    let lowest = try b.scalar(-.infinity, element)
    let (count, channels) = (b.shape(regions)[0], b.shape(x)[1])
    let (height, width) = (b.shape(x)[2], b.shape(x)[3])

    let inRow = try b.reshape(members(regions, axis: 1, of: height, bins: pooled[0], scale, &b), to: [count, 1, Extent(pooled[0]), height, 1])
    let rows = try b.reduce(
      .maximum, b.select(inRow, b.reshape(own, to: [count, channels, 1, height, width]), lowest), axes: [3], keepsAxes: false)
    let inColumn = try b.reshape(members(regions, axis: 0, of: width, bins: pooled[1], scale, &b), to: [count, 1, 1, Extent(pooled[1]), width])
    let result = try b.reduce(
      .maximum, b.select(inColumn, b.reshape(rows, to: [count, channels, Extent(pooled[0]), 1, width]), lowest), axes: [4], keepsAxes: false)
    // A bin without an element gives 0.
    return [try b.select(b.compare(.equal, result, -.infinity), b.scalar(0, element), result)]
  }

  /// Which elements of an axis each bin covers: bool [regions, bins, extent].
  private static func members(
    _ regions: ValueID, axis: Int, of extent: Extent, bins: Int, _ scale: Double, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let wide = b.accumulator(b.element(regions))
    /// The nearest whole number, halves away from zero.
    func bound(_ column: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      let scaled = try b.binary(.multiply, b.convert(b.select(regions, axis: 1, at: Extent(column)), to: wide), scale)
      let whole = try b.unary(.floor, b.binary(.add, b.unary(.absolute, scaled), 0.5))
      return try b.reshape(b.binary(.multiply, whole, b.unary(.sign, scaled)), to: [b.shape(regions)[0], 1])
    }
    let start = try bound(axis + 1, &b)
    let size = try b.binary(.maximum, b.binary(.add, b.binary(.subtract, bound(axis + 3, &b), start), 1), 1)
    let bin = try b.binary(.divide, size, Double(bins))
    let number = try b.add(Iota(wide, [1, Extent(bins)], axis: 1))
    let first = try b.binary(.add, b.unary(.floor, b.binary(.multiply, number, bin)), start)
    let end = try b.binary(.add, b.unary(.ceiling, b.binary(.multiply, b.binary(.add, number, 1), bin)), start)
    let position = try b.add(Iota(wide, [1, 1, extent], axis: 2))
    return try b.binary(
      .and, b.compare(.greaterOrEqual, position, b.unsqueeze(first, axis: 2)), b.compare(.less, position, b.unsqueeze(end, axis: 2)))
  }
}
