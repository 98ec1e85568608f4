import GraphIR
import KernelIR
import TensorTypes

extension SpecialTemplate {
  /// For each batch and class: a list of the boxes whose score is high enough, from which the best is taken and what overlaps it
  /// is dropped, until it is empty or enough were taken. The list shrinks with every box, so no order is needed beforehand.
  func suppress(_ operation: Suppress, _ node: Node, _ fusion: inout FusionLowering) throws(CompileError) {
    let graph = fusion.body
    let shape = graph.type(of: node.operands[1]).shape
    let list = fusion.addScratch(.i64, shape.elementCount)
    var (emitter, arguments) = fusion.emitter()
    let left = emitter.builder.buffer("left", .i64, .readWrite)
    let output = emitter.builder.buffer("chosen", .i64, .write)
    let statements = try emitter.scoped { emitter throws(CompileError) in
      try lines(shape, except: 2, &emitter) { emitter, index throws(CompileError) in
        try SuppressionLine(operation: operation, node: node, shape: shape, index: index, left: left, output: output).statements(&emitter)
      }
    }
    fusion.kernels.append(
      LoweredKernel(
        kernel: emitter.builder.kernel(fusion.name("suppress"), statements), arguments: arguments + [list, .result(0)],
        note: "suppress, best first from a list that shrinks"))
  }
}

/// The boxes of one batch and class.
private struct SuppressionLine {
  let operation: Suppress
  let node: Node
  let shape: Shape
  /// Batch, class, 0.
  let index: [Expression]
  let left: Buffer
  let output: Buffer

  private typealias Sides = (lowX: Expression, highX: Expression, lowY: Expression, highY: Expression, area: Expression)

  private func listed(_ position: Expression) -> Expression {
    var place = index
    place[2] = position
    return IndexMapping.linearize(place, in: shape)
  }

  private func slot(_ position: Expression) -> Expression {
    IndexMapping.linearize([index[0], index[1], position], in: [shape[0], shape[1], operation.extent])
  }

  private func score(_ box: Expression, _ emitter: inout ElementEmitter) throws(CompileError) -> Expression {
    try emitter.element(node.operands[1], [index[0], index[1], box])
  }

  private func sides(_ box: Expression, _ emitter: inout ElementEmitter) throws(CompileError) -> Sides {
    var numbers: [Expression] = []
    for part in 0..<4 { numbers.append(emitter.bound(try emitter.element(node.operands[0], [index[0], box, .index(part)]))) }
    func half(_ x: Expression) -> Expression { .binary(.multiply, x, .number(0.5, .f32)) }
    func spread(_ a: Expression, _ b: Expression, _ emitter: inout ElementEmitter) -> (Expression, Expression) {
      operation.isCentered
        ? (emitter.bound(.binary(.subtract, a, half(b))), emitter.bound(.binary(.add, a, half(b))))
        : (emitter.bound(.binary(.minimum, a, b)), emitter.bound(.binary(.maximum, a, b)))
    }
    let (lowX, highX) = operation.isCentered ? spread(numbers[0], numbers[2], &emitter) : spread(numbers[1], numbers[3], &emitter)
    let (lowY, highY) = operation.isCentered ? spread(numbers[1], numbers[3], &emitter) : spread(numbers[0], numbers[2], &emitter)
    let area = emitter.bound(.binary(.multiply, .binary(.subtract, highX, lowX), .binary(.subtract, highY, lowY)))
    return (lowX, highX, lowY, highY, area)
  }

  /// True if the intersection is a larger part of the union than the operand allows.
  private func overlaps(_ a: Sides, _ b: Sides, _ emitter: inout ElementEmitter) throws(CompileError) -> Expression {
    let zero = Expression.number(0, .f32)
    let width = emitter.bound(.binary(.subtract, .binary(.minimum, a.highX, b.highX), .binary(.maximum, a.lowX, b.lowX)))
    let height = emitter.bound(.binary(.subtract, .binary(.minimum, a.highY, b.highY), .binary(.maximum, a.lowY, b.lowY)))
    let shared = emitter.bound(.binary(.multiply, width, height))
    let union = emitter.bound(.binary(.subtract, .binary(.add, a.area, b.area), shared))
    let most = try emitter.element(node.operands[2], [])
    let conditions = [width, height, a.area, b.area, union].map { Expression.compare(.greater, $0, zero) }
    return conditions.reduce(.compare(.greater, .binary(.divide, shared, union), most)) { .binary(.and, $0, $1) }
  }

