internal import CLLVM

/// `memcpy`, `memmove` and `memset` of the image, which LLVM may call for large copies on its own account.
///
/// String instructions: at full speed for large blocks on every machine of the last ten years, and they cannot
/// be recognised as a copy loop and turned into a call of themselves.
enum MemoryRoutines {
  static let names = ["memcpy", "memmove", "memset"]

  static func emit(in module: ModuleReference, for target: Target) {
    let pointer = IRType(LLVMPointerTypeInContext(module.context, 0))
    let i64 = IRType(LLVMIntTypeInContext(module.context, 64))
    let i32 = IRType(LLVMIntTypeInContext(module.context, 32))
    let copyType = module.functionType([pointer, pointer, i64], returning: pointer)
    let copy = FunctionBuilder(module.function("memcpy", copyType, .image, for: target), in: module, for: target)
    copyForward(copy)
    copy.finish(returning: copy.parameter(0))

    let move = FunctionBuilder(module.function("memmove", copyType, .image, for: target), in: module, for: target)
    let (forward, backward) = (move.block("forward"), move.block("backward"))
    let distance = move.sub(move.cast(LLVMPtrToInt, move.parameter(0), to: i64), move.cast(LLVMPtrToInt, move.parameter(1), to: i64))
    let exit = move.block("exit")
    move.branch(if: move.compare(LLVMIntULT, distance, move.parameter(2)), to: backward, else: forward)
    move.position(atEndOf: forward)
    copyForward(move)
    move.branch(to: exit)
    move.position(atEndOf: backward)
    let last = move.add(move.parameter(2), -1)
    let (to, from) = (move.offset(move.parameter(0), bytes: last), move.offset(move.parameter(1), bytes: last))
    assembly("std; rep movsb; cld", move, [to, from, move.parameter(2)], "{di},{si},{cx}")
    move.branch(to: exit)
    move.position(atEndOf: exit)
    move.finish(returning: move.parameter(0))

    let setType = module.functionType([pointer, i32, i64], returning: pointer)
    let set = FunctionBuilder(module.function("memset", setType, .image, for: target), in: module, for: target)
    assembly("rep stosb", set, [set.parameter(0), set.parameter(1), set.parameter(2)], "{di},{ax},{cx}")
    set.finish(returning: set.parameter(0))
  }

  private static func copyForward(_ b: FunctionBuilder) { assembly("rep movsb", b, [b.parameter(0), b.parameter(1), b.parameter(2)], "{di},{si},{cx}") }

  /// An instruction that changes the registers of its three operands. The changed values are outputs tied to the inputs.
  private static func assembly(_ text: String, _ b: FunctionBuilder, _ operands: [IRValue], _ registers: String) {
    let names = registers.split(separator: ",")
    let outputs = names.map { "=\($0)" }.joined(separator: ",")
    let constraints = "\(outputs),0,1,2,~{memory},~{dirflag},~{fpsr},~{flags}"
    var types: [LLVMTypeRef?] = operands.map(\.type.raw)
    let result = LLVMStructTypeInContext(b.context, &types, UInt32(types.count), 0)
    let type = LLVMFunctionType(result, &types, UInt32(types.count), 0)!
    var (text, constraintText) = (text, constraints)
    let textCount = text.utf8.count
    let constraintCount = constraintText.utf8.count
    let assembly = text.withUTF8 { text in
      constraintText.withUTF8 { constraints in
        text.withMemoryRebound(to: CChar.self) { text in
          constraints.withMemoryRebound(to: CChar.self) { constraints in
            LLVMGetInlineAsm(
              type, UnsafeMutablePointer(mutating: text.baseAddress), textCount, UnsafeMutablePointer(mutating: constraints.baseAddress), constraintCount, 1, 0,
              LLVMInlineAsmDialectATT, 0)
          }
        }
      }
    }
    b.call(IRValue(assembly!), IRType(type), operands)
  }
}
