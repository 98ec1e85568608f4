internal import TensorTypes

/// Numbers of at most 8 bits that are widened when they are read.
enum SmallNumber {
  /// Stores the value of the low bits of a byte: integers as 8-bit integers, floating point as f32.
  static func store(_ byte: UInt8, _ type: TensorProto.DataType, _ target: UnsafeMutableRawBufferPointer, _ position: Int) {
    switch type {
    case .uint4: target[position] = byte & 15
    case .int4: target[position] = UInt8(bitPattern: Int8(bitPattern: byte << 4) >> 4)
    case .uint2: target[position] = byte & 3
    case .int2: target[position] = UInt8(bitPattern: Int8(bitPattern: byte << 6) >> 6)
    default: target.storeBytes(of: float(byte, type), toByteOffset: position * 4, as: Float.self)
    }
  }

  /// The value of a small floating-point number. Source: onnx.ai/onnx/technical/float8.html, float4.html; OCP MX 1.0.
  static func float(_ byte: UInt8, _ type: TensorProto.DataType) -> Float {
    switch type {
    case .float8e4m3fn: byte & 0x7f == 0x7f ? .nan : decode(byte, exponentBits: 4, mantissaBits: 3, bias: 7)
    case .float8e4m3fnuz: byte == 0x80 ? .nan : decode(byte, exponentBits: 4, mantissaBits: 3, bias: 8)
    case .float8e5m2:
      byte & 0x7c != 0x7c
        ? decode(byte, exponentBits: 5, mantissaBits: 2, bias: 15) : byte & 3 != 0 ? .nan : byte & 0x80 != 0 ? -.infinity : .infinity
    case .float8e5m2fnuz: byte == 0x80 ? .nan : decode(byte, exponentBits: 5, mantissaBits: 2, bias: 16)
    case .float4e2m1: decode(byte & 15, exponentBits: 2, mantissaBits: 1, bias: 1)
    case .float8e8m0: byte == 0xff ? .nan : Float(sign: .plus, exponent: Int(byte) - 127, significand: 1)
    default: .nan
    }
  }

  private static func decode(_ byte: UInt8, exponentBits: Int, mantissaBits: Int, bias: Int) -> Float {
    let isNegative = byte >> (exponentBits + mantissaBits) & 1 == 1
    let exponent = Int(byte >> mantissaBits) & (1 << exponentBits - 1)
    let mantissa = Int(byte) & (1 << mantissaBits - 1)
    let significand = exponent == 0 ? mantissa : mantissa | 1 << mantissaBits
    let magnitude = Float(sign: .plus, exponent: max(exponent, 1) - bias - mantissaBits, significand: Float(significand))
    return isNegative ? -magnitude : magnitude
  }
}
