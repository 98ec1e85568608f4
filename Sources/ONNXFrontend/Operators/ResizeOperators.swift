import GraphIR
import TensorTypes

/// `Resize` and `Upsample`, axis by axis: whole-number repeats as broadcasts, everything else as weighted gathers.
enum ResizeOperators {
  static let table: [String: OperatorImporter] = [
    "Resize": resize, "Upsample": upsample,
    "ImageDecoder": { call, b throws(CompileError) in
      throw b.unsupported(
        "ImageDecoder is left out: image formats are read before the graph, not in it",
        hint: "cut the model behind ImageDecoder and give it pixels; `ingot run` and artifacts read JPEG and PNG files as inputs")
    },
  ]

  /// What one axis becomes.
  private struct Target {
    var axis: Int
    var output: Extent
    /// Output extent by input extent; nil where it depends on a symbol.
    var scale: Double?
    var region = 0.0...1.0
    /// True if `scale` is given and the output is rounded from it.
    var isScaled = false
  }

  private static func upsample(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    var resampling = Resampling()
    (resampling.coordinates, resampling.rounding) = (.asymmetric, .simple)
    resampling.mode = try mode(call)
    if call.opset >= 9, let computed = try computed(resampling, x, scales: call.input(1), axes: Array(0..<b.rank(x)), regions: nil, &b) { return [computed] }
    let scales = try call.opset < 9 ? call.numbers("scales") ?? [] : b.requireNumbers(call.input(1), "the scales")
    return [try apply(resampling, x, targets(scales: scales, axes: Array(0..<b.rank(x)), regions: nil, x, b), extrapolation: nil, &b)]
  }

  private static func mode(_ call: OperatorCall) throws(CompileError) -> Resampling.Mode {
    let text = try call.string("mode", default: "nearest")
    return text == "bilinear" ? .linear : try call.word("mode", default: Resampling.Mode.nearest)
  }

  private static func resize(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    var resampling = Resampling()
    resampling.mode = try mode(call)
    if call.opset < 11 {
      (resampling.coordinates, resampling.rounding) = (.asymmetric, .simple)
      if let computed = try computed(resampling, x, scales: call.input(1), axes: Array(0..<b.rank(x)), regions: nil, &b) { return [computed] }
      let scales = try b.requireNumbers(call.input(1), "the scales")
      return [try apply(resampling, x, targets(scales: scales, axes: Array(0..<b.rank(x)), regions: nil, x, b), extrapolation: nil, &b)]
    }
    resampling.coordinates = try call.word("coordinate_transformation_mode", default: .halfPixel)
    resampling.rounding = try call.word("nearest_mode", default: .preferFloor)
    resampling.cubicCoefficient = try call.number("cubic_coeff_a", default: -0.75)
    resampling.excludesOutside = try call.flag("exclude_outside")
    resampling.isAntialiased = try call.flag("antialias")
    let axes: [Int]
    if let given = try call.integers("axes") {
      var resolved: [Int] = []
      for axis in given { resolved.append(try call.axis(axis, rank: b.rank(x))) }
      guard Set(resolved).count == resolved.count else { throw b.refusal("Resize names an axis twice: \(given)", operands: [x]) }
      axes = resolved
    } else {
      axes = Array(0..<b.rank(x))
    }
    let isCrop = resampling.coordinates == .crop
    let extrapolation = isCrop ? try call.number("extrapolation_value", default: 0) : nil
    let policy = try call.string("keep_aspect_ratio_policy", default: "stretch")
    // An operand with no element stands for one that is left out.
    let scaling = call.optional(2).flatMap { b.shape($0).elementCount == 0 ? nil : $0 }
    let given = isCrop ? call.optional(1) : nil
    if let scaling {
      if let computed = try computed(resampling, x, scales: scaling, axes: axes, regions: given, extrapolation: extrapolation, &b) { return [computed] }
    } else {
      let sizes = try b.lengths(call.input(3), "the sizes")
      let isKnown = given.map { b.contents($0) != nil } ?? true
      let keepsRatio = policy != "stretch" && axes.contains { !b.shape(x)[$0].isConstant }
      if !isKnown || keepsRatio || sizes.contains(where: \.isComputed) {
        let targets = try ComputedResize.targets(sizes: sizes, axes: axes, regions: given, policy: policy, x, &b)
        return [try ComputedResize(resampling: resampling, extrapolation: extrapolation).apply(x, targets, &b)]
      }
    }
    let regions = try given.map { value throws(CompileError) in try b.requireNumbers(value, "the region") }
    let goals: [Target]
    if let scaling {
      goals = try targets(scales: b.requireNumbers(scaling, "the scales"), axes: axes, regions: regions, x, b)
    } else {
      goals = try targets(sizes: b.requireExtents(call.input(3), "the sizes"), axes: axes, regions: regions, policy: policy, x, b)
    }
    return [try apply(resampling, x, goals, extrapolation: extrapolation, &b)]
  }

