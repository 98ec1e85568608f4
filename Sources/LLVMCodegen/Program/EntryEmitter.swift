internal import CLLVM
import KernelIR
import TensorTypes

/// Emits the program's entry point: addresses of buffers, calls in order, loops over steps.
///
/// `int32_t entry(const ingot_context *, const void *const *inputs, void *const *outputs, const void *constants, void *arena, int64_t *symbols)`
///
/// Each body comes twice. The measured one, taken if the context has a `profile`, adds each step's cycles to its counter
/// and calls small kernels instead of containing them; the other one pays nothing for it. A variant is a pair of
/// bodies with the same signature; the entry compares the symbols first and hands over to the one that fits.
///
/// Computed symbols and the places of regions live in stack slots, which become registers; the symbols are also written to the caller's
/// array when they are bound.
struct EntryEmitter: ~Copyable {
  let program: KernelProgram
  let module: ModuleReference
  let target: Target
  let constantOffsets: [Int]
  /// The function of each kernel, by its number.
  let kernels: [Int: KernelEmitter.FunctionParts]
  let b: FunctionBuilder
  /// Where the values of computed symbols and regions are kept.
  let slots: SymbolSlots
  private let isMeasured: Bool
  private var callNumber: Int
  /// Offsets of arena buffers that depend on symbols, computed once where the function starts.
  private var arenaOffsets: [Extent: IRValue] = [:]

  static let symbolName = "ingot_entry"

  static func symbolName(ofVariant variant: Int) -> String { "\(symbolName).variant\(variant)" }

  /// Emits both bodies of the program, or of one of its variants.
  ///
  /// - Parameter kernels: The function of each kernel that the body calls, by its number.
  static func emit(
    _ program: KernelProgram, variant: Int?, constantOffsets: [Int], kernels: [Int: KernelEmitter.FunctionParts], in module: ModuleReference, for target: Target
  ) throws(CodegenError) {
    let pointer = IRType(LLVMPointerTypeInContext(module.context, 0))
    let type = module.functionType(Array(repeating: pointer, count: 6), returning: IRType(LLVMIntTypeInContext(module.context, 32)))
    let name = variant.map { symbolName(ofVariant: $0) } ?? symbolName
    let plain = module.function(name, type, .image, for: target)
    let measured = module.function(name + ".measured", type, .module, for: target)
    let steps = variant.map { program.variants[$0].steps } ?? program.steps
    let before = variant.map { KernelProgram.calls(of: program.steps + program.variants[..<$0].flatMap(\.steps)).count } ?? 0
    for (function, isMeasured) in [(measured, true), (plain, false)] {
      module.alignStack(of: function, for: target)
      var emitter = EntryEmitter(
        program, function, isMeasured: isMeasured, constantOffsets: constantOffsets, kernels: kernels, callNumber: before, in: module, for: target)
      if !isMeasured {
        if variant == nil { emitter.emitDispatchToVariants(type, in: module, for: target) }
        emitter.emitDispatch(to: measured, type)
      }
      try emitter.emitBody(steps, arenaBytes: variant.map { program.variants[$0].arenaBytes } ?? program.arenaBytes)
    }
  }

  private init(
    _ program: KernelProgram, _ function: IRValue, isMeasured: Bool, constantOffsets: [Int], kernels: [Int: KernelEmitter.FunctionParts], callNumber: Int,
    in module: ModuleReference, for target: Target
  ) {
    self.callNumber = callNumber
    (self.program, self.module, self.target, self.constantOffsets, self.kernels, self.isMeasured) = (program, module, target, constantOffsets, kernels, isMeasured)
    b = FunctionBuilder(function, in: module, for: target)
    slots = SymbolSlots(b, firstComputed: program.symbols.count, computed: program.computedSymbols)
    for position in 1..<6 { module.add(attribute: "noalias", to: function, parameter: position) }
  }

  /// Hands over to the variant whose lengths are those of the run, if there is one.
  private func emitDispatchToVariants(_ type: IRType, in module: ModuleReference, for target: Target) {
    for (number, variant) in program.variants.enumerated() {
      let (take, next) = (b.block("variant\(number)"), b.block("not.variant\(number)"))
      for item in variant.lengths.items {
        guard let position = program.symbols.firstIndex(of: item.symbol) else { continue }
        let value = b.load(b.i64, b.element(b.parameter(5), b.i64, at: position), alignment: 8)
        let more = b.block("same.\(item.symbol)")
        b.branch(if: b.compare(LLVMIntEQ, value, b.index(item.length)), to: more, else: next)
        b.position(atEndOf: more)
      }
      b.branch(to: take)
      b.position(atEndOf: take)
      let function = module.function(Self.symbolName(ofVariant: number), type, .image, for: target)
      LLVMBuildRet(b.raw, b.call(function, type, (0..<6).map { b.parameter($0) }).raw)
      b.position(atEndOf: next)
    }
  }

