internal import CLLVM
import KernelIR
import TensorTypes

/// Emits the body of one kernel, or of one of its parallel loops, into an LLVM function.
///
/// A reference type because emission is a walk whose closures all extend the same function.
final class KernelEmitter {
  let kernel: Kernel
  let module: ModuleReference
  let target: Target
  let b: FunctionBuilder
  /// The `ingot_context` of the run.
  let runContext: IRValue
  let buffers: [IRValue]
  let symbols: [String: IRValue]
  var variables: [Int: Operand] = [:]
  var locals: [Int: LocalSlot] = [:]
  /// The chunk being emitted, inside a vectorized loop.
  var lanes: Lanes?
  /// The accumulators of the vectorized loop being emitted.
  var reductions: ReductionScope?
  private var stackBytes = 0
  /// True if the sums of the kernel come from `vdpbf16ps`. Other conversions to bf16 are exact.
  private let multipliesBF16: Bool
  /// Numbers the outlined loops of the kernel.
  var outlined: Int

  /// Threads of the runtime have 8 MB; kernels do not nest, so this is generous and safe.
  static let stackLimit = 256 << 10

  init(_ kernel: Kernel, function: FunctionParts, module: ModuleReference, target: Target, outlined: Int = 0) {
    self.kernel = kernel
    self.module = module
    self.target = target
    self.outlined = outlined
    multipliesBF16 = target.hasBF16 && kernel.multipliesBF16
    b = FunctionBuilder(function.value, in: module, for: target)
    runContext = b.parameter(0)
    var position = 1
    var buffers: [IRValue] = []
    for _ in kernel.parameters {
      buffers.append(b.parameter(position))
      position += 1
    }
    self.buffers = buffers
    var symbols: [String: IRValue] = [:]
    for symbol in kernel.symbols {
      symbols[symbol] = b.parameter(position)
      position += 1
    }
    self.symbols = symbols
  }

  /// A declared function and its type.
  struct FunctionParts {
    let value: IRValue
    let type: IRType
  }

  /// Declares the function of a kernel: context, buffers, symbols.
  static func declare(_ kernel: Kernel, symbolName: String, visibility: Visibility, in module: ModuleReference, for target: Target, extra: [IRType] = []) -> FunctionParts {
    let pointer = IRType(LLVMPointerTypeInContext(module.context, 0))
    let i64 = IRType(LLVMIntTypeInContext(module.context, 64))
    let type = module.functionType(
      [pointer] + kernel.parameters.map { _ in pointer } + kernel.symbols.map { _ in i64 } + extra)
    let function = module.function(symbolName, type, visibility, for: target)
    for (position, access) in kernel.accesses.enumerated() {
      module.add(attribute: "noalias", to: function, parameter: position + 1)
      module.add(attribute: "nocapture", to: function, parameter: position + 1)
      if access == .read { module.add(attribute: "readonly", to: function, parameter: position + 1) }
    }
    return FunctionParts(value: function, type: type)
  }

  /// Emits the function of a whole kernel.
  static func emit(_ kernel: Kernel, symbolName: String, visibility: Visibility, in module: ModuleReference, for target: Target) throws(CodegenError) -> FunctionParts {
    let function = declare(kernel, symbolName: symbolName, visibility: visibility, in: module, for: target)
    module.alignStack(of: function.value, for: target)
    let emitter = KernelEmitter(kernel, function: function, module: module, target: target)
    do {
      try emitter.emit(kernel.body)
    } catch {
      throw CodegenError(error.problem, kernel: kernel.name)
    }
    emitter.b.finish()
    return function
  }

  // MARK: Statements

  /// Emits a block; what it names is forgotten after it.
  func emit(_ body: [Statement]) throws(CodegenError) {
    let (outerVariables, outerLocals) = (variables, locals)
    for statement in body { try emit(statement) }
    (variables, locals) = (outerVariables, outerLocals)
  }

