internal import CLLVM
import KernelIR

/// How a program is cut into LLVM modules: one for the entry point and everything small, one for each variant with what is small
/// in it, one for each other kernel.
struct Units: Sendable {
  let program: KernelProgram
  let target: Target
  let constants: ConstantLayout
  /// For each kernel the first one with the same code.
  let canonical: [Int]
  /// The kernels that are part of the modules whose bodies call them.
  let inlined: Set<Int>
  /// The kernels with a module of their own, largest first so that no worker is left with it.
  let separate: [Int]

  /// Nodes of small kernels in the entry's module; beyond it they get modules of their own.
  private static let inliningBudget = 40_000
  /// Nodes of one kernel after unrolling; LLVM takes about 10 microseconds for each.
  private static let codeLimit = 1 << 20

  init(_ program: KernelProgram, for target: Target) throws(CodegenError) {
    for kernel in program.kernels {
      do { try kernel.verify() } catch { throw CodegenError(.malformed(error.message), kernel: kernel.name) }
    }
    self.program = program
    self.target = target
    constants = try ConstantLayout(program)
    var canonical: [Int] = []
    for (number, kernel) in program.kernels.enumerated() {
      canonical.append(program.kernels[..<number].firstIndex { $0.hasSameCode(as: kernel) } ?? number)
    }
    self.canonical = canonical
    var calls: [Int: Int] = [:]
    for call in program.calls where canonical.indices.contains(call.kernel) { calls[canonical[call.kernel], default: 0] += 1 }
    var (inlined, separate): (Set<Int>, [(number: Int, code: Int)]) = ([], [])
    // Each body has its own module and may contain as much as if it were alone.
    var budget = Self.inliningBudget * (1 + program.variants.count)
    for number in canonical.indices where canonical[number] == number {
      let size = KernelSize(program.kernels[number])
      guard size.code <= Self.codeLimit else {
        throw CodegenError(.size(nodes: size.code, limit: Self.codeLimit), kernel: program.kernels[number].name)
      }
      let code = size.code * max(1, calls[number] ?? 1)
      if size.isSmall && code <= budget {
        inlined.insert(number)
        budget -= code
      } else {
        separate.append((number, size.code))
      }
    }
    self.inlined = inlined
    self.separate = separate.sorted { ($1.code, $0.number) < ($0.code, $1.number) }.map(\.number)
  }

  /// Modules: the entry's, the variants', the kernels'.
  var count: Int { bodies + separate.count }
  private var bodies: Int { 1 + program.variants.count }

  private func symbolName(_ kernel: Int) -> String {
    let name = program.kernels[kernel].name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" }
    return "k\(kernel)." + String(name.prefix(80))
  }

  /// What a separate kernel's function is called in its own object, whatever its number in the program, so that equal kernels of all programs
  /// have equal objects; the linker gives it the name that `linkName` says.
  static let anonymousName = "kernel"

  /// The name of the function of module `number` in the image; nil for the entry's and the variants' modules, which have several.
  func linkName(_ number: Int) -> String? { number < bodies ? nil : symbolName(separate[number - bodies]) }

  /// Emits, verifies and optimizes a module, and hands it to `body` with its machine.
  func withModule<Result>(
    _ number: Int, _ body: (borrowing LLVMModule, borrowing TargetMachine) throws(CodegenError) -> Result
  ) throws(CodegenError) -> Result {
    let machine = try TargetMachine(target)
    let module = try emit(number, with: machine, named: linkName(number))
    try finish(module, number, with: machine)
    return try body(module, machine)
  }

  /// The object of a module: from the store if it has it, else compiled and kept there.
  func object(_ number: Int, store: (any ObjectStore)?) throws(CodegenError) -> [UInt8] {
    let machine = try TargetMachine(target)
    let module = try emit(number, with: machine, named: number < bodies ? nil : Self.anonymousName)
    guard let store else {
      try finish(module, number, with: machine)
      return try machine.emit(module)
    }
    let content = module.content()
    if let known = store.object(for: content) { return known }
    try finish(module, number, with: machine)
    let object = try machine.emit(module)
    store.keep(object, for: content)
    return object
  }

  /// - Parameter name: What the function of a separate kernel is called; nil for bodies.
  private func emit(_ number: Int, with machine: borrowing TargetMachine, named name: String?) throws(CodegenError) -> LLVMModule {
    let variant = number == 0 ? nil : number - 1
    let module = LLVMModule(name ?? variant.map { EntryEmitter.symbolName(ofVariant: $0) } ?? EntryEmitter.symbolName, for: target)
    machine.prepare(module)
    if let name { try emitKernel(separate[number - bodies], symbolName: name, in: module.reference) } else { try emitBody(of: variant, in: module.reference) }
    return module
  }

  private func finish(_ module: borrowing LLVMModule, _ number: Int, with machine: borrowing TargetMachine) throws(CodegenError) {
    do {
      try module.verify()
    } catch {
      // Our own fault, so show both sides of it.
      let source = number < bodies ? program.text : program.kernels[separate[number - bodies]].text
      throw CodegenError(.invalidModule("\(error)\n\(source)\n\(module.text)"))
    }
    try module.optimize(with: machine)
  }

  private func emitKernel(_ kernel: Int, symbolName: String, in module: ModuleReference) throws(CodegenError) {
    _ = try KernelEmitter.emit(program.kernels[kernel], symbolName: symbolName, visibility: .image, in: module, for: target)
  }

  /// The entry point, or one variant's body, with the small kernels that it calls.
  private func emitBody(of variant: Int?, in module: ModuleReference) throws(CodegenError) {
    var functions: [Int: KernelEmitter.FunctionParts] = [:]
    var called: [Int: KernelEmitter.FunctionParts] = [:]
    for call in KernelProgram.calls(of: variant.map { program.variants[$0].steps } ?? program.steps) where canonical.indices.contains(call.kernel) {
      let number = canonical[call.kernel]
      if let known = functions[number] {
        called[call.kernel] = known
        continue
      }
      let function: KernelEmitter.FunctionParts
      if inlined.contains(number) {
        function = try KernelEmitter.emit(program.kernels[number], symbolName: symbolName(number), visibility: .module, in: module, for: target)
        module.add(attribute: "alwaysinline", to: function.value)
      } else {
        function = KernelEmitter.declare(program.kernels[number], symbolName: symbolName(number), visibility: .image, in: module, for: target)
      }
      functions[number] = function
      called[call.kernel] = function
    }
    try EntryEmitter.emit(program, variant: variant, constantOffsets: constants.offsets, kernels: called, in: module, for: target)
    if variant == nil { MemoryRoutines.emit(in: module, for: target) }
  }
}

/// Where each constant lies: in order, each at a multiple of 64 bytes.
struct ConstantLayout: Sendable {
  var offsets: [Int] = []
  var byteCount = 0

  init(_ program: KernelProgram) throws(CodegenError) {
    for constant in program.constants {
      let (padded, overflowed) = byteCount.addingReportingOverflow(-byteCount & 63)
      let (end, overflowedAgain) = padded.addingReportingOverflow(constant.tensor.byteCount)
      guard !overflowed, !overflowedAgain else { throw CodegenError(.malformed("the constants leave 63 bits")) }
      offsets.append(padded)
      byteCount = end
    }
  }
}
