import GraphIR
import TensorTypes

/// `Resize` where lengths, scales or the region are only known when the model runs: positions and weights are computed, in f64 as
/// `Resampling` does it at import.
struct ComputedResize {
  let resampling: Resampling
  let extrapolation: Double?

  /// What one axis becomes; the numbers are f64 scalars.
  struct Target {
    var axis: Int
    var output: Length
    var scale: ValueID
    /// The output extent before rounding.
    var exactOutput: ValueID
    /// The part of the input that `tf_crop_and_resize` looks at.
    var region: (start: ValueID, end: ValueID)?
  }

  // MARK: Targets

  /// One number of a vector as an f64 scalar.
  static func number(_ vector: ValueID, _ position: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try b.convert(b.select(vector, axis: 0, at: Extent(position)), to: .f64)
  }

  private static func region(_ regions: ValueID?, _ position: Int, count: Int, _ b: inout GraphBuilder) throws(CompileError) -> (start: ValueID, end: ValueID)? {
    guard let regions else { return nil }
    guard b.shape(regions) == [Extent(2 * count)] else { throw b.refusal("a region of \(b.shape(regions)) for \(count) axes", operands: [regions]) }
    return (try number(regions, position, &b), try number(regions, count + position, &b))
  }

  static func targets(
    scales: ValueID, axes: [Int], regions: ValueID?, _ x: ValueID, _ b: inout GraphBuilder
  ) throws(CompileError) -> [Target] {
    guard b.shape(scales) == [Extent(axes.count)] else { throw b.refusal("scales \(b.shape(scales)) for \(axes.count) axes", operands: [x, scales]) }
    var targets: [Target] = []
    for (position, axis) in axes.enumerated() {
      let scale = try number(scales, position, &b)
      let exact = try b.binary(.multiply, b.materialize(scalar: b.shape(x)[axis], .f64), scale)
      let region = try region(regions, position, count: axes.count, &b)
      var size = exact
      if let region { size = try b.binary(.multiply, size, b.binary(.subtract, region.end, region.start)) }
      let output = try b.convert(b.unary(.floor, size), to: .i64)
      targets.append(Target(axis: axis, output: .computed(output), scale: scale, exactOutput: exact, region: region))
    }
    return targets
  }

  static func targets(
    sizes: [Length], axes: [Int], regions: ValueID?, policy: String, _ x: ValueID, _ b: inout GraphBuilder
  ) throws(CompileError) -> [Target] {
    guard sizes.count == axes.count else { throw b.refusal("\(sizes.count) sizes for \(axes.count) axes", operands: [x]) }
    var targets: [Target] = []
    for (position, axis) in axes.enumerated() {
      let size = try b.convert(b.scalar(sizes[position]), to: .f64)
      let scale = try b.binary(.divide, size, b.materialize(scalar: b.shape(x)[axis], .f64))
      let region = try region(regions, position, count: axes.count, &b)
      targets.append(Target(axis: axis, output: sizes[position], scale: scale, exactOutput: size, region: region))
    }
    if policy == "stretch" { return targets }
    guard policy == "not_larger" || policy == "not_smaller" else { throw b.refusal("`keep_aspect_ratio_policy` is `\(printable(policy))`") }
    guard var common = targets.first?.scale else { return targets }
    for target in targets.dropFirst() { common = try b.binary(policy == "not_larger" ? .minimum : .maximum, common, target.scale) }
    for position in targets.indices {
      let exact = try b.binary(.multiply, b.materialize(scalar: b.shape(x)[targets[position].axis], .f64), common)
      targets[position].output = .computed(try b.convert(b.unary(.floor, b.binary(.add, exact, 0.5)), to: .i64))
      (targets[position].scale, targets[position].exactOutput) = (common, exact)
    }
    return targets
  }

  // MARK: Elements

  func apply(_ input: ValueID, _ targets: [Target], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard b.rank(input) >= 1 else { throw b.refusal("Resize of a scalar", operands: [input]) }
    let outputs = try b.measured(targets.map(\.output))
    var x = input
    for (target, output) in zip(targets, outputs) { x = try resampled(x, target, output, &b) }
    return x
  }

