import GraphIR
import TensorTypes

/// Normalisations. Softmax, layer norm and RMS norm stay recognisable as composites; their sums are taken in f32 at least.
enum NormalizationOperators {
  static let table: [String: OperatorImporter] = [
    "Softmax": { call, b throws(CompileError) in [try softmax(call, isLogarithmic: false, &b)] },
    "LogSoftmax": { call, b throws(CompileError) in [try softmax(call, isLogarithmic: true, &b)] },
    "Hardmax": hardmax,
    "BatchNormalization": batchNormalization,
    "InstanceNormalization": instanceNormalization,
    "GroupNormalization": groupNormalization,
    "LayerNormalization": layerNormalization,
    "RMSNormalization": rootMeanSquareNormalization,
    "LpNormalization": lpNormalization,
    "LRN": localResponseNormalization,
    "MeanVarianceNormalization": meanVarianceNormalization,
  ]

  // MARK: Softmax

  /// Before opset 13 all axes from `axis` on were one.
  private static func overLastAxis(
    _ call: OperatorCall, _ b: inout GraphBuilder, _ body: (inout GraphBuilder, ValueID, Int) throws(CompileError) -> ValueID
  ) throws(CompileError) -> ValueID {
    let x = try call.input(0)
    let shape = b.shape(x)
    guard call.opset < 13 else {
      return try body(&b, x, call.axis(call.integer("axis", default: -1), rank: shape.rank))
    }
    let axis = try call.axis(call.integer("axis", default: 1), rank: shape.rank)
    let joined = shape[axis...].reduce(Extent(1)) { $0 * $1 }
    let flat = try b.reshape(x, to: Shape(Array(shape[..<axis]) + [joined]))
    return try b.reshape(body(&b, flat, axis), to: shape)
  }

  private static func softmax(_ call: OperatorCall, isLogarithmic: Bool, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try overLastAxis(call, &b) { b, x, axis throws(CompileError) in try softmax(x, axis: axis, isLogarithmic: isLogarithmic, &b) }
  }

  static func softmax(_ x: ValueID, axis: Int, isLogarithmic: Bool = false, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var details = Attributes()
    details.set("axis", .integer(axis))
    let results = try b.composite(isLogarithmic ? "log_softmax" : "softmax", [x], details: details) { b, inputs throws(CompileError) in
      [try softmaxBody(inputs[0], axis: axis, isLogarithmic: isLogarithmic, &b)]
    }
    return results[0]
  }

  /// The arithmetic of softmax, for use inside of a composite.
  static func softmaxBody(_ input: ValueID, axis: Int, isLogarithmic: Bool, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let element = b.element(input)
    let x = try b.convert(input, to: b.accumulator(element))
    let shifted = try b.binary(.subtract, x, b.reduce(.maximum, x, axes: [axis], keepsAxes: true))
    let exponentials = try b.unary(.exponential, shifted)
    let sum = try b.reduce(.sum, exponentials, axes: [axis], keepsAxes: true)
    let result = isLogarithmic ? try b.binary(.subtract, shifted, b.unary(.logarithm, sum)) : try b.binary(.divide, exponentials, sum)
    return try b.convert(result, to: element)
  }

  private static func hardmax(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let result = try overLastAxis(call, &b) { b, x, axis throws(CompileError) in
      let best = try b.unsqueeze(b.add(ArgReduce(.max, axis: axis), x), axis: axis)
      let index = try b.add(Iota(.i64, b.shape(x), axis: axis))
      return try b.convert(b.compare(.equal, index, best), to: b.element(x))
    }
    return [result]
  }

  // MARK: Statistics

  /// (x - mean) / sqrt(variance + epsilon) over some axes, with the mean and the inverse deviation.
  private static func normalized(
    _ x: ValueID, axes: [Int], epsilon: Double, _ b: inout GraphBuilder
  ) throws(CompileError) -> (result: ValueID, mean: ValueID, inverse: ValueID) {
    let mean = try b.mean(x, axes: axes, keepsAxes: true)
    let centered = try b.binary(.subtract, x, mean)
    let variance = try b.mean(b.binary(.multiply, centered, centered), axes: axes, keepsAxes: true)
    let inverse = try b.unary(.reciprocal, b.unary(.squareRoot, b.binary(.add, variance, epsilon)))
    return (try b.binary(.multiply, centered, inverse), mean, inverse)
  }

  private static func details(_ axis: Int, _ epsilon: Double) -> Attributes {
    var details = Attributes()
    details.set("axis", .integer(axis))
    details.set("epsilon", .number(epsilon))
    return details
  }

