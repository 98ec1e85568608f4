import GraphIR
import TensorTypes

/// Gives contractions of dequantised operands the bytes themselves.
///
///     %x = composite %q, %s, %z {name = dequantize_linear} : f32[128,768]
///     %w = composite %c, %t {name = dequantize_linear, axis = 1} : f32[768,3072]
///     %y = dot %x, %w : f32[128,3072]
/// ->
///     %d = dot %q, %c {result = i32} : i32[128,3072]
///     %e = add %d, -%z * sums of the columns of %c
///     %y = mul (convert %e {to = f32}), %s * %t
///
/// Bias, activation, residual and quantisation behind it are elementwise and become part of its kernel, so that values between
/// kernels are bytes in memory. Also sums of whole numbers, as the importer writes for `MatMulInteger` and `QLinearConv`; scale and zero
/// point of the left operand may be computed when run (`DynamicQuantizeLinear`). So may the right operand be (`IntegerProduct`). Machines multiply u8 by i8: signed inputs get 128 added where they are
/// quantised, or in a copy; weights that need more than 8 bits without their zero point keep an offset, which is multiplied by the sum of the inputs. Padding is the zero point, and channels are padded to a multiple of four.
///
/// Numerics: the sum is exact, where one of f32 is rounded after each product; it is converted and scaled by one rounding each.
public let chooseIntegerContractions = rewrite(
  "integer-contractions", "Multiplies the bytes of quantized operands, and scales the sum.",
  [
    .on(Dot.self) { match, rewriter throws(TypeError) in
      let outputs = rewriter.type(of: match[1]).rank - 1
      var reason: String?, other: String?
      if let plan = try IntegerContraction(match.node, outputs: outputs, &rewriter, reason: &reason) { return .replaced(with: try plan.dot(&rewriter)) }
      if let product = try IntegerProduct(match.node, mostSteps: IntegerContraction.mostSteps, &rewriter, reason: &other) { return .replaced(with: try product.dot(&rewriter)) }
      IntegerContraction.explain(match.node, reason, other, &rewriter)
      return .unchanged
    },
    .on(Convolution.self) { match, rewriter throws(TypeError) in
      let outputs = match.operation.filterAxes(rank: rewriter.type(of: match[1]).rank).output
      var reason: String?
      if let plan = try IntegerContraction(match.node, outputs: outputs, &rewriter, reason: &reason) { return .replaced(with: try plan.convolution(match.operation, &rewriter)) }
      IntegerContraction.explain(match.node, reason, nil, &rewriter)
      return .unchanged
    },
    .on(Composite.self) { match, rewriter throws(TypeError) in
      // All readers of a value change from i8 to u8, or it would be written twice.
      guard let found = DequantizedValue(match.result, in: rewriter.graph), found.granularity == .tensor, rewriter.type(of: found.quantized).element == .i8,
        rewriter.type(of: match.result).element == .f32, found.zero.map({ rewriter.type(of: $0).element == .i8 && rewriter.graph.splat($0) != nil }) ?? true, let bytes = try rewriter.unsignedSource(found.quantized)
      else { return .unchanged }
      let zero = 128 + (found.zero.flatMap { rewriter.graph.splat($0) } ?? 0)
      let shifted = try rewriter.constant(Tensor(.u8, rewriter.type(of: found.scale).shape.constants ?? [], [zero]))
      return .replaced(with: try rewriter.dequantizeLinear(bytes, scale: found.scale, zero: shifted))
    },
  ])

/// A contraction whose operands are bytes.
private struct IntegerContraction {
  let left: IntegerActivation
  let weights: IntegerWeights

  /// With more steps a sum of products of bytes may be beyond i32.
  static let mostSteps = Int(Int32.max) / (255 * 128)

  /// Tells the rewriter why quantised operands are not multiplied as they are.
  ///
  /// - Parameters:
  ///   - reason: Why not with constant weights.
  ///   - other: Why not with two operands that are computed.
  static func explain(_ node: Node, _ reason: String?, _ other: String?, _ rewriter: inout Rewriter) {
    let found = node.operands.prefix(2).map { DequantizedValue($0, in: rewriter.graph) }
    guard found.count == 2 else { return }
    switch (found[0], found[1]) {
    case (.some, let weights?):
      let isConstant = rewriter.constant(weights.quantized) != nil
      rewriter.refuse(node, (isConstant ? reason : other ?? reason) ?? "it is no product of bytes")
    case (.some, nil): rewriter.refuse(node, "only its input is quantized, not its weights")
    // Weights of a matrix product are for `keep-narrow-weights`.
    case (nil, .some): if node.operation is Convolution { rewriter.refuse(node, "only its weights are quantized, not its input") }
    case (nil, nil): break
    }
  }

