import GraphIR
import TensorTypes

/// Conversions between element types: of the value (`Cast`, `CastLike`) and of the bits (`BitCast`).
enum CastOperators {
  static let table: [String: OperatorImporter] = [
    "Cast": { call, b throws(CompileError) in [try cast(call, to: call.element("to"), &b)] },
    "CastLike": { call, b throws(CompileError) in [try cast(call, to: b.element(call.input(1)), &b)] },
    "BitCast": { call, b throws(CompileError) in
      let x = try call.input(0)
      let element = try call.element("to")
      if element == b.element(x) { return [x] }
      guard element.bitCount == b.element(x).bitCount, element != .string, b.element(x) != .string else {
        throw b.refusal("BitCast of \(b.element(x).name) to \(element.name), which is not as wide", operands: [x])
      }
      return [try b.add(Convert(to: element, keepsBits: true), x)]
    },
  ]

  /// How a number between two powers of two becomes one of them.
  enum PowerRounding: String, CaseIterable { case up, down, nearest }

  private static func cast(_ call: OperatorCall, to element: ElementType, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let (saturates, rounding) = (try call.flag("saturate", default: true), try call.word("round_mode", default: PowerRounding.up))
    var x = try call.input(0)
    // Texts are read as numbers first.
    if b.element(x) == .string, element.isFloatingPoint, element.byteCount == 1 { x = try ElementwiseOperators.convert(x, to: .f32, &b) }
    return try convert(x, to: element, saturates: saturates, rounding: rounding, &b)
  }

  /// The conversion with what the standard says about floating point of 8 bits: with `saturates`, what is too large becomes the
  /// largest number, infinities too; otherwise an infinity or NaN, as the core's `convert` has it.
  static func convert(
    _ x: ValueID, to element: ElementType, saturates: Bool, rounding: PowerRounding = .up, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    if element == b.element(x) { return x }
    if element == .f8e8m0 { return try b.convert(power(x, saturates: saturates, rounding: rounding, &b), to: element) }
    guard saturates, element.byteCount == 1, element != .f4e2m1, let largest = element.smallFloat?.largest else {
      return try ElementwiseOperators.convert(x, to: element, &b)
    }
    let source = b.element(x)
    let wide = try source.isFloatingPoint && source.byteCount > 1 ? x : b.convert(x, to: .f32)
    let clamped = try b.binary(.minimum, b.binary(.maximum, wide, -largest), largest)
    return try b.convert(clamped, to: element)
  }

  /// A number as a power of two, by the exponent of an f64, which holds all of them as normal numbers.
  private static func power(_ x: ValueID, saturates: Bool, rounding: PowerRounding, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var power = try b.convert(x, to: .f64)
    if rounding != .nearest {
      var bits = try b.add(Convert(to: .i64, keepsBits: true), power)
      if rounding == .up { bits = try b.binary(.add, bits, 0x1p52 - 1) }
      let exponent = try b.add(Convert(to: .f64, keepsBits: true), b.binary(.and, bits, Double(0x7ff0_0000_0000_0000)))
      power = try b.select(b.unary(.isNaN, power), power, exponent)
    }
    return saturates ? try b.binary(.minimum, b.binary(.maximum, power, 0x1p-127), 0x1p127) : power
  }
}
