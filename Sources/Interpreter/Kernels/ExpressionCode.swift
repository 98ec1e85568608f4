import KernelIR
import TensorTypes

/// An expression as a closure over a frame, by the lane of its element type.
enum ExpressionCode {
  typealias Closure<Value> = (KernelFrame) throws(KernelError) -> Value
  case real(Closure<Double>)
  case signed(Closure<Int64>)
  case unsigned(Closure<UInt64>)

  var real: Closure<Double>? { if case .real(let code) = self { code } else { nil } }
  var signed: Closure<Int64>? { if case .signed(let code) = self { code } else { nil } }
  var unsigned: Closure<UInt64>? { if case .unsigned(let code) = self { code } else { nil } }

  /// The value as the 64 bits that variables and locals hold.
  var bits: Closure<UInt64> {
    switch self {
    case .real(let code): { frame throws(KernelError) in try code(frame).bitPattern }
    case .signed(let code): { frame throws(KernelError) in UInt64(bitPattern: try code(frame)) }
    case .unsigned(let code): code
    }
  }

  /// A value read from such bits.
  static func fromBits(_ element: ElementType, _ bits: @escaping Closure<UInt64>) -> ExpressionCode {
    switch element.lane {
    case .real: .real { frame throws(KernelError) in Double(bitPattern: try bits(frame)) }
    case .signed: .signed { frame throws(KernelError) in Int64(bitPattern: try bits(frame)) }
    case .unsigned: .unsigned(bits)
    }
  }
}

/// A number as its element type holds it.
@inline(__always) func rounded(_ value: Double, _ element: ElementType) -> Double { element == .f32 ? Double(Float(value)) : element.rounded(value) }

/// The low bits of a number, as its element type holds it.
@inline(__always) func wrapped(_ value: Int64, _ element: ElementType) -> Int64 {
  switch element {
  case .i8: Int64(Int8(truncatingIfNeeded: value))
  case .i16: Int64(Int16(truncatingIfNeeded: value))
  case .i32: Int64(Int32(truncatingIfNeeded: value))
  case .u8: Int64(UInt8(truncatingIfNeeded: value))
  case .u16: Int64(UInt16(truncatingIfNeeded: value))
  case .u32: Int64(UInt32(truncatingIfNeeded: value))
  case .i4, .i2, .u4, .u2: Int64(element.integer(ofByte: UInt8(truncatingIfNeeded: value)))
  case .bool: value == 0 ? 0 : 1
  default: value
  }
}

extension KernelCode {
  /// Compiles an expression of one kernel.
  mutating func compile(_ expression: Expression) throws(KernelError) -> ExpressionCode {
    let element = expression.element
    switch expression {
    case .index(let value):
      let number = Int64(value)
      return .signed { _ in number }
    case .number(let value, let element):
      switch element.lane {
      case .real:
        let number = rounded(value, element)
        return .real { _ in number }
      case .signed:
        let number = wrapped(clamp(value), element)
        return .signed { _ in number }
      case .unsigned:
        let number: UInt64 = clamp(value)
        return .unsigned { _ in number }
      }
    case .variable(let variable):
      let slot = slot(of: variable)
      return .fromBits(variable.element) { frame in frame[variable: slot] }
    case .extent(let extent):
      let position = position(of: extent)
      return .signed { frame in frame.extents[position] }
    case .load(let buffer, let index):
      let (slot, index) = (buffer.slot, try indexCode(index))
      switch element.lane {
      case .real: return .real { frame throws(KernelError) in try frame.load(slot, try index(frame)) }
      case .signed: return .signed { frame throws(KernelError) in try frame.load(slot, try index(frame)) }
      case .unsigned: return .unsigned { frame throws(KernelError) in try frame.load(slot, try index(frame)) }
      }
    case .local(let local, let index):
      let (start, index) = (start(of: local), try indexCode(index))
      return .fromBits(local.element) { frame throws(KernelError) in try frame.read(local, at: start, try index(frame)) }
    case .unary(let function, let x): return try unary(function, x)
    case .binary(let function, let a, let b): return try combine(function, try compile(a), try compile(b), element)
    case .compare(let comparison, let a, let b):
      let (x, y) = (try compile(a), try compile(b))
      if let x = x.real, let y = y.real { return .signed { frame throws(KernelError) in comparison(try x(frame), try y(frame)) ? 1 : 0 } }
      if let x = x.signed, let y = y.signed { return .signed { frame throws(KernelError) in comparison(try x(frame), try y(frame)) ? 1 : 0 } }
      if let x = x.unsigned, let y = y.unsigned { return .signed { frame throws(KernelError) in comparison(try x(frame), try y(frame)) ? 1 : 0 } }
      throw mixed(expression)
    case .select(let condition, let a, let b):
      // Both sides are evaluated, as the compiled code may do: a load that is guarded by `select` only is a fault.
      let (test, x, y) = (try indexCode(condition), try compile(a).bits, try compile(b).bits)
      return .fromBits(element) { frame throws(KernelError) in
        let (isTrue, a, b) = (try test(frame) != 0, try x(frame), try y(frame))
        return isTrue ? a : b
      }
    case .convert(let x, let element): return convert(try compile(x), to: element)
    case .bits(let x, let element): return reinterpret(try compile(x), x.element, as: element)
    case .multiplyAdd(let a, let b, let c):
      let (x, y, z) = (try compile(a), try compile(b), try compile(c))
      if let x = x.real, let y = y.real, let z = z.real {
        return .real { frame throws(KernelError) in rounded(try x(frame) * (try y(frame)) + (try z(frame)), element) }
      }
      return try combine(.add, try combine(.multiply, x, y, element), z, element)
    }
  }

