import TensorTypes

/// The type that elements are widened to for arithmetic, so that every operation is written three times and not once for each type.
///
/// - Floating point computes in f64 and is rounded to its type after each operation. For +, -, *, / and square root that
///   is the same bits as arithmetic in f32 (f64 has more than 2 * 24 + 2 significant bits, so rounding twice is harmless).
/// - `bool` and all integers but `u64` compute in 64 wrapping bits and are cut to their width.
enum Lane { case real, signed, unsigned }

extension ElementType {
  var lane: Lane { isFloatingPoint ? .real : self == .u64 ? .unsigned : .signed }
}

/// A lane type: `Double`, `Int64` or `UInt64`.
protocol LaneScalar: SIMDScalar, Hashable, Codable, Comparable, Sendable {
  static var zero: Self { get }
  /// Widens `count` elements from a position on. Integers meet `Double` only in conversions.
  static func load(_ element: ElementType, _ source: UnsafeRawPointer, at position: Int, count: Int, into target: UnsafeMutablePointer<Self>)
  /// Narrows with the meaning of `convert`: to an integer type `Double` clamps and integers wrap.
  static func store(_ source: UnsafePointer<Self>, _ element: ElementType, _ target: UnsafeMutableRawPointer, at position: Int, count: Int)
}

/// Bits of a bfloat16.
struct BFloat16 {
  var bits: UInt16
  @inline(__always) init(_ value: Float) { bits = Tensor.bfloat16(value) }
  @inline(__always) var float: Float { Float(bitPattern: UInt32(bits) << 16) }
}

extension Double: LaneScalar {
  static func load(_ element: ElementType, _ source: UnsafeRawPointer, at position: Int, count: Int, into target: UnsafeMutablePointer<Double>) {
    switch element {
    case .f32: widen(Float.self, source, position, count, target) { Double($0) }
    case .f64: widen(Double.self, source, position, count, target) { $0 }
    case .f16: widen(Float16.self, source, position, count, target) { Double($0) }
    case .bf16: widen(BFloat16.self, source, position, count, target) { Double($0.float) }
    case .i8: widen(Int8.self, source, position, count, target) { Double($0) }
    case .i16: widen(Int16.self, source, position, count, target) { Double($0) }
    case .i32: widen(Int32.self, source, position, count, target) { Double($0) }
    case .i64: widen(Int64.self, source, position, count, target) { Double($0) }
    case .u8: widen(UInt8.self, source, position, count, target) { Double($0) }
    case .u16: widen(UInt16.self, source, position, count, target) { Double($0) }
    case .u32: widen(UInt32.self, source, position, count, target) { Double($0) }
    case .u64: widen(UInt64.self, source, position, count, target) { Double($0) }
    case .i4, .i2, .u4, .u2: widen(UInt8.self, source, position, count, target) { Double(element.integer(ofByte: $0)) }
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: widen(UInt8.self, source, position, count, target) { element.decodedByte($0) }
    case .string: widen(Int64.self, source, position, count, target) { Double($0) }
    case .bool: widen(UInt8.self, source, position, count, target) { $0 == 0 ? 0 : 1 }
    }
  }

  static func store(_ source: UnsafePointer<Double>, _ element: ElementType, _ target: UnsafeMutableRawPointer, at position: Int, count: Int) {
    switch element {
    case .f32: narrow(source, Float.self, target, position, count) { Float($0) }
    case .f64: narrow(source, Double.self, target, position, count) { $0 }
    case .f16: narrow(source, Float16.self, target, position, count) { Float16($0) }
    case .bf16: narrow(source, BFloat16.self, target, position, count) { BFloat16(Float($0)) }
    case .i8: narrow(source, Int8.self, target, position, count) { clamp($0) }
    case .i16: narrow(source, Int16.self, target, position, count) { clamp($0) }
    case .i32: narrow(source, Int32.self, target, position, count) { clamp($0) }
    case .i64: narrow(source, Int64.self, target, position, count) { clamp($0) }
    case .u8: narrow(source, UInt8.self, target, position, count) { clamp($0) }
    case .u16: narrow(source, UInt16.self, target, position, count) { clamp($0) }
    case .u32: narrow(source, UInt32.self, target, position, count) { clamp($0) }
    case .u64: narrow(source, UInt64.self, target, position, count) { clamp($0) }
    case .i4, .i2, .u4, .u2:
      narrow(source, UInt8.self, target, position, count) { value in
        let word: Int32 = clamp(value)
        return UInt8(truncatingIfNeeded: element.integer(ofByte: UInt8(truncatingIfNeeded: word)))
      }
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: narrow(source, UInt8.self, target, position, count) { element.encodedByte($0) }
    case .string: narrow(source, Int64.self, target, position, count) { clamp($0) }
    case .bool: narrow(source, UInt8.self, target, position, count) { $0 == 0 ? 0 : 1 }
    }
  }
}

