import TensorTypes

/// A scalar named in a kernel: a loop's index (i64) or the value of a `let`.
public struct Variable: Sendable, Hashable {
  public let id: Int
  public let name: String
  public let element: ElementType
  public init(id: Int, name: String, element: ElementType = .i64) { (self.id, self.name, self.element) = (id, name, element) }
}

/// A tensor in memory that a kernel reads or writes: its parameter `slot`.
public struct Buffer: Sendable, Hashable {
  public let slot: Int
  public let name: String
  public let element: ElementType
  public init(slot: Int, name: String, element: ElementType) { (self.slot, self.name, self.element) = (slot, name, element) }
}

/// Scratch elements of one iteration of the enclosing loop: registers if every index is constant after
/// unrolling, otherwise stack. Declared by `Statement.allocate`; uninitialised.
public struct Local: Sendable, Hashable {
  public let id: Int
  public let name: String
  public let element: ElementType
  public let count: Int
  public init(id: Int, name: String, element: ElementType, count: Int) { (self.id, self.name, self.element, self.count) = (id, name, element, count) }
}

/// A scalar expression. Inside a `vectorized` loop it stands for one lane; code generation makes vectors of it.
///
/// Arithmetic on f16 and bf16 is done in f32 and rounded to the type after each function. Integer arithmetic wraps; integer
/// division and remainder by zero give 0. A `bool` is 0 or 1 in memory.
public indirect enum Expression: Sendable, Hashable {
  /// An i64 literal, for indices.
  case index(Int)
  /// A literal of any element type (integers are exact up to 2^53).
  case number(Double, ElementType)
  case variable(Variable)
  /// An i64 that is known when the program starts, over the kernel's symbols.
  case extent(Extent)
  /// The element at a linear position. Out of range is undefined: lowering proves or clamps it.
  case load(Buffer, Expression)
  case local(Local, Expression)
  case unary(UnaryFunction, Expression)
  case binary(BinaryFunction, Expression, Expression)
  case compare(Comparison, Expression, Expression)
  /// Both sides may be evaluated.
  case select(Expression, Expression, Expression)
  /// Semantics of the graph operation `convert`.
  case convert(Expression, ElementType)
  /// The same bits read as another type, which is as wide.
  case bits(Expression, ElementType)
  /// a * b + c, rounded once where the machine can.
  case multiplyAdd(Expression, Expression, Expression)

  public var element: ElementType {
    switch self {
    case .index, .extent: .i64
    case .number(_, let element), .convert(_, let element), .bits(_, let element): element
    case .variable(let variable): variable.element
    case .load(let buffer, _): buffer.element
    case .local(let local, _): local.element
    case .unary(let function, let x): function.isPredicate ? .bool : x.element
    case .binary(_, let a, _), .multiplyAdd(let a, _, _): a.element
    case .compare: .bool
    case .select(_, let a, _): a.element
    }
  }

  /// The value of an index expression that names nothing.
  public var constantIndex: Int? {
    switch self {
    case .index(let value): value
    case .extent(let extent): extent.constant
    default: nil
    }
  }
}

/// Index arithmetic, simplified as it is built.
extension Expression {
  public static func + (a: Expression, b: Expression) -> Expression {
    switch (a.constantIndex, b.constantIndex) {
    case (let x?, let y?): .index(x &+ y)
    case (0?, _): b
    case (_, 0?): a
    case (_?, nil): b + a
    case (nil, let y?):
      if case .binary(.add, let inner, .index(let z)) = a { inner + .index(y &+ z) } else { .binary(.add, a, .index(y)) }
    default:
      // Keep the constant outermost, so that constants meet.
      if case .binary(.add, let inner, .index(let z)) = a { (inner + b) + .index(z) } else if case .binary(.add, let inner, .index(let z)) = b {
        (a + inner) + .index(z)
      } else if case .extent(let x) = a, case .extent(let y) = b { .extent(x + y) } else { .binary(.add, a, b) }
    }
  }

