public import TensorTypes

/// Tensors as `.npy` files, versions 1 to 3: the header is a Python dictionary, the elements follow.
///
/// Source: the format's description in `numpy/lib/format.py`. Element types that NumPy does not have are written as the next one
/// that holds all their values: bf16 and narrower floating point as f4, integers of 4 and 2 bits as i1 and u1; `fitted` takes them
/// back. Big-endian and Fortran-ordered files are read too, since NumPy writes them for transposed arrays.
public enum NumPyFile {
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  private static let names: [(ElementType, String)] = [
    (.f32, "f4"), (.f64, "f8"), (.f16, "f2"), (.i8, "i1"), (.i16, "i2"), (.i32, "i4"), (.i64, "i8"), (.u8, "u1"), (.u16, "u2"),
    (.u32, "u4"), (.u64, "u8"), (.bool, "b1"),
  ]

  /// The element type that a file holds a tensor as.
  private static func stored(_ element: ElementType) -> ElementType {
    if element.isNarrowFloat && element != .f16 { return .f32 }
    return element.bitCount < 8 ? (element.isSignedInteger ? .i8 : .u8) : element
  }

  /// What a file holds, in an element type that NumPy does not have; other tensors stay as they are.
  ///
  /// - Returns: nil if a number is no value of the type. Floating point is rounded to it, as long as it stays finite.
  static func fitted(_ tensor: Tensor, to element: ElementType) -> Tensor? {
    guard element != tensor.element, stored(element) == tensor.element else { return tensor }
    let result = Tensor(element, tensor.dimensions, tensor.doubles)
    return tensor.withBytes { wide in
      result.withBytes { bytes in
        (0..<tensor.count).allSatisfy { position in
          let (value, kept) = (Tensor.double(wide, tensor.element, position), Tensor.double(bytes, element, position))
          return element.isInteger ? value == kept : value.isNaN == kept.isNaN && value.isFinite == kept.isFinite
        }
      } ? result : nil
    }
  }

  public static func read(_ path: String) throws(TensorFileError) -> Tensor { try decode(FileSystem.read(path), source: path) }

  public static func write(_ tensor: Tensor, to path: String) throws(TensorFileError) {
    try FileSystem.write(try encode(tensor, source: path), to: path)
  }

  // MARK: Encoding

  /// The bytes of a file, as NumPy writes it: version 1, header padded so that the elements start on a multiple of 64.
  public static func encode(_ tensor: Tensor, source: String = "tensor") throws(TensorFileError) -> [UInt8] {
    let kind = stored(tensor.element)
    if kind != tensor.element { return try encode(Tensor(kind, tensor.dimensions, tensor.doubles), source: source) }
    var descriptor = ""
    var strings: [UInt8]?
    if tensor.element == .string { (descriptor, strings) = encodedStrings(tensor) } else {
      guard let name = names.first(where: { $0.0 == tensor.element })?.1 else {
        throw TensorFileError(source, .unsupported("\(tensor.element) in an .npy file"))
      }
      descriptor = (tensor.element.byteCount == 1 ? "|" : "<") + name
    }
    let shape = tensor.dimensions.map(String.init).joined(separator: ", ") + (tensor.dimensions.count == 1 ? "," : "")
    var header = "{'descr': '\(descriptor)', 'fortran_order': False, 'shape': (\(shape)), }"
    header += String(repeating: " ", count: (64 - (10 + header.utf8.count + 1) % 64) % 64) + "\n"
    guard header.utf8.count <= 0xffff else { throw TensorFileError(source, .unsupported("rank \(tensor.dimensions.count)")) }
    var bytes = magic + [1, 0, UInt8(header.utf8.count & 0xff), UInt8(header.utf8.count >> 8)] + Array(header.utf8)
    if let strings { return bytes + strings }
    tensor.withBytes { bytes.append(contentsOf: $0) }
    return bytes
  }

  // MARK: Decoding