  /// Layer norm over all axes from `axis` on. `parameters` are the scale and the shift, either or both absent.
  static func layerNorm(
    _ x: ValueID, scale: ValueID?, shift: ValueID?, axis: Int, epsilon: Double, wantsStatistics: Bool = false, _ b: inout GraphBuilder
  ) throws(CompileError) -> [ValueID] {
    try b.composite("layer_norm", [x] + [scale, shift].compactMap { $0 }, details: details(axis, epsilon)) { b, inputs throws(CompileError) in
      let element = b.element(inputs[0])
      let wide = try b.convert(inputs[0], to: b.accumulator(element))
      let (normal, mean, inverse) = try normalized(wide, axes: Array(axis..<b.rank(wide)), epsilon: epsilon, &b)
      var result = try b.convert(normal, to: element)
      var next = 1
      if scale != nil {
        result = try b.binary(.multiply, result, inputs[next])
        next += 1
      }
      if shift != nil { result = try b.binary(.add, result, inputs[next]) }
      return wantsStatistics ? [result, mean, inverse] : [result]
    }
  }

  private static func layerNormalization(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axis = try call.axis(call.integer("axis", default: -1), rank: b.rank(x))
    return try layerNorm(
      x, scale: try call.input(1), shift: call.optional(2), axis: axis, epsilon: try call.number("epsilon", default: 1e-5),
      wantsStatistics: call.wantsOutput(1) || call.wantsOutput(2), &b)
  }

  private static func rootMeanSquareNormalization(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axis = try call.axis(call.integer("axis", default: -1), rank: b.rank(x))
    return [try rmsNorm(x, scale: try call.input(1), axis: axis, epsilon: try call.number("epsilon", default: 1e-5), &b)]
  }

  static func rmsNorm(_ x: ValueID, scale: ValueID, axis: Int, epsilon: Double, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let results = try b.composite("rms_norm", [x, scale], details: details(axis, epsilon)) { b, inputs throws(CompileError) in
      let element = b.element(inputs[0])
      let wide = try b.convert(inputs[0], to: b.accumulator(element))
      let square = try b.mean(b.binary(.multiply, wide, wide), axes: Array(axis..<b.rank(wide)), keepsAxes: true)
      let inverse = try b.unary(.reciprocal, b.unary(.squareRoot, b.binary(.add, square, epsilon)))
      let normal = try b.convert(b.binary(.multiply, wide, inverse), to: element)
      return [try b.binary(.multiply, normal, b.convert(inputs[1], to: element))]
    }
    return results[0]
  }

