/// A floating-point format of at most 8 bits with a sign: how a code and its value belong together.
///
/// Numbers beyond the largest finite one become what `overflow` says. What ONNX calls saturating is a clamp before that.
/// Source: onnx.ai/onnx/technical/float8.html and float4.html; OCP 8-bit Floating Point 1.0; OCP Microscaling Formats 1.0.
public struct SmallFloat: Sendable, Hashable {
  public let exponentBits: Int
  public let mantissaBits: Int
  public let bias: Int
  /// The code of the largest finite number, without the sign.
  public let largestCode: UInt8
  /// What a number beyond it becomes: an infinity, a NaN, or the largest number again. Without the sign.
  public let overflow: UInt8
  public let nan: UInt8
  /// True if the largest exponent means infinities and NaNs, as in IEEE 754.
  public let hasInfinities: Bool
  /// True if there is a single zero and a single NaN, which has the code of a negative zero.
  public let isUnsignedZero: Bool

  /// The bit of the sign.
  public var sign: UInt8 { 1 << UInt8(exponentBits + mantissaBits) }
  public var largest: Double { value(largestCode) }

  static let e4m3fn = SmallFloat(
    exponentBits: 4, mantissaBits: 3, bias: 7, largestCode: 0x7e, overflow: 0x7f, nan: 0x7f, hasInfinities: false, isUnsignedZero: false)
  static let e4m3fnuz = SmallFloat(
    exponentBits: 4, mantissaBits: 3, bias: 8, largestCode: 0x7f, overflow: 0x80, nan: 0x80, hasInfinities: false, isUnsignedZero: true)
  static let e5m2 = SmallFloat(
    exponentBits: 5, mantissaBits: 2, bias: 15, largestCode: 0x7b, overflow: 0x7c, nan: 0x7e, hasInfinities: true, isUnsignedZero: false)
  static let e5m2fnuz = SmallFloat(
    exponentBits: 5, mantissaBits: 2, bias: 16, largestCode: 0x7f, overflow: 0x80, nan: 0x80, hasInfinities: false, isUnsignedZero: true)
  /// There is neither infinity nor NaN: everything too large is the largest number, and a NaN the negative zero.
  static let e2m1 = SmallFloat(
    exponentBits: 2, mantissaBits: 1, bias: 1, largestCode: 0x7, overflow: 0x7, nan: 0x8, hasInfinities: false, isUnsignedZero: false)

  /// The number of a code.
  public func value(_ code: UInt8) -> Double {
    let magnitude = code & (sign - 1)
    let isNegative = code & sign != 0
    if isUnsignedZero { if code == nan { return .nan } } else if nan < sign, magnitude > largestCode {
      return hasInfinities && magnitude == overflow ? (isNegative ? -.infinity : .infinity) : Double(sign: isNegative ? .minus : .plus, exponentBitPattern: 0x7ff, significandBitPattern: 1 << 51)
    }
    let exponent = Int(magnitude >> UInt8(mantissaBits))
    let fraction = Int(magnitude) & (1 << mantissaBits - 1)
    let significand = exponent == 0 ? fraction : fraction | 1 << mantissaBits
    let number = Double(sign: .plus, exponent: max(exponent, 1) - bias - mantissaBits, significand: Double(significand))
    return isNegative ? -number : number
  }

  /// The code of the nearest number, ties to even.
  public func code(_ value: Double) -> UInt8 {
    let minus: UInt8 = value.sign == .minus ? sign : 0
    if value.isNaN { return nan | minus }
    // Codes of positive numbers are consecutive, so that a mantissa that rounds up into the next exponent is right as it is.
    let exponent = max(value == 0 ? Int.min : Int(value.isInfinite ? 1024 : value.exponent), 1 - bias)
    let units = (value.magnitude / Double(sign: .plus, exponent: exponent - mantissaBits, significand: 1)).rounded(.toNearestOrEven)
    let steps = Double((exponent - 1 + bias) << mantissaBits) + units
    let code = steps > Double(largestCode) ? overflow : UInt8(steps)
    return isUnsignedZero && code == 0 ? 0 : code | minus
  }
}

/// The format `f8e8m0`: powers of two from 2^-127 to 2^127, and a NaN; no sign and no zero.
public enum PowerOfTwo {
  public static let nan: UInt8 = 0xff

  public static func value(_ code: UInt8) -> Double { code == nan ? .nan : Double(sign: .plus, exponent: Int(code) - 127, significand: 1) }

  /// The code of the nearest power, ties upward; NaN for what is out of range, zero and negative numbers among it.
  public static func code(_ value: Double) -> UInt8 {
    guard value.isFinite, value >= 0x1p-127 else { return nan }
    let exponent = Int(value.exponent) + (value.significand >= 1.5 ? 1 : 0)
    return exponent > 127 ? nan : UInt8(exponent + 127)
  }
}

extension ElementType {
  /// The format of a floating-point type of at most 8 bits with a sign, or nil.
  public var smallFloat: SmallFloat? {
    switch self {
    case .f8e4m3fn: .e4m3fn
    case .f8e4m3fnuz: .e4m3fnuz
    case .f8e5m2: .e5m2
    case .f8e5m2fnuz: .e5m2fnuz
    case .f4e2m1: .e2m1
    default: nil
    }
  }

  /// The number that a byte holds, for floating point of one byte.
  public func decodedByte(_ byte: UInt8) -> Double { self == .f8e8m0 ? PowerOfTwo.value(byte) : smallFloat?.value(byte) ?? .nan }

  /// The byte that holds a number rounded to the type, for floating point of one byte.
  public func encodedByte(_ value: Double) -> UInt8 { self == .f8e8m0 ? PowerOfTwo.code(value) : smallFloat?.code(value) ?? 0 }

  /// The low bits of a byte as an integer, for integers of one byte.
  public func integer(ofByte byte: UInt8) -> Int {
    switch self {
    case .i8: Int(Int8(bitPattern: byte))
    case .i4: Int(Int8(bitPattern: byte << 4) >> 4)
    case .i2: Int(Int8(bitPattern: byte << 6) >> 6)
    case .u4: Int(byte & 15)
    case .u2: Int(byte & 3)
    default: Int(byte)
    }
  }
}