  /// Hands over to the measured body if the run wants a profile.
  private func emitDispatch(to measured: IRValue, _ type: IRType) {
    let profile = b.load(b.pointer, b.element(b.parameter(0), b.i64, at: 3), alignment: 8)
    let (take, plain) = (b.block("measure"), b.block("plain"))
    b.branch(if: b.compare(LLVMIntEQ, profile, b.null), to: plain, else: take)
    b.position(atEndOf: take)
    let result = b.call(measured, type, (0..<6).map { b.parameter($0) })
    LLVMBuildRet(b.raw, result.raw)
    b.position(atEndOf: plain)
  }

  private mutating func emitBody(_ steps: [KernelProgram.Step], arenaBytes: Extent) throws(CodegenError) {
    var symbols: [String: IRValue] = [:]
    for (position, name) in program.symbols.enumerated() {
      symbols[name] = b.load(b.i64, b.element(b.parameter(5), b.i64, at: position), alignment: 8)
    }
    var ports: [KernelProgram.Placement: IRValue] = [:]
    for buffer in program.buffers where ports[buffer.placement] == nil {
      switch buffer.placement {
      case .input(let number): ports[buffer.placement] = b.load(b.pointer, b.element(b.parameter(1), b.i64, at: number), alignment: 8)
      case .output(let number): ports[buffer.placement] = b.load(b.pointer, b.element(b.parameter(2), b.i64, at: number), alignment: 8)
      case .constant, .arena: break
      }
    }
    for buffer in program.buffers {
      guard case .arena(let offset?) = buffer.placement, !offset.isConstant, arenaOffsets[offset] == nil, offset.symbols.allSatisfy({ symbols[$0] != nil }) else { continue }
      arenaOffsets[offset] = try b.emit(offset, symbols)
    }
    if steps.haveRegions { slots.beginArena(at: try b.emit(arenaBytes, symbols)) }
    try emit(steps, symbols, ports)
    b.finish(returning: b.integer(0, b.i32))
  }

  mutating func emit(_ steps: [KernelProgram.Step], _ symbols: [String: IRValue], _ ports: [KernelProgram.Placement: IRValue]) throws(CodegenError) {
    for step in steps {
      switch step {
      case .call(let call): try emit(call, symbols, ports)
      case .text(let text): try emit(text, symbols, ports)
      case .loop(let symbol, let count, let body):
        let rounds = try value(of: count, symbols)
        let arena = slots.beginLoop()
        // By hand: the builder's `loop` takes a closure, and this walk counts calls as it goes.
        let (entry, start, exit) = (b.currentBlock, b.block("steps"), b.block("steps.exit"))
        b.branch(if: b.compare(LLVMIntSLT, b.index(0), rounds), to: start, else: exit)
        b.position(atEndOf: start)
        let index = b.phi(b.i64, "step")
        slots.beginRound(arena)
        var inner = symbols
        inner[symbol] = index
        if count.symbols.contains(where: program.computedSymbols.contains) { returnIfStopped() }
        try emit(body, inner, ports)
        slots.endLoop()
        let next = b.add(index, 1)
        let latch = b.currentBlock
        b.branch(if: b.compare(LLVMIntSLT, next, rounds), to: start, else: exit)
        b.addIncoming(index, b.index(0), from: entry)
        b.addIncoming(index, next, from: latch)
        b.position(atEndOf: exit)
      case .define(let names, let view, let failure): try emitDefinition(of: names, at: try address(of: view, symbols, ports), failure: failure)
      case .set(let name, let extent, let failure):
        let (value, isOutside) = try checkedValue(of: extent, symbols)
        slots.bind(name, to: value)
        fail(failure, if: b.or(isOutside, isNoLength(value)))
      case .require(let requirement, let extent, let failure): try emitRequirement(requirement, extent, symbols, failure: failure)
      case .branch(let view, let then, let otherwise):
        let (first, second, exit) = (b.block("then"), b.block("else"), b.block("join"))
        b.branch(if: try condition(at: view, symbols, ports), to: first, else: second)
        b.position(atEndOf: first)
        try emit(then, symbols, ports)
        b.branch(to: exit)
        b.position(atEndOf: second)
        try emit(otherwise, symbols, ports)
        b.branch(to: exit)
        b.position(atEndOf: exit)
      case .repeatWhile(let view, let symbol, let body):
        slots.bind(symbol, to: b.index(0))
        let arena = slots.beginLoop()
        let (test, start, exit) = (b.block("while"), b.block("round"), b.block("while.exit"))
        b.branch(to: test)
        b.position(atEndOf: test)
        b.branch(if: try condition(at: view, symbols, ports), to: start, else: exit)
        b.position(atEndOf: start)
        slots.beginRound(arena)
        returnIfStopped()
        try emit(body, symbols, ports)
        slots.endLoop()
        slots.bind(symbol, to: b.add(try value(of: Extent(symbol: symbol), symbols), 1))
        b.branch(to: test)
        b.position(atEndOf: exit)
      case .advance(let advance): try emit(advance, symbols, ports)
      case .export(let view, let output):
        b.store(try address(of: view, symbols, ports), b.element(b.parameter(2), b.i64, at: output), alignment: 8)
      case .reserve(let region, let failure): try emitReservation(of: region, symbols, failure: failure)
      }
    }
  }

