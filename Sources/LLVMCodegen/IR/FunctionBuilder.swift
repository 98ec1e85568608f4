internal import CLLVM
import TensorTypes

/// Owns one LLVM instruction builder, positioned inside one function.
///
/// Methods carry LLVM's names. Most work on scalars and vectors alike. A class and not a `~Copyable` struct: closures
/// that borrow such a struct send Swift 6.3's lifetime completion into a loop without end.
final class FunctionBuilder {
  let context: LLVMContextRef
  let module: LLVMModuleRef
  let function: IRValue
  let target: Target
  let raw: LLVMBuilderRef
  /// Adds to the entry block, which holds nothing but stack slots.
  private let slots: LLVMBuilderRef
  private let body: IRBlock

  init(_ function: IRValue, in module: ModuleReference, for target: Target) {
    context = module.context
    self.module = module.module
    self.function = function
    self.target = target
    raw = LLVMCreateBuilderInContext(context)
    slots = LLVMCreateBuilderInContext(context)
    LLVMPositionBuilderAtEnd(slots, LLVMAppendBasicBlockInContext(context, function.raw, "entry"))
    body = IRBlock(LLVMAppendBasicBlockInContext(context, function.raw, "body"))
    LLVMPositionBuilderAtEnd(raw, body.raw)
  }

  deinit {
    LLVMDisposeBuilder(raw)
    LLVMDisposeBuilder(slots)
  }

  /// Closes the function with a return.
  func finish(returning value: IRValue? = nil) {
    if let value { LLVMBuildRet(raw, value.raw) } else { LLVMBuildRetVoid(raw) }
    LLVMBuildBr(slots, body.raw)
  }

  func parameter(_ position: Int) -> IRValue { IRValue(LLVMGetParam(function.raw, UInt32(position))) }

  // MARK: Types and literals

  func int(_ bits: Int) -> IRType { IRType(LLVMIntTypeInContext(context, UInt32(bits))) }
  var i1: IRType { int(1) }
  var i8: IRType { int(8) }
  var i32: IRType { int(32) }
  var i64: IRType { int(64) }
  var f16: IRType { IRType(LLVMHalfTypeInContext(context)) }
  var f32: IRType { IRType(LLVMFloatTypeInContext(context)) }
  var f64: IRType { IRType(LLVMDoubleTypeInContext(context)) }
  var pointer: IRType { IRType(LLVMPointerTypeInContext(context, 0)) }

  func index(_ value: Int) -> IRValue { integer(value, i64) }

  /// An integer literal in a type; every lane of a vector.
  func integer(_ value: Int, _ type: IRType) -> IRValue {
    constantSplat(IRValue(LLVMConstInt(type.scalar.raw, UInt64(bitPattern: Int64(value)), 1)), type)
  }

  /// A floating-point literal in a type; every lane of a vector.
  func real(_ value: Double, _ type: IRType) -> IRValue { constantSplat(IRValue(LLVMConstReal(type.scalar.raw, value)), type) }

  private func constantSplat(_ scalar: IRValue, _ type: IRType) -> IRValue {
    guard type.isVector else { return scalar }
    var lanes = [LLVMValueRef?](repeating: scalar.raw, count: type.lanes)
    return IRValue(LLVMConstVector(&lanes, UInt32(lanes.count)))
  }

  /// A vector literal.
  func vector(_ lanes: [IRValue]) -> IRValue {
    var raws: [LLVMValueRef?] = lanes.map(\.raw)
    return IRValue(LLVMConstVector(&raws, UInt32(raws.count)))
  }

  /// 0, stride, 2 * stride, … as integers of a type.
  func iota(_ lanes: Int, stride: Int, _ type: IRType) -> IRValue {
    lanes == 1 ? integer(0, type.scalar) : vector((0..<lanes).map { integer($0 &* stride, type.scalar) })
  }

  func undefined(_ type: IRType) -> IRValue { IRValue(LLVMGetPoison(type.raw)) }
  var null: IRValue { IRValue(LLVMConstNull(pointer.raw)) }

  // MARK: Control

  func block(_ name: String) -> IRBlock { IRBlock(LLVMAppendBasicBlockInContext(context, function.raw, name)) }
  var currentBlock: IRBlock { IRBlock(LLVMGetInsertBlock(raw)) }
  func position(atEndOf block: IRBlock) { LLVMPositionBuilderAtEnd(raw, block.raw) }
  func branch(to block: IRBlock) { LLVMBuildBr(raw, block.raw) }
  func branch(if condition: IRValue, to then: IRBlock, else otherwise: IRBlock) { LLVMBuildCondBr(raw, condition.raw, then.raw, otherwise.raw) }

  /// Adds to a block that is already closed, before its last instruction.
  func inserting(beforeEndOf block: IRBlock, _ body: () -> Void) {
    let current = currentBlock
    LLVMPositionBuilderBefore(raw, LLVMGetBasicBlockTerminator(block.raw))
    body()
    position(atEndOf: current)
  }

  func phi(_ type: IRType, _ name: String = "") -> IRValue { IRValue(LLVMBuildPhi(raw, type.raw, name)) }

  func addIncoming(_ phi: IRValue, _ value: IRValue, from block: IRBlock) {
    var values: [LLVMValueRef?] = [value.raw]
    var blocks: [LLVMBasicBlockRef?] = [block.raw]
    LLVMAddIncoming(phi.raw, &values, &blocks, 1)
  }

  /// Emits `for i in stride(from: lower, to: upper, by: step)` and stays after the loop. A loop that is known
  /// not to be empty has no test before its first round.
  func loop<Failure: Error>(
    _ name: String, from lower: IRValue, to upper: IRValue, by step: Int, isNeverEmpty: Bool = false, body: (IRValue) throws(Failure) -> Void
  ) throws(Failure) {
    let (entry, start, exit) = (currentBlock, block(name), block(name + ".exit"))
    if isNeverEmpty { branch(to: start) } else { branch(if: compare(LLVMIntSLT, lower, upper), to: start, else: exit) }
    position(atEndOf: start)
    let variable = phi(i64, name)
    try body(variable)
    let next = IRValue(LLVMBuildNSWAdd(raw, variable.raw, index(step).raw, name + ".next"))
    let again = compare(LLVMIntSLT, next, upper)
    let latch = currentBlock
    branch(if: again, to: start, else: exit)
    addIncoming(variable, lower, from: entry)
    addIncoming(variable, next, from: latch)
    position(atEndOf: exit)
  }

  /// Emits `if condition { body() }` and stays after it.
  func when<Failure: Error>(_ condition: IRValue, _ name: String, body: () throws(Failure) -> Void) throws(Failure) {
    let (then, exit) = (block(name), block(name + ".exit"))
    branch(if: condition, to: then, else: exit)
    position(atEndOf: then)
    try body()
    branch(to: exit)
    position(atEndOf: exit)
  }

  // MARK: Stack

  /// A stack slot for `count` values of a type, at the start of the function.
  func slot(_ type: IRType, count: Int, alignment: Int = 64, _ name: String) -> IRValue {
    let array = LLVMArrayType2(type.raw, UInt64(count))
    let slot = LLVMBuildAlloca(slots, array, name)!
    LLVMSetAlignment(slot, UInt32(alignment))
    return IRValue(slot)
  }
}
