import TensorTypes

extension KernelProgram {
  /// Checks every kernel and every step: that numbers name something, that calls pass what kernels take, and that no extent is used before its
  /// symbols are bound.
  public func check() throws(KernelError) {
    for kernel in kernels { try kernel.verify() }
    for symbol in computedSymbols where symbols.contains(symbol) { throw KernelError(kernel: name, message: "`\(symbol)` comes from the inputs and is computed as well") }
    let given = Set(symbols)
    var verifier = ProgramVerifier(program: self, bound: given)
    try verifier.check(steps)
    for variant in variants {
      verifier = ProgramVerifier(program: self, bound: given)
      try verifier.check(variant.steps)
    }
  }
}

private struct ProgramVerifier {
  let program: KernelProgram
  /// What every way to the step has bound.
  var bound: Set<String>
  /// What a loop's body binds anew and has not bound yet in this round: its value is that of the last round, and no buffer has that size any more.
  var stale: Set<String> = []

  private func fail(_ message: String) -> KernelError { KernelError(kernel: program.name, message: message) }

  mutating func check(_ steps: [KernelProgram.Step]) throws(KernelError) {
    for (position, step) in steps.enumerated() {
      try check(step)
      if case .advance = step, position != steps.count - 1 { throw fail("an `advance` is not the last step") }
      if case .advance(let advance)? = step.bodies.last?.last { try check(advance, after: steps[..<position]) }
    }
  }

  /// The symbols of an `advance` begin right before the loop.
  private func check(_ advance: KernelProgram.Advance, after steps: ArraySlice<KernelProgram.Step>) throws(KernelError) {
    var wanted = Set(advance.bindings.map(\.symbol))
    for step in steps.reversed() where !wanted.isEmpty {
      if case .set(let symbol, _, _) = step, wanted.remove(symbol) != nil { continue }
      guard step.boundSymbols.isEmpty, step.bodies.isEmpty else { break }
    }
    if let symbol = wanted.min() { throw fail("`\(symbol)` is not set right before the loop that carries it on") }
  }

  private mutating func check(round body: [KernelProgram.Step]) throws(KernelError) {
    let before = (bound, stale)
    stale.formUnion(body.symbolsBoundAnew)
    try check(body)
    (bound, stale) = before
  }

  private mutating func bind(_ symbols: [String]) {
    bound.formUnion(symbols)
    stale.subtract(symbols)
  }

  private mutating func check(_ step: KernelProgram.Step) throws(KernelError) {
    if case .call(let call) = step { try check(call) }
    let views = step.views(program.kernels)
    for view in views.read + views.written { try check(view) }
    for symbol in step.boundSymbols where !program.computedSymbols.contains(symbol) { throw fail("`\(symbol)` is bound but is not among the computed symbols") }
    switch step {
    case .call: break
    case .loop(let symbol, let count, let body):
      try check(count)
      let isNew = bound.insert(symbol).inserted
      try check(round: body)
      if isNew { bound.remove(symbol) }
    case .define(let symbols, let view, let failure):
      guard program.buffers[view.buffer].element == .i64 else { throw fail("symbols are read from `\(program.buffers[view.buffer].name)`, which is not i64") }
      try check(failure: failure)
      bind(symbols)
    case .set(let symbol, let extent, let failure):
      try check(extent)
      try check(failure: failure)
      bind([symbol])
    case .require(_, let extent, let failure):
      try check(extent)
      try check(failure: failure)
    case .branch(let view, let then, let otherwise):
      try checkCondition(view)
      let before = (bound, stale)
      try check(then)
      let after = (bound, stale)
      (bound, stale) = before
      try check(otherwise)
      bound.formIntersection(after.0)
      stale.formUnion(after.1)
    case .repeatWhile(let view, let symbol, let body):
      try checkCondition(view)
      bind([symbol])
      try check(round: body)
    case .advance(let advance):
      for binding in advance.bindings {
        try check(binding.value)
        guard bound.contains(binding.symbol) else { throw fail("`\(binding.symbol)` is carried on before it is set") }
      }
      for move in advance.moves {
        try check(move.elementCount)
        guard program.buffers[move.from.buffer].element == program.buffers[move.to.buffer].element else { throw fail("a move changes the element type") }
      }
      if let region = advance.region { try check(region.byteCount) }
      try check(failure: advance.failure)
    case .export(_, let output):
      guard program.outputs.indices.contains(output) else { throw fail("output \(output) does not exist") }
    case .text(let text):
      guard text.arguments.count == text.function.argumentCount else { throw fail("`\(text.function)` reads \(text.arguments.count) buffers") }
      guard program.buffers[text.result.buffer].element == text.function.result else { throw fail("`\(text.function)` writes `\(program.buffers[text.result.buffer].name)`") }
      try check(text.count)
      try check(text.width)
      try check(failure: text.failure)
    case .reserve(let region, let failure):
      try check(region.byteCount)
      try check(failure: failure)
      bound.insert(region.symbol)
    }
  }

  private func check(_ call: KernelProgram.Call) throws(KernelError) {
    guard program.kernels.indices.contains(call.kernel) else { throw fail("a call names kernel \(call.kernel), which does not exist") }
    let kernel = program.kernels[call.kernel]
    guard call.arguments.count == kernel.parameters.count, call.symbols.count == kernel.symbols.count else {
      throw fail("a call of `\(kernel.name)` passes \(call.arguments.count) buffers and \(call.symbols.count) symbols")
    }
    for (argument, parameter) in zip(call.arguments, kernel.parameters) {
      guard program.buffers.indices.contains(argument.buffer) else { throw fail("a call of `\(kernel.name)` names buffer \(argument.buffer), which does not exist") }
      let element = program.buffers[argument.buffer].element
      guard element == parameter.element else { throw fail("a call of `\(kernel.name)` passes \(element.name) for `\(parameter.name)`") }
    }
    for extent in call.symbols { try check(extent) }
  }

  private func checkCondition(_ view: KernelProgram.View) throws(KernelError) {
    guard program.buffers[view.buffer].element == .bool else { throw fail("`\(program.buffers[view.buffer].name)` decides a step but is not bool") }
  }

  private func check(_ view: KernelProgram.View) throws(KernelError) {
    guard program.buffers.indices.contains(view.buffer) else { throw fail("buffer \(view.buffer) does not exist") }
    try check(view.elementOffset)
    let buffer = program.buffers[view.buffer]
    if let symbol = buffer.elementCount.symbols.first(where: stale.contains) {
      throw fail("`\(buffer.name)` is touched in a round that has not bound `\(symbol)` of its size")
    }
    try check(buffer.elementCount, " in the size of `\(buffer.name)`")
    if case .arena(let offset?) = buffer.placement { try check(offset, " in the place of `\(buffer.name)`") }
  }

  private func check(failure: Int) throws(KernelError) {
    guard program.failures.indices.contains(failure) else { throw fail("failure \(failure) does not exist") }
  }

  private func check(_ extent: Extent, _ place: String = "") throws(KernelError) {
    if let symbol = extent.symbols.first(where: { !bound.contains($0) }) { throw fail("`\(symbol)` is used before it is bound\(place)") }
  }
}
