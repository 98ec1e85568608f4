extension TextFunction {
  /// Computes `count` elements.
  ///
  /// - Parameters:
  ///   - arguments: The elements of each argument; those of strings are numbers of `strings`. A pattern's table comes second.
  ///   - result: Room for `count` elements of `result`, `count * width` for `pieces` and `tokens`.
  ///   - width: How many pieces or tokens each text is given room for; more are left out.
  ///   - strings: Learns the texts that come about.
  public func apply(
    _ arguments: [UnsafeRawPointer], _ result: UnsafeMutableRawPointer, count: Int, width: Int, strings: inout StringNumbering
  ) throws(TextError) {
    guard let x = arguments.first, arguments.count >= argumentCount, count >= 0, width >= 0 else { throw TextError("a text operation has no argument") }
    let numbers = x.assumingMemoryBound(to: Int64.self)
    let output = UnsafeMutableRawBufferPointer(start: result, count: count * max(width, 1) * self.result.byteCount)
    func put(_ value: Int, _ position: Int) { output.storeBytes(of: Int64(value), toByteOffset: position * 8, as: Int64.self) }
    switch self {
    case .concatenate:
      let others = arguments[1].assumingMemoryBound(to: Int64.self)
      for position in 0..<count {
        let (a, b) = (Int(numbers[position]), Int(others[position]))
        if b == 0 { put(a, position) } else if a == 0 { put(b, position) } else {
          put(try strings.number(Text(strings.text(a).string + strings.text(b).string)), position)
        }
      }
    case .lowercase: try map(numbers, count, put, &strings) { text, strings throws(TextError) in try strings.number(Text(text.string.lowercased())) }
    case .uppercase: try map(numbers, count, put, &strings) { text, strings throws(TextError) in try strings.number(Text(text.string.uppercased())) }
    case .countPieces(let rule): try map(numbers, count, put, &strings) { text, _ throws(TextError) in rule.pieces(text).count }
    case .pieces(let rule):
      for position in 0..<count {
        let pieces = rule.pieces(strings.text(Int(numbers[position])))
        for column in 0..<width { put(column < pieces.count ? try strings.number(pieces[column]) : 0, position * width + column) }
      }
    case .matches:
      let table = PatternTable(entries: arguments[1].assumingMemoryBound(to: Int32.self))
      func put(_ value: Int, _ position: Int) { output[position] = UInt8(value) }
      try map(numbers, count, put, &strings) { text, _ throws(TextError) in text.withBytes { table.matches($0) } ? 1 : 0 }
    case .countTokens(let rule):
      let table = PatternTable(entries: arguments[1].assumingMemoryBound(to: Int32.self))
      try map(numbers, count, put, &strings) { text, _ throws(TextError) in rule.tokens(text, table).count }
    case .tokens(let rule):
      let table = PatternTable(entries: arguments[1].assumingMemoryBound(to: Int32.self))
      let padding = try strings.number(Text(rule.padding))
      for position in 0..<count {
        let tokens = rule.tokens(strings.text(Int(numbers[position])), table)
        for column in 0..<width { put(column < tokens.count ? try strings.number(tokens[column]) : padding, position * width + column) }
      }
    case .parse(let element):
      for position in 0..<count { try TextNumber.parse(strings.text(Int(numbers[position])), element, output, position) }
    case .format(let element):
      let source = UnsafeRawBufferPointer(start: x, count: count * element.byteCount)
      for position in 0..<count { put(try strings.number(TextNumber.format(source, element, position)), position) }
    case .rank:
      let distinct = Set((0..<count).map { numbers[$0] }).sorted { strings.text(Int($0)) < strings.text(Int($1)) }
      let ranks = Dictionary(zip(distinct, 0...), uniquingKeysWith: { first, _ in first })
      for position in 0..<count { put(ranks[numbers[position]] ?? 0, position) }
    }
  }

  /// Computes each text once, however often it occurs.
  private func map(
    _ numbers: UnsafePointer<Int64>, _ count: Int, _ put: (Int, Int) -> Void, _ strings: inout StringNumbering,
    _ function: (Text, inout StringNumbering) throws(TextError) -> Int
  ) throws(TextError) {
    var known: [Int64: Int] = [:]
    for position in 0..<count {
      let number = numbers[position]
      if let value = known[number] {
        put(value, position)
        continue
      }
      let value = try function(strings.text(Int(number)), &strings)
      known[number] = value
      put(value, position)
    }
  }
}

