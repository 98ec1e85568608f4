internal import CLLVM
import KernelIR
import TensorTypes

extension KernelEmitter {
  func emitLoop(_ loop: Loop) throws(CodegenError) {
    switch loop.kind {
    case .serial: try emitSerial(loop)
    case .unrolled: try emitUnrolled(loop)
    case .vectorized: try emitVectorized(loop)
    case .parallel: try emitParallel(loop)
    }
  }

  private func emitSerial(_ loop: Loop) throws(CodegenError) {
    guard case .uniform(let lower, let lowerFacts) = try emit(loop.lower), case .uniform(let upper, _) = try emit(loop.upper) else {
      throw CodegenError(.divergentControl("a bound of loop `\(loop.variable.name)`"))
    }
    var isNeverEmpty = false
    if let first = lower.constantInteger, let end = upper.constantInteger {
      if first >= end { return }
      if first &+ loop.step >= end {
        try emitIteration(loop, .uniform(lower))
        return
      }
      isNeverEmpty = true
    }
    let facts = IndexFacts(multiple: IndexFacts.greatestCommonDivisor(lowerFacts.multiple, loop.step), isNonNegative: lowerFacts.isNonNegative)
    try b.loop(loop.variable.name, from: lower, to: upper, by: loop.step, isNeverEmpty: isNeverEmpty) { index throws(CodegenError) in
      try self.emitIteration(loop, .uniform(index, facts))
    }
  }

  private func emitUnrolled(_ loop: Loop) throws(CodegenError) {
    guard case .uniform(let lower, _) = try emit(loop.lower), case .uniform(let upper, _) = try emit(loop.upper),
      let first = lower.constantInteger, let end = upper.constantInteger
    else { throw CodegenError(.malformed("bounds of unrolled loop `\(loop.variable.name)` are not constant")) }
    if end &- first <= 4, end > first, try emitByteStores(loop, Array(first..<end)) { return }
    for index in stride(from: first, to: end, by: loop.step) { try emitIteration(loop, .uniform(b.index(index))) }
  }

  /// Emits a loop's body for one value of its variable.
  func emitIteration(_ loop: Loop, _ index: Operand) throws(CodegenError) {
    let outer = variables[loop.variable.id]
    variables[loop.variable.id] = index
    try emit(loop.body)
    variables[loop.variable.id] = outer
  }

  // MARK: Parallel loops

  /// Outlines the body into a function over a range of iterations. One thread calls it directly; more get it
  /// through the run's context, with everything it uses in a closure on the stack.
  private func emitParallel(_ loop: Loop) throws(CodegenError) {
    let lower = try emitUniform(loop.lower, "a loop bound")
    let upper = try emitUniform(loop.upper, "a loop bound")
    let count = iterationCount(from: lower, to: upper, by: loop.step)
    let captured = try captures(of: loop)
    let name = "\(functionName).loop\(outlined)"
    outlined += 1

    // The body: context, buffers, symbols, captured variables, lower bound, begin, end.
    let bodyParts = Self.declare(
      kernel, symbolName: name, visibility: .module, in: module, for: target, extra: captured.map(\.value.type) + [b.i64, b.i64, b.i64])
    module.add(attribute: "noinline", to: bodyParts.value)
    module.alignStack(of: bodyParts.value, for: target)
    let body = KernelEmitter(kernel, function: bodyParts, module: module, target: target, outlined: outlined)
    let firstExtra = 1 + kernel.parameters.count + kernel.symbols.count
    for (position, capture) in captured.enumerated() {
      body.variables[capture.id] = .uniform(body.b.parameter(firstExtra + position), capture.facts)
    }
    let bounds = firstExtra + captured.count
    let (bodyLower, begin, end) = (body.b.parameter(bounds), body.b.parameter(bounds + 1), body.b.parameter(bounds + 2))
    let first = lower.constantInteger.map { body.b.index($0) } ?? bodyLower
    let facts = IndexFacts(of: lower)
    let variableFacts = IndexFacts(multiple: IndexFacts.greatestCommonDivisor(facts.multiple, loop.step), isNonNegative: facts.isNonNegative)
    try body.b.loop(loop.variable.name, from: begin, to: end, by: 1) { iteration throws(CodegenError) in
      let index = body.b.add(first, body.b.mul(iteration, loop.step))
      try body.emitIteration(loop, .uniform(index, variableFacts))
    }
    body.b.finish()
    outlined = body.outlined

    let arguments = [runContext] + buffers + kernel.symbols.compactMap { symbols[$0] } + captured.map(\.value) + [lower]
    let threads = b.load(b.i64, b.element(runContext, b.i64, at: 2), alignment: 8)
    let (direct, shared, exit) = (b.block("one.thread"), b.block("threads"), b.block("parallel.exit"))
    b.branch(if: b.compare(LLVMIntEQ, threads, 1), to: direct, else: shared)
    b.position(atEndOf: direct)
    b.call(bodyParts.value, bodyParts.type, arguments + [b.index(0), count])
    b.branch(to: exit)
    b.position(atEndOf: shared)
    let closure = b.slot(b.i64, count: arguments.count, alignment: 16, "closure")
    for (position, argument) in arguments.enumerated() { b.store(argument, b.element(closure, b.i64, at: position), alignment: 8) }
    let thunk = emitThunk(name + ".thunk", calling: bodyParts, with: arguments.map(\.type))
    let parallel = b.load(b.pointer, runContext, alignment: 8)
    b.call(parallel, module.functionType([b.pointer, b.pointer, b.pointer, b.i64]), [runContext, thunk, closure, count])
    b.branch(to: exit)
    b.position(atEndOf: exit)
  }

  /// `void thunk(const void *closure, int64_t begin, int64_t end)`: unpacks the closure and calls the body.
  private func emitThunk(_ name: String, calling body: FunctionParts, with types: [IRType]) -> IRValue {
    let type = module.functionType([b.pointer, b.i64, b.i64])
    let thunk = module.function(name, type, .module, for: target)
    let inner = FunctionBuilder(thunk, in: module, for: target)
    let arguments = types.enumerated().map { position, type in inner.load(type, inner.element(inner.parameter(0), inner.i64, at: position), alignment: 8) }
    inner.call(body.value, body.type, arguments + [inner.parameter(1), inner.parameter(2)])
    inner.finish()
    return thunk
  }

  private func iterationCount(from lower: IRValue, to upper: IRValue, by step: Int) -> IRValue {
    let span = b.sub(upper, lower)
    let rounds = step == 1 ? span : b.sdiv(b.add(span, step - 1), b.index(step))
    return b.smax(rounds, b.index(0))
  }

  private struct Capture {
    let id: Int
    let value: IRValue
    let facts: IndexFacts
  }

  /// The variables bound outside that a loop's body mentions.
  private func captures(of loop: Loop) throws(CodegenError) -> [Capture] {
    var mentioned: Set<Int> = []
    for statement in loop.body { statement.visitExpressions { if case .variable(let variable) = $0 { mentioned.insert(variable.id) } } }
    var found: [Capture] = []
    for id in mentioned.sorted() {
      guard let operand = variables[id] else { continue }
      guard case .uniform(let value, let facts) = operand else { throw CodegenError(.malformed("a parallel loop captures lanes")) }
      found.append(Capture(id: id, value: value, facts: facts))
    }
    return found
  }

  private var functionName: String {
    var length = 0
    return String(cString: LLVMGetValueName2(b.function.raw, &length))
  }
}