  /// An expression in the signed lane: an index or a condition.
  mutating func indexCode(_ expression: Expression) throws(KernelError) -> ExpressionCode.Closure<Int64> {
    guard let code = try compile(expression).signed else { throw mixed(expression) }
    return code
  }

  private mutating func unary(_ function: UnaryFunction, _ x: Expression) throws(KernelError) -> ExpressionCode {
    let element = x.element
    switch try compile(x) {
    case .real(let x):
      if function.isPredicate { return .signed { frame throws(KernelError) in function(try x(frame)) == 0 ? 0 : 1 } }
      return .real { frame throws(KernelError) in rounded(function(try x(frame)), element) }
    case .signed(let x): return .signed { frame throws(KernelError) in wrapped(function(try x(frame), element), element) }
    case .unsigned(let x): return .unsigned { frame throws(KernelError) in UInt64(bitPattern: function(Int64(bitPattern: try x(frame)), element)) }
    }
  }

  func combine(_ function: BinaryFunction, _ a: ExpressionCode, _ b: ExpressionCode, _ element: ElementType) throws(KernelError) -> ExpressionCode {
    if let x = a.real, let y = b.real { return .real { frame throws(KernelError) in rounded(function(try x(frame), try y(frame)), element) } }
    if let x = a.signed, let y = b.signed {
      let bits = element.bitCount
      return .signed { frame throws(KernelError) in wrapped(function(try x(frame), try y(frame), bits: bits), element) }
    }
    if let x = a.unsigned, let y = b.unsigned { return .unsigned { frame throws(KernelError) in function(try x(frame), try y(frame)) } }
    throw KernelError(kernel: kernel.name, message: "`\(function.mnemonic)` of different types")
  }

  private func convert(_ x: ExpressionCode, to element: ElementType) -> ExpressionCode {
    switch (x, element.lane) {
    case (.real(let x), .real): return .real { frame throws(KernelError) in rounded(try x(frame), element) }
    case (.real(let x), .signed):
      let range = (element.integerRange ?? 0...0)
      let (lowest, highest) = (Int64(range.lowerBound), Int64(range.upperBound))
      if element == .bool { return .signed { frame throws(KernelError) in try x(frame) == 0 ? 0 : 1 } }
      if element.bitCount < 8 {
        return .signed { frame throws(KernelError) in
          let word: Int32 = clamp(try x(frame))
          return wrapped(Int64(word), element)
        }
      }
      return .signed { frame throws(KernelError) in
        let value: Int64 = clamp(try x(frame))
        return min(max(value, lowest), highest)
      }
    case (.real(let x), .unsigned): return .unsigned { frame throws(KernelError) in clamp(try x(frame)) }
    case (.signed(let x), .real):
      return .real { frame throws(KernelError) in
        let value = try x(frame)
        // Rounded once: through `Double` a large i64 would be rounded twice.
        return element == .f32 ? Double(Float(value)) : rounded(Double(value), element)
      }
    case (.signed(let x), .signed): return .signed { frame throws(KernelError) in wrapped(try x(frame), element) }
    case (.signed(let x), .unsigned): return .unsigned { frame throws(KernelError) in UInt64(bitPattern: try x(frame)) }
    case (.unsigned(let x), .real):
      return .real { frame throws(KernelError) in
        let value = try x(frame)
        return element == .f32 ? Double(Float(value)) : rounded(Double(value), element)
      }
    case (.unsigned(let x), .signed): return .signed { frame throws(KernelError) in wrapped(Int64(bitPattern: try x(frame)), element) }
    case (.unsigned, .unsigned): return x
    }
  }

  /// The same bits as another type, by way of the memory that both would take.
  private func reinterpret(_ x: ExpressionCode, _ source: ElementType, as element: ElementType) -> ExpressionCode {
    let bits = x.bits
    func pass(_ frame: KernelFrame) throws(KernelError) -> UInt64 {
      let word = try bits(frame)
      return withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { memory in
        guard let base = memory.baseAddress else { return 0 }
        base.storeBytes(of: 0, as: UInt64.self)
        switch source.lane {
        case .real: withUnsafePointer(to: Double(bitPattern: word)) { Double.store($0, source, base, at: 0, count: 1) }
        case .signed, .unsigned: withUnsafePointer(to: Int64(bitPattern: word)) { Int64.store($0, source, base, at: 0, count: 1) }
        }
        switch element.lane {
        case .real:
          var value = 0.0
          Double.load(element, base, at: 0, count: 1, into: &value)
          return value.bitPattern
        case .signed, .unsigned:
          var value: Int64 = 0
          Int64.load(element, base, at: 0, count: 1, into: &value)
          return UInt64(bitPattern: value)
        }
      }
    }
    return .fromBits(element) { frame throws(KernelError) in try pass(frame) }
  }

  private func mixed(_ expression: Expression) -> KernelError {
    KernelError(kernel: kernel.name, message: "`\(expression)` mixes types")
  }
}