/// Numbers as text: decimal, or scientific where that is shorter, `NaN`, `INF` and `-INF`, as ONNX `Cast` describes.
enum TextNumber {
  static func format(_ bytes: UnsafeRawBufferPointer, _ element: ElementType, _ position: Int) -> Text {
    switch element {
    case .bool: return bytes[position] == 0 ? "False" : "True"
    case .u64: return Text("\(UInt64(bitPattern: Int64(Tensor.integer(bytes, .u64, position))))")
    // The shortest digits that read back as the same number of the type.
    case .f32: return decimal("\(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self))")
    case .f16: return decimal("\(bytes.loadUnaligned(fromByteOffset: position * 2, as: Float16.self))")
    case _ where element.isFloatingPoint: return decimal("\(Tensor.double(bytes, element, position))")
    default: return Text("\(Tensor.integer(bytes, element, position))")
    }
  }

  /// Swift's digits, written as NumPy writes them: decimal from 1e-4 up to 1e16.
  private static func decimal(_ text: String) -> Text {
    switch text {
    case "nan", "-nan": return "NaN"
    case "inf": return "INF"
    case "-inf": return "-INF"
    default: break
    }
    let isNegative = text.hasPrefix("-")
    let parts = text.drop { $0 == "-" }.split(separator: "e", maxSplits: 1)
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let (whole, fraction) = (mantissa[0], mantissa.count > 1 && mantissa[1] != "0" ? mantissa[1] : "")
    var digits = Array(whole + fraction)
    // The value is 0.DIGITS times ten to the power of `point`.
    var point = whole.count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    while digits.count > 1, digits[0] == "0" {
      digits.removeFirst()
      point -= 1
    }
    if digits == ["0"] { return isNegative ? "-0.0" : "0.0" }
    while digits.count > 1, digits[digits.count - 1] == "0" { digits.removeLast() }
    let sign = isNegative ? "-" : ""
    if point > 16 || point < -3 {
      let exponent = point - 1
      let tail = digits.count > 1 ? "." + String(digits[1...]) : ""
      let size = "\(exponent.magnitude)"
      return Text("\(sign)\(digits[0])\(tail)e\(exponent < 0 ? "-" : "+")\(size.count < 2 ? "0" : "")\(size)")
    }
    if point <= 0 { return Text(sign + "0." + String(repeating: "0", count: -point) + String(digits)) }
    if digits.count <= point { return Text(sign + String(digits) + String(repeating: "0", count: point - digits.count) + ".0") }
    return Text(sign + String(digits[..<point]) + "." + String(digits[point...]))
  }

  /// Stores the number that a text says; integers may be written with a fraction or an exponent, which is cut off.
  static func parse(_ text: Text, _ element: ElementType, _ output: UnsafeMutableRawBufferPointer, _ position: Int) throws(TextError) {
    let plain = text.string.drop { $0 == " " || $0 == "\t" || $0 == "\n" }.reversed().drop { $0 == " " || $0 == "\t" || $0 == "\n" }.reversed()
    let word = String(plain)
    if element == .u64, let value = UInt64(word) { return Tensor.store(Int(bitPattern: UInt(value)), element, output, position) }
    if element.isInteger, let value = Int(word) { return Tensor.store(value, element, output, position) }
    if element == .f32, let value = Float(word) { return output.storeBytes(of: value, toByteOffset: position * 4, as: Float.self) }
    if let value = Double(word) { return Tensor.store(value, element, output, position) }
    if element == .bool, let value = ["true": 1.0, "false": 0.0][word.lowercased()] { return Tensor.store(value, element, output, position) }
    throw TextError("the string \(text.string.debugDescription.prefix(60)) is no number")
  }
}