  /// Resizing by scales where they are not known at import, or where an axis or its length is not and they are no simple fractions.
  private static func computed(
    _ resampling: Resampling, _ x: ValueID, scales: ValueID, axes: [Int], regions: ValueID?, extrapolation: Double? = nil, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID? {
    let isPlain = regions.map { b.contents($0) != nil } ?? true
    if isPlain, let numbers = b.contents(scales)?.elements.map(\.constant), numbers.count == axes.count {
      let isKnown = zip(axes, numbers).allSatisfy { axis, scale in
        guard let scale else { return false }
        if b.shape(x)[axis].isConstant || scale == 1 { return true }
        if regions == nil, case .extent = KnownElement(scale) { return true }
        return false
      }
      if isKnown { return nil }
    }
    let targets = try ComputedResize.targets(scales: scales, axes: axes, regions: regions, x, &b)
    return try ComputedResize(resampling: resampling, extrapolation: extrapolation).apply(x, targets, &b)
  }

  // MARK: Extents

  private static func region(_ regions: [Double]?, _ position: Int, count: Int, _ b: GraphBuilder) throws(CompileError) -> ClosedRange<Double> {
    guard let regions else { return 0...1 }
    guard regions.count == 2 * count, regions[position] <= regions[count + position] else { throw b.refusal("the region \(regions) of Resize") }
    return regions[position]...regions[count + position]
  }

  private static func targets(
    scales: [Double], axes: [Int], regions: [Double]?, _ x: ValueID, _ b: GraphBuilder
  ) throws(CompileError) -> [Target] {
    guard scales.count == axes.count else { throw b.refusal("\(scales.count) scales for \(axes.count) axes", operands: [x]) }
    var targets: [Target] = []
    for (position, axis) in axes.enumerated() {
      let (scale, extent) = (scales[position], b.shape(x)[axis])
      guard scale.isFinite, scale > 0 else { throw b.refusal("the scale \(scale)", operands: [x]) }
      let region = try region(regions, position, count: axes.count, b)
      var output = extent
      if let input = extent.constant {
        output = Extent(Int(clamping: (Double(input) * (region.upperBound - region.lowerBound) * scale).rounded(.down)))
      } else if scale != 1 || region != 0...1 {
        guard region == 0...1, case .extent(let numerator, let divisor) = KnownElement(scale) else {
          throw b.unsupported("Resize of a symbolic axis by \(scale)", operands: [x], hint: "bind the axis with --dim")
        }
        output = (extent * numerator).floorDivided(by: Extent(divisor))
      }
      targets.append(Target(axis: axis, output: output, scale: scale, region: region, isScaled: true))
    }
    return targets
  }

  private static func targets(
    sizes: [Extent], axes: [Int], regions: [Double]?, policy: String, _ x: ValueID, _ b: GraphBuilder
  ) throws(CompileError) -> [Target] {
    guard sizes.count == axes.count else { throw b.refusal("\(sizes.count) sizes for \(axes.count) axes", operands: [x]) }
    var targets: [Target] = []
    for (position, axis) in axes.enumerated() {
      let (size, extent) = (sizes[position], b.shape(x)[axis])
      var target = Target(axis: axis, output: size, region: try region(regions, position, count: axes.count, b))
      if let input = extent.constant, let output = size.constant {
        guard input > 0, output >= 0 else { throw b.refusal("Resize of \(input) to \(output) elements", operands: [x]) }
        target.scale = Double(output) / Double(input)
      } else if let factor = size.dividedExactly(by: extent)?.constant {
        target.scale = Double(factor)
      } else if let factor = extent.dividedExactly(by: size)?.constant {
        target.scale = 1 / Double(factor)
      }
      targets.append(target)
    }
    guard policy != "stretch" else { return targets }
    guard policy == "not_larger" || policy == "not_smaller" else { throw b.refusal("`keep_aspect_ratio_policy` is `\(printable(policy))`") }
    let scales = targets.compactMap(\.scale)
    guard scales.count == targets.count, let common = policy == "not_larger" ? scales.min() : scales.max() else {
      throw b.unsupported("Resize that keeps the aspect ratio of symbolic axes", operands: [x], hint: "bind the axes with --dim")
    }
    for position in targets.indices {
      guard let input = b.shape(x)[targets[position].axis].constant else { continue }
      targets[position].output = Extent(Int(clamping: (common * Double(input) + 0.5).rounded(.down)))
      (targets[position].scale, targets[position].isScaled) = (common, true)
    }
    return targets
  }

  // MARK: Elements

  private static func apply(
    _ resampling: Resampling, _ input: ValueID, _ targets: [Target], extrapolation: Double?, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    guard b.rank(input) >= 1 else { throw b.refusal("Resize of a scalar", operands: [input]) }
    var (x, rest) = (input, targets.filter { $0.output != b.shape(input)[$0.axis] || (resampling.coordinates == .crop && $0.region != 0...1) })
    let repeated = rest.filter { isRepeat(resampling, $0, b.shape(x)[$0.axis]) }
    if !repeated.isEmpty {
      x = try repeating(x, repeated, &b)
      rest.removeAll { target in repeated.contains { $0.axis == target.axis } }
    }
    for target in rest {
      if let length = b.shape(x)[target.axis].constant, let output = target.output.constant, let scale = target.scale {
        guard length > 0, output < 1 << 24 else { throw b.refusal("Resize of \(length) to \(output) elements", operands: [x]) }
        let exact = target.isScaled ? scale * Double(length) : Double(output)
        let axis = Resampling.Axis(input: length, output: output, scale: scale, region: target.region, exactOutput: exact)
        x = try gathered(x, target.axis, resampling.taps(axis), extrapolation, &b)
      } else {
        x = try dynamic(resampling, x, target, extrapolation, &b)
      }
    }
    return x
  }

  /// True if output element i is input element i / s for a whole number s.
  private static func isRepeat(_ resampling: Resampling, _ target: Target, _ input: Extent) -> Bool {
    guard resampling.mode == .nearest, let scale = target.scale, scale >= 2, scale == scale.rounded(), scale < 0x1p20,
      target.output == input * Extent(Int(scale))
    else { return false }
    switch resampling.coordinates {
    case .asymmetric: return resampling.rounding == .floor || resampling.rounding == .simple
    case .halfPixel, .symmetric: return resampling.rounding == .preferFloor || resampling.rounding == .preferCeiling
    case .halfPixelNearest: return resampling.rounding == .floor
    default: return false
    }
  }

  /// [n] as [n, 1] broadcast to [n, s], for all axes at once.
  private static func repeating(_ x: ValueID, _ targets: [Target], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var (spread, full, merged): ([Extent], [Extent], [Extent]) = ([], [], [])
    for (axis, extent) in b.shape(x).enumerated() {
      spread.append(extent)
      full.append(extent)
      merged.append(extent)
      if let target = targets.first(where: { $0.axis == axis }), let scale = target.scale {
        spread.append(1)
        full.append(Extent(Int(scale)))
        merged[axis] = target.output
      }
    }
    return try b.reshape(b.broadcast(b.reshape(x, to: Shape(spread)), to: Shape(full)), to: Shape(merged))
  }

  private static func gathered(
    _ x: ValueID, _ axis: Int, _ taps: Resampling.Taps, _ extrapolation: Double?, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let element = b.element(x)
    let count = taps.outside.count
    var result: ValueID
    if taps.count == 1 {
      result = try b.add(Gather(axis: axis), x, b.constant(Tensor(taps.indices)))
    } else {
      let wide = try b.convert(x, to: element.isFloatingPoint ? b.accumulator(element) : .f32)
      let sum = taps.count <= 4 ? try weighted(wide, axis, taps, count, &b) : try multiplied(wide, axis, taps, count, &b)
      result = try b.convert(element.isFloatingPoint ? sum : b.unary(.round, sum), to: element)
    }
    guard let extrapolation, taps.outside.contains(true) else { return result }
    let mask = try b.constant(Tensor(.bool, [count], taps.outside.map { $0 ? 1 : 0 }))
    return try b.select(b.alignedVector(mask, axis: axis, rank: b.rank(x)), b.scalar(extrapolation, element), result)
  }

  private static func weighted(_ x: ValueID, _ axis: Int, _ taps: Resampling.Taps, _ count: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var sum: ValueID?
    for tap in 0..<taps.count {
      let indices = (0..<count).map { taps.indices[$0 * taps.count + tap] }
      let weights = (0..<count).map { taps.weights[$0 * taps.count + tap] }
      if weights.allSatisfy({ $0 == 0 }) { continue }
      let part = try b.add(Gather(axis: axis), x, b.constant(Tensor(indices)))
      let factor = try b.constant(Tensor(b.element(x), [count], weights))
      let term = try b.binary(.multiply, part, b.alignedVector(factor, axis: axis, rank: b.rank(x)))
      sum = try sum.map { total throws(CompileError) in try b.binary(.add, total, term) } ?? term
    }
    guard let sum else { throw b.refusal("Resize without any weight", operands: [x]) }
    return sum
  }

  /// Many taps are a product with a matrix [input, output].
  private static func multiplied(_ x: ValueID, _ axis: Int, _ taps: Resampling.Taps, _ count: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard let length = b.shape(x)[axis].constant, let size = elementCount(of: [length, count]), size <= 1 << 26 else {
      throw b.unsupported("Resize with antialiasing of so many elements", operands: [x])
    }
    var matrix = [Double](repeating: 0, count: size)
    for (position, index) in taps.indices.enumerated() { matrix[index * count + position / taps.count] += taps.weights[position] }
    let others = (0..<b.rank(x)).filter { $0 != axis }
    let last = try b.transpose(x, others + [axis])
    let product = try MatrixOperators.product(last, b.constant(Tensor(b.element(x), [length, count], matrix)), &b)
    return try b.transpose(product, Array(0..<axis) + [others.count] + Array(axis..<others.count))
  }

  // MARK: Symbolic axes

  /// The same with indices and weights computed at run time, in f32.
  private static func dynamic(
    _ resampling: Resampling, _ x: ValueID, _ target: Target, _ extrapolation: Double?, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let axis = target.axis
    let isPlain = [.halfPixel, .pytorch, .asymmetric, .alignCorners].contains(resampling.coordinates)
    guard resampling.mode != .cubic, isPlain, !resampling.isAntialiased, !resampling.excludesOutside, b.element(x).isFloatingPoint || resampling.mode == .nearest
    else {
      let input = try b.materialize(scalar: b.shape(x)[axis], .f64)
      let output = try b.materialize(scalar: target.output, .f64)
      let scale: ValueID
      if let known = target.scale { scale = try b.scalar(known, .f64) } else { scale = try b.binary(.divide, output, input) }
      let exact = target.isScaled ? try b.binary(.multiply, input, scale) : output
      let region = try (b.scalar(target.region.lowerBound, .f64), b.scalar(target.region.upperBound, .f64))
      let computed = ComputedResize.Target(axis: axis, output: .known(target.output), scale: scale, exactOutput: exact, region: region)
      return try ComputedResize(resampling: resampling, extrapolation: extrapolation).apply(x, [computed], &b)
    }
    let input = b.shape(x)[axis]
    func number(_ extent: Extent, _ b: inout GraphBuilder) throws(CompileError) -> ValueID { try b.convert(b.materialize(scalar: extent, .i64), to: .f32) }
    let position = try b.add(Iota(.f32, [target.output], axis: 0))
    let ratio: ValueID  // Input elements per output element.
    if resampling.coordinates == .alignCorners {
      ratio = try b.binary(.divide, number(input - 1, &b), number(.greatest(target.output - 1, 1), &b))
    } else if let scale = target.scale {
      ratio = try b.scalar(1 / scale, .f32)
    } else {
      ratio = try b.binary(.divide, number(input, &b), number(target.output, &b))
    }
    let isHalf = resampling.coordinates == .halfPixel || resampling.coordinates == .pytorch
    let moved = try isHalf ? b.binary(.add, position, 0.5) : position
    var coordinate = try b.binary(.multiply, moved, ratio)
    if isHalf { coordinate = try b.binary(.subtract, coordinate, 0.5) }
    let last = try number(input - 1, &b)
    func index(_ value: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      try b.convert(b.binary(.minimum, b.binary(.maximum, value, 0), last), to: .i64)
    }
    if resampling.mode == .nearest {
      let nearest: ValueID
      switch resampling.rounding {
      case .preferFloor: nearest = try b.unary(.ceiling, b.binary(.subtract, coordinate, 0.5))
      case .preferCeiling: nearest = try b.unary(.floor, b.binary(.add, coordinate, 0.5))
      case .ceiling: nearest = try b.unary(.ceiling, coordinate)
      case .floor, .simple: nearest = try b.unary(.floor, coordinate)
      }
      return try b.add(Gather(axis: axis), x, index(nearest, &b))
    }
    let whole = try b.unary(.floor, coordinate)
    let fraction = try b.alignedVector(b.convert(b.binary(.subtract, coordinate, whole), to: b.element(x)), axis: axis, rank: b.rank(x))
    let low = try b.add(Gather(axis: axis), x, index(whole, &b))
    let high = try b.add(Gather(axis: axis), x, index(b.binary(.add, whole, 1), &b))
    return try b.binary(.add, low, b.binary(.multiply, b.binary(.subtract, high, low), fraction))
  }
}