  init?(_ node: Node, outputs: Int, _ rewriter: inout Rewriter, reason: inout String?) throws(TypeError) {
    let (x, w) = (rewriter.type(of: node.operands[0]), rewriter.type(of: node.operands[1])), element = rewriter.type(of: node.results[0]).element
    guard x.element == element, element == .f32 || element == .i32 else { return nil }
    guard let weights = IntegerWeights(node.operands[1], outputs: outputs, in: rewriter.graph, reason: &reason) else { return nil }
    guard let left = try rewriter.integerActivation(node.operands[0], reason: &reason) else { return nil }
    guard (left.scale == nil) == (weights.scale == nil), (left.scale == nil) == (element == .i32) else { return nil }
    guard left.scale == nil || weights.steps <= Self.mostSteps else {
      reason = "its sums have more than \(Self.mostSteps) products"
      return nil
    }
    if node.operation is Dot {
      // Matrices that differ from slice to slice have column sums that do.
      guard w.rank == 2 || left.zero.isZero && rewriter.type(of: left.bytes).element == .u8 && weights.offsets == nil else {
        reason = "its input has a zero point, and its weights differ along the batch"
        return nil
      }
      if w.rank > 2, let scale = weights.scale, rewriter.type(of: scale).shape.elementCount != 1, rewriter.type(of: scale).shape[0] != w.shape[w.rank - 1] { return nil }
    }
    if let convolution = node.operation as? Convolution {
      let axes = convolution.filterAxes(rank: w.rank)
      guard let channels = w.shape[axes.input].constant else { return nil }
      guard convolution.groups == 1 || channels == 1 || (channels % 4 == 0 && weights.offsets == nil) else {
        reason = "its groups of \(channels) channels are no multiple of 4, or have weights that need more than 8 bits without their zero point"
        return nil
      }
      // What this pass makes of such weights: whole numbers that each channel multiplies by itself.
      if weights.wide != nil, convolution.groups > 1, element == .i32, rewriter.producer(of: node.operands[0])?.operation is Convert { return nil }
      let needsZeros = convolution.inputDilations.contains { $0 != 1 }
      guard !needsZeros || (left.zero.isZero && rewriter.type(of: left.bytes).element == .u8) else {
        reason = "it is a transposed convolution of an input with a zero point"
        return nil
      }
    }
    (self.left, self.weights) = (try rewriter.unsigned(left), weights)
  }

  func dot(_ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    var sum = try rewriter.insert(Dot(result: .i32), left.bytes, try rewriter.constant(weights.tensor))
    if weights.offsets != nil {
      let rank = rewriter.type(of: left.bytes).rank
      let sums = try rewriter.insert(Reduce(.sum, axes: [rank - 1]), try rewriter.insert(Convert(to: .i32), left.bytes))
      var shape = rewriter.type(of: sum).shape
      shape[rank - 1] = 1
      sum = try shifted(sum, by: try rewriter.reshape(sums, to: shape), axis: rank - 1, &rewriter)
    }
    return try scaled(sum, axis: rewriter.type(of: sum).rank - 1, &rewriter)
  }

  func convolution(_ old: Convolution, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    let type = rewriter.type(of: left.bytes)
    let axes = old.axes(rank: type.rank), filterAxes = old.filterAxes(rank: type.rank)
    var new = old
    new.result = .i32
    var filter = weights.tensor
    var (low, high) = ([Extent](repeating: 0, count: type.rank), [Extent](repeating: 0, count: type.rank))
    if !left.zero.isZero {
      for (place, axis) in axes.spatial.enumerated() { (low[axis], high[axis]) = (Extent(old.window.padsLow[place]), Extent(old.window.padsHigh[place])) }
      (new.window.padsLow, new.window.padsHigh) = (axes.spatial.map { _ in 0 }, axes.spatial.map { _ in 0 })
    }
    let channels = filter.dimensions[filterAxes.input]
    if old.groups == 1, channels % 4 != 0 {
      high[axes.channel] = Extent(4 - channels % 4)
      filter = filter.widened(filterAxes.input, by: 4 - channels % 4)
    }
    var bytes = left.bytes
    if (low + high).contains(where: { $0 != 0 }) { bytes = try rewriter.insert(Pad(low: low, high: high), bytes, try zeroByte(&rewriter)) }
    if let wide = weights.wide, old.groups > 1 {
      // Each channel on its own: there are no groups of products, and weights may have any width.
      let sum = try rewriter.insert(new, try rewriter.insert(Convert(to: .i32), bytes), try rewriter.constant(wide))
      return try scaled(sum, axis: axes.channel, &rewriter)
    }
    var sum = try rewriter.insert(new, bytes, try rewriter.constant(filter))
    if weights.offsets != nil {
      let inputs = try seenInputs(new, bytes, like: filter, channels: channels, result: rewriter.type(of: sum).shape, &rewriter)
      sum = try shifted(sum, by: inputs, axis: axes.channel, &rewriter)
    }
    return try scaled(sum, axis: axes.channel, &rewriter)
  }

