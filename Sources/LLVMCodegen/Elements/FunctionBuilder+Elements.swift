internal import CLLVM
import TensorTypes

/// The functions of `TensorTypes` on register values of an element type, scalars and vectors alike.
///
/// Narrow floating point is computed in f32, integers of 4 and 2 bits in i8; both are cut to their type after each function.
extension FunctionBuilder {
  private func unsupported(_ what: String, _ element: ElementType) -> CodegenError { CodegenError(.malformed("`\(what)` has no meaning for \(element.name)")) }

  func unary(_ function: UnaryFunction, _ x: IRValue, _ element: ElementType) throws(CodegenError) -> IRValue {
    if element.isFloatingPoint {
      switch function {
      case .not: throw unsupported(function.mnemonic, element)
      case .isNaN, .isInfinite: return floatUnary(function, x)
      default: return rounded(floatUnary(function, x), to: element)
      }
    }
    let isSigned = element.isSignedInteger
    switch function {
    case .not where element.isInteger: return lowBits(not(x), element)
    case .not: return not(x)
    case .ceiling, .floor, .round: return x
    case .isNaN, .isInfinite: return integer(0, i1.vector(x.type.lanes))
    case .negate where element.isInteger: return lowBits(neg(x), element)
    case .absolute where element.isInteger: return isSigned ? lowBits(intrinsic("llvm.abs", [x.type], [x, integer(0, i1)]), element) : x
    case .absolute: return x
    case .sign where isSigned: return smax(smin(x, integer(1, x.type)), integer(-1, x.type))
    case .sign where element.isUnsignedInteger: return umin(x, integer(1, x.type))
    case .sign: return x
    default: throw unsupported(function.mnemonic, element)
    }
  }

  private func floatUnary(_ function: UnaryFunction, _ x: IRValue) -> IRValue {
    switch function {
    case .negate: fneg(x)
    case .absolute: fabs(x)
    case .sign: sign(x)
    case .ceiling: ceil(x)
    case .floor: floor(x)
    case .round: roundEven(x)
    case .exponential: exponential(x)
    case .logarithm: logarithm(x)
    case .squareRoot: sqrt(x)
    case .reciprocal: fdiv(1, x)
    case .sine: sine(x)
    case .cosine: cosine(x)
    case .tangent: tangent(x)
    case .arcsine: arcsine(x)
    case .arccosine: arccosine(x)
    case .arctangent: arctangent(x)
    case .hyperbolicSine: hyperbolicSine(x)
    case .hyperbolicCosine: hyperbolicCosine(x)
    case .hyperbolicTangent: hyperbolicTangent(x)
    case .inverseHyperbolicSine: inverseHyperbolicSine(x)
    case .inverseHyperbolicCosine: inverseHyperbolicCosine(x)
    case .inverseHyperbolicTangent: inverseHyperbolicTangent(x)
    case .logistic: logistic(x)
    case .errorFunction: errorFunction(x)
    case .isNaN, .not: compare(LLVMRealUNO, x, x)
    case .isInfinite: compare(LLVMRealOEQ, fabs(x), .infinity)
    }
  }

  func binary(_ function: BinaryFunction, _ x: IRValue, _ y: IRValue, _ element: ElementType) throws(CodegenError) -> IRValue {
    if element.isFloatingPoint {
      guard let value = floatBinary(function, x, y) else { throw unsupported(function.mnemonic, element) }
      return function == .maximum || function == .minimum ? value : rounded(value, to: element)
    }
    let isSigned = element.isSignedInteger
    if element == .bool {
      switch function {
      case .and, .multiply, .minimum: return and(x, y)
      case .or, .add, .maximum: return or(x, y)
      case .xor: return xor(x, y)
      default: throw unsupported(function.mnemonic, element)
      }
    }
    if element.bitCount < 8 { return lowBits(try integerBinary(function, x, y, bits: element.bitCount, isSigned: isSigned), element) }
    return try integerBinary(function, x, y, bits: element.bitCount, isSigned: isSigned)
  }

