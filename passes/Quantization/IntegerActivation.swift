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
    guard type(of: value).element == .i32, let node = producer(of: value) else { return nil }
    switch node.operation {
    case is Convert: return type(of: node.operands[0]).element.isByte ? IntegerActivation(bytes: node.operands[0], zero: .number(0)) : nil
    case let binary as Binary where binary.function == .subtract:
      guard let (wide, convert) = producer(of: node.operands[0], as: Convert.self), !convert.keepsBits, type(of: wide.operands[0]).element.isByte else { return nil }
      var shift = node.operands[1]
      while let view = producer(of: shift), view.operation is Broadcast || view.operation is Reshape, type(of: shift).shape.elementCount != 1 { shift = view.operands[0] }
      guard type(of: shift).shape.elementCount == 1, let zero = try integerZero(shift) else { return nil }
      return IntegerActivation(bytes: wide.operands[0], zero: zero)
    case is Reshape, is Transpose:
      guard var inner = try integerActivation(node.operands[0], reason: &reason) else { return nil }
      inner.bytes = try insert(node.operation, inner.bytes)
      return inner
    default: return nil
    }
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
    guard let node = producer(of: value), let first = node.operands.first, type(of: value).element == .i8 else { return nil }
    switch node.operation {
    case let composite as Composite where composite.name == QuantizedForm.quantizing && (2...3).contains(node.operands.count):
      guard type(of: node.operands[1]).shape.elementCount == 1, type(of: first).element == .f32, type(of: node.operands[1]).element == .f32 else { return nil }
      var zero = 128
      if node.operands.count > 2 {
        guard type(of: node.operands[2]).element == .i8, let number = graph.splat(node.operands[2]) else { return nil }
        zero += Int(number)
      }
      let shifted = try constant(Tensor(.u8, type(of: node.operands[1]).shape.constants ?? [], [Double(zero)]))
      return try quantizeLinear(first, scale: node.operands[1], zero: shifted, to: .u8)
    case is Reshape, is Transpose, is Slice, is Reverse:
      guard let inner = try unsignedSource(first) else { return nil }
      return try insert(node.operation, inner)
    case let window as ReduceWindow where window.reducer == .maximum:
      guard let inner = try unsignedSource(first) else { return nil }
      return try insert(window, inner)
    case is Concatenate:
      var parts: [ValueID] = []
      for operand in node.operands {
        guard let part = try unsignedSource(operand) else { return nil }
        parts.append(part)
      }
      return try insertAll(node.operation, parts)[0]
    default: return nil
    }
  }
}
