public import TensorTypes

/// Tensors of reproducible random numbers, for benchmarks and smoke tests.
///
/// - Floating point: uniform in [0, 1).
/// - `u8`: uniform in 0 ... 255, as a picture has.
/// - `bool` and other integers: 0 or 1, which is a valid index, token or mask for nearly every model.
public enum RandomTensor {
  /// The same seed gives the same numbers on every machine.
  public static func make(_ element: ElementType, _ dimensions: [Int], seed: UInt64) -> Tensor {
    var generator = SplitMix64(state: seed)
    return Tensor(element, dimensions) { bytes in
      for position in 0..<bytes.count / element.byteCount {
        let bits = generator.next()
        if element.isFloatingPoint {
          // As many digits as the type holds exactly, so that nothing rounds up to 1.
          let digits = element == .f16 ? 11 : element == .bf16 ? 8 : 24
          Tensor.store(Double(bits >> UInt64(64 - digits)) / Double(1 << digits), element, bytes, position)
        } else {
          Tensor.store(element == .u8 ? Int(bits >> 56) : Int(bits >> 63), element, bytes, position)
        }
      }
    }
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
