import GraphIR
import TensorTypes

/// A product of two computed matrices that are both dequantised.
///
///     %x = composite %p, %s, %z {name = dequantize_linear} : f32[12,128,64]
///     %y = composite %q, %t {name = dequantize_linear} : f32[12,64,128]
///     %d = dot %x, %y
/// ->
///     %e = dot %p, %q {result = i32} : i32[12,128,128]
///     %f = add %e, -%z * sums of the columns of %q
///     %d = mul (convert %f {to = f32}), %s * %t
///
/// Machines multiply u8 by i8: a signed left operand gets 128 added and an unsigned right one loses as much, where they are quantised or in a copy. A zero point on the right is
/// multiplied by the sums of the left operand's rows. Numerics: as for constant weights.
struct IntegerProduct {
  /// u8.
  private let left: IntegerActivation
  /// i8.
  private let right: IntegerActivation
  private let scale: (left: ValueID, right: ValueID)
  private let steps: Int

  init?(_ node: Node, mostSteps: Int, _ rewriter: inout Rewriter, reason: inout String?) throws(TypeError) {
    guard node.operation is Dot, rewriter.type(of: node.results[0]).element == .f32, DequantizedValue(node.operands[1], in: rewriter.graph) != nil,
      let x = try rewriter.integerActivation(node.operands[0], reason: &reason), let y = try rewriter.integerActivation(node.operands[1], reason: &reason),
      let xScale = x.scale, let yScale = y.scale
    else { return nil }
    let shape = rewriter.type(of: node.operands[0]).shape
    if let refusal = Self.refusal(shape, rewriter.type(of: node.operands[1]).shape) {
      reason = refusal
      return nil
    }
    guard let steps = shape[shape.rank - 1].constant, steps <= mostSteps else {
      reason = "its sums have more than \(mostSteps) products"
      return nil
    }
    (left, right, scale, self.steps) = (try rewriter.unsigned(x), try rewriter.signed(y), (xScale, yScale), steps)
  }

  /// With fewer rows a product waits for its right operand, which would have to be laid out anew.
  private static let fewestRows = 8

  /// Why floating point is faster for matrices of these shapes; nil if bytes are.
  ///
  /// Lengths that are not known when compiling keep attention in one kernel of f32. Measured on a sentence model of any length: 2.6 ms, with bytes 7.9.
  static func refusal(_ left: Shape, _ right: Shape) -> String? {
    guard let rows = left[left.rank - 2].constant, left[left.rank - 1].isConstant, right[right.rank - 1].isConstant else {
      return "its right operand is not constant, and lengths are not known"
    }
    return rows < fewestRows ? "its right operand is not constant, and it has \(rows) row\(rows == 1 ? "" : "s")" : nil
  }

  func dot(_ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    var sum = try rewriter.insert(Dot(result: .i32), left.bytes, right.bytes)
    let shape = rewriter.type(of: sum).shape
    if !left.zero.isZero {
      // (p - z)(q - t) = p q - z q - t p + z t, and the last one is z t for every step.
      var columns = try rewriter.sums(of: right.bytes, along: shape.rank - 2)
      if !right.zero.isZero {
        let all = try rewriter.insert(Binary(.multiply), try rewriter.scalar(right.zero), try rewriter.constant(Tensor(scalar: Double(steps), .i32)))
        columns = try rewriter.insert(Binary(.subtract), columns, try rewriter.broadcast(all, to: rewriter.type(of: columns).shape))
      }
      sum = try subtracted(columns, times: left.zero, from: sum, &rewriter)
    }
    if !right.zero.isZero { sum = try subtracted(try rewriter.sums(of: left.bytes, along: shape.rank - 1), times: right.zero, from: sum, &rewriter) }
    let real = try rewriter.insert(Convert(to: .f32), sum)
    let factor = try rewriter.insert(Binary(.multiply), try rewriter.reshape(scale.left, to: []), try rewriter.reshape(scale.right, to: []))
    return try rewriter.insert(Binary(.multiply), real, try rewriter.broadcast(factor, to: shape))
  }