  /// The sum of all inputs that a result of a convolution sees, with one channel.
  ///
  /// - Parameter channels: Those that are no padding.
  private func seenInputs(_ new: Convolution, _ bytes: ValueID, like filter: Tensor, channels: Int, result: Shape, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    let rank = filter.dimensions.count
    let axis = new.axes(rank: rank).channel, filterAxes = new.filterAxes(rank: rank)
    var shape = result
    shape[axis] = 1
    if filterAxes.window.allSatisfy({ filter.dimensions[$0] == 1 }), new.window == Window(rank: rank - 2), new.inputDilations.allSatisfy({ $0 == 1 }) {
      let sums = try rewriter.insert(Reduce(.sum, axes: [axis]), try rewriter.insert(Convert(to: .i32), left.bytes))
      return try rewriter.reshape(sums, to: shape)
    }
    // Outputs whose weights are 1; four of them, because one instruction multiplies for four.
    var dimensions = filter.dimensions
    (dimensions[filterAxes.output], dimensions[filterAxes.input]) = (4, channels)
    let ones = Tensor(.i8, dimensions, [Double](repeating: 1, count: dimensions.reduce(1, *))).widened(filterAxes.input, by: filter.dimensions[filterAxes.input] - channels)
    let sums = try rewriter.insert(new, bytes, try rewriter.constant(ones))
    let starts = [Extent](repeating: 0, count: rank)
    return try rewriter.insert(Slice(starts: starts, sizes: shape.extents, steps: starts.map { _ in 1 }), sums)
  }

  /// The sum with the offsets of the weights, each of which adds as much as the inputs do together.
  ///
  /// - Parameter inputs: Their sum, of extent 1 along `axis`.
  private func shifted(_ sum: ValueID, by inputs: ValueID, axis: Int, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    guard let offsets = weights.offsets else { return sum }
    let vector = try rewriter.constant(Tensor(.i32, [offsets.count], offsets.map { Double($0) }))
    let all = try rewriter.broadcast(inputs, to: rewriter.type(of: sum).shape)
    return try rewriter.insert(Binary(.add), sum, try rewriter.insert(Binary(.multiply), all, try spread(vector, axis, like: sum, &rewriter)))
  }

  private func zeroByte(_ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    switch left.zero {
    case .number(let number): try rewriter.constant(Tensor(scalar: Double(number), .u8))
    case .value(let zero): try rewriter.insert(Convert(to: .u8), zero)
    }
  }

  /// The sum less what the zero point adds to it, times the scales.
  ///
  /// - Parameter axis: The axis of the result that outputs lie along.
  private func scaled(_ sum: ValueID, axis: Int, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    var result = sum
    if let correction = try correction(&rewriter) { result = try rewriter.insert(Binary(.add), result, try spread(correction, axis, like: result, &rewriter)) }
    guard let scale = left.scale, let other = weights.scale else { return result }
    let real = try rewriter.insert(Convert(to: .f32), result)
    var factor = try rewriter.reshape(scale, to: [])
    if rewriter.type(of: other).shape.elementCount == 1 {
      factor = try rewriter.insert(Binary(.multiply), factor, try rewriter.reshape(other, to: []))
    } else {
      factor = try rewriter.insert(Binary(.multiply), try rewriter.broadcast(factor, to: rewriter.type(of: other).shape), other)
    }
    return try rewriter.insert(Binary(.multiply), real, try spread(factor, axis, like: real, &rewriter))
  }

  /// A number, or one for each output, repeated to the shape of a value.
  private func spread(_ vector: ValueID, _ axis: Int, like value: ValueID, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    let shape = rewriter.type(of: value).shape
    guard rewriter.type(of: vector).rank == 1 else { return try rewriter.broadcast(vector, to: shape) }
    let aligned = Shape([shape[axis]] + [Extent](repeating: 1, count: shape.rank - 1 - axis))
    return try rewriter.broadcast(try rewriter.reshape(vector, to: aligned), to: shape)
  }

  /// The zero point of the left operand times the sum of the weights of each output, negative; nil if that is 0.
  private func correction(_ rewriter: inout Rewriter) throws(TypeError) -> ValueID? {
    if left.zero.isZero { return nil }
    let sums = weights.sums
    switch left.zero {
    case .number(let zero): return try rewriter.constant(Tensor(.i32, [sums.count], sums.map { Double(-zero * $0) }))
    case .value(let zero):
      let columns = try rewriter.constant(Tensor(.i32, [sums.count], sums.map { Double(-$0) }))
      return try rewriter.insert(Binary(.multiply), try rewriter.broadcast(zero, to: [Extent(sums.count)]), columns)
    }
  }
}
