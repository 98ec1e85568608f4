internal import CLLVM
import TensorTypes

/// Conversions between f32 and floating point of at most 8 bits, by integer arithmetic on whole vectors.
extension FunctionBuilder {
  /// i8 lanes that hold codes of a format, as f32. Exact.
  func smallToSingle(_ value: IRValue, _ format: SmallFloat) -> IRValue {
    let word = cast(LLVMZExt, value, to: i32)
    let magnitude = and(word, Int(format.sign) - 1)
    let sign = shl(and(word, Int(format.sign)), 31 - format.exponentBits - format.mantissaBits)
    // Exponent and fraction in place; the multiplication re-biases and makes subnormals right.
    let placed = shl(magnitude, 23 - format.mantissaBits)
    var result = bits(fmul(float(placed), Double(sign: .plus, exponent: 127 - format.bias, significand: 1)))
    if format.isUnsignedZero {
      result = select(compare(LLVMIntEQ, and(word, 0xff), Int(format.nan)), integer(0x7fc0_0000, word.type), or(result, sign))
      return float(result)
    }
    if format.hasInfinities { result = select(compare(LLVMIntUGT, magnitude, Int(format.largestCode)), or(placed, 0x7f80_0000), result) }
    if !format.hasInfinities, format.nan < format.sign {
      result = select(compare(LLVMIntUGT, magnitude, Int(format.largestCode)), integer(0x7fc0_0000, word.type), result)
    }
    return float(or(result, sign))
  }

  /// f32 lanes as codes of a format in i8, rounded to nearest even.
  func singleToSmall(_ value: IRValue, _ format: SmallFloat) -> IRValue {
    let word = bits(value)
    let magnitude = and(word, 0x7fff_ffff)
    let sign = and(lshr(word, 31 - format.exponentBits - format.mantissaBits), Int(format.sign))
    // Normal results: re-bias, then add half a unit (to even) and drop bits. A carry goes into the exponent.
    let dropped = 23 - format.mantissaBits
    let odd = and(lshr(magnitude, dropped), 1)
    let normal = lshr(add(add(magnitude, (format.bias - 127) << 23), add(odd, (1 << (dropped - 1)) - 1)), dropped)
    // Subnormal results: the adder does the rounding at the smallest unit.
    let unit = Double(sign: .plus, exponent: 24 - format.bias - format.mantissaBits, significand: 1)
    let shifted = fadd(float(magnitude), unit)
    let subnormal = sub(bits(shifted), integer(Int(Float(unit).bitPattern), word.type))
    let smallestNormal = Int(Float(sign: .plus, exponent: 1 - format.bias, significand: 1).bitPattern)
    var code = select(compare(LLVMIntULT, magnitude, smallestNormal), subnormal, normal)
    code = select(compare(LLVMIntUGT, code, Int(format.largestCode)), integer(Int(format.overflow), word.type), code)
    code = select(compare(LLVMIntUGT, magnitude, 0x7f80_0000), integer(Int(format.nan), word.type), code)
    if format.isUnsignedZero {
      code = select(compare(LLVMIntEQ, code, 0), code, or(code, sign))
    } else {
      code = or(code, sign)
    }
    return cast(LLVMTrunc, code, to: i8)
  }

  /// i8 lanes that hold exponents (`f8e8m0`), as f32. Exact; the smallest power is a subnormal f32.
  func powerOfTwoToSingle(_ value: IRValue) -> IRValue {
    let word = cast(LLVMZExt, value, to: i32)
    let power = select(compare(LLVMIntEQ, word, 0), integer(0x40_0000, word.type), shl(word, 23))
    return float(select(compare(LLVMIntEQ, word, Int(PowerOfTwo.nan)), integer(0x7fc0_0000, word.type), power))
  }

  /// f32 lanes as the exponents of the nearest powers of two, ties upward; NaN for what is out of range.
  func singleToPowerOfTwo(_ value: IRValue) -> IRValue {
    let word = bits(value)
    let isLeast = compare(LLVMIntULT, word, 0x60_0000)
    let code = select(isLeast, integer(0, word.type), lshr(add(word, 0x40_0000), 23))
    // Negative numbers, zero, and less than the smallest power; infinities and NaNs.
    let isOutside = or(compare(LLVMIntSLT, word, 0x40_0000), compare(LLVMIntSGE, word, 0x7f80_0000))
    return cast(LLVMTrunc, select(isOutside, integer(Int(PowerOfTwo.nan), word.type), code), to: i8)
  }
}
