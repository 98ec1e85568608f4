import KernelIR

/// How much code a kernel makes and how much it does, roughly, in expression nodes.
struct KernelSize {
  /// Nodes after unrolling.
  var code = 0
  /// Nodes evaluated in one call; nil if that depends on symbols or data.
  var work: Int? = 0
  var hasParallelLoop = false

  init(_ kernel: Kernel) { add(kernel.body, times: 1) }

  /// True if a call costs as much as the kernel itself: it becomes part of its caller.
  var isSmall: Bool { !hasParallelLoop && code <= 600 && (work.map { $0 <= 30_000 } ?? false) }

  private mutating func add(_ body: [Statement], times: Int?) { for statement in body { add(statement, times: times) } }

  private mutating func add(_ expression: Expression, times: Int?) {
    var nodes = 0
    func walk(_ expression: Expression) {
      switch expression {
      case .index, .number, .variable: break
      case .unary(let function, _): nodes += function.isCostly ? 20 : 1
      default: nodes += 1
      }
      for child in expression.children { walk(child) }
    }
    walk(expression)
    code = min(code + nodes, 1 << 40)
    work = work.flatMap { work in times.map { min(work + min(nodes, 1 << 20) * min($0, 1 << 30), 1 << 50) } }
  }

  private mutating func add(_ statement: Statement, times: Int?) {
    switch statement {
    case .loop(let loop):
      if loop.kind == .parallel { hasParallelLoop = true }
      add(loop.lower, times: times)
      add(loop.upper, times: times)
      var trips: Int?
      if let lower = loop.lower.constantIndex, let upper = loop.upper.constantIndex { trips = max(0, min((upper - lower + loop.step - 1) / max(loop.step, 1), 1 << 30)) }
      let before = code
      // A vector does many iterations at once.
      let rounds = trips.map { loop.kind == .vectorized ? ($0 + 15) / 16 : $0 }
      add(loop.body, times: rounds.flatMap { rounds in times.map { min($0 * rounds, 1 << 40) } })
      if loop.kind == .unrolled, let trips { code = min(before + (code - before) * max(1, trips), 1 << 40) }
    case .bind(_, let value): add(value, times: times)
    case .allocate: break
    case .store(_, let index, let value), .assign(_, let index, let value), .accumulate(_, let index, _, let value):
      add(index, times: times)
      add(value, times: times)
    case .branch(let condition, let then, let otherwise):
      add(condition, times: times)
      add(then, times: times)
      add(otherwise, times: times)
    case .prefetch(_, let index, _): add(index, times: times)
    case .repeatWhile(let condition, let body):
      add(condition, times: nil)
      add(body, times: nil)
    }
  }
}
