import GraphIR
import KernelIR
import TensorTypes

/// The end of a `quantize_linear` as instructions: a number rounded to even, shifted, held within the range of bytes, and stored as one.
///
///     convert(min(max(round(q) + zero, low), high))
/// ->
///     convert(round(q) + zero)                                      for u8, in whose range conversions hold what they convert
/// ->
///     w = bits(q + 1.5 * 2^23)                                      the addition rounds to a whole number, to even
///     w' = max(min(w, bits(1.5 * 2^23) + high - zero), ...)         as integers, which have the order of these floats, infinities included
///     low byte of (w' + zero)
///
/// What is dequantised again at once stays a float: `w'` taken for a float, less 1.5 * 2^23.
///
/// A quotient by a constant is a product with its reciprocal and a correction, which gives the same float wherever rounding depends on it; that
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

  fileprivate static func number(_ value: ValueID, _ graph: Graph) -> Double? {
    var value = value
    while let node = graph.producer(of: value), node.operation is Broadcast || node.operation is Reshape { value = node.operands[0] }
    guard let tensor = graph.constant(value), tensor.count == 1 else { return nil }
    return tensor.doubles[0]
  }

  /// The byte.
  func emit(_ emitter: inout ElementEmitter, at index: [Expression]) throws(CompileError) -> Expression {
    if element == .u8, (0...255).contains(zero) {
      let whole = Expression.unary(.round, try quotient(&emitter, at: index))
      return .convert(zero == 0 ? whole : .binary(.add, whole, .number(Double(zero), .f32)), .u8)
    }
    let word = try self.word(&emitter, at: index)
    return .convert(zero == 0 ? word : .binary(.add, word, .number(Double(zero), .i32)), element)
  }

  /// The byte less `shift`, as f32.
  func emit(_ emitter: inout ElementEmitter, at index: [Expression], less shift: Int) throws(CompileError) -> Expression {
    .binary(.subtract, .bits(try word(&emitter, at: index), .f32), .number(Self.magic + Double(shift - zero), .f32))
  }

  /// Whole numbers are the lowest bits of floats of this size.
  private static let magic = 0x1.8p23

  /// `magic` and the rounded number, held within the range, as bits.
  private func word(_ emitter: inout ElementEmitter, at index: [Expression]) throws(CompileError) -> Expression {
    let bits = Expression.bits(.binary(.add, try quotient(&emitter, at: index), .number(Self.magic, .f32)), .i32)
    let base = Double(Float(Self.magic).bitPattern)
    return .binary(.maximum, .binary(.minimum, bits, .number(base + Double(high), .i32)), .number(base + Double(low), .i32))
  }

  /// What is rounded; clamps that holding it within the range includes are left out.
  private func quotient(_ emitter: inout ElementEmitter, at index: [Expression]) throws(CompileError) -> Expression {
    if emitter.roundsOnce, let gelu = RoundedGelu(rounded, upTo: high, in: emitter.graph) { return Self.unclamped(try gelu.emit(&emitter, at: index), Double(low), Double(high)) }
    if emitter.roundsOnce, let (x, divisor) = Self.operand(rounded, .divide, emitter.graph), let way = ConstantQuotient(by: Float(divisor), low, high) {
      let dividend = try emitter.element(x, index)
      return emitter.quotient(of: way.unclamped(dividend), by: Float(divisor), low...high) ?? way.emit(&emitter, dividend)
    }
    return Self.unclamped(try emitter.element(rounded, index), Double(low), Double(high), roundsOnce: emitter.roundsOnce)
  }

  /// A number without the clamps on the way to it that holding it between `low` and `high` includes.
  ///
  /// - Parameter roundsOnce: A scaled integer sum and what is added to it are rounded once.
  fileprivate static func unclamped(_ x: Expression, _ low: Double, _ high: Double, roundsOnce: Bool = false) -> Expression {
    var x = x
    while case .binary(let function, let inner, .number(let bound, .f32)) = x {
      if (function == .maximum && bound <= low) || (function == .minimum && bound >= high) { x = inner } else { break }
    }
    if roundsOnce, case .binary(.add, .binary(.multiply, let sum, let scale), let shift) = x, case .convert(let whole, .f32) = sum, whole.element == .i32 {
      x = .multiplyAdd(sum, scale, shift)
    }
    return x
  }
}

extension ElementEmitter {
  /// The quotient of a sum of two scaled bytes; nil if the dividend is none.
  fileprivate mutating func quotient(of dividend: Expression, by divisor: Float, _ range: ClosedRange<Int>) -> Expression? {
    guard let (quotient, p, q) = ByteSumQuotient.found(in: dividend, by: divisor, range) else { return nil }
    let factors = byteSums[quotient] ?? quotient.factors()
    byteSums[quotient] = .some(factors)
    return factors.map { .multiplyAdd(p, .number(Double($0.first), .f32), .binary(.multiply, q, .number(Double($0.second), .f32))) }
  }

