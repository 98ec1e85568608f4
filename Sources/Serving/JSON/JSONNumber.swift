import Glibc

/// One number of a JSON document, as it is written there: ±mantissa × 10^exponent.
///
/// Conversions are exact or correctly rounded. They return nil where the target type cannot hold the number.
struct JSONNumber {
  enum Kind { case finite, infinite, notANumber }
  var kind = Kind.finite
  var isNegative = false
  /// The first 19 significant digits.
  var mantissa: UInt64 = 0
  /// True if digits were left out of `mantissa`.
  var isTruncated = false
  var exponent = 0
  /// Where the text lies.
  var text: UnsafeRawBufferPointer.SubSequence

  /// 10^0 … 10^22, the powers of ten that a `Double` holds exactly.
  private static let powersOfTen: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
  ]

  /// mantissa × 10^exponent with two roundings, if both factors are exact or nearly so.
  @inline(__always) private var quotient: Double? {
    guard !isTruncated else { return nil }
    let power = Int(exponent.magnitude)
    guard power < Self.powersOfTen.count else { return nil }
    let factor = Self.powersOfTen[power]
    let value = exponent < 0 ? Double(mantissa) / factor : Double(mantissa) * factor
    return isNegative ? -value : value
  }

  /// The nearest `Double`; nil if the number is finite and beyond its range.
  var double: Double? {
    switch kind {
    case .notANumber: return .nan
    case .infinite: return isNegative ? -.infinity : .infinity
    case .finite: break
    }
    // Clinger's case: both factors are exact, so the one operation rounds correctly.
    if mantissa <= 1 << 53, let value = quotient { return value }
    return finite(parsed { strtod($0, nil) })
  }

  /// The nearest `Float`; nil if the number is finite and beyond its range.
  ///
  /// The double-precision quotient is off by less than 2 ulps; its rounding to `Float` is right unless it lies
  /// within 4 of its own ulps of the middle between two floats, and then the C library decides.
  var float: Float? {
    switch kind {
    case .notANumber: return .nan
    case .infinite: return isNegative ? -.infinity : .infinity
    case .finite: break
    }
    if let value = quotient {
      if value == 0 { return isNegative ? -0.0 : 0 }
      let low = Int64(value.bitPattern & 0x1fff_ffff) - 0x1000_0000
      if low.magnitude > 4, value.magnitude >= 0x1p-126 { return finite(Float(value)) }
    }
    return finite(parsed { strtof($0, nil) })
  }

  private func finite<Value: BinaryFloatingPoint>(_ value: Value) -> Value? { value.isFinite ? value : nil }

  /// The C library reads a terminated copy of the text. The process never sets a locale, so the point is '.'.
  private func parsed<Value: BinaryFloatingPoint>(_ convert: (UnsafePointer<CChar>) -> Value) -> Value {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { copy in
      for (position, byte) in text.enumerated() { copy[position] = CChar(bitPattern: byte) }
      copy[text.count] = 0
      return copy.baseAddress.map { convert(UnsafePointer($0)) } ?? .infinity
    }
  }

  /// The exact integer if the number is one (`3`, `3.0`, `3e0`) and lies in the range.
  func integer(in range: ClosedRange<Int>) -> Int? {
    guard let magnitude = wholeMagnitude else { return nil }
    let value: Int
    if isNegative {
      guard magnitude <= UInt64(Int.max) + 1 else { return nil }
      value = Int(truncatingIfNeeded: 0 &- magnitude)
    } else {
      guard let positive = Int(exactly: magnitude) else { return nil }
      value = positive
    }
    return range.contains(value) ? value : nil
  }

  /// The exact integer if the number is one and lies in 0 ..< 2^64.
  var unsigned: UInt64? {
    guard let magnitude = wholeMagnitude, !isNegative || magnitude == 0 else { return nil }
    return magnitude
  }

  /// |value| if it is an integer below 2^64.
  private var wholeMagnitude: UInt64? {
    guard kind == .finite else { return nil }
    if isTruncated { return wholeMagnitudeOfLongText }
    var value = mantissa
    if value == 0 { return 0 }
    var power = exponent
    while power > 0 {
      let (next, overflowed) = value.multipliedReportingOverflow(by: 10)
      if overflowed { return nil }
      value = next
      power -= 1
    }
    while power < 0 {
      let (next, remainder) = value.quotientAndRemainder(dividingBy: 10)
      guard remainder == 0 else { return nil }
      value = next
      power += 1
    }
    return value
  }

  /// Twenty digits may still fit (up to 18446744073709551615), and any number of zeros may follow the point.
  private var wholeMagnitudeOfLongText: UInt64? {
    var value: UInt64 = 0
    var inFraction = false
    for byte in text {
      switch byte {
      case 48...57 where inFraction: guard byte == 48 else { return nil }
      case 48...57:
        let (scaled, scaledOverflow) = value.multipliedReportingOverflow(by: 10)
        let (next, overflow) = scaled.addingReportingOverflow(UInt64(byte - 48))
        if scaledOverflow || overflow { return nil }
        value = next
      case UInt8(ascii: "."): inFraction = true
      case UInt8(ascii: "-"): continue
      default: return nil  // an exponent behind more than 19 digits: not worth exactness
      }
    }
    return value
  }
}