extension Int64: LaneScalar {
  /// `u64` keeps its bits, floating point is truncated and clamped.
  static func load(_ element: ElementType, _ source: UnsafeRawPointer, at position: Int, count: Int, into target: UnsafeMutablePointer<Int64>) {
    switch element {
    case .i8: widen(Int8.self, source, position, count, target) { Int64($0) }
    case .i16: widen(Int16.self, source, position, count, target) { Int64($0) }
    case .i32: widen(Int32.self, source, position, count, target) { Int64($0) }
    case .i64: widen(Int64.self, source, position, count, target) { $0 }
    case .u8: widen(UInt8.self, source, position, count, target) { Int64($0) }
    case .u16: widen(UInt16.self, source, position, count, target) { Int64($0) }
    case .u32: widen(UInt32.self, source, position, count, target) { Int64($0) }
    case .u64: widen(UInt64.self, source, position, count, target) { Int64(bitPattern: $0) }
    case .bool: widen(UInt8.self, source, position, count, target) { $0 == 0 ? 0 : 1 }
    case .f32: widen(Float.self, source, position, count, target) { clamp(Double($0)) }
    case .f64: widen(Double.self, source, position, count, target) { clamp($0) }
    case .f16: widen(Float16.self, source, position, count, target) { clamp(Double($0)) }
    case .bf16: widen(BFloat16.self, source, position, count, target) { clamp(Double($0.float)) }
    case .i4, .i2, .u4, .u2: widen(UInt8.self, source, position, count, target) { Int64(element.integer(ofByte: $0)) }
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: widen(UInt8.self, source, position, count, target) { clamp(element.decodedByte($0)) }
    case .string: widen(Int64.self, source, position, count, target) { $0 }
    }
  }

  static func store(_ source: UnsafePointer<Int64>, _ element: ElementType, _ target: UnsafeMutableRawPointer, at position: Int, count: Int) {
    switch element {
    case .i8, .u8: narrow(source, UInt8.self, target, position, count) { UInt8(truncatingIfNeeded: $0) }
    case .i16, .u16: narrow(source, UInt16.self, target, position, count) { UInt16(truncatingIfNeeded: $0) }
    case .i32, .u32: narrow(source, UInt32.self, target, position, count) { UInt32(truncatingIfNeeded: $0) }
    case .i64, .u64, .string: narrow(source, Int64.self, target, position, count) { $0 }
    case .i4, .i2, .u4, .u2:
      narrow(source, UInt8.self, target, position, count) { UInt8(truncatingIfNeeded: element.integer(ofByte: UInt8(truncatingIfNeeded: $0))) }
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: narrow(source, UInt8.self, target, position, count) { element.encodedByte(Double($0)) }
    case .bool: narrow(source, UInt8.self, target, position, count) { $0 == 0 ? 0 : 1 }
    case .f32: narrow(source, Float.self, target, position, count) { Float($0) }
    case .f64: narrow(source, Double.self, target, position, count) { Double($0) }
    case .f16: narrow(source, Float16.self, target, position, count) { Float16($0) }
    case .bf16: narrow(source, BFloat16.self, target, position, count) { BFloat16(Float($0)) }
    }
  }
}

extension UInt64: LaneScalar {
  /// Other integers keep their low bits, sign-extended.
  static func load(_ element: ElementType, _ source: UnsafeRawPointer, at position: Int, count: Int, into target: UnsafeMutablePointer<UInt64>) {
    target.withMemoryRebound(to: Int64.self, capacity: count) { Int64.load(element, source, at: position, count: count, into: $0) }
  }

  static func store(_ source: UnsafePointer<UInt64>, _ element: ElementType, _ target: UnsafeMutableRawPointer, at position: Int, count: Int) {
    switch element {
    case .f32: narrow(source, Float.self, target, position, count) { Float($0) }
    case .f64: narrow(source, Double.self, target, position, count) { Double($0) }
    case .f16: narrow(source, Float16.self, target, position, count) { Float16($0) }
    case .bf16: narrow(source, BFloat16.self, target, position, count) { BFloat16(Float($0)) }
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: narrow(source, UInt8.self, target, position, count) { element.encodedByte(Double($0)) }
    default: source.withMemoryRebound(to: Int64.self, capacity: count) { Int64.store($0, element, target, at: position, count: count) }
    }
  }
}

/// The integer part, clamped to the range of the type; 0 for NaN.
@inline(__always) func clamp<T: FixedWidthInteger>(_ value: Double) -> T {
  // The first Double beyond the range: exact for every width, unlike `Double(T.max)` for 64 bits.
  let end = Double(sign: .plus, exponent: T.isSigned ? T.bitWidth - 1 : T.bitWidth, significand: 1)
  if value >= end { return .max }
  if value <= (T.isSigned ? -end : 0) { return .min }
  return value.isNaN ? 0 : T(value)
}

@inline(__always) private func widen<Stored: BitwiseCopyable, Wide>(
  _ stored: Stored.Type, _ source: UnsafeRawPointer, _ position: Int, _ count: Int, _ target: UnsafeMutablePointer<Wide>, _ convert: (Stored) -> Wide
) {
  // Constants are ranges of a model file and may lie at any address.
  let size = MemoryLayout<Stored>.size
  let base = source + position * size
  for index in 0..<count { target[index] = convert(base.loadUnaligned(fromByteOffset: index &* size, as: Stored.self)) }
}

@inline(__always) private func narrow<Stored: BitwiseCopyable, Wide>(
  _ source: UnsafePointer<Wide>, _ stored: Stored.Type, _ target: UnsafeMutableRawPointer, _ position: Int, _ count: Int, _ convert: (Wide) -> Stored
) {
  let size = MemoryLayout<Stored>.size
  let base = target + position * size
  for index in 0..<count { base.storeBytes(of: convert(source[index]), toByteOffset: index &* size, as: Stored.self) }
}

/// Memory for trivial values that lives as long as one operation runs; not initialised.
struct Scratch<Scalar>: ~Copyable {
  let base: UnsafeMutablePointer<Scalar>
  let count: Int
  init(_ count: Int) {
    self.count = count
    base = .allocate(capacity: max(count, 1))
  }
  init(_ count: Int, repeating value: Scalar) {
    self.init(count)
    base.initialize(repeating: value, count: count)
  }
  deinit { base.deallocate() }
  subscript(index: Int) -> Scalar {
    @inline(__always) get { base[index] }
    @inline(__always) nonmutating set { base[index] = newValue }
  }
}