  private func condition(
    at view: KernelProgram.View, _ symbols: [String: IRValue], _ ports: [KernelProgram.Placement: IRValue]
  ) throws(CodegenError) -> IRValue {
    b.compare(LLVMIntNE, b.load(b.i8, try address(of: view, symbols, ports), alignment: 1), 0)
  }

  private mutating func emit(_ call: KernelProgram.Call, _ symbols: [String: IRValue], _ ports: [KernelProgram.Placement: IRValue]) throws(CodegenError) {
    guard program.kernels.indices.contains(call.kernel) else { throw CodegenError(.malformed("a call names kernel \(call.kernel), which does not exist")) }
    let kernel = program.kernels[call.kernel]
    guard call.arguments.count == kernel.parameters.count, call.symbols.count == kernel.symbols.count else {
      throw CodegenError(.malformed("a call has \(call.arguments.count) buffers and \(call.symbols.count) symbols"), kernel: kernel.name)
    }
    var arguments = [b.parameter(0)]
    for view in call.arguments { arguments.append(try address(of: view, symbols, ports)) }
    for symbol in call.symbols { arguments.append(try value(of: symbol, symbols)) }
    guard let function = kernels[call.kernel] else { throw CodegenError(.malformed("kernel \(call.kernel) has no function"), kernel: kernel.name) }
    let number = callNumber
    callNumber += 1
    guard isMeasured else {
      b.call(function.value, function.type, arguments)
      return
    }
    let before = b.intrinsic("llvm.readcyclecounter", [], [])
    let result = b.call(function.value, function.type, arguments)
    module.add(attribute: "noinline", toCall: result)
    let elapsed = b.sub(b.intrinsic("llvm.readcyclecounter", [], []), before)
    let counter = b.element(b.load(b.pointer, b.element(b.parameter(0), b.i64, at: 3), alignment: 8), b.i64, at: number)
    b.store(b.add(b.load(b.i64, counter, alignment: 8), elapsed), counter, alignment: 8)
  }

  func address(of view: KernelProgram.View, _ symbols: [String: IRValue], _ ports: [KernelProgram.Placement: IRValue]) throws(CodegenError) -> IRValue {
    guard program.buffers.indices.contains(view.buffer) else { throw CodegenError(.malformed("a call names buffer \(view.buffer), which does not exist")) }
    let buffer = program.buffers[view.buffer]
    let base: IRValue
    switch buffer.placement {
    case .input, .output:
      guard let port = ports[buffer.placement] else { throw CodegenError(.malformed("buffer `\(buffer.name)` has no address")) }
      base = port
    case .constant(let number):
      guard constantOffsets.indices.contains(number) else { throw CodegenError(.malformed("buffer `\(buffer.name)` names constant \(number), which does not exist")) }
      base = b.offset(b.parameter(3), bytes: b.index(constantOffsets[number]))
    case .arena(let offset):
      guard let offset else { throw CodegenError(.malformed("buffer \(buffer.name.isEmpty ? "\(view.buffer)" : "`\(buffer.name)`") has no place in the arena")) }
      let bytes = if let known = arenaOffsets[offset] { known } else { try value(of: offset, symbols) }
      base = b.offset(b.parameter(4), bytes: bytes)
    }
    let elements = try value(of: view.elementOffset, symbols)
    return b.offset(base, bytes: b.mul(elements, buffer.element.byteCount))
  }
}
