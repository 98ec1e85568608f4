import TensorTypes

/// Writes JSON into bytes. The caller sees to the order of keys and values; the writer sees to commas and escapes.
struct JSONWriter {
  private(set) var bytes: [UInt8] = []
  /// True if the next key or item needs a comma before it.
  private var needsComma = false

  init(reserving byteCount: Int = 256) { bytes.reserveCapacity(byteCount) }

  // MARK: Structure

  mutating func object(_ members: (inout JSONWriter) -> Void) { enclosed("{", "}", members) }
  mutating func array(_ items: (inout JSONWriter) -> Void) { enclosed("[", "]", items) }

  private mutating func enclosed(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONWriter) -> Void) {
    separate()
    bytes.append(UInt8(ascii: open))
    needsComma = false
    body(&self)
    bytes.append(UInt8(ascii: close))
    needsComma = true
  }

  /// Writes a key; one value must follow.
  mutating func key(_ name: String) {
    separate()
    quote(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  @inline(__always) private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    needsComma = true
  }

  // MARK: Values

  mutating func member(_ name: String, _ value: String) {
    key(name)
    string(value)
  }

  mutating func member(_ name: String, _ value: Bool) {
    key(name)
    boolean(value)
  }

  mutating func string(_ value: String) {
    separate()
    quote(value)
  }

  mutating func boolean(_ value: Bool) {
    separate()
    raw(value ? "true" : "false")
  }

  mutating func integer(_ value: Int) {
    separate()
    raw(value.description)
  }

  mutating func integers(_ values: [Int]) { array { writer in for value in values { writer.integer(value) } } }

  @inline(__always) private mutating func raw(_ text: String) {
    var text = text
    text.withUTF8 { bytes.append(contentsOf: $0) }
  }

  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    let isPlain = text.utf8.allSatisfy { $0 >= 32 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    if isPlain {
      raw(text)
      bytes.append(UInt8(ascii: "\""))
      return
    }
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
      case 10: raw("\\n")
      case 13: raw("\\r")
      case 9: raw("\\t")
      case 0..<32:
        let digits = Array("0123456789abcdef".utf8)
        raw("\\u00")
        bytes.append(contentsOf: [digits[Int(byte >> 4)], digits[Int(byte & 15)]])
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  // MARK: Tensors

  /// All elements in one flat array.
  mutating func flat(_ tensor: Tensor) {
    separate()
    bytes.reserveCapacity(bytes.count + tensor.count * 12)
    bytes.append(UInt8(ascii: "["))
    elements(tensor, 0..<tensor.count)
    bytes.append(UInt8(ascii: "]"))
  }

  /// Nested arrays, one level per axis from `axis` on; `range` holds the elements of one item of the axis before it.
  mutating func nested(_ tensor: Tensor, axis: Int = 0, in range: Range<Int>? = nil) {
    let range = range ?? 0..<tensor.count
    if axis == 0 { bytes.reserveCapacity(bytes.count + tensor.count * 12) }
    separate()
    if axis >= tensor.dimensions.count {
      elements(tensor, range.lowerBound..<min(range.lowerBound + 1, range.upperBound))
      return
    }
    let length = tensor.dimensions[axis]
    bytes.append(UInt8(ascii: "["))
    if axis == tensor.dimensions.count - 1 {
      elements(tensor, range)
    } else if length > 0 {
      needsComma = false
      let step = range.count / length
      for item in 0..<length {
        nested(tensor, axis: axis + 1, in: range.lowerBound + item * step..<range.lowerBound + (item + 1) * step)
      }
    }
    bytes.append(UInt8(ascii: "]"))
    needsComma = true
  }

  /// The item at one position of the first axis, as nested arrays. The tensor has that axis and that item.
  mutating func row(_ row: Int, of tensor: Tensor) {
    guard let length = tensor.dimensions.first, length > 0, row < length else { return raw("null") }
    let step = tensor.count / length
    nested(tensor, axis: 1, in: row * step..<(row + 1) * step)
  }

  /// Numbers with commas between them. Floating point is written as its shortest text that reads back the same.
  private mutating func elements(_ tensor: Tensor, _ range: Range<Int>) {
    if tensor.element == .string {
      for position in range {
        if position > range.lowerBound { bytes.append(UInt8(ascii: ",")) }
        quote(tensor.text(at: position).string)
      }
      return
    }
    tensor.withBytes { source in
      var isFirst = true
      for position in range {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        element(source, tensor.element, position)
      }
    }
  }

  @inline(__always) private mutating func element(_ source: UnsafeRawBufferPointer, _ element: ElementType, _ position: Int) {
    switch element {
    case .f32: number(source.loadUnaligned(fromByteOffset: position &* 4, as: Float.self))
    case .f64: number(source.loadUnaligned(fromByteOffset: position &* 8, as: Double.self))
    case .f16: number(source.loadUnaligned(fromByteOffset: position &* 2, as: Float16.self))
    case .bf16: number(Float(bitPattern: UInt32(source.loadUnaligned(fromByteOffset: position &* 2, as: UInt16.self)) << 16))
    case .u64: raw(source.loadUnaligned(fromByteOffset: position &* 8, as: UInt64.self).description)
    case .bool: raw(source[position] == 0 ? "false" : "true")
    case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: number(Float(element.decodedByte(source[position])))
    case .i8, .i16, .i32, .i64, .u8, .u16, .u32, .i4, .i2, .u4, .u2, .string: raw(Tensor.integer(source, element, position).description)
    }
  }

  @inline(__always) private mutating func number<Value: BinaryFloatingPoint & LosslessStringConvertible>(_ value: Value) {
    if value.isFinite { raw(value.description) } else { raw(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity") }
  }
}
