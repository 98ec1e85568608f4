internal import CLLVM

/// Arithmetic on scalars and vectors. Literals take the type of the other operand.
extension FunctionBuilder {
  // MARK: Integers

  func add(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildAdd(raw, a.raw, b.raw, "")) }
  func sub(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildSub(raw, a.raw, b.raw, "")) }
  func mul(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildMul(raw, a.raw, b.raw, "")) }
  func and(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildAnd(raw, a.raw, b.raw, "")) }
  func or(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildOr(raw, a.raw, b.raw, "")) }
  func xor(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildXor(raw, a.raw, b.raw, "")) }
  func shl(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildShl(raw, a.raw, b.raw, "")) }
  func lshr(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildLShr(raw, a.raw, b.raw, "")) }
  func ashr(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildAShr(raw, a.raw, b.raw, "")) }
  func sdiv(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildSDiv(raw, a.raw, b.raw, "")) }
  func udiv(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildUDiv(raw, a.raw, b.raw, "")) }
  func srem(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildSRem(raw, a.raw, b.raw, "")) }
  func urem(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildURem(raw, a.raw, b.raw, "")) }
  func not(_ a: IRValue) -> IRValue { IRValue(LLVMBuildNot(raw, a.raw, "")) }
  func neg(_ a: IRValue) -> IRValue { IRValue(LLVMBuildNeg(raw, a.raw, "")) }

  func add(_ a: IRValue, _ b: Int) -> IRValue { b == 0 ? a : add(a, integer(b, a.type)) }
  func mul(_ a: IRValue, _ b: Int) -> IRValue { b == 1 ? a : mul(a, integer(b, a.type)) }
  func and(_ a: IRValue, _ b: Int) -> IRValue { and(a, integer(b, a.type)) }
  func or(_ a: IRValue, _ b: Int) -> IRValue { or(a, integer(b, a.type)) }
  func shl(_ a: IRValue, _ b: Int) -> IRValue { shl(a, integer(b, a.type)) }
  func lshr(_ a: IRValue, _ b: Int) -> IRValue { lshr(a, integer(b, a.type)) }
  func ashr(_ a: IRValue, _ b: Int) -> IRValue { ashr(a, integer(b, a.type)) }

  func compare(_ predicate: LLVMIntPredicate, _ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildICmp(raw, predicate, a.raw, b.raw, "")) }
  func compare(_ predicate: LLVMIntPredicate, _ a: IRValue, _ b: Int) -> IRValue { compare(predicate, a, integer(b, a.type)) }

  func smin(_ a: IRValue, _ b: IRValue) -> IRValue { intrinsic("llvm.smin", [a.type], [a, b]) }
  func smax(_ a: IRValue, _ b: IRValue) -> IRValue { intrinsic("llvm.smax", [a.type], [a, b]) }
  func umin(_ a: IRValue, _ b: IRValue) -> IRValue { intrinsic("llvm.umin", [a.type], [a, b]) }
  func umax(_ a: IRValue, _ b: IRValue) -> IRValue { intrinsic("llvm.umax", [a.type], [a, b]) }

  // MARK: Floating point

  func fadd(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildFAdd(raw, a.raw, b.raw, "")) }
  func fsub(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildFSub(raw, a.raw, b.raw, "")) }
  func fmul(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildFMul(raw, a.raw, b.raw, "")) }
  func fdiv(_ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildFDiv(raw, a.raw, b.raw, "")) }
  func fneg(_ a: IRValue) -> IRValue { IRValue(LLVMBuildFNeg(raw, a.raw, "")) }

  func fadd(_ a: IRValue, _ b: Double) -> IRValue { fadd(a, real(b, a.type)) }
  func fsub(_ a: IRValue, _ b: Double) -> IRValue { fsub(a, real(b, a.type)) }
  func fsub(_ a: Double, _ b: IRValue) -> IRValue { fsub(real(a, b.type), b) }
  func fmul(_ a: IRValue, _ b: Double) -> IRValue { fmul(a, real(b, a.type)) }
  func fdiv(_ a: Double, _ b: IRValue) -> IRValue { fdiv(real(a, b.type), b) }

  func compare(_ predicate: LLVMRealPredicate, _ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildFCmp(raw, predicate, a.raw, b.raw, "")) }
  func compare(_ predicate: LLVMRealPredicate, _ a: IRValue, _ b: Double) -> IRValue { compare(predicate, a, real(b, a.type)) }

  /// a * b + c: rounded once where the target can, otherwise twice.
  func fma(_ a: IRValue, _ b: IRValue, _ c: IRValue) -> IRValue {
    target.hasFMA ? intrinsic("llvm.fma", [a.type], [a, b, c]) : fadd(fmul(a, b), c)
  }
  func fma(_ a: IRValue, _ b: Double, _ c: IRValue) -> IRValue { fma(a, real(b, a.type), c) }
  func fma(_ a: IRValue, _ b: IRValue, _ c: Double) -> IRValue { fma(a, b, real(c, a.type)) }
  func fma(_ a: IRValue, _ b: Double, _ c: Double) -> IRValue { fma(a, real(b, a.type), real(c, a.type)) }

  func fabs(_ a: IRValue) -> IRValue { intrinsic("llvm.fabs", [a.type], [a]) }
  func sqrt(_ a: IRValue) -> IRValue { intrinsic("llvm.sqrt", [a.type], [a]) }
  func floor(_ a: IRValue) -> IRValue { intrinsic("llvm.floor", [a.type], [a]) }
  func ceil(_ a: IRValue) -> IRValue { intrinsic("llvm.ceil", [a.type], [a]) }
  func trunc(_ a: IRValue) -> IRValue { intrinsic("llvm.trunc", [a.type], [a]) }
  func roundEven(_ a: IRValue) -> IRValue { intrinsic("llvm.roundeven", [a.type], [a]) }
  func copysign(_ a: IRValue, _ sign: IRValue) -> IRValue { intrinsic("llvm.copysign", [a.type], [a, sign]) }

  /// The larger one, and `b` if either is a NaN: one x86 `max` instruction.
  func maximumOrSecond(_ a: IRValue, _ b: IRValue) -> IRValue { select(compare(LLVMRealOGT, a, b), a, b) }
  /// The smaller one, and `b` if either is a NaN: one x86 `min` instruction.
  func minimumOrSecond(_ a: IRValue, _ b: IRValue) -> IRValue { select(compare(LLVMRealOLT, a, b), a, b) }

  // MARK: Any type

  func select(_ condition: IRValue, _ a: IRValue, _ b: IRValue) -> IRValue { IRValue(LLVMBuildSelect(raw, condition.raw, a.raw, b.raw, "")) }
  func select(_ condition: IRValue, _ a: IRValue, _ b: Double) -> IRValue { select(condition, a, real(b, a.type)) }
  func select(_ condition: IRValue, _ a: Double, _ b: IRValue) -> IRValue { select(condition, real(a, b.type), b) }

  /// A cast of every lane to a scalar type.
  func cast(_ opcode: LLVMOpcode, _ a: IRValue, to scalar: IRType) -> IRValue {
    IRValue(LLVMBuildCast(raw, opcode, a.raw, scalar.vector(a.type.lanes).raw, ""))
  }

  /// The bits of every lane as another type of the same width.
  func bitcast(_ a: IRValue, to scalar: IRType) -> IRValue { cast(LLVMBitCast, a, to: scalar) }

  /// A float's bits as an integer of its width.
  func bits(_ a: IRValue) -> IRValue { bitcast(a, to: int(a.type.bitWidth)) }
  /// The float with these bits.
  func float(_ a: IRValue) -> IRValue { bitcast(a, to: a.type.bitWidth == 64 ? f64 : f32) }

  // MARK: Vectors

  /// The value in every lane.
  func splat(_ value: IRValue, _ lanes: Int) -> IRValue {
    if lanes == 1 || value.type.isVector { return value }
    let type = value.type.vector(lanes)
    let first = LLVMBuildInsertElement(raw, LLVMGetPoison(type.raw), value.raw, index(0).raw, "")
    return IRValue(LLVMBuildShuffleVector(raw, first, LLVMGetPoison(type.raw), LLVMConstNull(i32.vector(lanes).raw), ""))
  }

  func extract(_ vector: IRValue, _ lane: Int) -> IRValue {
    vector.type.isVector ? IRValue(LLVMBuildExtractElement(raw, vector.raw, index(lane).raw, "")) : vector
  }
  func insert(_ value: IRValue, into vector: IRValue, _ lane: Int) -> IRValue {
    IRValue(LLVMBuildInsertElement(raw, vector.raw, value.raw, index(lane).raw, ""))
  }

  /// Lanes of `a` (0 ..< n) and `b` (n ..< 2n), chosen by number.
  func shuffle(_ a: IRValue, with b: IRValue? = nil, _ lanes: [Int]) -> IRValue {
    let mask = vector(lanes.map { integer($0, i32) })
    return IRValue(LLVMBuildShuffleVector(raw, a.raw, b?.raw ?? LLVMGetPoison(a.type.raw), mask.raw, ""))
  }

  /// True if a condition holds in any lane.
  func any(_ condition: IRValue) -> IRValue {
    condition.type.isVector ? intrinsic("llvm.vector.reduce.or", [condition.type], [condition]) : condition
  }

  /// An integer with a bit for each lane of a vector of i1; that of the first lane is the lowest.
  func laneBits(_ condition: IRValue) -> IRValue { IRValue(LLVMBuildCast(raw, LLVMBitCast, condition.raw, int(condition.type.lanes).raw, "")) }

  // MARK: Calls

  /// A call of an LLVM intrinsic, overloaded by types.
  @discardableResult
  func intrinsic(_ name: String, _ types: [IRType], _ arguments: [IRValue]) -> IRValue {
    let id = LLVMLookupIntrinsicID(name, name.utf8.count)
    var overloads: [LLVMTypeRef?] = types.map(\.raw)
    let type = LLVMIntrinsicGetType(context, id, &overloads, overloads.count)
    let callee = LLVMGetIntrinsicDeclaration(module, id, &overloads, overloads.count)
    var raws: [LLVMValueRef?] = arguments.map(\.raw)
    return IRValue(LLVMBuildCall2(raw, type, callee, &raws, UInt32(raws.count), ""))
  }

  @discardableResult
  func call(_ callee: IRValue, _ type: IRType, _ arguments: [IRValue]) -> IRValue {
    var raws: [LLVMValueRef?] = arguments.map(\.raw)
    return IRValue(LLVMBuildCall2(raw, type.raw, callee.raw, &raws, UInt32(raws.count), ""))
  }
}
