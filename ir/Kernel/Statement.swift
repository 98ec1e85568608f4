import TensorTypes

/// A counted loop: `for variable in stride(from: lower, to: upper, by: step)`.
public struct Loop: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    case serial
    /// Iterations are independent and may run on several threads. Only as the outermost loop of a kernel
    /// (`let` and `allocate`-free statements may come before it); locals are declared inside.
    case parallel
    /// Fully unrolled; both bounds are constants.
    case unrolled
    /// One SIMD lane for each iteration, `step` 1; the count may be anything, the rest is masked. Inside it every
    /// expression is a lane; locals declared inside are private to a lane; loops inside have bounds that are equal in all lanes.
    case vectorized
  }
  public var variable: Variable
  public var lower: Expression
  public var upper: Expression
  public var step: Int
  public var kind: Kind
  public var body: [Statement]

  public init(_ variable: Variable, from lower: Expression = .index(0), to upper: Expression, by step: Int = 1, kind: Kind = .serial, body: [Statement]) {
    (self.variable, self.lower, self.upper, self.step, self.kind, self.body) = (variable, lower, upper, step, kind, body)
  }
}

/// One statement of a kernel. The set is closed: a `switch` over it has no `default`.
public indirect enum Statement: Sendable, Hashable {
  case loop(Loop)
  /// Names a value for the rest of the enclosing block.
  case bind(Variable, Expression)
  /// Declares a local for the rest of the enclosing block.
  case allocate(Local)
  case store(Buffer, index: Expression, value: Expression)
  case assign(Local, index: Expression, value: Expression)
  /// local[index] = reducer(local[index], value). In a vectorized loop whose variable the index does not
  /// mention, the lanes are combined after the loop, in an order that does not depend on the thread count.
  case accumulate(Local, index: Expression, with: Reducer, value: Expression)
  case branch(if: Expression, then: [Statement], else: [Statement])
  /// Asks for the cache line of an element ahead of its use. It changes no result, and the position may lie outside of the buffer.
  case prefetch(Buffer, index: Expression, forWriting: Bool)
  /// Repeats while the condition holds; it is evaluated before each round.
  case repeatWhile(Expression, body: [Statement])
}

/// A loop nest over the buffers that are its parameters.
public struct Kernel: Sendable, Hashable {
  public enum Access: Sendable, Hashable { case read, write, readWrite }
  public var name: String
  public var parameters: [Buffer]
  /// One for each parameter. Written buffers alias no other parameter.
  public var accesses: [Access]
  /// The symbols its extents mention; passed as i64 after the buffers, in this order.
  public var symbols: [String]
  public var body: [Statement]

  public init(name: String, parameters: [Buffer], accesses: [Access], symbols: [String], body: [Statement]) {
    (self.name, self.parameters, self.accesses, self.symbols, self.body) = (name, parameters, accesses, symbols, body)
  }

  /// Equality of everything but the name: kernels that can share code.
  public func hasSameCode(as other: Kernel) -> Bool {
    parameters.map(\.element) == other.parameters.map(\.element) && accesses == other.accesses && symbols == other.symbols && body == other.body
  }
}

/// Hands out variables, buffers and locals while a kernel is written.
public struct KernelBuilder {
  public private(set) var parameters: [Buffer] = []
  public private(set) var accesses: [Kernel.Access] = []
  private var nextID = 0

  public init() {}

  public mutating func buffer(_ name: String, _ element: ElementType, _ access: Kernel.Access) -> Buffer {
    let buffer = Buffer(slot: parameters.count, name: name, element: element)
    parameters.append(buffer)
    accesses.append(access)
    return buffer
  }

  public mutating func variable(_ name: String, _ element: ElementType = .i64) -> Variable {
    nextID += 1
    return Variable(id: nextID, name: name, element: element)
  }

  public mutating func local(_ name: String, _ element: ElementType, count: Int) -> Local {
    nextID += 1
    return Local(id: nextID, name: name, element: element, count: count)
  }

  /// A loop whose body is written by a closure that gets the index.
  public mutating func loop(
    _ name: String, from lower: Expression = .index(0), to upper: Expression, by step: Int = 1, _ kind: Loop.Kind = .serial,
    _ body: (inout KernelBuilder, Expression) -> [Statement]
  ) -> Statement {
    let index = variable(name)
    return .loop(Loop(index, from: lower, to: upper, by: step, kind: kind, body: body(&self, .variable(index))))
  }

  /// The finished kernel; its symbols are those the body mentions, in alphabetical order.
  public func kernel(_ name: String, _ body: [Statement]) -> Kernel {
    var symbols: Set<String> = []
    for statement in body { statement.visitExpressions { if case .extent(let extent) = $0 { symbols.formUnion(extent.symbols) } } }
    return Kernel(name: name, parameters: parameters, accesses: accesses, symbols: symbols.sorted(), body: body)
  }
}

extension Statement {
  /// Calls `visit` for every expression in the statement and below, subexpressions included.
  public func visitExpressions(_ visit: (Expression) -> Void) {
    func walk(_ expression: Expression) {
      visit(expression)
      for child in expression.children { walk(child) }
    }
    switch self {
    case .loop(let loop):
      walk(loop.lower)
      walk(loop.upper)
      for statement in loop.body { statement.visitExpressions(visit) }
    case .bind(_, let value): walk(value)
    case .allocate: break
    case .prefetch(_, let index, _): walk(index)
    case .store(_, let index, let value):
      walk(index)
      walk(value)
    case .assign(_, let index, let value), .accumulate(_, let index, _, let value):
      walk(index)
      walk(value)
    case .branch(let condition, let then, let otherwise):
      walk(condition)
      for statement in then + otherwise { statement.visitExpressions(visit) }
    case .repeatWhile(let condition, let body):
      walk(condition)
      for statement in body { statement.visitExpressions(visit) }
    }
  }
}
