internal import CLLVM

/// f16 conversions for targets without F16C, by integer arithmetic.
extension FunctionBuilder {
  /// i16 lanes that hold f16 bits, as f32. Exact.
  func halfToSingle(_ value: IRValue) -> IRValue {
    let word = cast(LLVMZExt, value, to: i32)
    let sign = shl(and(word, 0x8000), 16)
    let magnitude = and(word, 0x7fff)
    // Exponent and fraction in place; the multiplication re-biases and makes subnormals right.
    let scaled = bits(fmul(float(shl(magnitude, 13)), 0x1p112))
    let special = or(shl(magnitude, 13), 0x7f80_0000)
    let result = select(compare(LLVMIntUGE, magnitude, 0x7c00), special, scaled)
    return float(or(result, sign))
  }

  /// f32 lanes as f16 bits in i16, rounded to nearest even; a NaN stays one.
  func singleToHalf(_ value: IRValue) -> IRValue {
    let word = bits(value)
    let sign = and(lshr(word, 16), 0x8000)
    let magnitude = and(word, 0x7fff_ffff)
    // Normal results: re-bias, then add half a unit (to even) and drop 13 bits. A carry makes infinity.
    let odd = and(lshr(magnitude, 13), 1)
    let normal = lshr(add(add(magnitude, (15 - 127) << 23), add(odd, 0xfff)), 13)
    // Subnormal results: the adder does the rounding at the unit of 2^-24.
    let shifted = fadd(float(magnitude), 0.5)
    let subnormal = sub(bits(shifted), integer(0x3f00_0000, word.type))
    var result = select(compare(LLVMIntULT, magnitude, 0x3880_0000), subnormal, normal)
    result = select(compare(LLVMIntUGE, magnitude, 0x4780_0000), integer(0x7c00, word.type), result)
    result = select(compare(LLVMIntUGT, magnitude, 0x7f80_0000), integer(0x7e00, word.type), result)
    return cast(LLVMTrunc, or(result, sign), to: int(16))
  }
}
