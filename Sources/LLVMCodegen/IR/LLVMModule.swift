internal import CLLVM

/// The handles that emission needs; valid while the `LLVMModule` lives.
struct ModuleReference {
  let context: LLVMContextRef
  let module: LLVMModuleRef
}

/// Owns one LLVM context with one module in it.
struct LLVMModule: ~Copyable {
  let reference: ModuleReference
  let target: Target

  init(_ name: String, for target: Target) {
    let context = LLVMContextCreate()!
    reference = ModuleReference(context: context, module: LLVMModuleCreateWithNameInContext(name, context))
    self.target = target
  }

  deinit {
    LLVMDisposeModule(reference.module)
    LLVMContextDispose(reference.context)
  }

  /// LLVM's text form.
  var text: String { Self.taking(LLVMPrintModuleToString(reference.module)) }

  /// - Throws: `.invalidModule` with LLVM's message.
  func verify() throws(CodegenError) {
    var message: UnsafeMutablePointer<CChar>?
    let isBroken = LLVMVerifyModule(reference.module, LLVMReturnStatusAction, &message) != 0
    let text = Self.taking(message)
    if isBroken { throw CodegenError(.invalidModule(text)) }
  }

  /// The passes of the middle end.
  static let pipeline =
    "always-inline,function(sroa<modify-cfg>,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),gvn,instcombine<no-verify-fixpoint>,dse,adce,simplifycfg),globaldce"

  /// Runs the middle end.
  ///
  /// Loops come out of the emitter rotated, unrolled and vectorized, so the pipeline only cleans up; LLVM's own
  /// vectorizers and unroller never run.
  func optimize(with machine: borrowing TargetMachine) throws(CodegenError) {
    let options = LLVMCreatePassBuilderOptions()
    defer { LLVMDisposePassBuilderOptions(options) }
    if let error = LLVMRunPasses(reference.module, Self.pipeline, machine.raw, options) {
      let message = LLVMGetErrorMessage(error)!
      defer { LLVMDisposeErrorMessage(message) }
      throw CodegenError(.emission(String(cString: message)))
    }
  }

  static func taking(_ message: UnsafeMutablePointer<CChar>?) -> String {
    guard let message else { return "" }
    defer { LLVMDisposeMessage(message) }
    return String(cString: message)
  }
}

/// Who sees a function of the image.
enum Visibility {
  /// Only its module.
  case module
  /// The other modules of the image.
  case image
}

extension ModuleReference {
  /// A function that is defined here, or in another module of the image.
  func function(_ name: String, _ type: IRType, _ visibility: Visibility, for target: Target) -> IRValue {
    if let existing = LLVMGetNamedFunction(module, name) { return IRValue(existing) }
    let function = LLVMAddFunction(module, name, type.raw)!
    switch visibility {
    case .module: LLVMSetLinkage(function, LLVMInternalLinkage)
    case .image:
      LLVMSetLinkage(function, LLVMExternalLinkage)
      LLVMSetVisibility(function, LLVMHiddenVisibility)
    }
    let value = IRValue(function)
    add(attribute: "nounwind", to: value)
    add("target-cpu", target.level, to: value)
    add("tune-cpu", target.tuning, to: value)
    if !target.featureString.isEmpty { add("target-features", target.featureString, to: value) }
    add("prefer-vector-width", "\(target.vectorBytes * 8)", to: value)
    add("min-legal-vector-width", "\(target.vectorBytes * 8)", to: value)
    add("frame-pointer", "none", to: value)
    add("no-builtins", "", to: value)
    return value
  }

  func functionType(_ parameters: [IRType], returning result: IRType? = nil) -> IRType {
    var raws: [LLVMTypeRef?] = parameters.map(\.raw)
    return IRType(LLVMFunctionType(result?.raw ?? LLVMVoidTypeInContext(context), &raws, UInt32(raws.count), 0))
  }

  /// Adds a string attribute to a function.
  func add(_ key: String, _ value: String, to function: IRValue) {
    let attribute = LLVMCreateStringAttribute(context, key, UInt32(key.utf8.count), value, UInt32(value.utf8.count))
    LLVMAddAttributeAtIndex(function.raw, .max, attribute)
  }

  private func attribute(_ name: String) -> LLVMAttributeRef? {
    LLVMCreateEnumAttribute(context, LLVMGetEnumAttributeKindForName(name, name.utf8.count), 0)
  }

  /// Adds an attribute without a value to a function, or to one of its parameters.
  func add(attribute name: String, to function: IRValue, parameter: Int? = nil) {
    LLVMAddAttributeAtIndex(function.raw, parameter.map { UInt32($0 + 1) } ?? .max, attribute(name))
  }

  /// Has a function align its stack to the vector width. LLVM does not on its own account when only spilled registers
  /// would need it, and a spill that straddles two cache lines costs a 7x64 tile 16 % of its speed.
  func alignStack(of function: IRValue, for target: Target) {
    let name = "alignstack"
    let kind = LLVMGetEnumAttributeKindForName(name, name.utf8.count)
    LLVMAddAttributeAtIndex(function.raw, .max, LLVMCreateEnumAttribute(context, kind, UInt64(target.vectorBytes)))
  }

  /// Adds an attribute without a value to one call.
  func add(attribute name: String, toCall call: IRValue) { LLVMAddCallSiteAttribute(call.raw, .max, attribute(name)) }
}
