import GraphIR
import KernelIR
import TensorTypes

/// The end of a `quantize_linear` as instructions: a number rounded to even, shifted, held within the range of bytes, and stored as one.
///
///     convert(min(max(round(q) + zero, low), high))
/// ->
///     q' = max(min(q, high - zero), low - zero)          commutes with rounding, as both ends are whole
///     low byte of (bits(q' + 1.5 * 2^23) + zero)         the addition rounds to a whole number, to even
///
/// A quotient by a constant is a product with its reciprocal and one correction, which gives the same float wherever rounding depends on it; that
/// is checked for every threshold while compiling. Behind GELU its error function is only as exact as the byte needs it (`RoundedGelu`). NaN becomes some byte.
struct Requantization {
  /// What is rounded.
  private let rounded: ValueID
  private let zero: Int
  /// The range without the zero point.
  private let low: Int
  private let high: Int
  private let element: ElementType

  /// - Returns: nil if the node is no such end.
  init?(_ node: Node, in graph: Graph) {
    guard let convert = node.operation as? Convert, !convert.keepsBits, convert.element.isByte, let range = convert.element.integerRange,
      let (below, upper) = Self.operand(node.operands[0], .minimum, graph), let (sum, lower) = Self.operand(below, .maximum, graph),
      upper == Double(range.upperBound), lower == Double(range.lowerBound), graph.type(of: sum).element == .f32
    else { return nil }
    var (value, shift) = (sum, 0.0)
    if let (inner, zero) = Self.operand(sum, .add, graph) { (value, shift) = (inner, zero) }
    guard let (round, unary) = graph.producer(of: value, as: Unary.self), unary.function == .round, let zero = Int(exactly: shift), zero.magnitude <= 255 else { return nil }
    (rounded, self.zero, element) = (round.operands[0], zero, convert.element)
    (low, high) = (range.lowerBound - zero, range.upperBound - zero)
  }

  /// The operand beside a constant number.
  private static func operand(_ value: ValueID, _ function: BinaryFunction, _ graph: Graph) -> (ValueID, Double)? {
    guard let (node, binary) = graph.producer(of: value, as: Binary.self), binary.function == function, let number = number(node.operands[1], graph) else { return nil }
    return (node.operands[0], number)
  }

  private static func number(_ value: ValueID, _ graph: Graph) -> Double? {
    var value = value
    while let node = graph.producer(of: value), node.operation is Broadcast || node.operation is Reshape { value = node.operands[0] }
    guard let tensor = graph.constant(value), tensor.count == 1 else { return nil }
    return tensor.doubles[0]
  }

  func emit(_ emitter: inout ElementEmitter, at index: [Expression]) throws(CompileError) -> Expression {
    let quotient: Expression
    if emitter.roundsOnce, let gelu = RoundedGelu(rounded, upTo: high, in: emitter.graph) {
      quotient = Self.clamped(try gelu.emit(&emitter, at: index), Double(low), Double(high))
    } else if emitter.roundsOnce, let (x, divisor) = Self.operand(rounded, .divide, emitter.graph), let way = ConstantQuotient(by: Float(divisor), low, high) {
      quotient = way.emit(&emitter, try emitter.element(x, index))
    } else {
      quotient = Self.clamped(try emitter.element(rounded, index), Double(low), Double(high), roundsOnce: emitter.roundsOnce)
    }
    let magic = Expression.number(0x1.8p23, .f32)
    let bits = Expression.bits(.binary(.add, quotient, magic), .i32)
    return .convert(zero == 0 ? bits : .binary(.add, bits, .number(Double(zero), .i32)), element)
  }

  /// max(min(x, high), low), without clamps on the way to x that these include.
  ///
  /// - Parameter roundsOnce: A scaled integer sum and what is added to it are rounded once.
  fileprivate static func clamped(_ x: Expression, _ low: Double, _ high: Double, roundsOnce: Bool = false) -> Expression {
    var x = x
    while case .binary(let function, let inner, .number(let bound, .f32)) = x {
      if (function == .maximum && bound <= low) || (function == .minimum && bound >= high) { x = inner } else { break }
    }
    if roundsOnce, case .binary(.add, .binary(.multiply, let sum, let scale), let shift) = x, case .convert(let whole, .f32) = sum, whole.element == .i32 {
      x = .multiplyAdd(sum, scale, shift)
    }
    return .binary(.maximum, .binary(.minimum, x, .number(high, .f32)), .number(low, .f32))
  }
}

/// Division by a constant without dividing, for quotients that are rounded to whole numbers within a range.
private struct ConstantQuotient {
  private let divisor: Float
  private let reciprocal: Float
  /// Dividends are held within these.
  private let least: Float
  private let most: Float
  private let isExact: Bool

  /// - Returns: nil if it would not give the same whole number everywhere.
  init?(by divisor: Float, _ low: Int, _ high: Int) {
    guard divisor > 0x1p-60, divisor < 0x1p60 else { return nil }
    (self.divisor, reciprocal) = (divisor, 1 / divisor)
    (least, most) = (Float(low) * divisor, Float(high) * divisor)
    isExact = divisor.significand == 1
    if isExact { return }
    guard Float(low) == (least / divisor).rounded(.toNearestOrEven), Float(high) == (most / divisor).rounded(.toNearestOrEven), low < high else { return nil }
    // Between thresholds both are far from a half; the error of the corrected quotient is below one unit in its last place.
    for step in low..<high {
      var x = (Float(step) + 0.5) * divisor
      for _ in 0..<4 { x = x.nextDown }
      for _ in 0..<9 {
        if x >= least, x <= most, (x / divisor).rounded(.toNearestOrEven) != quotient(x).rounded(.toNearestOrEven) { return nil }
        x = x.nextUp
      }
    }
  }

  private func quotient(_ x: Float) -> Float {
    let first = x * reciprocal
    return first.addingProduct(x.addingProduct(first, -divisor), reciprocal)
  }

  func emit(_ emitter: inout ElementEmitter, _ x: Expression) -> Expression {
    let dividend = Requantization.clamped(x, Double(least), Double(most))
    let factor = Expression.number(Double(reciprocal), .f32)
    if isExact { return .binary(.multiply, dividend, factor) }
    let held = emitter.bound(dividend)
    let first = emitter.bound(.binary(.multiply, held, factor))
    return .multiplyAdd(.multiplyAdd(first, .number(Double(-divisor), .f32), held), factor, first)
  }
}
