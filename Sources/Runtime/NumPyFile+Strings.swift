internal import TensorTypes

// Strings in `.npy` files: `<U8` is eight UTF-32 units for each element, `|S8` eight bytes; both are filled up with zeros.
extension NumPyFile {
  /// The elements of a file whose descriptor is that of strings; nil for other descriptors.
  static func strings(
    _ bytes: ArraySlice<UInt8>, descriptor: String, dimensions: [Int], source: String
  ) throws(TensorFileError) -> Tensor? {
    func malformed(_ fact: String) -> TensorFileError { TensorFileError(source, .malformed(fact)) }
    guard let order = descriptor.first, "<>|=".contains(order), let kind = descriptor.dropFirst().first, "USO".contains(kind) else { return nil }
    if kind == "O" {
      throw TensorFileError(source, .unsupported("an array of Python objects (save it as strings: numpy.save(path, array.astype('U')))"))
    }
    guard let length = Int(descriptor.dropFirst(2)), length >= 0, length <= Text.maximumBytes else { throw malformed("unreadable element type `\(descriptor)`") }
    let (width, overflowed) = length.multipliedReportingOverflow(by: kind == "U" ? 4 : 1)
    guard let count = elementCount(of: dimensions), !overflowed, !count.multipliedReportingOverflow(by: max(width, 1)).overflow, count * width == bytes.count else {
      throw malformed("shape \(dimensions) of \(descriptor) does not fit \(bytes.count) bytes of data")
    }
    // Empty elements take no bytes, so the shape is not bounded by the file.
    guard width > 0 || count <= 1 << 24 else { throw malformed("\(count) empty strings") }
    var texts: [Text] = []
    texts.reserveCapacity(count)
    for position in 0..<count {
      let element = bytes[bytes.startIndex + position * width..<bytes.startIndex + (position + 1) * width]
      if kind == "S" {
        let used = element.count - element.reversed().prefix { $0 == 0 }.count
        guard let text = Text(validating: element.prefix(used)) else { throw malformed("element \(position) is no UTF-8") }
        texts.append(text)
        continue
      }
      var scalars = String.UnicodeScalarView()
      var pendingZeros = 0
      for start in stride(from: element.startIndex, to: element.endIndex, by: 4) {
        let unit = (0..<4).reduce(UInt32(0)) { $0 | UInt32(element[start + (order == ">" ? 3 - $1 : $1)]) << UInt32(8 * $1) }
        if unit == 0 {
          pendingZeros += 1
          continue
        }
        guard let scalar = Unicode.Scalar(unit) else { throw malformed("element \(position) holds \(unit), which is no character") }
        for _ in 0..<pendingZeros { scalars.append("\0") }
        pendingZeros = 0
        scalars.append(scalar)
      }
      texts.append(Text(String(scalars)))
    }
    return Tensor(texts: texts, dimensions: dimensions)
  }

  /// The descriptor and the bytes of a tensor of strings.
  static func encodedStrings(_ tensor: Tensor) -> (descriptor: String, bytes: [UInt8]) {
    let texts = tensor.texts.map { Array($0.string.unicodeScalars) }
    let length = max(1, texts.map(\.count).max() ?? 1)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(texts.count * length * 4)
    for text in texts {
      for position in 0..<length {
        let unit = position < text.count ? text[position].value : 0
        for byte in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: unit >> UInt32(8 * byte))) }
      }
    }
    return ("<U\(length)", bytes)
  }
}
