import GraphIR
import TensorTypes

/// Folds scales and shifts by constants, such as inference-time batch norms, into the contraction that feeds them.
///
///     %c = convolution %x, %f
///     %s = mul (add %c, %bias), %scale
///     %y = add %s, %shift
/// ->
///     %c = convolution %x, %f'
///     %y = add %c, %shift'
///
/// Constants are splats or vary along the channels (a convolution's) or along rows or columns (a dot's). The filter must be constant and
/// the value in between must have one user, otherwise work would be repeated.
/// - A multiplication moves into the filter, and through an `add` of a constant in front of a contraction or of another multiplication.
/// - Two additions of constants become one, two multiplications become one.
/// - A multiplication by a number moves through reshapes, transposes and products of activations to a contraction that takes it.
/// - A multiplication in front of a contraction moves into the filter as well: a splat, or along the axis that is summed over.
///
/// Numerics: reassociates (a few ulps). Each new constant is computed in f64 and rounded once; f32 and f64 only. Nothing is folded that
/// would overflow or lose digits to underflow.
public let foldScaleAndShift = rewrite(
  "fold-scale-and-shift", "Folds scales and shifts by constants, such as batch norms, into the contraction before them.",
  [
    .on(Binary.self) { match, rewriter throws(TypeError) in
      let type = rewriter.type(of: match.result)
      guard type.element == .f32 || type.element == .f64, type.shape.allSatisfy({ $0 != 0 }) else { return .unchanged }
      switch match.operation.function {
      case .multiply: return try ScaleAndShiftRules.multiply(match, type, &rewriter)
      case .add: return try ScaleAndShiftRules.add(match, type, &rewriter)
      default: return .unchanged
      }
    },
    .on(Convolution.self) { match, rewriter throws(TypeError) in
      let convolution = match.operation
      let rank = rewriter.type(of: match[0]).rank
      let channel = convolution.groups == 1 ? convolution.axes(rank: rank).channel : nil
      return try ScaleAndShiftRules.scaledInput(match.node, channel, convolution.filterAxes(rank: rank).input, &rewriter)
    },
    .on(Dot.self) { match, rewriter throws(TypeError) in
      let rank = rewriter.type(of: match[0]).rank
      return try ScaleAndShiftRules.scaledInput(match.node, rank - 1, rank - 2, &rewriter)
    },
  ])

private enum ScaleAndShiftRules {
  static func multiply(_ match: Match<Binary>, _ type: TensorType, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let (axis, scale) = rewriter.graph.axisVector(match[1]), rewriter.hasOneUse(match[0]), let node = rewriter.producer(of: match[0]) else {
      return .unchanged
    }
    if node.operation is Convolution || node.operation is Dot {
      if let folded = try scaled(node, by: scale, along: axis, &rewriter) { return .replaced(with: folded) }
    }
    if scale.isSplat, let carried = try carried(match[0], scale.values[0], &rewriter) { return .replaced(with: carried) }
    guard let inner = node.operation as? Binary, let (innerAxis, constant) = rewriter.graph.axisVector(node.operands[1]),
      let common = commonAxis((axis, scale), (innerAxis, constant))
    else { return .unchanged }
    let product = constant.combined(with: scale, *)
    guard product.isOrdinary(in: type.element) else { return .unchanged }
    switch inner.function {
    case .multiply:
      let merged = try rewriter.insert(product, along: common, as: type)
      return .replaced(with: try rewriter.insert(Binary(.multiply), node.operands[0], merged))
    case .add:
      // (x + b) * s is x * s + b * s: worth it where x * s folds further.
      guard takesScale(node.operands[0], axis: axis, scale, rewriter) else { return .unchanged }
      let multiplied = try rewriter.insert(Binary(.multiply), node.operands[0], match[1])
      return .replaced(with: try rewriter.insert(Binary(.add), multiplied, try rewriter.insert(product, along: common, as: type)))
    default: return .unchanged
    }
  }

  static func add(_ match: Match<Binary>, _ type: TensorType, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let (axis, shift) = rewriter.graph.axisVector(match[1]), rewriter.hasOneUse(match[0]),
      let (node, inner) = rewriter.producer(of: match[0], as: Binary.self), inner.function == .add,
      let (innerAxis, constant) = rewriter.graph.axisVector(node.operands[1]), let common = commonAxis((axis, shift), (innerAxis, constant))
    else { return .unchanged }
    let sum = constant.combined(with: shift, +)
    guard sum.isOrdinary(in: type.element) else { return .unchanged }
    return .replaced(with: try rewriter.insert(Binary(.add), node.operands[0], try rewriter.insert(sum, along: common, as: type)))
  }

