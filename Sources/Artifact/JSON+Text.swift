extension JSON {
  /// Compact text: no blanks, members in order, numbers in the shortest form that reads back the same.
  ///
  /// - Parameter nonFiniteNumbers: Writes `NaN`, `Infinity` and `-Infinity`, which is not RFC 8259; without it they become `null`.
  public func text(nonFiniteNumbers: Bool = false) -> String {
    var bytes: [UInt8] = []
    write(to: &bytes, nonFiniteNumbers: nonFiniteNumbers)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Appends the compact text.
  public func write(to bytes: inout [UInt8], nonFiniteNumbers: Bool = false) {
    switch self {
    case .null: bytes.append(contentsOf: "null".utf8)
    case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
    case .integer(let value): bytes.append(contentsOf: "\(value)".utf8)
    case .number(let value): Self.write(value, to: &bytes, nonFiniteNumbers: nonFiniteNumbers)
    case .string(let value): Self.write(value, to: &bytes)
    case .array(let values):
      bytes.append(UInt8(ascii: "["))
      for (position, value) in values.enumerated() {
        if position > 0 { bytes.append(UInt8(ascii: ",")) }
        value.write(to: &bytes, nonFiniteNumbers: nonFiniteNumbers)
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let members):
      bytes.append(UInt8(ascii: "{"))
      for (position, member) in members.enumerated() {
        if position > 0 { bytes.append(UInt8(ascii: ",")) }
        Self.write(member.name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        member.value.write(to: &bytes, nonFiniteNumbers: nonFiniteNumbers)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }

  private static func write(_ value: Double, to bytes: inout [UInt8], nonFiniteNumbers: Bool) {
    if value.isFinite {
      bytes.append(contentsOf: value.description.utf8)
    } else if !nonFiniteNumbers {
      bytes.append(contentsOf: "null".utf8)
    } else {
      bytes.append(contentsOf: (value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity").utf8)
    }
  }

  private static func write(_ value: String, to bytes: inout [UInt8]) {
    let hexDigits = Array("0123456789abcdef".utf8)
    bytes.append(UInt8(ascii: "\""))
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\""): bytes.append(contentsOf: "\\\"".utf8)
      case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
      case 0x0a: bytes.append(contentsOf: "\\n".utf8)
      case 0x0d: bytes.append(contentsOf: "\\r".utf8)
      case 0x09: bytes.append(contentsOf: "\\t".utf8)
      case 0..<0x20:
        bytes.append(contentsOf: "\\u00".utf8)
        bytes.append(hexDigits[Int(byte >> 4)])
        bytes.append(hexDigits[Int(byte & 15)])
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}

extension JSON: CustomStringConvertible {
  public var description: String { text(nonFiniteNumbers: true) }
}
