/// A function of one element. Graph operations and kernel expressions share these names and meanings.
public enum UnaryFunction: String, Sendable, Hashable, CaseIterable {
  case negate, absolute, sign, ceiling, floor
  /// Nearest integer, halves to even.
  case round
  case exponential, logarithm, squareRoot, reciprocal
  case sine, cosine, tangent, arcsine, arccosine, arctangent
  case hyperbolicSine, hyperbolicCosine, hyperbolicTangent, inverseHyperbolicSine, inverseHyperbolicCosine, inverseHyperbolicTangent
  /// 1 / (1 + e^-x).
  case logistic
  case errorFunction
  /// Logical or bitwise complement.
  case not
  case isNaN
  /// True for both infinities.
  case isInfinite

  /// The mnemonic in the text form.
  public var mnemonic: String {
    switch self {
    case .negate: "neg"
    case .absolute: "abs"
    case .sign: "sign"
    case .ceiling: "ceil"
    case .floor: "floor"
    case .round: "round"
    case .exponential: "exp"
    case .logarithm: "log"
    case .squareRoot: "sqrt"
    case .reciprocal: "reciprocal"
    case .sine: "sin"
    case .cosine: "cos"
    case .tangent: "tan"
    case .arcsine: "asin"
    case .arccosine: "acos"
    case .arctangent: "atan"
    case .hyperbolicSine: "sinh"
    case .hyperbolicCosine: "cosh"
    case .hyperbolicTangent: "tanh"
    case .inverseHyperbolicSine: "asinh"
    case .inverseHyperbolicCosine: "acosh"
    case .inverseHyperbolicTangent: "atanh"
    case .logistic: "logistic"
    case .errorFunction: "erf"
    case .not: "not"
    case .isNaN: "isnan"
    case .isInfinite: "isinf"
    }
  }

  public init?(mnemonic: String) {
    guard let found = Self.allCases.first(where: { $0.mnemonic == mnemonic }) else { return nil }
    self = found
  }

  /// True if the result is `bool` whatever the operand is.
  public var isPredicate: Bool { self == .isNaN || self == .isInfinite }
}

/// A function of two elements of the same type.
public enum BinaryFunction: String, Sendable, Hashable, CaseIterable {
  case add, subtract, multiply
  /// Integers: rounded toward zero; by zero gives 0. Floating point: IEEE 754.
  case divide
  /// Remainder with the sign of the dividend (C `fmod`, `%`); integer remainder by zero is 0.
  case remainder
  /// Remainder with the sign of the divisor (Python `%`); integer modulo zero is 0.
  case modulo
  case power
  /// NaN if either operand is NaN.
  case maximum, minimum
  /// Logical on `bool`, bitwise on integers.
  case and, or, xor
  /// By the width of the type, by more, or by a negative amount: 0. To the right, signed integers keep their sign.
  case shiftLeft, shiftRight

  public var mnemonic: String {
    switch self {
    case .add: "add"
    case .subtract: "sub"
    case .multiply: "mul"
    case .divide: "div"
    case .remainder: "rem"
    case .modulo: "mod"
    case .power: "pow"
    case .maximum: "max"
    case .minimum: "min"
    case .and: "and"
    case .or: "or"
    case .xor: "xor"
    case .shiftLeft: "shl"
    case .shiftRight: "shr"
    }
  }

  public init?(mnemonic: String) {
    guard let found = Self.allCases.first(where: { $0.mnemonic == mnemonic }) else { return nil }
    self = found
  }

  public var isCommutative: Bool {
    switch self {
    case .add, .multiply, .maximum, .minimum, .and, .or, .xor: true
    default: false
    }
  }
}

/// An ordering test of two elements of the same type. With a NaN only `notEqual` holds.
public enum Comparison: String, Sendable, Hashable, CaseIterable {
  case equal = "eq", notEqual = "ne", less = "lt", lessOrEqual = "le", greater = "gt", greaterOrEqual = "ge"
}

/// How a reduction combines elements.
public enum Reducer: String, Sendable, Hashable, CaseIterable {
  case sum, product, maximum = "max", minimum = "min", and, or

  public var function: BinaryFunction {
    switch self {
    case .sum: .add
    case .product: .multiply
    case .maximum: .maximum
    case .minimum: .minimum
    case .and: .and
    case .or: .or
    }
  }
}
