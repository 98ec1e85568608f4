import Artifact
import Testing

@Suite("Digest") struct DigestTests {
  /// Two segments and a bit, nothing a multiple of anything.
  static let bytes: [UInt8] = (0..<(2 << 20) + 77).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }

  @Test(arguments: [7, 64, 4096, 40_009, 1 << 20, 3 << 20])
  func doesNotDependOnThePieces(_ pieceBytes: Int) {
    var stream = DigestStream()
    var start = 0
    while start < Self.bytes.count {
      let end = min(start + pieceBytes, Self.bytes.count)
      Array(Self.bytes[start..<end]).withUnsafeBytes { stream.update($0) }
      start = end
    }
    #expect(stream.finish() == Digest(of: Self.bytes))
  }

  @Test func doesNotDependOnTheThreads() {
    let one = Self.bytes.withUnsafeBytes { Digest(of: $0, threads: 1) }
    let many = Self.bytes.withUnsafeBytes { Digest(of: $0, threads: 5) }
    #expect(one == many)
  }

  @Test func noticesEveryAlteredByte() {
    let original = Array(Self.bytes.prefix(300))
    let digest = Digest(of: original)
    for position in original.indices {
      var altered = original
      altered[position] ^= 1 << UInt8(position % 8)
      let other = Digest(of: altered)
      #expect(other.low != digest.low && other.high != digest.high)
    }
  }

  @Test func noticesLengthAndOrder() {
    #expect(Digest(of: []) != Digest(of: [0]))
    #expect(Digest(of: [0]) != Digest(of: [0, 0]))
    let swapped = Array(Self.bytes[64..<128] + Self.bytes[0..<64])
    #expect(Digest(of: swapped) != Digest(of: Array(Self.bytes[0..<128])))
    #expect(Digest(of: [1, 2, 3]).description.count == 32)
  }

  /// Artifacts store digests: the function must never change without a new format version.
  @Test func staysTheSame() {
    #expect(Digest(of: Self.bytes).description == "bca3e4c38640dab935f088d6b5d1134c")
  }
}
