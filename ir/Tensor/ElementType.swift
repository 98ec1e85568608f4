/// The type of one tensor element. The raw value is stable: artifacts store it.
public enum ElementType: UInt8, Sendable, Hashable, CaseIterable {
  case f32 = 1, f64, f16, bf16
  case i8 = 16, i16, i32, i64
  case u8 = 32, u16, u32, u64
  case bool = 48

  /// Size of one element in memory, in bytes. A `bool` takes one byte, 0 or 1.
  public var byteCount: Int {
    switch self {
    case .i8, .u8, .bool: 1
    case .f16, .bf16, .i16, .u16: 2
    case .f32, .i32, .u32: 4
    case .f64, .i64, .u64: 8
    }
  }

  public var isFloatingPoint: Bool {
    switch self {
    case .f32, .f64, .f16, .bf16: true
    default: false
    }
  }

  public var isSignedInteger: Bool {
    switch self {
    case .i8, .i16, .i32, .i64: true
    default: false
    }
  }

  public var isUnsignedInteger: Bool {
    switch self {
    case .u8, .u16, .u32, .u64: true
    default: false
    }
  }

  /// Signed or unsigned integers; `bool` is not one.
  public var isInteger: Bool { isSignedInteger || isUnsignedInteger }

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
    case .u8: 0...Int(UInt8.max)
    case .u16: 0...Int(UInt16.max)
    case .u32: 0...Int(UInt32.max)
    case .u64: 0...Int.max
    case .bool: 0...1
    case .f32, .f64, .f16, .bf16: nil
    }
  }
}
