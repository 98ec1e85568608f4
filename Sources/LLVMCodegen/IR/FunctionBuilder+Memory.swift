internal import CLLVM
import TensorTypes

/// How elements look in registers and in memory.
///
/// Floating point narrower than f32 is f32 in registers, rounded to its type; integers of 4 and 2 bits are i8, extended to it; a
/// bool is an i1 in registers and a byte of 0 or 1 in memory.
extension FunctionBuilder {
  func registerType(_ element: ElementType) -> IRType {
    switch element {
    case .f32, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: f32
    case .f64: f64
    case .i8, .u8, .i4, .u4, .i2, .u2: i8
    case .i16, .u16: int(16)
    case .i32, .u32: i32
    case .i64, .u64, .string: i64
    case .bool: i1
    }
  }

  func memoryType(_ element: ElementType) -> IRType {
    switch element {
    case .f16: target.hasF16C ? f16 : int(16)
    case .bf16: int(16)
    case .bool, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: i8
    default: registerType(element)
    }
  }

  /// What a stack slot of a local holds.
  func slotType(_ element: ElementType) -> IRType { element == .bool ? i8 : registerType(element) }

  /// From memory to registers.
  func widen(_ value: IRValue, _ element: ElementType) -> IRValue {
    switch element {
    case .f16: return target.hasF16C ? cast(LLVMFPExt, value, to: f32) : halfToSingle(value)
    case .bf16: return float(shl(cast(LLVMZExt, value, to: i32), 16))
    case .f8e8m0: return powerOfTwoToSingle(value)
    case .bool: return compare(LLVMIntNE, value, 0)
    case .i4, .u4, .i2, .u2: return lowBits(value, element)
    default:
      if let format = element.smallFloat { return smallToSingle(value, format) }
      return value
    }
  }

  /// From registers to memory; the value is already rounded to its type.
  func narrow(_ value: IRValue, _ element: ElementType) -> IRValue {
    switch element {
    case .f16: return target.hasF16C ? cast(LLVMFPTrunc, value, to: f16) : singleToHalf(value)
    case .bf16: return cast(LLVMTrunc, lshr(bits(value), 16), to: int(16))
    case .f8e8m0: return singleToPowerOfTwo(value)
    case .bool: return cast(LLVMZExt, value, to: i8)
    default:
      if let format = element.smallFloat { return singleToSmall(value, format) }
      return value
    }
  }

  /// An f32 rounded to what an element type holds.
  func rounded(_ value: IRValue, to element: ElementType) -> IRValue {
    switch element {
    case .bf16:
      let word = bits(value)
      let bias = add(and(lshr(word, 16), 1), 0x7fff)
      let even = and(add(word, bias), ~0xffff)
      let quiet = or(and(word, ~0xffff), 0x40_0000)
      return float(select(compare(LLVMRealUNO, value, value), quiet, even))
    case _ where element.isNarrowFloat: return widen(narrow(value, element), element)
    default: return value
    }
  }

  /// The low bits of i8 lanes as an integer of 4 or 2 bits, extended; other types are left alone.
  func lowBits(_ value: IRValue, _ element: ElementType) -> IRValue {
    guard element.bitCount < 8 else { return value }
    if element.isUnsignedInteger { return and(value, (1 << element.bitCount) - 1) }
    return ashr(shl(value, 8 - element.bitCount), 8 - element.bitCount)
  }

  // MARK: Addresses

  func element(_ base: IRValue, _ type: IRType, at index: IRValue) -> IRValue {
    var indices: [LLVMValueRef?] = [index.raw]
    return IRValue(LLVMBuildInBoundsGEP2(raw, type.raw, base.raw, &indices, 1, ""))
  }

  func element(_ base: IRValue, _ type: IRType, at position: Int) -> IRValue { position == 0 ? base : element(base, type, at: index(position)) }

  /// The address of an element that may lie outside of what `base` points to.
  func address(_ base: IRValue, _ type: IRType, at index: IRValue) -> IRValue {
    var indices: [LLVMValueRef?] = [index.raw]
    return IRValue(LLVMBuildGEP2(raw, type.raw, base.raw, &indices, 1, ""))
  }

  /// The pointer `bytes` further on.
  func offset(_ base: IRValue, bytes: IRValue) -> IRValue { element(base, i8, at: bytes) }

  // MARK: Loads and stores

  func load(_ type: IRType, _ address: IRValue, alignment: Int) -> IRValue {
    let load = LLVMBuildLoad2(raw, type.raw, address.raw, "")!
    LLVMSetAlignment(load, UInt32(alignment))
    return IRValue(load)
  }

  /// Into the first-level cache, in the state that a write needs if one follows.
  func prefetch(_ address: IRValue, forWriting: Bool) {
    intrinsic("llvm.prefetch", [pointer], [address, integer(forWriting ? 1 : 0, i32), integer(3, i32), integer(1, i32)])
  }

  func store(_ value: IRValue, _ address: IRValue, alignment: Int) {
    LLVMSetAlignment(LLVMBuildStore(raw, value.raw, address.raw), UInt32(alignment))
  }

  /// Lanes that are off read as zero and touch no memory.
  func maskedLoad(_ type: IRType, _ address: IRValue, alignment: Int, mask: IRValue) -> IRValue {
    intrinsic("llvm.masked.load", [type, pointer], [address, integer(alignment, i32), mask, IRValue(LLVMConstNull(type.raw))])
  }

  func maskedStore(_ value: IRValue, _ address: IRValue, alignment: Int, mask: IRValue) {
    intrinsic("llvm.masked.store", [value.type, pointer], [value, address, integer(alignment, i32), mask])
  }

  func gather(_ type: IRType, _ addresses: IRValue, alignment: Int, mask: IRValue?) -> IRValue {
    intrinsic(
      "llvm.masked.gather", [type, addresses.type],
      [addresses, integer(alignment, i32), mask ?? integer(-1, i1.vector(type.lanes)), IRValue(LLVMConstNull(type.raw))])
  }

  func scatter(_ value: IRValue, _ addresses: IRValue, alignment: Int, mask: IRValue?) {
    intrinsic("llvm.masked.scatter", [value.type, addresses.type], [value, addresses, integer(alignment, i32), mask ?? integer(-1, i1.vector(value.type.lanes))])
  }
}