  private func subtracted(_ sums: ValueID, times zero: IntegerActivation.Zero, from total: ValueID, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    let product = try rewriter.insert(Binary(.multiply), sums, try rewriter.broadcast(try rewriter.scalar(zero), to: rewriter.type(of: sums).shape))
    return try rewriter.insert(Binary(.subtract), total, try rewriter.broadcast(product, to: rewriter.type(of: total).shape))
  }
}

extension Rewriter {
  /// A zero point as an i32 without axes.
  fileprivate mutating func scalar(_ zero: IntegerActivation.Zero) throws(TypeError) -> ValueID {
    switch zero {
    case .number(let number): try constant(Tensor(scalar: Double(number), .i32))
    case .value(let value): value
    }
  }

  /// Sums of bytes in i32, of extent 1 along an axis. They are summed up where the bytes lie, behind no transpose.
  fileprivate mutating func sums(of bytes: ValueID, along axis: Int) throws(TypeError) -> ValueID {
    var shape = type(of: bytes).shape
    shape[axis] = 1
    if let (node, transpose) = producer(of: bytes, as: Transpose.self) {
      var inner: [Int] = transpose.permutation
      inner.remove(at: axis)
      let removed = transpose.permutation[axis]
      let sums = try insert(Reduce(.sum, axes: [removed]), try insert(Convert(to: .i32), node.operands[0]))
      let permutation = inner.map { $0 > removed ? $0 - 1 : $0 }
      return try reshape(permutation == Array(permutation.indices) ? sums : try insert(Transpose(permutation), sums), to: shape)
    }
    return try reshape(try insert(Reduce(.sum, axes: [axis]), try insert(Convert(to: .i32), bytes)), to: shape)
  }

  /// The same numbers with i8 for u8: every byte and the zero point are smaller by 128.
  fileprivate mutating func signed(_ activation: IntegerActivation) throws(TypeError) -> IntegerActivation {
    guard type(of: activation.bytes).element == .u8 else { return activation }
    var result = activation
    if let bytes = try signedSource(activation.bytes) { result.bytes = bytes } else {
      let high = try broadcast(try constant(Tensor(scalar: 128, .u8)), to: type(of: activation.bytes).shape)
      result.bytes = try insert(Convert(to: .i8, keepsBits: true), try insert(Binary(.xor), activation.bytes, high))
    }
    switch activation.zero {
    case .number(let number): result.zero = .number(number - 128)
    case .value(let zero): result.zero = .value(try insert(Binary(.subtract), zero, try constant(Tensor(scalar: 128, .i32))))
    }
    return result
  }

  /// The value smaller by 128 as i8, if whoever quantises it can do so as well and nothing else reads it.
  private mutating func signedSource(_ value: ValueID) throws(TypeError) -> ValueID? {
    guard let node = producer(of: value), let first = node.operands.first, type(of: value).element == .u8 else { return nil }
    switch node.operation {
    case let composite as Composite where composite.name == QuantizedForm.quantizing && (2...3).contains(node.operands.count):
      guard type(of: node.operands[1]).shape.elementCount == 1, type(of: first).element == .f32, type(of: node.operands[1]).element == .f32 else { return nil }
      var zero = -128
      if node.operands.count > 2 {
        guard type(of: node.operands[2]).element == .u8, let number = graph.splat(node.operands[2]) else { return nil }
        zero += Int(number)
      }
      // The dequantization that is about to lose its reader, and nothing beside it.
      guard graph.uses(of: value).allSatisfy({ (graph.node($0.node).operation as? Composite)?.name == QuantizedForm.dequantizing || Self.isMovement(graph.node($0.node).operation) }) else { return nil }
      let shifted = try constant(Tensor(.i8, type(of: node.operands[1]).shape.constants ?? [], [Double(zero)]))
      return try quantizeLinear(first, scale: node.operands[1], zero: shifted, to: .i8)
    case let operation where Self.isMovement(operation):
      guard let inner = try signedSource(first) else { return nil }
      return try insert(node.operation, inner)
    default: return nil
    }
  }

  private static func isMovement(_ operation: any Operation) -> Bool { operation is Reshape || operation is Transpose || operation is Slice || operation is Reverse }
}