  /// A contraction of `mul(x, scale)` by a constant: the axis of the first operand that is summed over takes the scale along in the second.
  static func scaledInput(_ node: Node, _ axis: Int?, _ filterAxis: Int, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let element = rewriter.type(of: node.results[0]).element
    guard element == .f32 || element == .f64, let filter = rewriter.constant(node.operands[1]), rewriter.hasOneUse(node.operands[0]),
      let (product, inner) = rewriter.producer(of: node.operands[0], as: Binary.self), inner.function == .multiply,
      let (scaleAxis, scale) = rewriter.graph.axisVector(product.operands[1]), scale.isSplat || scaleAxis == axis, scale.isOrdinary(in: element),
      let folded = filter.scaled(by: scale, along: filterAxis)
    else { return .unchanged }
    return .replaced(with: try rewriter.insert(node.operation, product.operands[0], try rewriter.constant(folded)))
  }

  /// The axis along which both vary, if it is one.
  private static func commonAxis(_ a: (axis: Int, vector: AxisVector), _ b: (axis: Int, vector: AxisVector)) -> Int? {
    if a.vector.isSplat { return b.axis }
    return b.vector.isSplat || a.axis == b.axis ? a.axis : nil
  }

  /// The value times a number, with the multiplication carried to where it folds: through reshapes, transposes and the left side of a
  /// product of two activations (the scale of attention scores goes into the weights of the queries). nil if it folds nowhere.
  private static func carried(_ id: ValueID, _ number: Double, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID? {
    var path: [Node] = []
    var value = id
    while let node = rewriter.producer(of: value), rewriter.hasOneUse(value),
      node.operation is Reshape || node.operation is Transpose || (node.operation is Dot && rewriter.constant(node.operands[0]) == nil && rewriter.constant(node.operands[1]) == nil)
    {
      path.append(node)
      value = node.operands[0]
    }
    guard !path.isEmpty, isFoldable(value, AxisVector(values: [number]), rewriter) else { return nil }
    var result = try rewriter.insert(Binary(.multiply), value, try rewriter.splat(number, as: rewriter.type(of: value)))
    for node in path.reversed() { result = try rewriter.insertAll(node.operation, [result] + node.operands.dropFirst())[0] }
    return result
  }

  /// True if a multiplication by a number folds into the value's contraction, through the addition of a constant or not.
  private static func isFoldable(_ id: ValueID, _ scale: AxisVector, _ rewriter: Rewriter) -> Bool {
    guard rewriter.hasOneUse(id), let node = rewriter.producer(of: id) else { return false }
    if let inner = node.operation as? Binary, inner.function == .add, let (_, constant) = rewriter.graph.axisVector(node.operands[1]) {
      let product = constant.combined(with: scale, *)
      return product.isOrdinary(in: rewriter.type(of: id).element) && takesScale(node.operands[0], axis: 0, scale, rewriter)
    }
    return takesScale(id, axis: 0, scale, rewriter)
  }

  /// True if a multiplication of the value by the scale disappears into what computes it.
  private static func takesScale(_ id: ValueID, axis: Int, _ scale: AxisVector, _ rewriter: Rewriter) -> Bool {
    guard rewriter.hasOneUse(id), let node = rewriter.producer(of: id) else { return false }
    if let inner = node.operation as? Binary {
      guard inner.function == .multiply, let (innerAxis, constant) = rewriter.graph.axisVector(node.operands[1]) else { return false }
      return commonAxis((axis, scale), (innerAxis, constant)) != nil
    }
    return foldedSide(of: node, along: axis, scale, rewriter) != nil
  }

  /// Which constant operand of a contraction takes the scale, and along which of its axes.
  private static func foldedSide(
    of node: Node, along axis: Int, _ scale: AxisVector, _ rewriter: Rewriter
  ) -> (operand: Int, axis: Int, tensor: Tensor)? {
    let rank = rewriter.type(of: node.results[0]).rank
    if let convolution = node.operation as? Convolution {
      guard let filter = rewriter.constant(node.operands[1]), scale.isSplat || axis == convolution.axes(rank: rank).channel else { return nil }
      return (1, convolution.filterAxes(rank: rank).output, filter)
    }
    guard node.operation is Dot else { return nil }
    if let right = rewriter.constant(node.operands[1]), scale.isSplat || axis == rank - 1 { return (1, rank - 1, right) }
    if let left = rewriter.constant(node.operands[0]), scale.isSplat || axis == rank - 2 { return (0, rank - 2, left) }
    return nil
  }

  private static func scaled(
    _ node: Node, by scale: AxisVector, along axis: Int, _ rewriter: inout Rewriter
  ) throws(TypeError) -> ValueID? {
    guard scale.isOrdinary(in: rewriter.type(of: node.results[0]).element), let side = foldedSide(of: node, along: axis, scale, rewriter),
      let folded = side.tensor.scaled(by: scale, along: side.axis)
    else { return nil }
    var operands = node.operands
    operands[side.operand] = try rewriter.constant(folded)
    return try rewriter.insertAll(node.operation, operands)[0]
  }
}