  private static func instanceNormalization(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, scale, shift) = (try call.input(0), try call.input(1), try call.input(2))
    guard b.rank(x) >= 3 else { throw b.refusal("InstanceNormalization needs a spatial axis", operands: [x]) }
    let normal = try layerNorm(x, scale: nil, shift: nil, axis: 2, epsilon: call.number("epsilon", default: 1e-5), &b)[0]
    return [try perChannel(normal, scale, shift, &b)]
  }

  /// x * scale + shift with one of each for each channel.
  private static func perChannel(_ x: ValueID, _ scale: ValueID, _ shift: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let scaled = try b.binary(.multiply, x, b.alignedVector(scale, axis: 1, rank: b.rank(x)))
    return try b.binary(.add, scaled, b.alignedVector(shift, axis: 1, rank: b.rank(x)))
  }

  /// Scale and shift belong to groups in opset 18 and to channels since 21.
  private static func groupNormalization(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, scale, shift) = (try call.input(0), try call.input(1), try call.input(2))
    let groups = try call.integer("num_groups")
    let shape = b.shape(x)
    guard shape.rank >= 2, groups >= 1, let channels = shape[1].constant, channels % groups == 0 else {
      throw b.refusal("GroupNormalization with \(groups) groups", operands: [x, scale, shift])
    }
    let grouped = try b.reshape(x, to: Shape([shape[0], Extent(groups), Extent(channels / groups)] + shape[2...]))
    let normal = try layerNorm(grouped, scale: nil, shift: nil, axis: 2, epsilon: call.number("epsilon", default: 1e-5), &b)[0]
    if call.opset < 21 { return [try b.reshape(perChannel(normal, scale, shift, &b), to: shape)] }
    return [try perChannel(b.reshape(normal, to: shape), scale, shift, &b)]
  }

  // MARK: Batch normalisation

  /// At inference x * s + t for each channel, with s = scale / sqrt(variance + epsilon) and t = shift - mean * s;
  /// both are constants once constants are folded.
  private static func batchNormalization(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let element = b.element(x)
    guard b.rank(x) >= 2 else { throw b.refusal("BatchNormalization needs a channel axis", operands: [x]) }
    let epsilon = try call.number("epsilon", default: 1e-5)
    let accumulator = b.accumulator(element)
    var (scale, shift) = (try b.convert(call.input(1), to: accumulator), try b.convert(call.input(2), to: accumulator))
    var (mean, variance) = (try b.convert(call.input(3), to: accumulator), try b.convert(call.input(4), to: accumulator))
    var running: [ValueID] = []
    if try call.flag("training_mode") {
      let axes = [0] + Array(2..<b.rank(x))
      let wide = try b.convert(x, to: accumulator)
      let average = try b.mean(wide, axes: axes, keepsAxes: false)
      let centered = try b.binary(.subtract, wide, b.alignedVector(average, axis: 1, rank: b.rank(x)))
      let spread = try b.mean(b.binary(.multiply, centered, centered), axes: axes, keepsAxes: false)
      let momentum = try call.number("momentum", default: 0.9)
      for (position, (old, new)) in [(mean, average), (variance, spread)].enumerated() {
        let mixed = try b.binary(.add, b.binary(.multiply, old, momentum), b.binary(.multiply, new, 1 - momentum))
        running.append(try b.convert(mixed, to: b.element(call.input(3 + position))))
      }
      (mean, variance) = (average, spread)
    } else if call.opset < 7, !(try call.flag("is_test")), call.wantsOutput(1) {
      throw b.unsupported("BatchNormalization in training mode", hint: "export the model for inference")
    }
    if call.opset < 9, !(try call.flag("spatial", default: true)) {
      // A scale, a shift, a mean and a variance for each element of an image.
      let inverse = try b.unary(.reciprocal, b.unary(.squareRoot, b.binary(.add, variance, epsilon)))
      let normal = try b.binary(.multiply, b.binary(.subtract, b.convert(x, to: accumulator), mean), inverse)
      return [try b.convert(b.binary(.add, b.binary(.multiply, normal, scale), shift), to: element)]
    }
    scale = try b.binary(.divide, scale, b.unary(.squareRoot, b.binary(.add, variance, epsilon)))
    shift = try b.binary(.subtract, shift, b.binary(.multiply, mean, scale))
    let result = try perChannel(x, b.convert(scale, to: element), b.convert(shift, to: element), &b)
    return [result] + running
  }

  // MARK: Others

  private static func lpNormalization(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axis = try call.axis(call.integer("axis", default: -1), rank: b.rank(x))
    let p = Double(try call.integer("p", default: 2))
    let sum = try b.reduce(.sum, PoolingOperators.powers(x, p, &b), axes: [axis], keepsAxes: true)
    let norm = try PoolingOperators.roots(sum, p, &b)
    return [try b.binary(.divide, x, b.select(b.compare(.equal, norm, 0), b.scalar(1, b.element(x)), norm))]
  }

  /// x / (bias + alpha / size * sum of squares over neighbouring channels)^beta.
  private static func localResponseNormalization(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let size = try call.integer("size")
    let rank = b.rank(x)
    guard rank >= 2, size >= 1, size < 1 << 30 else { throw b.refusal("LRN over \(size) channels", operands: [x]) }
    var (sizes, low, high) = ([Int](repeating: 1, count: rank), [Int](repeating: 0, count: rank), [Int](repeating: 0, count: rank))
    (low[1], high[1]) = ((size - 1) / 2, size / 2)
    if let channels = b.shape(x)[1].constant {
      // Beyond the first and last channel there is nothing to sum.
      (low[1], high[1]) = (min(low[1], max(channels - 1, 0)), min(high[1], max(channels - 1, 0)))
    }
    sizes[1] = low[1] + high[1] + 1
    let ones = [Int](repeating: 1, count: rank)
    let window = Window(strides: ones, padsLow: low, padsHigh: high, dilations: ones)
    let sum = try b.add(ReduceWindow(.sum, size: sizes, window: window), b.binary(.multiply, x, x))
    let scaled = try b.binary(.multiply, sum, call.number("alpha", default: 0.0001) / Double(size))
    let base = try b.binary(.add, scaled, call.number("bias", default: 1))
    return [try b.binary(.divide, x, b.binary(.power, base, call.number("beta", default: 0.75)))]
  }

  private static func meanVarianceNormalization(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axes = try call.axes(call.integers("axes") ?? [0, 2, 3], rank: b.rank(x))
    let centered = try b.binary(.subtract, x, b.mean(x, axes: axes, keepsAxes: true))
    let variance = try b.mean(b.binary(.multiply, centered, centered), axes: axes, keepsAxes: true)
    return [try b.binary(.divide, centered, b.binary(.add, b.unary(.squareRoot, variance), 1e-9))]
  }
}
