import CRuntime

/// A 128-bit digest against accidents: truncation, a bad copy, bit rot. It is no protection against a forger.
///
/// A change confined to eight aligned bytes is always noticed. Its value does not depend on how the data was cut into
/// pieces or how many threads read it. `Sources/CRuntime/Digest.c` defines it.
public struct Digest: Sendable, Hashable, CustomStringConvertible {
  public var low: UInt64
  public var high: UInt64

  public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  /// - Parameter threads: How many threads may read at once.
  public init(of bytes: UnsafeRawBufferPointer, threads: Int = 1) {
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) { result in
      // An empty buffer may have no address; the C side reads nothing then.
      ingot_digest_whole(
        bytes.baseAddress, bytes.count, Int32(clamping: threads), result.assumingMemoryBound(to: UInt64.self).baseAddress)
    }
    self.init(low: words.0, high: words.1)
  }

  public init(of bytes: [UInt8]) {
    self = bytes.withUnsafeBytes { Digest(of: $0) }
  }

  /// 32 hexadecimal digits.
  public var description: String { Self.hexadecimal(high) + Self.hexadecimal(low) }

  private static func hexadecimal(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// Computes a digest of data that arrives in pieces.
public struct DigestStream: Sendable {
  private var state = ingot_digest()

  public init() { ingot_digest_begin(&state) }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    if let base = bytes.baseAddress { ingot_digest_update(&state, base, bytes.count) }
  }

  public consuming func finish() -> Digest {
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) { ingot_digest_end(&state, $0.assumingMemoryBound(to: UInt64.self).baseAddress) }
    return Digest(low: words.0, high: words.1)
  }
}