  func statements(_ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    let zero = Expression.index(0), one = Expression.index(1)
    let count = emitter.builder.local("count", .i64, count: 1), kept = emitter.builder.local("kept", .i64, count: 1)
    let next = emitter.builder.local("next", .i64, count: 1), place = emitter.builder.local("place", .i64, count: 1)
    let best = emitter.builder.local("best", .f32, count: 1)
    func value(_ local: Local) -> Expression { .local(local, zero) }
    func set(_ local: Local, _ to: Expression) -> Statement { .assign(local, index: zero, value: to) }
    let hasRoom = Expression.compare(.less, value(kept), .of(operation.extent))

    let collecting = try emitter.loop("box", to: shape[2]) { emitter, box throws(CompileError) in
      let isCandidate = Expression.compare(.greater, try score(box, &emitter), try emitter.element(node.operands[3], []))
      return [.branch(if: isCandidate, then: [.store(left, index: listed(value(count)), value: box), set(count, value(count) + one)], else: [])]
    }
    let searching = try loop("j", from: one, to: value(count), &emitter) { emitter, j throws(CompileError) in
      let box = emitter.bound(.load(left, listed(j)))
      let candidate = emitter.bound(try score(box, &emitter))
      return [.branch(if: .compare(.greater, candidate, value(best)), then: [set(best, candidate), set(place, j)], else: [])]
    }
    let round = try emitter.scoped { emitter throws(CompileError) in
      let first = emitter.bound(.load(left, listed(zero)))
      return [set(best, try score(first, &emitter)), set(place, zero), searching] + (try keepRest(count, kept, next, place, &emitter))
    }
    return [
      .allocate(count), .allocate(kept), .allocate(next), .allocate(place), .allocate(best), set(count, zero), set(kept, zero), collecting,
      .repeatWhile(.binary(.and, hasRoom, .compare(.greater, value(count), zero)), body: round),
      .repeatWhile(hasRoom, body: [.store(output, index: slot(value(kept)), value: .index(-1)), set(kept, value(kept) + one)]),
    ]
  }

  /// Writes the best box, and lists again what does not overlap it.
  private func keepRest(_ count: Local, _ kept: Local, _ next: Local, _ place: Local, _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
    let zero = Expression.index(0), one = Expression.index(1)
    func value(_ local: Local) -> Expression { .local(local, zero) }
    func set(_ local: Local, _ to: Expression) -> Statement { .assign(local, index: zero, value: to) }
    return try emitter.scoped { emitter throws(CompileError) in
      let chosen = emitter.bound(.load(left, listed(value(place))))
      let box = try sides(chosen, &emitter)
      let filtering = try loop("k", from: zero, to: value(count), &emitter) { emitter, k throws(CompileError) in
        let other = emitter.bound(.load(left, listed(k)))
        let isDropped = Expression.binary(.or, .compare(.equal, other, chosen), try overlaps(box, sides(other, &emitter), &emitter))
        return [.branch(if: isDropped, then: [], else: [.store(left, index: listed(value(next)), value: other), set(next, value(next) + one)])]
      }
      return [
        .store(output, index: slot(value(kept)), value: chosen), set(kept, value(kept) + one), set(next, zero), filtering, set(count, value(next)),
      ]
    }
  }

  /// A serial loop between computed bounds.
  private func loop(
    _ name: String, from lower: Expression, to upper: Expression, _ emitter: inout ElementEmitter,
    _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> Statement {
    let variable = emitter.builder.variable(name)
    emitter.ranges.set(variable, to: shape[2])
    return .loop(Loop(variable, from: lower, to: upper, body: try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .variable(variable)) }))
  }
}
