/// Elements of fewer than 8 bits as files hold them: the low bits of a byte first, the last byte filled with zeros.
extension Tensor {
  /// Bytes of `count` elements in a file.
  public static func packedByteCount(_ element: ElementType, _ count: Int) -> Int {
    let perByte = 8 / min(element.bitCount, 8)
    return perByte == 1 ? count * element.byteCount : count / perByte + (count % perByte > 0 ? 1 : 0)
  }

  /// A tensor of elements of at most 8 bits from packed bytes, of which there are enough.
  public init(unpacking bytes: UnsafeRawBufferPointer, _ element: ElementType, _ dimensions: [Int]) {
    let perByte = 8 / min(element.bitCount, 8)
    self.init(element, dimensions) { target in
      for position in 0..<min(target.count, bytes.count * perByte) {
        target[position] = Self.unpacked(bytes[position / perByte], position % perByte, element)
      }
    }
  }

  /// The element at a place of a packed byte, as memory holds it.
  public static func unpacked(_ byte: UInt8, _ place: Int, _ element: ElementType) -> UInt8 {
    let bits = byte >> UInt8(place * min(element.bitCount, 8))
    if element.isInteger { return UInt8(truncatingIfNeeded: element.integer(ofByte: bits)) }
    return element.bitCount == 4 ? bits & 15 : bits
  }

  /// The bytes as a file holds them.
  public var packedBytes: [UInt8] {
    withBytes { bytes in
      let perByte = 8 / min(element.bitCount, 8)
      if perByte == 1 { return Array(bytes) }
      var packed = [UInt8](repeating: 0, count: Self.packedByteCount(element, count))
      let mask: UInt8 = element.bitCount == 4 ? 15 : 3
      for position in 0..<count { packed[position / perByte] |= (bytes[position] & mask) << UInt8(position % perByte * element.bitCount) }
      return packed
    }
  }
}