  /// A byte that was just quantised, or its difference from a constant, as f32; nil if the value is nothing of that kind.
  mutating func requantized(_ value: ValueID, at index: [Expression]) throws(CompileError) -> Expression? {
    var (value, shift) = (value, 0)
    while provided[value] == nil, placed[value] == nil, stored[value] == nil, buffers[value] == nil, let node = graph.producer(of: value) {
      if let end = Requantization(node, in: graph) { return try end.emit(&self, at: index, less: shift) }
      switch node.operation {
      case let convert as Convert where !convert.keepsBits && (convert.element == .i32 || convert.element == .i64): value = node.operands[0]
      case let binary as Binary where binary.function == .subtract:
        guard [.i32, .i64].contains(graph.type(of: value).element), shift == 0, let zero = Requantization.number(node.operands[1], graph).flatMap(Int.init(exactly:)), zero.magnitude <= 255 else { return nil }
        (value, shift) = (node.operands[0], zero)
      default: return nil
      }
    }
    return nil
  }
}

/// Division by a constant without dividing, for quotients that are rounded to whole numbers within a range.
private struct ConstantQuotient {
  private let divisor: Float
  private let reciprocal: Float
  /// What the reciprocal lacks.
  private let remainder: Float
  /// Dividends are held within these.
  private let least: Float
  private let most: Float
  private var way = Way.product

  private enum Way {
    /// By a power of two.
    case product
    /// With the reciprocal and what it lacks.
    case two
    /// With the reciprocal, and with what its product then leaves.
    case corrected
  }

  /// - Returns: nil if it would not give the same whole number everywhere.
  init?(by divisor: Float, _ low: Int, _ high: Int) {
    guard divisor > 0x1p-60, divisor < 0x1p60 else { return nil }
    (self.divisor, reciprocal) = (divisor, 1 / divisor)
    remainder = Float(1 / Double(divisor) - Double(1 / divisor))
    (least, most) = (Float(low) * divisor, Float(high) * divisor)
    if divisor.significand == 1 { return }
    guard Float(low) == (least / divisor).rounded(.toNearestOrEven), Float(high) == (most / divisor).rounded(.toNearestOrEven), low < high else { return nil }
    way = .two
    if isSame(low, high) { return }
    way = .corrected
    if !isSame(low, high) { return nil }
  }

  /// True if rounding gives the same next to every threshold. Between them both are far from a half; the error of the quotient is below one unit in its last place.
  private func isSame(_ low: Int, _ high: Int) -> Bool {
    for step in low..<high {
      var x = (Float(step) + 0.5) * divisor
      for _ in 0..<4 { x = x.nextDown }
      for _ in 0..<9 {
        if x >= least, x <= most, (x / divisor).rounded(.toNearestOrEven) != quotient(x).rounded(.toNearestOrEven) { return false }
        x = x.nextUp
      }
    }
    return true
  }

  private func quotient(_ x: Float) -> Float {
    switch way {
    case .product: return x * reciprocal
    case .two: return (x * remainder).addingProduct(x, reciprocal)
    case .corrected:
      let first = x * reciprocal
      return first.addingProduct(x.addingProduct(first, -divisor), reciprocal)
    }
  }

  /// A dividend without the clamps that the range includes.
  func unclamped(_ x: Expression) -> Expression { Requantization.unclamped(x, Double(least), Double(most)) }

  func emit(_ emitter: inout ElementEmitter, _ x: Expression) -> Expression {
    var dividend = unclamped(x)
    // Infinite products would leave nothing to be corrected.
    if way != .product, !(dividend.magnitudeBound < 0x1p60) {
      dividend = .binary(.maximum, .binary(.minimum, dividend, .number(Double(most), .f32)), .number(Double(least), .f32))
    }
    let factor = Expression.number(Double(reciprocal), .f32)
    if way == .product { return .binary(.multiply, dividend, factor) }
    let held = emitter.bound(dividend)
    if way == .two { return .multiplyAdd(held, factor, .binary(.multiply, held, .number(Double(remainder), .f32))) }
    let first = emitter.bound(.binary(.multiply, held, factor))
    return .multiplyAdd(.multiplyAdd(first, .number(Double(-divisor), .f32), held), factor, first)
  }
}

extension Expression {
  /// What the magnitude of a number cannot exceed, from its types and constants; infinite if these do not say it.
  fileprivate var magnitudeBound: Double {
    if let range = element.integerRange { return max(Double(range.upperBound), -Double(range.lowerBound)) }
    switch self {
    case .number(let value, _): return value.isNaN ? .infinity : abs(value)
    case .convert(let x, _): return x.element.isInteger || x.element.isFloatingPoint ? x.magnitudeBound : .infinity
    // What was held within a range as bits.
    case .bits(.binary(.maximum, .binary(.minimum, _, .number(let high, .i32)), .number(let low, .i32)), .f32) where low > 0 && high >= low:
      return UInt32(exactly: high).map { Double(Float(bitPattern: $0)) } ?? .infinity
    case .binary(.add, let x, let y), .binary(.subtract, let x, let y): return x.magnitudeBound + y.magnitudeBound
    case .binary(.multiply, let x, let y): return x.magnitudeBound * y.magnitudeBound
    case .multiplyAdd(let x, let y, let z): return x.magnitudeBound * y.magnitudeBound + z.magnitudeBound
    case .binary(.maximum, let x, let y), .binary(.minimum, let x, let y): return max(x.magnitudeBound, y.magnitudeBound)
    default: return .infinity
    }
  }
}