  private func integerBinary(_ function: BinaryFunction, _ x: IRValue, _ y: IRValue, bits: Int, isSigned: Bool) throws(CodegenError) -> IRValue {
    switch function {
    case .add: return add(x, y)
    case .subtract: return sub(x, y)
    case .multiply: return mul(x, y)
    case .divide: return divide(x, y, isSigned: isSigned)
    case .remainder: return remainder(x, y, isSigned: isSigned)
    case .modulo: return modulo(x, y, isSigned: isSigned)
    case .power: return integerPower(x, y, isSigned: isSigned)
    case .maximum: return isSigned ? smax(x, y) : umax(x, y)
    case .minimum: return isSigned ? smin(x, y) : umin(x, y)
    case .and: return and(x, y)
    case .or: return or(x, y)
    case .xor: return xor(x, y)
    case .shiftLeft, .shiftRight:
      // Shifts by the width or more leave nothing (or the sign).
      let isInside = compare(LLVMIntULT, y, bits)
      if function == .shiftRight && isSigned { return ashr(x, umin(y, integer(bits - 1, y.type))) }
      let amount = and(y, integer(bits - 1, y.type))
      return select(isInside, function == .shiftLeft ? shl(x, amount) : lshr(x, amount), integer(0, x.type))
    }
  }

  private func floatBinary(_ function: BinaryFunction, _ x: IRValue, _ y: IRValue) -> IRValue? {
    switch function {
    case .add: fadd(x, y)
    case .subtract: fsub(x, y)
    case .multiply: fmul(x, y)
    case .divide: fdiv(x, y)
    case .maximum: maximum(x, y)
    case .minimum: minimum(x, y)
    case .power: power(x, y)
    case .remainder: floatRemainder(x, y)
    case .modulo: floatModulo(x, y)
    case .and, .or, .xor, .shiftLeft, .shiftRight: nil
    }
  }

  /// NaN if either is. With a literal on one side it is a single instruction: x86 gives the second operand if one is a NaN.
  func maximum(_ x: IRValue, _ y: IRValue) -> IRValue {
    if isNumber(x) { return maximumOrSecond(x, y) }
    if isNumber(y) { return maximumOrSecond(y, x) }
    return select(compare(LLVMRealUNO, x, x), x, maximumOrSecond(x, y))
  }

  func minimum(_ x: IRValue, _ y: IRValue) -> IRValue {
    if isNumber(x) { return minimumOrSecond(x, y) }
    if isNumber(y) { return minimumOrSecond(y, x) }
    return select(compare(LLVMRealUNO, x, x), x, minimumOrSecond(x, y))
  }

  private func isNumber(_ x: IRValue) -> Bool { x.isConstant && (x.isConstantNumber || (x.type.isVector && extract(x, 0).isConstantNumber)) }

  func multiplyAdd(_ x: IRValue, _ y: IRValue, _ z: IRValue, _ element: ElementType) throws(CodegenError) -> IRValue {
    if element == .bool { throw unsupported("fma", element) }
    return element.isFloatingPoint ? rounded(fma(x, y, z), to: element) : lowBits(add(mul(x, y), z), element)
  }

  func compare(_ comparison: Comparison, _ x: IRValue, _ y: IRValue, _ element: ElementType) -> IRValue {
    if element.isFloatingPoint {
      let predicate =
        switch comparison {
        case .equal: LLVMRealOEQ
        case .notEqual: LLVMRealUNE
        case .less: LLVMRealOLT
        case .lessOrEqual: LLVMRealOLE
        case .greater: LLVMRealOGT
        case .greaterOrEqual: LLVMRealOGE
        }
      return compare(predicate, x, y)
    }
    let isSigned = element.isSignedInteger
    let predicate =
      switch comparison {
      case .equal: LLVMIntEQ
      case .notEqual: LLVMIntNE
      case .less: isSigned ? LLVMIntSLT : LLVMIntULT
      case .lessOrEqual: isSigned ? LLVMIntSLE : LLVMIntULE
      case .greater: isSigned ? LLVMIntSGT : LLVMIntUGT
      case .greaterOrEqual: isSigned ? LLVMIntSGE : LLVMIntUGE
      }
    return compare(predicate, x, y)
  }
}
