extension Tensor {
  /// A one-dimensional or shaped tensor of 64-bit integers.
  public init(_ values: [Int], dimensions: [Int]? = nil) {
    self.init(.i64, dimensions ?? [values.count]) { bytes in
      for (position, value) in values.enumerated() { bytes.storeBytes(of: Int64(value), toByteOffset: position * 8, as: Int64.self) }
    }
  }

  /// A tensor of one element type from numbers, rounded to it. `values.count` is the product of the dimensions.
  public init(_ element: ElementType, _ dimensions: [Int], _ values: [Double]) {
    self.init(element, dimensions) { bytes in
      for (position, value) in values.enumerated() { Self.store(value, element, bytes, position) }
    }
  }

  /// A scalar.
  public init(scalar value: Double, _ element: ElementType) { self.init(element, [], [value]) }

  /// All elements as numbers. 64-bit integers beyond 2^53 lose their low bits; see `integers`.
  public var doubles: [Double] {
    withBytes { bytes in
      switch element {
      case .f32: (0..<count).map { Double(bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self)) }
      default: (0..<count).map { Self.double(bytes, element, $0) }
      }
    }
  }

  /// All elements as integers; floating point is truncated and clamped, NaN is 0.
  public var integers: [Int] { withBytes { bytes in (0..<count).map { Self.integer(bytes, element, $0) } } }

  /// The element at a row-major position as a number.
  public static func double(_ bytes: UnsafeRawBufferPointer, _ element: ElementType, _ position: Int) -> Double {
    switch element {
    case .f32: Double(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self))
    case .f64: bytes.loadUnaligned(fromByteOffset: position * 8, as: Double.self)
    case .f16: Double(bytes.loadUnaligned(fromByteOffset: position * 2, as: Float16.self))
    case .bf16: Double(Float(bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: position * 2, as: UInt16.self)) << 16))
    case .u64: Double(bytes.loadUnaligned(fromByteOffset: position * 8, as: UInt64.self))
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: element.decodedByte(bytes[position])
    default: Double(integer(bytes, element, position))
    }
  }

  /// The element at a row-major position as an integer. `u64` keeps its bit pattern.
  public static func integer(_ bytes: UnsafeRawBufferPointer, _ element: ElementType, _ position: Int) -> Int {
    switch element {
    case .i8: Int(bytes.loadUnaligned(fromByteOffset: position, as: Int8.self))
    case .i16: Int(bytes.loadUnaligned(fromByteOffset: position * 2, as: Int16.self))
    case .i32: Int(bytes.loadUnaligned(fromByteOffset: position * 4, as: Int32.self))
    case .i64: Int(bytes.loadUnaligned(fromByteOffset: position * 8, as: Int64.self))
    case .u8: Int(bytes[position])
    case .u16: Int(bytes.loadUnaligned(fromByteOffset: position * 2, as: UInt16.self))
    case .u32: Int(bytes.loadUnaligned(fromByteOffset: position * 4, as: UInt32.self))
    case .u64: Int(truncatingIfNeeded: bytes.loadUnaligned(fromByteOffset: position * 8, as: UInt64.self))
    case .i4, .i2, .u4, .u2: element.integer(ofByte: bytes[position])
    case .bool: bytes[position] == 0 ? 0 : 1
    case .string: Int(bytes.loadUnaligned(fromByteOffset: position * 8, as: Int64.self))
    case .f32, .f64, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: Int(clamping: double(bytes, element, position))
    }
  }

  /// Stores a number rounded to the element type: floating point to nearest even, integers truncated toward zero and clamped.
  public static func store(_ value: Double, _ element: ElementType, _ bytes: UnsafeMutableRawBufferPointer, _ position: Int) {
    switch element {
    case .f32: bytes.storeBytes(of: Float(value), toByteOffset: position * 4, as: Float.self)
    case .f64: bytes.storeBytes(of: value, toByteOffset: position * 8, as: Double.self)
    case .f16: bytes.storeBytes(of: Float16(value), toByteOffset: position * 2, as: Float16.self)
    case .bf16: bytes.storeBytes(of: bfloat16(Float(value)), toByteOffset: position * 2, as: UInt16.self)
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: bytes[position] = element.encodedByte(value)
    case .bool: bytes[position] = value != 0 ? 1 : 0
    case .string: store(Int(clamping: value), element, bytes, position)
    case .u64 where value >= 0x1p63: bytes.storeBytes(of: value >= 0x1p64 ? .max : UInt64(value), toByteOffset: position * 8, as: UInt64.self)
    default:
      let range = element.integerRange ?? 0...0
      store(min(max(Int(clamping: value), range.lowerBound), range.upperBound), element, bytes, position)
    }
  }

  /// Stores an integer: wrapped to the width of an integer type, converted to a floating-point type.
  public static func store(_ value: Int, _ element: ElementType, _ bytes: UnsafeMutableRawBufferPointer, _ position: Int) {
    switch element {
    case .i8, .u8: bytes[position] = UInt8(truncatingIfNeeded: value)
    case .i16, .u16: bytes.storeBytes(of: UInt16(truncatingIfNeeded: value), toByteOffset: position * 2, as: UInt16.self)
    case .i32, .u32: bytes.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: position * 4, as: UInt32.self)
    case .i4, .i2, .u4, .u2: bytes[position] = UInt8(truncatingIfNeeded: element.integer(ofByte: UInt8(truncatingIfNeeded: value)))
    case .i64, .u64, .string: bytes.storeBytes(of: UInt64(truncatingIfNeeded: value), toByteOffset: position * 8, as: UInt64.self)
    case .bool: bytes[position] = value != 0 ? 1 : 0
    case .f32, .f64, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: store(Double(value), element, bytes, position)
    }
  }

  /// Bits of the bfloat16 nearest to a float, ties to even; NaN stays NaN.
  public static func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
  }
}

extension Int {
  /// The integer part of a number, clamped to what `Int` holds; 0 for NaN.
  public init(clamping value: Double) {
    if value.isNaN { self = 0 } else if value >= 0x1p63 { self = .max } else if value <= -0x1p63 { self = .min } else { self = Int(value) }
  }
}
