internal import CLLVM

/// An LLVM value inside the function being built.
struct IRValue: Equatable {
  let raw: LLVMValueRef
  init(_ raw: LLVMValueRef) { self.raw = raw }

  var type: IRType { IRType(LLVMTypeOf(raw)) }
  var isConstant: Bool { LLVMIsConstant(raw) != 0 }

  /// The value of an integer literal of up to 64 bits.
  var constantInteger: Int? {
    guard LLVMIsAConstantInt(raw) != nil else { return nil }
    return Int(LLVMConstIntGetSExtValue(raw))
  }

  /// True for a floating-point literal that is a number.
  var isConstantNumber: Bool {
    guard LLVMIsAConstantFP(raw) != nil else { return false }
    var lost: LLVMBool = 0
    return !LLVMConstRealGetDouble(raw, &lost).isNaN
  }
}

/// An LLVM type: a scalar, or a vector of them.
struct IRType: Equatable {
  let raw: LLVMTypeRef
  init(_ raw: LLVMTypeRef) { self.raw = raw }

  /// The number of lanes; 1 for a scalar.
  var lanes: Int { LLVMGetTypeKind(raw) == LLVMVectorTypeKind ? Int(LLVMGetVectorSize(raw)) : 1 }
  var isVector: Bool { LLVMGetTypeKind(raw) == LLVMVectorTypeKind }
  /// The type of one lane.
  var scalar: IRType { isVector ? IRType(LLVMGetElementType(raw)) : self }
  /// The same lane in another number.
  func vector(_ lanes: Int) -> IRType { lanes == 1 ? scalar : IRType(LLVMVectorType(scalar.raw, UInt32(lanes))) }
  var isDouble: Bool { LLVMGetTypeKind(scalar.raw) == LLVMDoubleTypeKind }
  var bitWidth: Int { LLVMGetTypeKind(scalar.raw) == LLVMIntegerTypeKind ? Int(LLVMGetIntTypeWidth(scalar.raw)) : isDouble ? 64 : 32 }
}

struct IRBlock: Equatable {
  let raw: LLVMBasicBlockRef
  init(_ raw: LLVMBasicBlockRef) { self.raw = raw }
}
