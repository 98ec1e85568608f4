import TensorTypes
import Testing

@Suite("floating point of 8 and 4 bits") struct SmallFloatTests {
  static let kinds: [ElementType] = [.f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f4e2m1]

  /// Values that the tables of the standard and of OCP name.
  @Test func codesHaveTheStandardsValues() throws {
    func value(_ element: ElementType, _ code: UInt8) -> Double { element.decodedByte(code) }
    #expect(value(.f8e4m3fn, 0x7e) == 448 && value(.f8e4m3fn, 0x7f).isNaN && value(.f8e4m3fn, 0xff).isNaN && value(.f8e4m3fn, 0x01) == 0x1p-9)
    #expect(value(.f8e4m3fnuz, 0x7f) == 240 && value(.f8e4m3fnuz, 0x80).isNaN && value(.f8e4m3fnuz, 0x01) == 0x1p-10)
    #expect(value(.f8e5m2, 0x7b) == 57344 && value(.f8e5m2, 0x7c) == .infinity && value(.f8e5m2, 0xfc) == -.infinity && value(.f8e5m2, 0x7d).isNaN)
    #expect(value(.f8e5m2fnuz, 0x7f) == 57344 && value(.f8e5m2fnuz, 0x80).isNaN && value(.f8e5m2fnuz, 0x01) == 0x1p-17)
    #expect((0..<8).map { value(.f4e2m1, $0) } == [0, 0.5, 1, 1.5, 2, 3, 4, 6] && value(.f4e2m1, 0xf) == -6 && value(.f4e2m1, 0x1f) == -6)
    #expect(value(.f8e8m0, 0) == 0x1p-127 && value(.f8e8m0, 127) == 1 && value(.f8e8m0, 254) == 0x1p127 && value(.f8e8m0, 255).isNaN)
  }

  @Test(arguments: kinds + [.f8e8m0]) func everyValueKeepsItsCode(_ element: ElementType) {
    for code in 0..<UInt8(element.bitCount == 4 ? 16 : 255) {
      let value = element.decodedByte(code)
      if value.isNaN { #expect(element.decodedByte(element.encodedByte(value)).isNaN) } else { #expect(element.encodedByte(value) == code, "\(element) \(code)") }
    }
  }

  /// Between two neighbours the nearer one, and halfway the one with the even code.
  @Test(arguments: kinds) func roundingIsToNearestEven(_ element: ElementType) throws {
    let format = try #require(element.smallFloat)
    for code in 0..<format.largestCode {
      let (low, high) = (format.value(code), format.value(code + 1))
      let middle = (low + high) / 2
      #expect(element.encodedByte(middle) == (code & 1 == 0 ? code : code + 1), "\(element) \(middle)")
      #expect(element.encodedByte(middle.nextDown) == code && element.encodedByte(middle.nextUp) == code + 1, "\(element) \(middle)")
      if code > 0 { #expect(element.encodedByte(-middle.nextDown) == code | format.sign) }
    }
  }

  @Test func whatIsTooLargeFollowsTheTypes() {
    func stored(_ element: ElementType, _ value: Double) -> Double { element.rounded(value) }
    #expect(stored(.f8e4m3fn, 464) == 448 && stored(.f8e4m3fn, 464.1).isNaN && stored(.f8e4m3fn, -.infinity).isNaN)
    #expect(stored(.f8e4m3fnuz, 247.9) == 240 && stored(.f8e4m3fnuz, 248).isNaN)
    #expect(stored(.f8e5m2, 61439) == 57344 && stored(.f8e5m2, 61440) == .infinity && stored(.f8e5m2, -1e9) == -.infinity)
    #expect(stored(.f8e5m2fnuz, 61440).isNaN && stored(.f8e5m2fnuz, .infinity).isNaN)
    #expect(stored(.f4e2m1, 1e30) == 6 && stored(.f4e2m1, -.infinity) == -6 && stored(.f4e2m1, .nan) == 0)
    for element in [ElementType.f8e4m3fnuz, .f8e5m2fnuz] { #expect(element.encodedByte(-0.0) == 0 && element.encodedByte(-1e-30) == 0) }
    for element in [ElementType.f8e4m3fn, .f8e5m2] { #expect(element.encodedByte(-0.0) == 0x80 && element.encodedByte(-1e-30) == 0x80) }
    #expect(stored(.f8e8m0, 1.4) == 1 && stored(.f8e8m0, 1.5) == 2 && stored(.f8e8m0, 0).isNaN && stored(.f8e8m0, -1).isNaN && stored(.f8e8m0, 0x1.8p127).isNaN)
  }

  @Test func narrowIntegersAreLowBits() {
    #expect(Tensor(.i4, [4], [7, -8, 9, -9]).integers == [7, -8, 7, -8])
    #expect(Tensor(.u4, [2], [15, 99]).integers == [15, 15])
    let wrapped = Tensor(.i4, [3]) { bytes in for (place, value) in [9, -9, 16].enumerated() { Tensor.store(value, .i4, bytes, place) } }
    #expect(wrapped.integers == [-7, 7, 0])
    // Bits above do not count.
    #expect(ElementType.i4.integer(ofByte: 0x7f) == -1 && ElementType.u2.integer(ofByte: 0xfe) == 2 && ElementType.i2.integer(ofByte: 2) == -2)
  }

  @Test func filesPackLowBitsFirst() {
    let nibbles = Tensor(.i4, [3], [-1, -8, 7])
    #expect(nibbles.packedBytes == [0x8f, 0x07])
    #expect(nibbles.packedBytes.withUnsafeBytes { Tensor(unpacking: $0, .i4, [3]) }.isIdentical(to: nibbles))
    let pairs = Tensor(.i2, [5], [0, 1, -2, -1, 1])
    #expect(pairs.packedBytes == [0b11_10_01_00, 1])
    #expect(pairs.packedBytes.withUnsafeBytes { Tensor(unpacking: $0, .i2, [5]) }.isIdentical(to: pairs))
    #expect(Tensor(.f4e2m1, [2], [1.5, -6]).packedBytes == [0xf3])
  }
}
