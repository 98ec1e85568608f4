internal import CLLVM

/// Owns LLVM's code generator for one target. Not shared between threads.
struct TargetMachine: ~Copyable {
  let raw: LLVMTargetMachineRef

  /// Registers the x86 back end, once for the process.
  private static let isInitialized: Bool = {
    LLVMInitializeX86TargetInfo()
    LLVMInitializeX86Target()
    LLVMInitializeX86TargetMC()
    LLVMInitializeX86AsmPrinter()
    LLVMInitializeX86AsmParser()
    return true
  }()

  static let triple = "x86_64-unknown-linux-gnu"
  /// What else code generation is set to, as `init` passes it.
  static let settings = "aggressive, pic, small"

  init(_ target: Target) throws(CodegenError) {
    guard Self.isInitialized else { throw CodegenError(.emission("no x86 back end")) }
    var description: LLVMTargetRef?
    var message: UnsafeMutablePointer<CChar>?
    guard LLVMGetTargetFromTriple(Self.triple, &description, &message) == 0,
      let machine = LLVMCreateTargetMachine(
        description, Self.triple, target.level, target.featureString, LLVMCodeGenLevelAggressive, LLVMRelocPIC, LLVMCodeModelSmall)
    else { throw CodegenError(.emission(LLVMModule.taking(message))) }
    raw = machine
  }

  deinit { LLVMDisposeTargetMachine(raw) }

  /// Tells a module which machine it is for; before anything is emitted into it.
  func prepare(_ module: borrowing LLVMModule) {
    LLVMSetTarget(module.reference.module, Self.triple)
    let layout = LLVMCreateTargetDataLayout(raw)
    LLVMSetModuleDataLayout(module.reference.module, layout)
    LLVMDisposeTargetData(layout)
  }

  /// The module as an ELF relocatable object, or as assembly text.
  func emit(_ module: borrowing LLVMModule, asAssembly: Bool = false) throws(CodegenError) -> [UInt8] {
    var message: UnsafeMutablePointer<CChar>?
    var buffer: LLVMMemoryBufferRef?
    let kind = asAssembly ? LLVMAssemblyFile : LLVMObjectFile
    guard LLVMTargetMachineEmitToMemoryBuffer(raw, module.reference.module, kind, &message, &buffer) == 0, let buffer else {
      throw CodegenError(.emission(LLVMModule.taking(message)))
    }
    defer { LLVMDisposeMemoryBuffer(buffer) }
    let start = UnsafeRawPointer(LLVMGetBufferStart(buffer))
    return Array(UnsafeRawBufferPointer(start: start, count: LLVMGetBufferSize(buffer)))
  }
}