  public static func decode(_ bytes: [UInt8], source: String = "tensor") throws(TensorFileError) -> Tensor {
    func malformed(_ fact: String) -> TensorFileError { TensorFileError(source, .malformed(fact)) }
    guard bytes.starts(with: magic), bytes.count >= 10 else { throw malformed("not an .npy file") }
    guard (1...3).contains(bytes[6]) else { throw TensorFileError(source, .unsupported(".npy version \(bytes[6])")) }
    let lengthBytes = bytes[6] == 1 ? 2 : 4
    guard bytes.count >= 8 + lengthBytes else { throw malformed("the .npy header is cut off") }
    let length = (0..<lengthBytes).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
    let start = 8 + lengthBytes
    guard length <= bytes.count - start, length <= 1 << 16 else { throw malformed("the .npy header is cut off") }
    guard let header = Header(String(decoding: bytes[start..<start + length], as: UTF8.self)) else { throw malformed("unreadable .npy header") }

    let storedDimensions = header.isFortranOrder ? Array(header.dimensions.reversed()) : header.dimensions
    if let strings = try strings(bytes[(start + length)...], descriptor: header.descriptor, dimensions: storedDimensions, source: source) {
      return header.isFortranOrder ? transposed(strings) : strings
    }
    let order = header.descriptor.first
    guard let order, "<>|=".contains(order), let element = names.first(where: { $0.1 == header.descriptor.dropFirst() })?.0 else {
      throw TensorFileError(source, .unsupported("element type `\(header.descriptor)`"))
    }
    guard let count = elementCount(of: header.dimensions) else { throw malformed("impossible shape \(header.dimensions)") }
    let (byteCount, overflowed) = count.multipliedReportingOverflow(by: element.byteCount)
    let dataStart = start + length
    guard !overflowed, byteCount == bytes.count - dataStart else {
      throw malformed("shape \(header.dimensions) of \(element) does not fit \(bytes.count - dataStart) bytes of data")
    }
    let width = element.byteCount
    let isSwapped = order == ">" && width > 1
    let dimensions = header.isFortranOrder ? Array(header.dimensions.reversed()) : header.dimensions
    let stored = Tensor(element, dimensions) { target in
      bytes.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[dataStart...])) }
      if isSwapped {
        for position in stride(from: 0, to: byteCount, by: width) {
          for byte in 0..<width / 2 { target.swapAt(position + byte, position + width - 1 - byte) }
        }
      }
      // NumPy writes 0 and 1 only; anything else must not reach code that relies on it.
      if element == .bool { for position in 0..<byteCount where target[position] > 1 { target[position] = 1 } }
    }
    return header.isFortranOrder ? transposed(stored) : stored
  }

  /// The arrays of a file or a pipe that holds them one behind the other, as repeated `numpy.save` writes them. Of numbers only.
  package static func readAll(_ path: String) throws(TensorFileError) -> [Tensor] {
    let bytes = try FileSystem.read(path)
    var tensors: [Tensor] = []
    var start = 0
    while start < bytes.count {
      guard let length = arrayByteCount(bytes[start...]) else {
        throw TensorFileError(path, .malformed(tensors.isEmpty ? "not an .npy file" : "what follows array \(tensors.count) is no array of numbers"))
      }
      tensors.append(try decode(Array(bytes[start..<start + length]), source: path))
      start += length
    }
    return tensors
  }

  /// Bytes that the array takes with which `bytes` begins; nil if it is none, or not there as a whole.
  private static func arrayByteCount(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard bytes.starts(with: magic), bytes.count >= 12 else { return nil }
    let lengthBytes = bytes[bytes.startIndex + 6] == 1 ? 2 : 4
    let length = (0..<lengthBytes).reduce(0) { $0 | Int(bytes[bytes.startIndex + 8 + $1]) << (8 * $1) }
    let dataStart = 8 + lengthBytes + length
    guard length <= 1 << 16, dataStart <= bytes.count,
      let header = Header(String(decoding: bytes.dropFirst(8 + lengthBytes).prefix(length), as: UTF8.self)),
      let element = names.first(where: { $0.1 == header.descriptor.dropFirst() })?.0, let count = elementCount(of: header.dimensions)
    else { return nil }
    let (data, overflowed) = count.multipliedReportingOverflow(by: element.byteCount)
    return !overflowed && data <= bytes.count - dataStart ? dataStart + data : nil
  }

  /// The tensor with its axes in reverse order.
  private static func transposed(_ tensor: Tensor) -> Tensor {
    let dimensions = Array(tensor.dimensions.reversed())
    guard tensor.dimensions.count > 1 else { return tensor }
    if tensor.count == 0 { return Tensor(zeros: tensor.element, dimensions) }
    let width = tensor.element.byteCount
    // Source strides, in elements, of the result's axes.
    var strides = [Int](repeating: 1, count: dimensions.count)
    for axis in 1..<dimensions.count { strides[axis] = strides[axis - 1] * dimensions[axis - 1] }
    return Tensor(tensor.element, dimensions, strings: tensor.strings) { target in
      tensor.withBytes { source in
        var index = [Int](repeating: 0, count: dimensions.count)
        var from = 0
        for to in 0..<tensor.count {
          for byte in 0..<width { target[to * width + byte] = source[from * width + byte] }
          for axis in stride(from: dimensions.count - 1, through: 0, by: -1) {
            index[axis] += 1
            from += strides[axis]
            if index[axis] < dimensions[axis] { break }
            from -= strides[axis] * dimensions[axis]
            index[axis] = 0
          }
        }
      }
    }
  }

  /// The three entries of the dictionary. Accepts what NumPy writes, in any order and spacing.
  private struct Header {
    var descriptor = ""
    var isFortranOrder = false
    var dimensions: [Int] = []

    init?(_ text: String) {
      guard let descriptor = Self.value(of: "descr", in: text)?.dropFirst().prefix(while: { $0 != "'" && $0 != "\"" }),
        let order = Self.value(of: "fortran_order", in: text), order.hasPrefix("True") || order.hasPrefix("False"),
        let shape = Self.value(of: "shape", in: text), shape.first == "(", let end = shape.firstIndex(of: ")")
      else { return nil }
      self.descriptor = String(descriptor)
      isFortranOrder = order.hasPrefix("True")
      for field in shape[shape.index(after: shape.startIndex)..<end].split(separator: ",") {
        // Python 2 wrote long integers as `3L`.
        let digits = field.filter { $0 != " " && $0 != "L" }
        if digits.isEmpty { continue }
        guard let dimension = Int(digits), dimension >= 0 else { return nil }
        dimensions.append(dimension)
      }
    }

    /// The text behind `'key':`, without leading blanks.
    private static func value(of key: String, in text: String) -> Substring? {
      for quote in ["'", "\""] {
        let pattern = quote + key + quote
        var rest = text[...]
        while !rest.isEmpty {
          if rest.hasPrefix(pattern) {
            let tail = rest.dropFirst(pattern.count).drop { $0 == " " }
            return tail.first == ":" ? tail.dropFirst().drop { $0 == " " } : nil
          }
          rest = rest.dropFirst()
        }
      }
      return nil
    }
  }
}