extension JSONScanner {
  /// Longer literals are refused: 767 digits decide every double.
  private static let longestNumber = 1100

  /// Reads a number: JSON's grammar, or `NaN`, `Infinity`, `-Infinity`.
  @inline(__always) mutating func number() throws(RequestError) -> JSONNumber {
    skipBlanks()
    let start = position
    var number = JSONNumber(text: bytes[start..<start])
    if current == UInt8(ascii: "-") {
      number.isNegative = true
      advance()
    }
    var digits = 0  // significant ones in the mantissa
    let first = current
    switch first {
    case 48:
      advance()
      if current >= 48 && current <= 57 { throw failure("a number must not begin with 0") }
    case 49...57: readDigits(into: &number, &digits, fraction: false)
    case UInt8(ascii: "N") where !number.isNegative && takeWord("NaN"):
      number.kind = .notANumber
      return number
    case UInt8(ascii: "I") where takeWord("Infinity"):
      number.kind = .infinite
      return number
    default: throw failure("expected a number")
    }
    if current == UInt8(ascii: ".") {
      advance()
      guard current >= 48 && current <= 57 else { throw failure("expected a digit after the decimal point") }
      readDigits(into: &number, &digits, fraction: true)
    }
    if current | 0x20 == UInt8(ascii: "e") {
      advance()
      var negative = false
      if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") {
        negative = current == UInt8(ascii: "-")
        advance()
      }
      guard current >= 48 && current <= 57 else { throw failure("expected a digit in the exponent") }
      var value = 0
      while current >= 48 && current <= 57 {
        value = min(value &* 10 &+ Int(current &- 48), 1_000_000)
        advance()
      }
      number.exponent = number.exponent &+ (negative ? -value : value)
    }
    guard position - start <= Self.longestNumber else { throw failure("a number of more than \(Self.longestNumber) characters") }
    number.text = bytes[start..<position]
    return number
  }

  @inline(__always) private mutating func readDigits(into number: inout JSONNumber, _ digits: inout Int, fraction: Bool) {
    while true {
      let digit = current &- 48
      guard digit < 10 else { return }
      if digits < 19 {
        number.mantissa = number.mantissa &* 10 &+ UInt64(digit)
        if number.mantissa != 0 { digits &+= 1 }
        if fraction { number.exponent &-= 1 }
      } else {
        if digit != 0 { number.isTruncated = true }
        if !fraction { number.exponent &+= 1 }
      }
      advance()
    }
  }
}