  func emit(_ statement: Statement) throws(CodegenError) {
    switch statement {
    case .loop(let loop): try emitLoop(loop)
    case .bind(let variable, let value): variables[variable.id] = try emit(value)
    case .allocate(let local): try allocate(local)
    case .store(let buffer, let index, .convert(let value, .bf16)) where value.element == .f32 && buffer.element == .bf16 && multipliesBF16:
      // One instruction instead of rounding by integer arithmetic; it takes subnormal numbers as zero, as `vdpbf16ps` does.
      try emitStore(buffer, at: emit(index), try emit(value)) { b.narrowToBF16($0) }
    case .store(let buffer, let index, let value): try emitStore(buffer, at: emit(index), try emitNarrowed(value)) { $0 }
    case .assign(let local, let index, let value): try emitAssign(local, at: emit(index), try emit(value))
    case .accumulate(let local, let index, let reducer, let value):
      if reducer == .or, try emitLaneMask(local, at: index, value) { return }
      try emitAccumulate(local, at: emit(index), reducer, emit(value))
    case .prefetch(let buffer, let index, let forWriting):
      guard case .uniform(let position, _) = try emit(index) else { throw CodegenError(.divergentControl("a prefetched position")) }
      try emitPrefetch(buffer, at: position, forWriting: forWriting)
    case .branch(let condition, let then, let otherwise): try emitBranch(condition, then, otherwise)
    case .repeatWhile(let condition, let body):
      let (header, start, exit) = (b.block("while"), b.block("while.body"), b.block("while.exit"))
      b.branch(to: header)
      b.position(atEndOf: header)
      b.branch(if: try emitUniform(condition, "a `while` condition"), to: start, else: exit)
      b.position(atEndOf: start)
      try emit(body)
      b.branch(to: header)
      b.position(atEndOf: exit)
    }
  }

  private func emitBranch(_ condition: Expression, _ then: [Statement], _ otherwise: [Statement]) throws(CodegenError) {
    let value = try emitUniform(condition, "an `if` condition")
    if let constant = value.constantInteger { return try emit(constant != 0 ? then : otherwise) }
    let (thenBlock, elseBlock, exit) = (b.block("then"), b.block("else"), b.block("endif"))
    b.branch(if: value, to: thenBlock, else: elseBlock)
    b.position(atEndOf: thenBlock)
    try emit(then)
    b.branch(to: exit)
    b.position(atEndOf: elseBlock)
    try emit(otherwise)
    b.branch(to: exit)
    b.position(atEndOf: exit)
  }

  private func allocate(_ local: Local) throws(CodegenError) {
    let width = lanes?.width ?? 1
    let type = b.slotType(local.element).vector(width)
    // Room for a whole vector at the last element, so that reading one needs no mask.
    let padding = width > 1 ? 0 : target.vectorBytes / max(1, type.bitWidth / 8)
    let (bytes, overflowed) = (local.count + padding).multipliedReportingOverflow(by: max(type.bitWidth / 8, 1) * width)
    guard !overflowed, bytes <= Self.stackLimit - stackBytes else {
      throw CodegenError(.stack(bytes: overflowed ? .max : bytes + stackBytes, limit: Self.stackLimit))
    }
    stackBytes += bytes
    locals[local.id] = LocalSlot(address: b.slot(type, count: local.count + padding, local.name), type: type, count: local.count, width: width)
  }

  // MARK: Uniform values

  /// The scalar of an expression that must be the same in all lanes.
  func emitUniform(_ expression: Expression, _ what: @autoclosure () -> String) throws(CodegenError) -> IRValue {
    guard case .uniform(let value, _) = try emit(expression) else { throw CodegenError(.divergentControl(what())) }
    return value
  }
}

extension Kernel {
  /// True if a sum has products of two bf16 elements that were read from memory.
  fileprivate var multipliesBF16: Bool {
    func isNarrow(_ factor: Expression) -> Bool {
      if case .convert(.load(let buffer, _), .f32) = factor { buffer.element == .bf16 } else { false }
    }
    var found = false
    for statement in body {
      statement.visitExpressions { if case .multiplyAdd(let a, let b, _) = $0, isNarrow(a), isNarrow(b) { found = true } }
    }
    return found
  }
}
