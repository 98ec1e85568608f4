import TensorTypes

/// Strings in the binary extension of the Open Inference Protocol: each is four bytes of length, lowest first, and its bytes.
enum BinaryStrings {
  static func encode(_ tensor: Tensor) -> [UInt8] {
    var bytes: [UInt8] = []
    for text in tensor.texts {
      let length = UInt32(truncatingIfNeeded: text.byteCount)
      for byte in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: length >> UInt32(8 * byte))) }
      text.withBytes { bytes.append(contentsOf: $0) }
    }
    return bytes
  }

  /// - Throws: If the bytes are not exactly that many strings, or one of them is no UTF-8.
  static func decode(_ bytes: UnsafeRawBufferPointer, _ dimensions: [Int], input: String) throws(RequestError) -> Tensor {
    var texts: [Text] = []
    var position = 0
    while position < bytes.count {
      guard bytes.count - position >= 4 else { throw .malformed("input \(input.quoted): the length of a string is cut off") }
      let length = Int(bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self).littleEndian)
      position += 4
      guard length <= bytes.count - position else { throw .malformed("input \(input.quoted): a string of \(length) bytes where \(bytes.count - position) are left") }
      guard let text = Text(validating: bytes[position..<position + length]) else { throw .invalid("input \(input.quoted): element \(texts.count) is not valid UTF-8") }
      texts.append(text)
      position += length
    }
    guard elementCount(of: dimensions) == texts.count else {
      throw .shape("input \(input.quoted): \(texts.count) strings do not fill \(Shape(dimensions))")
    }
    return Tensor(texts: texts, dimensions: dimensions)
  }
}
