import GraphIR
import TensorTypes

/// The left operand of a contraction as what it is in memory: bytes, and what they stand for.
struct IntegerActivation {
  /// One zero point for all elements.
  enum Zero {
    case number(Int)
    /// An i32 without axes.
    case value(ValueID)

    var isZero: Bool { if case .number(0) = self { true } else { false } }
  }
  /// u8 or i8.
  var bytes: ValueID
  var zero: Zero
  /// An f32 of one element; nil if the contraction is one of whole numbers.
  var scale: ValueID?
}

extension Rewriter {
  /// What a dequantised value, or a difference of whole numbers, stands for; nil if it is neither.
  ///
  /// - Parameter reason: Why not, for what is dequantised.
  mutating func integerActivation(_ value: ValueID, reason: inout String?) throws(TypeError) -> IntegerActivation? {
    if let found = DequantizedValue(value, in: graph) {
      guard type(of: found.quantized).element.isByte else {
        reason = "its input is \(type(of: found.quantized).element.name)"
        return nil
      }
      guard found.granularity == .tensor, type(of: found.scale).element == .f32, type(of: value).element == .f32 else {
        reason = "its input has more than one scale, or one that is not f32"
        return nil
      }
      guard let zero = try integerZero(found.zero) else {
        reason = "its zero point is no byte"
        return nil
      }
      return IntegerActivation(bytes: found.quantized, zero: zero, scale: found.scale)
    }
    guard type(of: value).element == .i32 else { return nil }
    let (source, views) = behindViews(value)
    guard var whole = try wholeNumbers(source) else { return nil }
    for view in views.reversed() { whole.bytes = try insert(view, whole.bytes) }
    return whole
  }

  /// Bytes that are widened to i32, with a zero point subtracted or not.
  private mutating func wholeNumbers(_ value: ValueID) throws(TypeError) -> IntegerActivation? {
    guard let node = producer(of: value) else { return nil }
    switch node.operation {
    case is Convert: return type(of: node.operands[0]).element.isByte ? IntegerActivation(bytes: node.operands[0], zero: .number(0)) : nil
    case let binary as Binary where binary.function == .subtract:
      guard let (wide, convert) = producer(of: node.operands[0], as: Convert.self), !convert.keepsBits, type(of: wide.operands[0]).element.isByte else { return nil }
      var shift = node.operands[1]
      while let view = producer(of: shift), view.operation is Broadcast || view.operation is Reshape, type(of: shift).shape.elementCount != 1 { shift = view.operands[0] }
      guard type(of: shift).shape.elementCount == 1, let zero = try integerZero(shift) else { return nil }
      return IntegerActivation(bytes: wide.operands[0], zero: zero)
    default: return nil
    }
  }

  /// The value in front of reshapes and transposes, and these from the last one to the first.
  private func behindViews(_ value: ValueID) -> (source: ValueID, views: [any Operation]) {
    var (source, views): (ValueID, [any Operation]) = (value, [])
    while views.count < ByteMovement.most, let node = producer(of: source), node.operation is Reshape || node.operation is Transpose {
      views.append(node.operation)
      source = node.operands[0]
    }
    return (source, views)
  }

  private mutating func integerZero(_ zero: ValueID?) throws(TypeError) -> IntegerActivation.Zero? {
    guard let zero else { return .number(0) }
    if let number = graph.splat(zero) { return number.magnitude <= 255 ? .number(Int(number)) : nil }
    let scalar = try reshape(zero, to: [])
    return .value(type(of: scalar).element == .i32 ? scalar : try insert(Convert(to: .i32), scalar))
  }

  /// The same numbers with u8 for i8: every byte and the zero point are larger by 128.
  mutating func unsigned(_ activation: IntegerActivation) throws(TypeError) -> IntegerActivation {
    guard type(of: activation.bytes).element == .i8 else { return activation }
    var result = activation
    if let bytes = try unsignedSource(activation.bytes) { result.bytes = bytes } else {
      let bits = try insert(Convert(to: .u8, keepsBits: true), activation.bytes)
      let high = try broadcast(try constant(Tensor(scalar: 128, .u8)), to: type(of: bits).shape)
      result.bytes = try insert(Binary(.xor), bits, high)
    }
    switch activation.zero {
    case .number(let number): result.zero = .number(number + 128)
    case .value(let zero): result.zero = .value(try insert(Binary(.add), zero, try constant(Tensor(scalar: 128, .i32))))
    }
    return result
  }

  /// The value larger by 128 as u8, if whoever quantises it can do so as well: the same rounding, and the same range.
  mutating func unsignedSource(_ value: ValueID) throws(TypeError) -> ValueID? {
    guard type(of: value).element == .i8 else { return nil }
    return try remade(value) { node, rewriter throws(TypeError) in
      guard let composite = node.operation as? Composite, composite.name == QuantizedForm.quantizing, (2...3).contains(node.operands.count),
        rewriter.type(of: node.results[0]).element == .i8, rewriter.type(of: node.operands[1]).shape.elementCount == 1, rewriter.type(of: node.operands[0]).element == .f32,
        rewriter.type(of: node.operands[1]).element == .f32
      else { return nil }
      var zero = 128
      if node.operands.count > 2 {
        guard rewriter.type(of: node.operands[2]).element == .i8, let number = rewriter.graph.splat(node.operands[2]) else { return nil }
        zero += Int(number)
      }
      let shifted = try rewriter.constant(Tensor(.u8, rewriter.type(of: node.operands[1]).shape.constants ?? [], [Double(zero)]))
      return try rewriter.quantizeLinear(node.operands[0], scale: node.operands[1], zero: shifted, to: .u8)
    }
  }
}
