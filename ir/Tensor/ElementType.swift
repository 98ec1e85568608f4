/// The type of one tensor element. The raw value is stable: artifacts store it.
///
/// Elements of fewer than 8 bits take a byte each in memory; the low bits count, the others are not looked at. Only the files of
/// the standard pack them.
public enum ElementType: UInt8, Sendable, Hashable, CaseIterable {
  case f32 = 1, f64, f16, bf16
  /// Floating point of at most 8 bits; see `SmallFloat`.
  case f8e4m3fn = 5, f8e4m3fnuz, f8e5m2, f8e5m2fnuz, f8e8m0, f4e2m1
  case i8 = 16, i16, i32, i64, i4, i2
  case u8 = 32, u16, u32, u64, u4, u2
  case bool = 48
  /// The number of a text; the texts themselves are kept beside the tensors.
  case string = 64

  /// Size of one element in memory, in bytes. A `bool` takes one byte, 0 or 1.
  public var byteCount: Int {
    switch self {
    case .i8, .u8, .bool, .i4, .u4, .i2, .u2, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: 1
    case .f16, .bf16, .i16, .u16: 2
    case .f32, .i32, .u32: 4
    case .f64, .i64, .u64, .string: 8
    }
  }

  /// The bits of an element that count; the others of its bytes carry nothing.
  public var bitCount: Int {
    switch self {
    case .i4, .u4, .f4e2m1: 4
    case .i2, .u2: 2
    default: 8 * byteCount
    }
  }

  public var isFloatingPoint: Bool {
    switch self {
    case .f32, .f64, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: true
    default: false
    }
  }

  /// Floating point narrower than f32: computed in f32 and rounded to the type after each function.
  public var isNarrowFloat: Bool { isFloatingPoint && byteCount < 4 }

  /// u8 or i8: what sums of products of four are made of.
  public var isByte: Bool { self == .u8 || self == .i8 }

  public var isSignedInteger: Bool {
    switch self {
    case .i8, .i16, .i32, .i64, .i4, .i2: true
    default: false
    }
  }

  public var isUnsignedInteger: Bool {
    switch self {
    case .u8, .u16, .u32, .u64, .u4, .u2: true
    default: false
    }
  }

  /// Signed or unsigned integers; `bool` is not one.
  public var isInteger: Bool { isSignedInteger || isUnsignedInteger }

  /// Integers and floating point: what arithmetic takes.
  public var isNumber: Bool { isInteger || isFloatingPoint }

  /// The name in the text form of the IR, such as `f32`.
  public var name: String { "\(self)" }

  public init?(name: String) {
    guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }

  /// The smallest and largest value of an integer type (as far as `Int` holds them), or nil.
  public var integerRange: ClosedRange<Int>? {
    switch self {
    case .i8: Int(Int8.min)...Int(Int8.max)
    case .i16: Int(Int16.min)...Int(Int16.max)
    case .i32: Int(Int32.min)...Int(Int32.max)
    case .i64: Int.min...Int.max
    case .i4: -8...7
    case .i2: -2...1
    case .u8: 0...Int(UInt8.max)
    case .u16: 0...Int(UInt16.max)
    case .u32: 0...Int(UInt32.max)
    case .u64: 0...Int.max
    case .u4: 0...15
    case .u2: 0...3
    case .bool: 0...1
    case .f32, .f64, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1, .string: nil
    }
  }

  /// The largest finite number of a floating-point type, or nil.
  public var largestFinite: Double? {
    switch self {
    case .f32: Double(Float.greatestFiniteMagnitude)
    case .f64: .greatestFiniteMagnitude
    case .f16: 65504
    case .bf16: 0x1.fep127
    case .f8e8m0: 0x1p127
    default: smallFloat?.largest
    }
  }

  /// A number as a floating-point type holds it, to nearest even; other types leave it alone.
  public func rounded(_ value: Double) -> Double {
    switch self {
    case .f32: Double(Float(value))
    case .f16: Double(Float16(value))
    case .bf16: Double(Float(bitPattern: UInt32(Tensor.bfloat16(Float(value))) << 16))
    case .f8e8m0: PowerOfTwo.value(PowerOfTwo.code(value))
    default: if let format = smallFloat { format.value(format.code(value)) } else { value }
    }
  }
}
