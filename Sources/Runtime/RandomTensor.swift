public import TensorTypes

/// Tensors of reproducible random numbers, for benchmarks and smoke tests.
///
/// - Floating point: uniform in [0, 1).
/// - `u8`: uniform in 0 ... 255, as a picture has. `u4`, `u2`, `i4`, `i2`: uniform over all values.
/// - `string`: one of a few words.
/// - `bool` and other integers: 0 or 1, which is a valid index, token or mask for nearly every model.
public enum RandomTensor {
  /// The same seed gives the same numbers on every machine.
  public static func make(_ element: ElementType, _ dimensions: [Int], seed: UInt64) -> Tensor {
    var generator = SplitMix64(state: seed)
    if element == .string {
      let words: [Text] = ["", "a", "b", "yes", "no", "the quick brown fox", "42", "Grün"]
      return Tensor(texts: (0..<(elementCount(of: dimensions) ?? 0)).map { _ in words[Int(generator.next() >> 61)] }, dimensions: dimensions)
    }
    return Tensor(element, dimensions) { bytes in
      // One loop per width: this fills gigabytes.
      let count = bytes.count / element.byteCount
      switch element {
      // As many digits as the type holds exactly, so that nothing rounds up to 1; f64 has those of f32.
      case .f64: for index in 0..<count { bytes.storeBytes(of: Double(generator.next() >> 40) * 0x1p-24, toByteOffset: index * 8, as: Double.self) }
      case .f32: for index in 0..<count { bytes.storeBytes(of: Float(generator.next() >> 40) * 0x1p-24, toByteOffset: index * 4, as: Float.self) }
      case .f16, .bf16:
        let digits = element == .f16 ? 11 : 8
        let patterns = fractions(element, digits: digits)
        for index in 0..<count {
          bytes.storeBytes(of: patterns[Int(generator.next() >> UInt64(64 - digits))], toByteOffset: index * 2, as: UInt16.self)
        }
      case .u8: for index in 0..<count { bytes[index] = UInt8(generator.next() >> 56) }
      case .u4, .u2, .i4, .i2: for index in 0..<count { bytes[index] = UInt8(truncatingIfNeeded: element.integer(ofByte: UInt8(generator.next() >> 56))) }
      case .f8e8m0: for index in 0..<count { bytes[index] = UInt8(126 - generator.next() >> 62) }
      case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f4e2m1:
        let digits = element.smallFloat?.mantissaBits ?? 1
        for index in 0..<count { bytes[index] = element.encodedByte(Double(generator.next() >> UInt64(64 - digits)) / Double(1 << digits)) }
      case .bool, .i8: for index in 0..<count { bytes[index] = UInt8(generator.next() >> 63) }
      case .i16, .u16: for index in 0..<count { bytes.storeBytes(of: UInt16(generator.next() >> 63), toByteOffset: index * 2, as: UInt16.self) }
      case .i32, .u32: for index in 0..<count { bytes.storeBytes(of: UInt32(generator.next() >> 63), toByteOffset: index * 4, as: UInt32.self) }
      case .i64, .u64, .string: for index in 0..<count { bytes.storeBytes(of: generator.next() >> 63, toByteOffset: index * 8, as: UInt64.self) }
      }
    }
  }

  /// The bit patterns of 0, 1/2^digits, 2/2^digits ... below 1 in a type of two bytes.
  private static func fractions(_ element: ElementType, digits: Int) -> [UInt16] {
    let count = 1 << digits
    let table = Tensor(element, [count]) { bytes in
      for index in 0..<count { Tensor.store(Double(index) / Double(count), element, bytes, index) }
    }
    return table.withBytes { bytes in (0..<count).map { bytes.load(fromByteOffset: $0 * 2, as: UInt16.self) } }
  }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