  private func resampled(_ x: ValueID, _ target: Target, _ output: Extent, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let (axis, element) = (target.axis, b.element(x))
    let last = try b.materialize(scalar: b.shape(x)[axis] - 1, .f64)
    let place = try coordinates(x, target, output, last, &b)
    var result: ValueID
    if resampling.mode == .nearest {
      result = try b.add(Gather(axis: axis), x, index(nearest(place, target.scale, &b), last, &b))
    } else {
      let wide = try b.convert(x, to: element.isFloatingPoint ? b.accumulator(element) : .f32)
      let sum = resampling.isAntialiased ? try smoothed(wide, place, target, last, &b) : try weighted(wide, place, axis, last, &b)
      result = try b.convert(element.isFloatingPoint ? sum : b.unary(.round, sum), to: element)
    }
    guard let extrapolation else { return result }
    let isOutside = try b.binary(.or, b.compare(.less, place, 0), b.compare(.greater, place, last))
    result = try b.select(b.alignedVector(isOutside, axis: axis, rank: b.rank(x)), b.scalar(extrapolation, element), result)
    return result
  }

  /// Where each output element lies in the input, f64 [output].
  private func coordinates(_ x: ValueID, _ target: Target, _ output: Extent, _ last: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let position = try b.add(Iota(.f64, [output], axis: 0))
    let size = try b.materialize(scalar: output, .f64)
    let centered = { (b: inout GraphBuilder) throws(CompileError) in try b.binary(.divide, b.binary(.add, position, 0.5), target.scale) }
    let isSingle = try b.compare(.equal, size, 1)
    switch resampling.coordinates {
    case .halfPixel: return try b.binary(.subtract, centered(&b), 0.5)
    case .symmetric:
      let input = try b.materialize(scalar: b.shape(x)[target.axis], .f64)
      let rest = try b.binary(.subtract, b.scalar(1, .f64), b.binary(.divide, size, target.exactOutput))
      return try b.binary(.add, b.binary(.multiply, b.binary(.multiply, input, 0.5), rest), b.binary(.subtract, centered(&b), 0.5))
    case .pytorch: return try b.select(isSingle, b.scalar(-0.5, .f64), b.binary(.subtract, centered(&b), 0.5))
    case .alignCorners:
      let steps = try b.select(isSingle, b.scalar(1, .f64), b.binary(.subtract, target.exactOutput, 1))
      return try b.select(isSingle, b.scalar(0, .f64), b.binary(.divide, b.binary(.multiply, position, last), steps))
    case .asymmetric: return try b.binary(.divide, position, target.scale)
    case .halfPixelNearest: return try centered(&b)
    case .crop:
      var (start, end) = (try b.scalar(0, .f64), try b.scalar(1, .f64))
      if let region = target.region { (start, end) = region }
      let middle = try b.binary(.multiply, b.binary(.multiply, b.binary(.add, start, end), last), 0.5)
      let steps = try b.select(isSingle, b.scalar(1, .f64), b.binary(.subtract, size, 1))
      let stride = try b.binary(.divide, b.binary(.multiply, b.binary(.subtract, end, start), last), steps)
      return try b.select(isSingle, middle, b.binary(.add, b.binary(.multiply, position, stride), b.binary(.multiply, start, last)))
    }
  }

  private func nearest(_ place: ValueID, _ scale: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    switch resampling.rounding {
    case .preferFloor: try b.unary(.ceiling, b.binary(.subtract, place, 0.5))
    case .preferCeiling: try b.unary(.floor, b.binary(.add, place, 0.5))
    case .floor: try b.unary(.floor, place)
    case .ceiling: try b.unary(.ceiling, place)
    case .simple: try b.select(b.compare(.less, scale, 1), b.unary(.ceiling, place), b.unary(.floor, place))
    }
  }

  private func index(_ place: ValueID, _ last: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try b.convert(b.binary(.minimum, b.binary(.maximum, place, 0), last), to: .i64)
  }

