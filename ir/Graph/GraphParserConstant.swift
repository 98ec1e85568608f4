import TensorTypes

extension GraphCursor {
  /// The most bytes that one number may be repeated into.
  static let longestSplat = 256 << 20

  /// A constant behind its mnemonic: `dense [1, 2] : f32[2]`, `dense 0 : f32[64]` (one number for all), `bytes "00ff" : u8[2]`.
  ///
  /// The list is read twice: first to find the type behind it.
  mutating func constant() throws(GraphTextError) -> Tensor {
    skipInLine()
    let start = position
    if take(word: "elided") {
      throw GraphTextError("this text left out the numbers of a constant (`elided`) and cannot be read back", at: start, hint: "print the graph with all its constants")
    }
    if take(word: "bytes") {
      skipInLine()
      let digits = position
      guard let text = try takeQuoted() else { throw fail("expected quoted hexadecimal digits, found \(found)") }
      let (type, dimensions) = try constantType()
      guard type != .string else { throw GraphTextError("strings are written as `dense [\"a\", \"b\"]`", at: digits) }
      return try Self.decode(text, type, dimensions, at: digits)
    }
    guard take(word: "dense") else {
      throw fail("expected `dense` or `bytes`, found \(found)", hint: "write a constant as: constant dense [1, 2, 3] : f32[3]")
    }
    skip()
    let values = position
    try skipValues()
    let (type, dimensions) = try constantType()
    let end = position
    defer { position = end }
    position = values
    return try self.values(type, dimensions)
  }

  private mutating func constantType() throws(GraphTextError) -> (ElementType, [Int]) {
    skipInLine()
    try expect(":", "and a type behind a constant")
    skipInLine()
    let start = position
    let type = try self.type()
    guard let dimensions = type.shape.constants, let count = elementCount(of: dimensions), !count.multipliedReportingOverflow(by: 8).overflow else {
      throw GraphTextError("a constant cannot have the type \(type)", at: start)
    }
    return (type.element, dimensions)
  }

  /// Moves behind one number or a bracketed list.
  private mutating func skipValues() throws(GraphTextError) {
    let start = position
    guard byte == UInt8(ascii: "[") else {
      if try takeQuoted() != nil { return }
      guard takeNumber() != nil else { throw fail("expected a number or a list, found \(found)") }
      return
    }
    var depth = 0
    while let byte {
      if byte == UInt8(ascii: "\"") {
        _ = try takeQuoted()
        continue
      }
      if byte == UInt8(ascii: "[") { depth += 1 }
      if byte == UInt8(ascii: "]") { depth -= 1 }
      position += 1
      if depth == 0 { return }
    }
    throw GraphTextError("this list does not end", at: start)
  }

  private mutating func values(_ element: ElementType, _ dimensions: [Int]) throws(GraphTextError) -> Tensor {
    let count = elementCount(of: dimensions) ?? 0
    if element == .string { return try strings(dimensions) }
    if byte != UInt8(ascii: "[") {
      guard count * element.byteCount <= Self.longestSplat else { throw fail("a constant of \(count) equal elements is too large", hint: "use `broadcast`") }
      let one = try Tensor(element, [1]) { bytes throws(GraphTextError) in try storeElement(element, bytes, 0) }
      return Tensor(element, dimensions) { target in
        one.withBytes { source in
          for position in 0..<count { target[position * source.count..<(position + 1) * source.count].copyBytes(from: source) }
        }
      }
    }
    // Every element takes a character of text at least, which bounds the memory.
    guard count <= text.count - position else { throw fail("this list has fewer than \(count) elements") }
    let start = position
    var read = 0
    let tensor = try Tensor(element, dimensions) { bytes throws(GraphTextError) in
      try list(element, dimensions, 0, bytes, &read, isFlat: nil)
    }
    guard read == count else { throw GraphTextError("a list of \(read) elements for \(count)", at: start) }
    return tensor
  }

  /// One level of a list. A list may be flat whatever the dimensions are; a nested one must have their form.
  private mutating func list(
    _ element: ElementType, _ dimensions: [Int], _ axis: Int, _ bytes: UnsafeMutableRawBufferPointer, _ read: inout Int, isFlat: Bool?
  ) throws(GraphTextError) {
    let start = position
    try expect("[", "before a list")
    skip()
    let isNested = byte == UInt8(ascii: "[")
    if isNested || isFlat == false {
      guard axis < dimensions.count, isNested == (axis + 1 < dimensions.count) else {
        throw GraphTextError("the list is not nested as the dimensions \(dimensions) are", at: start)
      }
    }
    var entries = 0
    while !take("]") {
      if entries > 0 {
        try expect(",", "or `]` in a list")
        skip()
      }
      if isNested {
        try list(element, dimensions, axis + 1, bytes, &read, isFlat: false)
      } else {
        guard (read + 1) * element.byteCount <= bytes.count else { throw fail("this list has more elements than its type") }
        try storeElement(element, bytes, read)
        read += 1
      }
      entries += 1
      skip()
    }
    if isNested || isFlat == false, entries != dimensions[axis] {
      throw GraphTextError("a list of \(entries) entries for axis \(axis) of \(dimensions)", at: start)
    }
  }

  /// One element, stored at a position.
  private mutating func storeElement(_ element: ElementType, _ bytes: UnsafeMutableRawBufferPointer, _ index: Int) throws(GraphTextError) {
    let start = position
    guard let word = takeNumber() else { throw fail("expected a number, found \(found)") }
    switch element {
    case .f32:
      // Not through `Double`: rounding twice could miss the nearest.
      if let value = Float(word) { return bytes.storeBytes(of: value, toByteOffset: index * 4, as: Float.self) }
    case .f64, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: if let value = Double(word) { return Tensor.store(value, element, bytes, index) }
    case .bool: if let value = ["true": 1, "1": 1, "false": 0, "0": 0][word] { return Tensor.store(value, element, bytes, index) }
    case .u64: if let value = UInt64(word) { return Tensor.store(Int(bitPattern: UInt(value)), element, bytes, index) }
    case .string: break
    case .i8, .i16, .i32, .i64, .u8, .u16, .u32, .i4, .i2, .u4, .u2:
      if let value = Int(word), element.integerRange?.contains(value) == true { return Tensor.store(value, element, bytes, index) }
    }
    throw GraphTextError("`\(word.prefix(40))` is no \(element.name)", at: start)
  }

  private static func decode(_ text: String, _ element: ElementType, _ dimensions: [Int], at position: Int) throws(GraphTextError) -> Tensor {
    let digits = Array(text.utf8)
    let byteCount = (elementCount(of: dimensions) ?? 0) * element.byteCount
    guard digits.count == 2 * byteCount else {
      throw GraphTextError("\(digits.count) hexadecimal digits for \(byteCount) bytes", at: position)
    }
    return try Tensor(element, dimensions) { bytes throws(GraphTextError) in
      for index in 0..<byteCount {
        guard let high = digit(digits[2 * index]), let low = digit(digits[2 * index + 1]) else {
          throw GraphTextError("`bytes` takes hexadecimal digits only", at: position)
        }
        bytes[index] = element == .bool ? (high << 4 | low == 0 ? 0 : 1) : high << 4 | low
      }
    }
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 97...102: byte - 87
    case 65...70: byte - 55
    default: nil
    }
  }
}
