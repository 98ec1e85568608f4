import GraphIR
import TensorTypes

/// Pooling as window reductions, and global pooling as reductions.
enum PoolingOperators {
  static let table: [String: OperatorImporter] = [
    "MaxPool": maxPool,
    "AveragePool": averagePool,
    "LpPool": lpPool,
    "GlobalAveragePool": { call, b throws(CompileError) in
      let x = try spatialInput(call, b)
      let element = b.element(x)
      let mean = try b.mean(b.convert(x, to: b.accumulator(element)), axes: Array(2..<b.rank(x)), keepsAxes: true)
      return [try b.convert(mean, to: element)]
    },
    "GlobalMaxPool": { call, b throws(CompileError) in
      let x = try spatialInput(call, b)
      return [try b.reduce(.maximum, x, axes: Array(2..<b.rank(x)), keepsAxes: true)]
    },
    "GlobalLpPool": { call, b throws(CompileError) in
      let x = try spatialInput(call, b)
      let p = try call.number("p", default: 2)
      let sum = try b.reduce(.sum, powers(x, p, &b), axes: Array(2..<b.rank(x)), keepsAxes: true)
      return [try roots(sum, p, &b)]
    },
  ]

  private static func spatialInput(_ call: OperatorCall, _ b: GraphBuilder) throws(CompileError) -> ValueID {
    let x = try call.input(0)
    guard b.rank(x) >= 3 else { throw b.refusal("\(call.name) needs at least one spatial axis", operands: [x]) }
    return x
  }

  private static func geometry(_ call: OperatorCall, _ x: ValueID, _ b: GraphBuilder) throws(CompileError) -> WindowGeometry {
    guard let size = try call.integers("kernel_shape"), size.count == b.rank(x) - 2 else {
      throw b.refusal("`kernel_shape` of \(call.name) must have one entry for each spatial axis", operands: [x])
    }
    return try WindowGeometry(call, size: size)
  }

  /// The window reduction, with the window widened by the batch and channel axes.
  private static func reduceWindow(
    _ reducer: Reducer, _ input: ValueID, _ geometry: WindowGeometry, neutral: Double, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    var x = input
    let spatial = try geometry.window(&x, spatial: Array(2..<b.rank(x)), neutral: neutral, &b)
    let window = Window(
      strides: [1, 1] + spatial.strides, padsLow: [0, 0] + spatial.padsLow, padsHigh: [0, 0] + spatial.padsHigh,
      dilations: [1, 1] + spatial.dilations)
    return try b.add(ReduceWindow(reducer, size: [1, 1] + geometry.size, window: window), x)
  }

  private static func maxPool(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try spatialInput(call, b)
    let geometry = try geometry(call, x, b)
    let lowest = b.element(x).integerRange.map { Double($0.lowerBound) } ?? -.infinity
    var results = [try reduceWindow(.maximum, x, geometry, neutral: lowest, &b)]
    if call.wantsOutput(1) {
      results.append(try UnpoolingOperators.maximumIndices(x, geometry, isColumnMajor: call.flag("storage_order"), &b))
    }
    return results
  }

  private static func averagePool(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try spatialInput(call, b)
    let element = b.element(x)
    let geometry = try geometry(call, x, b)
    let wide = try b.convert(x, to: b.accumulator(element))
    let sum = try reduceWindow(.sum, wide, geometry, neutral: 0, &b)
    let counts = try counts(wide, geometry, includesPadding: call.flag("count_include_pad"), &b)
    return [try b.convert(b.binary(.divide, sum, counts), to: element)]
  }

  /// How many elements each window covers: one number where all windows cover as many, else a tensor over the
  /// spatial axes, computed here if they are static.
  private static func counts(
    _ x: ValueID, _ geometry: WindowGeometry, includesPadding: Bool, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let element = b.element(x)
    let input = Array(b.shape(x).extents[2...])
    let padding = geometry.padding(input)
    let isWhole = input.indices.allSatisfy { axis in
      let reachesEnd = ((padding.output[axis] - 1) * Extent(geometry.strides[axis]) + Extent(geometry.reach(axis)))
      let room = input[axis] + padding.low[axis] + (includesPadding ? declaredHigh(geometry, padding.high[axis], axis) : 0)
      return (includesPadding || padding.low[axis] == 0) && room.isProvablyAtLeast(reachesEnd)
    }
    if isWhole { return try b.scalar(Double(geometry.size.reduce(1, *)), element) }
    if let extents = Shape(input).constants, let low = Shape(padding.low).constants, let high = Shape(padding.high).constants,
      let output = Shape(padding.output).constants, let total = elementCount(of: output), total <= 1 << 24
    {
      let axes = extents.indices.map { axis -> [Double] in
        let first = includesPadding ? -low[axis] : 0
        let last = includesPadding ? extents[axis] + (declaredHigh(geometry, Extent(high[axis]), axis).constant ?? 0) : extents[axis]
        return (0..<max(0, output[axis])).map { position in
          let start = position * geometry.strides[axis] - low[axis]
          return Double((0..<geometry.size[axis]).count { tap in (first..<max(first, last)).contains(start + tap * geometry.dilations[axis]) })
        }
      }
      var values = [1.0]
      for axis in axes { values = values.flatMap { outer in axis.map { outer * $0 } } }
      return try b.constant(Tensor(element, output, values))
    }
    // Symbolic: count by the same window over ones.
    let spatial = [1, 1] + input
    var ones = try b.broadcast(b.scalar(1, element), to: Shape(spatial))
    if includesPadding {
      let after = input.indices.map { declaredHigh(geometry, padding.high[$0], $0) }
      ones = try b.pad(ones, low: [0, 0] + padding.low, high: [0, 0] + after, value: 1)
      var rest = geometry
      (rest.autoPad, rest.isCeiling) = (.notSet, false)
      rest.low = rest.low.map { _ in 0 }
      guard let tail = Shape(zip(padding.high, after).map { $0 - $1 }).constants else {
        throw b.unsupported("AveragePool that counts padding and rounds up, along a symbolic axis", hint: "bind the axis with --dim")
      }
      rest.high = tail
      return try reduceWindow(.sum, ones, rest, neutral: 0, &b)
    }
    return try reduceWindow(.sum, ones, geometry, neutral: 0, &b)
  }

  /// The padding that counts as such: what `ceil_mode` adds behind it does not.
  private static func declaredHigh(_ geometry: WindowGeometry, _ high: Extent, _ axis: Int) -> Extent {
    geometry.autoPad == .notSet ? Extent(geometry.high[axis]) : high
  }

  private static func lpPool(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try spatialInput(call, b)
    let p = try call.number("p", default: 2)
    return [try roots(reduceWindow(.sum, powers(x, p, &b), geometry(call, x, b), neutral: 0, &b), p, &b)]
  }

  /// |x|^p.
  static func powers(_ x: ValueID, _ p: Double, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    if p == 2 { return try b.binary(.multiply, x, x) }
    let magnitude = try b.unary(.absolute, x)
    return p == 1 ? magnitude : try b.binary(.power, magnitude, p)
  }

  /// x^(1/p).
  static func roots(_ x: ValueID, _ p: Double, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    p == 1 ? x : p == 2 ? try b.unary(.squareRoot, x) : try b.binary(.power, x, 1 / p)
  }
}