  /// The weight of an element at a distance.
  private func weight(_ distance: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let x = try b.unary(.absolute, distance)
    if resampling.mode == .linear { return try b.binary(.maximum, b.binary(.subtract, b.scalar(1, like: x), x), 0) }
    let a = resampling.cubicCoefficient
    func polynomial(_ coefficients: [Double], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      var value = try b.scalar(coefficients[0], like: x)
      for coefficient in coefficients.dropFirst() { value = try b.binary(.add, b.binary(.multiply, value, x), coefficient) }
      return value
    }
    let far = try b.select(b.compare(.less, x, 2), polynomial([a, -5 * a, 8 * a, -4 * a], &b), b.scalar(0, .f64))
    return try b.select(b.compare(.lessOrEqual, x, 1), polynomial([a + 2, -(a + 3), 0, 1], &b), far)
  }

  /// Weights of elements that lie outside of the input are 0 where the model wants that.
  private func inside(_ weight: ValueID, _ whole: ValueID, _ last: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard resampling.excludesOutside else { return weight }
    let isOutside = try b.binary(.or, b.compare(.less, whole, 0), b.compare(.greater, whole, last))
    return try b.select(isOutside, b.scalar(0, .f64), weight)
  }

  /// A sum over two or four neighbours.
  private func weighted(_ x: ValueID, _ place: ValueID, _ axis: Int, _ last: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let floor = try b.unary(.floor, place)
    let ratio = try b.binary(.subtract, place, floor)
    var wholes: [ValueID] = [], weights: [ValueID] = []
    for tap in resampling.mode == .linear ? [0, 1] : [-1, 0, 1, 2] {
      let whole = try b.binary(.add, floor, Double(tap))
      let distance = try b.binary(.subtract, b.scalar(Double(tap), like: ratio), ratio)
      wholes.append(whole)
      weights.append(try inside(weight(distance, &b), whole, last, &b))
    }
    var total: ValueID?
    if resampling.excludesOutside {
      for weight in weights { total = try total.map { sum throws(CompileError) in try b.binary(.add, sum, weight) } ?? weight }
    }
    var result: ValueID?
    for (whole, weight) in zip(wholes, weights) {
      let factor = try total.map { total throws(CompileError) in try b.binary(.divide, weight, total) } ?? weight
      let part = try b.add(Gather(axis: axis), x, index(whole, last, &b))
      let term = try b.binary(.multiply, part, b.alignedVector(b.convert(factor, to: b.element(x)), axis: axis, rank: b.rank(x)))
      result = try result.map { sum throws(CompileError) in try b.binary(.add, sum, term) } ?? term
    }
    guard let result else { throw b.refusal("Resize without any weight", operands: [x]) }
    return result
  }

  /// With antialiasing the number of neighbours depends on the scale: a product with a matrix of weights, over the input and as much of its
  /// repeated border as any output element reaches.
  private func smoothed(_ x: ValueID, _ place: ValueID, _ target: Target, _ last: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let axis = target.axis
    let shrink = try b.binary(.minimum, target.scale, 1)
    let reach = try b.unary(.ceiling, b.binary(.divide, b.scalar(resampling.mode == .linear ? 1 : 2, .f64), shrink))
    let border = try b.measured(.computed(b.convert(b.binary(.add, reach, 1), to: .i64)))
    let count = b.shape(x)[axis] + border * 2
    let whole = try b.binary(.subtract, b.add(Iota(.f64, [count], axis: 0)), b.materialize(scalar: border, .f64))
    let (rows, columns) = (try b.unsqueeze(place, axis: 1), try b.unsqueeze(whole, axis: 0))
    let distance = try b.binary(.multiply, b.binary(.subtract, columns, rows), shrink)
    let weights = try inside(weight(distance, &b), b.broadcast(columns, to: b.shape(distance)), last, &b)
    let normalized = try b.binary(.divide, weights, b.reduce(.sum, weights, axes: [1], keepsAxes: true))
    let spread = try b.add(Gather(axis: axis), x, index(whole, last, &b))
    let others = (0..<b.rank(x)).filter { $0 != axis }
    let matrix = try b.transpose(b.convert(normalized, to: b.element(x)), [1, 0])
    let product = try MatrixOperators.product(b.transpose(spread, others + [axis]), matrix, &b)
    return try b.transpose(product, Array(0..<axis) + [others.count] + Array(axis..<others.count))
  }
}
