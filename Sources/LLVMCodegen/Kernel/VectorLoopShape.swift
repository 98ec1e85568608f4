import KernelIR
import TensorTypes

/// What decides how a vectorized loop is cut.
struct VectorLoopShape {
  /// Lanes in a full chunk.
  let width: Int
  /// Expression nodes in one chunk, functions that take many instructions weighted.
  let cost: Int
  /// True if it accumulates into a local of an outer block at a place that all lanes share.
  let hasReduction: Bool
  /// True if it reads or writes locals of an outer block at a place that depends on the lane.
  let indexesOuterLocals: Bool
  /// Chunks per round of the loop.
  let interleaving: Int

  init(_ loop: Loop, vectorBytes: Int) {
    var scan = Scan(varying: [loop.variable])
    scan.visit(loop.body)
    cost = scan.cost
    hasReduction = scan.hasReduction
    indexesOuterLocals = scan.indexesOuterLocals
    width = vectorBytes / max(1, min(4, scan.widestBytes))
    interleaving = hasReduction && scan.cost <= 120 ? 4 : 1
  }

  private struct Scan {
    var varying: Set<Variable>
    var inner: Set<Local> = []
    var cost = 0
    var hasReduction = false
    var indexesOuterLocals = false
    /// The widest element computed with; index arithmetic does not count.
    var widestBytes = 1

    mutating func visit(_ body: [Statement]) { for statement in body { visit(statement) } }

    mutating func visit(_ statement: Statement) {
      switch statement {
      case .loop(let loop):
        let before = cost
        visit(loop.body)
        if loop.kind == .unrolled, let lower = loop.lower.constantIndex, let upper = loop.upper.constantIndex {
          cost = before + (cost - before) * max(1, min(1000, (upper - lower) / loop.step))
        }
      case .bind(let variable, let value):
        visit(value, isIndex: variable.element == .i64)
        if isVarying(value) { varying.insert(variable) }
      case .allocate(let local):
        inner.insert(local)
        widen(local.element)
      case .store(_, let index, let value):
        visit(index, isIndex: true)
        visit(value, isIndex: false)
        widen(value.element)
      case .assign(let local, let index, let value):
        visit(index, isIndex: true)
        visit(value, isIndex: false)
        if !inner.contains(local), isVarying(index) { indexesOuterLocals = true }
        widen(value.element)
      case .accumulate(let local, let index, _, let value):
        visit(index, isIndex: true)
        visit(value, isIndex: false)
        if !inner.contains(local) { if isVarying(index) { indexesOuterLocals = true } else { hasReduction = true } }
        widen(value.element)
      case .branch(let condition, let then, let otherwise):
        visit(condition, isIndex: false)
        visit(then)
        visit(otherwise)
      case .prefetch: cost += 1
      case .repeatWhile(let condition, let body):
        visit(condition, isIndex: false)
        visit(body)
      }
    }

    mutating func widen(_ element: ElementType) {
      widestBytes = max(widestBytes, element.isNarrowFloat ? 4 : element.byteCount)
    }

    mutating func visit(_ expression: Expression, isIndex: Bool) {
      switch expression {
      case .unary(let function, _): cost += function.isCostly ? 20 : 1
      case .binary(.power, _, _): cost += 40
      case .local(let local, let index):
        cost += 1
        if !inner.contains(local), isVarying(index) { indexesOuterLocals = true }
      case .index, .number, .variable, .extent: break
      default: cost += 1
      }
      if !isIndex {
        switch expression {
        case .variable, .index, .extent: break
        default: widen(expression.element)
        }
      }
      for child in expression.children {
        let isAddress =
          switch expression {
          case .load, .local: true
          default: isIndex
          }
        visit(child, isIndex: isAddress)
      }
    }

    func isVarying(_ expression: Expression) -> Bool {
      switch expression {
      case .variable(let variable): varying.contains(variable)
      case .local(let local, let index): inner.contains(local) || isVarying(index)
      default: expression.children.contains { isVarying($0) }
      }
    }
  }
}

extension UnaryFunction {
  /// True if it takes tens of instructions.
  var isCostly: Bool {
    switch self {
    case .negate, .absolute, .sign, .ceiling, .floor, .round, .squareRoot, .reciprocal, .not, .isNaN, .isInfinite: false
    default: true
    }
  }
}
