import TensorTypes

/// A kernel that breaks a rule of its IR: a fault of the compiler, not of the model.
public struct KernelError: Error, Sendable, CustomStringConvertible {
  public var kernel: String
  public var message: String
  public init(kernel: String, message: String) { (self.kernel, self.message) = (kernel, message) }
  public var description: String { "kernel `\(kernel)`: \(message)" }
}

extension Kernel {
  /// Checks names in scope, types, loop kinds and accesses.
  public func verify() throws(KernelError) {
    guard parameters.count == accesses.count else { throw KernelError(kernel: name, message: "needs one access for each parameter") }
    var verifier = KernelVerifier(kernel: self)
    try verifier.check(body, isOutermost: true, isVector: false)
  }
}

private struct KernelVerifier {
  let kernel: Kernel
  var variables: Set<Variable> = []
  var locals: Set<Local> = []

  init(kernel: Kernel) { self.kernel = kernel }

  func fail(_ message: String) -> KernelError { KernelError(kernel: kernel.name, message: message) }

  mutating func check(_ body: [Statement], isOutermost: Bool, isVector: Bool) throws(KernelError) {
    let (outerVariables, outerLocals) = (variables, locals)
    for statement in body { try check(statement, isOutermost: isOutermost, isVector: isVector) }
    (variables, locals) = (outerVariables, outerLocals)
  }

  mutating func check(_ statement: Statement, isOutermost: Bool, isVector: Bool) throws(KernelError) {
    switch statement {
    case .loop(let loop):
      try expect(loop.lower, .i64)
      try expect(loop.upper, .i64)
      guard loop.step >= 1 else { throw fail("loop `\(loop.variable.name)` has step \(loop.step)") }
      switch loop.kind {
      case .serial: break
      case .parallel: if !isOutermost || !locals.isEmpty { throw fail("parallel loop `\(loop.variable.name)` is not outermost, or captures a local") }
      case .unrolled:
        guard loop.lower.constantIndex != nil, loop.upper.constantIndex != nil else { throw fail("unrolled loop `\(loop.variable.name)` has bounds that are not constant") }
      case .vectorized:
        guard loop.step == 1, !isVector else { throw fail("vectorized loop `\(loop.variable.name)` has a step, or lies in another one") }
      }
      variables.insert(loop.variable)
      try check(loop.body, isOutermost: false, isVector: isVector || loop.kind == .vectorized)
      variables.remove(loop.variable)
    case .bind(let variable, let value):
      try expect(value, variable.element)
      variables.insert(variable)
    case .allocate(let local):
      guard local.count > 0 else { throw fail("local `\(local.name)` has \(local.count) elements") }
      locals.insert(local)
    case .store(let buffer, let index, let value):
      guard kernel.parameters.indices.contains(buffer.slot), kernel.parameters[buffer.slot] == buffer else { throw fail("store to `\(buffer.name)`, which is no parameter") }
      guard kernel.accesses[buffer.slot] != .read else { throw fail("store to `\(buffer.name)`, which is read only") }
      try expect(index, .i64)
      try expect(value, buffer.element)
    case .assign(let local, let index, let value), .accumulate(let local, let index, _, let value):
      guard locals.contains(local) else { throw fail("local `\(local.name)` is not in scope") }
      try expect(index, .i64)
      try expect(value, local.element)
    case .branch(let condition, let then, let otherwise):
      try expect(condition, .bool)
      try check(then, isOutermost: false, isVector: isVector)
      try check(otherwise, isOutermost: false, isVector: isVector)
    case .prefetch(let buffer, let index, _):
      guard kernel.parameters.indices.contains(buffer.slot), kernel.parameters[buffer.slot] == buffer else { throw fail("prefetch of `\(buffer.name)`, which is no parameter") }
      try expect(index, .i64)
    case .repeatWhile(let condition, let body):
      try expect(condition, .bool)
      try check(body, isOutermost: false, isVector: isVector)
    }
  }

  func expect(_ expression: Expression, _ element: ElementType) throws(KernelError) {
    try check(expression)
    guard expression.element == element else { throw fail("`\(expression)` is \(expression.element.name), not \(element.name)") }
  }

  func check(_ expression: Expression) throws(KernelError) {
    for child in expression.children { try check(child) }
    switch expression {
    case .index, .number, .unary, .convert: break
    case .bits(let x, let element):
      guard x.element.bitCount == element.bitCount else { throw fail("`\(expression)` reads \(x.element.name) as \(element.name)") }
    case .extent(let extent):
      for symbol in extent.symbols where !kernel.symbols.contains(symbol) { throw fail("symbol `\(symbol)` is no parameter") }
    case .variable(let variable): if !variables.contains(variable) { throw fail("variable `\(variable.name)` is not in scope") }
    case .load(let buffer, let index):
      guard kernel.parameters.indices.contains(buffer.slot), kernel.parameters[buffer.slot] == buffer else { throw fail("load from `\(buffer.name)`, which is no parameter") }
      guard index.element == .i64 else { throw fail("index of `\(buffer.name)` is \(index.element.name)") }
    case .local(let local, let index):
      guard locals.contains(local) else { throw fail("local `\(local.name)` is not in scope") }
      guard index.element == .i64 else { throw fail("index of `\(local.name)` is \(index.element.name)") }
    case .binary(_, let a, let b), .compare(_, let a, let b):
      guard a.element == b.element else { throw fail("`\(expression)` mixes \(a.element.name) and \(b.element.name)") }
    case .select(let condition, let a, let b):
      guard condition.element == .bool, a.element == b.element else { throw fail("`\(expression)` mixes types") }
    case .multiplyAdd(let a, let b, let c):
      guard a.element == b.element, b.element == c.element else { throw fail("`\(expression)` mixes types") }
    }
  }
}
