import Glibc
import TensorTypes

extension UnaryFunction {
  /// The function on floating point; predicates give 0 or 1.
  @inline(__always) func callAsFunction(_ x: Double) -> Double {
    switch self {
    case .negate: -x
    case .absolute: x.magnitude
    case .sign: x > 0 ? 1 : x < 0 ? -1 : x
    case .ceiling: x.rounded(.up)
    case .floor: x.rounded(.down)
    case .round: x.rounded(.toNearestOrEven)
    case .exponential: exp(x)
    case .logarithm: log(x)
    case .squareRoot: x.squareRoot()
    case .reciprocal: 1 / x
    case .sine: sin(x)
    case .cosine: cos(x)
    case .tangent: tan(x)
    case .arcsine: asin(x)
    case .arccosine: acos(x)
    case .arctangent: atan(x)
    case .hyperbolicSine: sinh(x)
    case .hyperbolicCosine: cosh(x)
    case .hyperbolicTangent: tanh(x)
    case .inverseHyperbolicSine: asinh(x)
    case .inverseHyperbolicCosine: acosh(x)
    case .inverseHyperbolicTangent: atanh(x)
    case .logistic: 1 / (1 + exp(-x))
    case .errorFunction: erf(x)
    case .not: x == 0 ? 1 : 0
    case .isNaN: x.isNaN ? 1 : 0
    case .isInfinite: x.isInfinite ? 1 : 0
    }
  }

  /// The function on integers and `bool`, before it is cut to the width of the type. Functions of real numbers
  /// do not take integers (`Unary` refuses them); here they leave them alone.
  @inline(__always) func callAsFunction(_ x: Int64, _ element: ElementType) -> Int64 {
    switch self {
    case .negate: 0 &- x
    case .absolute: element == .u64 || x >= 0 ? x : 0 &- x
    case .sign: element == .u64 ? (x == 0 ? 0 : 1) : x.signum()
    case .not: element == .bool ? (x == 0 ? 1 : 0) : ~x
    case .isNaN, .isInfinite: 0
    default: x
    }
  }
}

extension BinaryFunction {
  /// The function on floating point. Logical functions do not take it (`Binary` refuses them); here they read it as true or false.
  @inline(__always) func callAsFunction(_ a: Double, _ b: Double) -> Double {
    switch self {
    case .add: return a + b
    case .subtract: return a - b
    case .multiply: return a * b
    case .divide: return a / b
    case .remainder: return fmod(a, b)
    case .modulo:
      let rest = fmod(a, b)
      if rest == 0 { return copysign(0, b) }
      return (rest < 0) != (b < 0) ? rest + b : rest
    case .power: return pow(a, b)
    case .maximum: return a.isNaN || b.isNaN ? .nan : a > b ? a : b
    case .minimum: return a.isNaN || b.isNaN ? .nan : a < b ? a : b
    case .and: return a != 0 && b != 0 ? 1 : 0
    case .or: return a != 0 || b != 0 ? 1 : 0
    case .xor: return (a != 0) != (b != 0) ? 1 : 0
    case .shiftLeft, .shiftRight: return a
    }
  }

  /// The function on `bool` and integers other than `u64`, before it is cut to the width of the type.
  @inline(__always) func callAsFunction(_ a: Int64, _ b: Int64, bits: Int) -> Int64 {
    switch self {
    case .add: return a &+ b
    case .subtract: return a &- b
    case .multiply: return a &* b
    // `Int64.min / -1` wraps around.
    case .divide: return b == 0 ? 0 : b == -1 ? 0 &- a : a / b
    case .remainder: return b == 0 || b == -1 ? 0 : a % b
    case .modulo:
      if b == 0 || b == -1 { return 0 }
      let rest = a % b
      return rest != 0 && (rest < 0) != (b < 0) ? rest &+ b : rest
    case .power: return integerPower(a, b)
    case .maximum: return Swift.max(a, b)
    case .minimum: return Swift.min(a, b)
    case .and: return a & b
    case .or: return a | b
    case .xor: return a ^ b
    // Nothing is left of an element that is shifted by its width, by more, or by a negative amount.
    case .shiftLeft: return b < 0 || b >= Int64(bits) ? 0 : a &<< b
    case .shiftRight: return b < 0 || b >= Int64(bits) ? 0 : a &>> b
    }
  }

  /// The function on `u64`.
  @inline(__always) func callAsFunction(_ a: UInt64, _ b: UInt64) -> UInt64 {
    switch self {
    case .add: a &+ b
    case .subtract: a &- b
    case .multiply: a &* b
    case .divide: b == 0 ? 0 : a / b
    case .remainder, .modulo: b == 0 ? 0 : a % b
    case .power: integerPower(a, b)
    case .maximum: Swift.max(a, b)
    case .minimum: Swift.min(a, b)
    case .and: a & b
    case .or: a | b
    case .xor: a ^ b
    case .shiftLeft: b >= 64 ? 0 : a &<< b
    case .shiftRight: b >= 64 ? 0 : a &>> b
    }
  }
}

/// Wrapping power by squaring; a negative exponent gives the integer part of the reciprocal's power.
private func integerPower<T: FixedWidthInteger>(_ base: T, _ exponent: T) -> T {
  if exponent < 0 {
    if base == 1 { return 1 }
    return T.isSigned && base == 0 &- 1 ? (exponent & 1 == 0 ? 1 : base) : 0
  }
  var (result, square, rest): (T, T, T) = (1, base, exponent)
  while rest > 0 {
    if rest & 1 == 1 { result = result &* square }
    square = square &* square
    rest &>>= 1
  }
  return result
}

extension Comparison {
  @inline(__always) func callAsFunction<T: Comparable>(_ a: T, _ b: T) -> Bool {
    switch self {
    case .equal: a == b
    case .notEqual: a != b
    case .less: a < b
    case .lessOrEqual: a <= b
    case .greater: a > b
    case .greaterOrEqual: a >= b
    }
  }
}

extension Reducer {
  /// What combining with leaves a number as it is; also the reduction of no element.
  var neutralReal: Double {
    switch self {
    case .sum, .or: 0
    case .product, .and: 1
    case .maximum: -.infinity
    case .minimum: .infinity
    }
  }

  func neutralSigned(_ element: ElementType) -> Int64 {
    let range = element.integerRange ?? 0...0
    return switch self {
    case .sum, .or: 0
    case .product: 1
    case .and: element == .bool ? 1 : -1
    case .maximum: Int64(range.lowerBound)
    case .minimum: Int64(range.upperBound)
    }
  }

  var neutralUnsigned: UInt64 {
    switch self {
    case .sum, .or, .maximum: 0
    case .product: 1
    case .and, .minimum: .max
    }
  }
}