  public static func - (a: Expression, b: Expression) -> Expression {
    switch (a.constantIndex, b.constantIndex) {
    case (let x?, let y?): .index(x &- y)
    case (_, let y?): a + .index(0 &- y)
    default: a == b ? .index(0) : .binary(.subtract, a, b)
    }
  }

  public static func * (a: Expression, b: Expression) -> Expression {
    switch (a.constantIndex, b.constantIndex) {
    case (let x?, let y?): return .index(x &* y)
    case (0?, _), (_, 0?): return .index(0)
    case (1?, _): return b
    case (_, 1?): return a
    case (_?, nil): return b * a
    case (nil, let y?):
      if case .binary(.multiply, let inner, .index(let z)) = a { return inner * .index(y &* z) }
      if case .binary(.add, let x, .index(let z)) = a { return x * .index(y) + .index(y &* z) }
      return .binary(.multiply, a, .index(y))
    default:
      if case .extent(let x) = a, case .extent(let y) = b { return .extent(x * y) }
      return .binary(.multiply, a, b)
    }
  }

  /// Quotient of non-negative indices.
  public func dividedByIndex(_ divisor: Expression) -> Expression {
    switch (constantIndex, divisor.constantIndex) {
    case (let x?, let y?) where y > 0: return .index(x / y)
    case (0?, _): return .index(0)
    case (_, 1?): return self
    default:
      if case .extent(let x) = self, case .extent(let y) = divisor.asExtent { return .extent(x.floorDivided(by: y)) }
      return .binary(.divide, self, divisor)
    }
  }

  /// Remainder of non-negative indices.
  public func remainderByIndex(_ divisor: Expression) -> Expression {
    switch (constantIndex, divisor.constantIndex) {
    case (let x?, let y?) where y > 0: return .index(x % y)
    case (0?, _), (_, 1?): return .index(0)
    default: return .binary(.remainder, self, divisor)
    }
  }

  private var asExtent: Expression { if case .index(let value) = self { .extent(Extent(value)) } else { self } }

  /// An extent as an expression: a literal if it is constant.
  public static func of(_ extent: Extent) -> Expression { extent.constant.map { .index($0) } ?? .extent(extent) }

  public static func indexMinimum(_ a: Expression, _ b: Expression) -> Expression {
    if let x = a.constantIndex, let y = b.constantIndex { return .index(Swift.min(x, y)) }
    return a == b ? a : .binary(.minimum, a, b)
  }

  public static func indexMaximum(_ a: Expression, _ b: Expression) -> Expression {
    if let x = a.constantIndex, let y = b.constantIndex { return .index(Swift.max(x, y)) }
    return a == b ? a : .binary(.maximum, a, b)
  }

  /// Every subexpression replaced by `body`'s answer, from the leaves up.
  public func map(_ body: (Expression) -> Expression) -> Expression {
    switch self {
    case .index, .number, .variable, .extent: body(self)
    case .load(let buffer, let index): body(.load(buffer, index.map(body)))
    case .local(let local, let index): body(.local(local, index.map(body)))
    case .unary(let function, let x): body(.unary(function, x.map(body)))
    case .binary(let function, let a, let b): body(.binary(function, a.map(body), b.map(body)))
    case .compare(let comparison, let a, let b): body(.compare(comparison, a.map(body), b.map(body)))
    case .select(let c, let a, let b): body(.select(c.map(body), a.map(body), b.map(body)))
    case .convert(let x, let element): body(.convert(x.map(body), element))
    case .bits(let x, let element): body(.bits(x.map(body), element))
    case .multiplyAdd(let a, let b, let c): body(.multiplyAdd(a.map(body), b.map(body), c.map(body)))
    }
  }

  /// The direct subexpressions.
  public var children: [Expression] {
    switch self {
    case .index, .number, .variable, .extent: []
    case .load(_, let x), .local(_, let x), .unary(_, let x), .convert(let x, _), .bits(let x, _): [x]
    case .binary(_, let a, let b), .compare(_, let a, let b): [a, b]
    case .select(let a, let b, let c), .multiplyAdd(let a, let b, let c): [a, b, c]
    }
  }
}
