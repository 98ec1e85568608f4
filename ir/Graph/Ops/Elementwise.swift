import TensorTypes

/// A function of each element: `neg`, `exp`, `tanh`, `erf`, `not`, `isnan`, ...
///
///     %y = exp %x : f32[1,64]
///
/// - Operands: `x`. Result: the same type; `bool` for a predicate.
public struct Unary: Operation {
  public var function: UnaryFunction
  public init(_ function: UnaryFunction) { self.function = function }

  public static let mnemonics = UnaryFunction.allCases.map(\.mnemonic)
  public var mnemonic: String { function.mnemonic }
  public var arity: ClosedRange<Int> { 1...1 }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard let function = UnaryFunction(mnemonic: mnemonic) else { throw TypeError("`\(mnemonic)` is no elementwise function") }
    self.init(function)
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let element = operands[0].element
    let fits =
      switch function {
      case .negate, .absolute, .sign: element.isNumber
      case .not: element == .bool || element.isInteger
      default: element.isFloatingPoint
      }
    guard fits else { throw TypeError("`\(mnemonic)` does not take \(element.name)") }
    return [function.isPredicate ? TensorType(.bool, operands[0].shape) : operands[0]]
  }
}

/// A function of the corresponding elements of two tensors of one type.
///
///     %y = add %a, %b : f32[1,64]
///
/// - Operands: `a`, `b` of the same type; shapes are made equal by `broadcast` before. Result: that type.
public struct Binary: Operation {
  public var function: BinaryFunction
  public init(_ function: BinaryFunction) { self.function = function }

  public static let mnemonics = BinaryFunction.allCases.map(\.mnemonic)
  public var mnemonic: String { function.mnemonic }
  public var arity: ClosedRange<Int> { 2...2 }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard let function = BinaryFunction(mnemonic: mnemonic) else { throw TypeError("`\(mnemonic)` is no elementwise function") }
    self.init(function)
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireSameElement(operands)
    try requireSameShape(operands)
    let element = operands[0].element
    let fits =
      switch function {
      case .and, .or, .xor: element == .bool || element.isInteger
      case .shiftLeft, .shiftRight: element.isInteger
      case .maximum, .minimum: element != .string
      default: element.isNumber
      }
    guard fits else { throw TypeError("`\(mnemonic)` does not take \(element.name)") }
    return [operands[0]]
  }
}

/// An ordering test of corresponding elements.
///
///     %m = compare %a, %b {is = lt} : bool[1,64]
///
/// - Operands: `a`, `b` of the same type. Result: bool of that shape.
public struct Compare: Operation {
  public var comparison: Comparison
  public init(_ comparison: Comparison) { self.comparison = comparison }

  public static let mnemonics = ["compare"]
  public var arity: ClosedRange<Int> { 2...2 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("is", .word(comparison.rawValue))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(try attributes.word("is", as: Comparison.self))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireSameElement(operands)
    try requireSameShape(operands)
    if operands[0].element == .string, comparison != .equal, comparison != .notEqual { throw TypeError("texts have no order, so `compare` only tells whether they are equal") }
    return [TensorType(.bool, operands[0].shape)]
  }
}

/// For each element the second operand where the first is true, else the third.
///
///     %y = select %condition, %a, %b : f32[1,64]
///
/// - Operands: `condition` bool, `a`, `b`, all of one shape. Result: the type of `a`.
public struct Select: Operation {
  public init() {}
  public static let mnemonics = ["select"]
  public var arity: ClosedRange<Int> { 3...3 }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {}
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard operands[0].element == .bool else { throw TypeError("the condition of `select` is \(operands[0]), not bool") }
    try requireSameElement(Array(operands[1...]))
    try requireSameShape(operands)
    return [operands[1]]
  }
}

/// Each element in another element type.
///
///     %y = convert %x {to = f32} : f32[8]
///
/// Floating point to integer truncates toward zero and clamps to the range (NaN gives 0); integer to integer
/// wraps; to a narrower floating point rounds to nearest even; to `bool` tests against zero. Integers of 4 and 2 bits are
/// the low bits of what conversion to i32 gives, from floating point too. Floating point of 8 and 4 bits follows `SmallFloat`.
///
/// With `bits` the same bits are read as the other type, which is as wide.
public struct Convert: Operation {
  public var element: ElementType
  /// True if the bits stay and the value changes, instead of the other way round.
  public var keepsBits: Bool
  public init(to element: ElementType, keepsBits: Bool = false) { (self.element, self.keepsBits) = (element, keepsBits) }

  public static let mnemonics = ["convert"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("to", .element(element))
    list.set("bits", keepsBits, unless: false) { .flag($0) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(to: try attributes.element("to"), keepsBits: try attributes.flag("bits"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let source = operands[0].element
    if element != source, element == .string || source == .string { throw TypeError("`convert` does not take \(source.name) to \(element.name)") }
    if keepsBits, source.bitCount != element.bitCount {
      throw TypeError("`convert` cannot read the bits of \(source.name) (\(source.bitCount)) as \(element.name) (\(element.bitCount))")
    }
    return [TensorType(element, operands[0].shape)]
  }
}
