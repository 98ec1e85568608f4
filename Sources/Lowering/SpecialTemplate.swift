import GraphIR
import KernelIR
import TensorTypes

/// Operations with a loop nest of their own, without vector lanes along the axis they work on: arg-max, running
/// sums, sorting, scatter. Their operands are computed element by element; nothing is fused behind them.
struct SpecialTemplate {
  let target: LoweringTarget

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    let graph = fusion.body
    guard let node = graph.producer(of: graph.outputs[0]) else { return }
    let template = self
    switch node.operation {
    case let operation as ArgReduce:
      try fusion.single("arg_reduce") { emitter, output throws(CompileError) in try template.argReduce(operation, node, &emitter, output) }
    case let operation as Cumulative:
      try fusion.single("cumulative", access: .readWrite) { emitter, output throws(CompileError) in try template.cumulative(operation, node, &emitter, output) }
    case let operation as ScatterElements:
      try fusion.single("scatter_elements", access: .readWrite) { emitter, output throws(CompileError) in
        try template.scatterElements(operation, node, &emitter, output)
      }
    case let operation as ScatterND:
      try fusion.single("scatter_nd", access: .readWrite) { emitter, output throws(CompileError) in try template.scatterND(operation, node, &emitter, output) }
    case let operation as TopK: try topK(operation, node, &fusion)
    case is TreeEnsemble: try TreeTemplate(target: target).lower(&fusion)
    case let operation as Suppress: try suppress(operation, node, &fusion)
    case let operation as Compact:
      try fusion.single("compact") { emitter, output throws(CompileError) in try template.compact(operation, node, &emitter, output) }
    default:
      throw CompileError(
        .unsupported, "`\(node.operation.mnemonic)` has no kernel yet", stage: .lower, origin: node.origin, operands: graph.types(of: node.operands))
    }
  }

  /// Loops over every axis but one; `body` gets the index with that axis at 0.
  func lines(
    _ shape: Shape, except axis: Int?, _ emitter: inout ElementEmitter, _ body: (inout ElementEmitter, [Expression]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let axes = (0..<shape.rank).filter { $0 != axis && shape[$0] != 1 }
    let lines = Shape(axes.map { shape[$0] })
    let start = [Expression](repeating: .index(0), count: shape.rank)
    if axes.isEmpty { return try emitter.scoped { emitter throws(CompileError) in try body(&emitter, start) } }
    let sharing = LoopSharing(
      work: shape.elementCount, iterations: lines.elementCount, threshold: target.parallelThreshold, threads: axis == nil ? 1 : target.threads)
    return try sharing.loop(&emitter, "line", to: lines.elementCount) { emitter, number throws(CompileError) in
      var index = start
      for (axis, part) in zip(axes, emitter.mapping.delinearize(number, in: lines)) { index[axis] = part }
      return try body(&emitter, index)
    }
  }

  /// Elements that are chosen from without branches.
  private static let mostChoices = 8

  private func argReduce(_ operation: ArgReduce, _ node: Node, _ emitter: inout ElementEmitter, _ output: Buffer) throws(CompileError) -> [Statement] {
    let graph = emitter.graph
    let type = graph.type(of: node.operands[0])
    let result = graph.type(of: node.results[0]).shape
    return try lines(type.shape, except: operation.axis, &emitter) { emitter, index throws(CompileError) in
      let best = emitter.builder.local("best", type.element, count: 1)
      let place = emitter.builder.local("place", .i64, count: 1)
      var statements: [Statement] = [.allocate(best), .allocate(place)]
      statements += try emitter.scoped { emitter throws(CompileError) in
        [.assign(best, index: .index(0), value: try emitter.element(node.operands[0], index)), .assign(place, index: .index(0), value: .index(0))]
      }
      let isShort = type.shape[operation.axis].constant.map { $0 <= Self.mostChoices } ?? false
      statements.append(
        try emitter.loop("k", to: type.shape[operation.axis], isShort ? .unrolled : .serial) { emitter, k throws(CompileError) in
          var next = index
          next[operation.axis] = k
          let value = try emitter.element(node.operands[0], next)
          let variable = emitter.builder.variable("candidate", type.element)
          let current = Expression.local(best, .index(0))
          let isMaximum = operation.extreme == .max
          // A NaN wins, the first one unless the last is asked for (NumPy's rule).
          var isBetter: Expression
          if operation.selectsLast {
            isBetter = .compare(isMaximum ? .greaterOrEqual : .lessOrEqual, .variable(variable), current)
            if type.element.isFloatingPoint { isBetter = .binary(.or, isBetter, .unary(.isNaN, .variable(variable))) }
          } else {
            isBetter = .unary(.not, .compare(isMaximum ? .lessOrEqual : .greaterOrEqual, .variable(variable), current))
            if type.element.isFloatingPoint { isBetter = .binary(.and, isBetter, .unary(.not, .unary(.isNaN, current))) }
          }
          if isShort {
            // Which of a few elements is the largest is anybody's guess, so there is nothing to predict.
            let better = emitter.builder.variable("better", .bool)
            return [
              .bind(variable, value), .bind(better, isBetter),
              .assign(best, index: .index(0), value: .select(.variable(better), .variable(variable), current)),
              .assign(place, index: .index(0), value: .select(.variable(better), k, .local(place, .index(0)))),
            ]
          }
          return [
            .bind(variable, value),
            .branch(
              if: isBetter,
              then: [.assign(best, index: .index(0), value: .variable(variable)), .assign(place, index: .index(0), value: k)], else: []),
          ]
        })
      var kept = index
      kept.remove(at: operation.axis)
      return statements + [.store(output, index: IndexMapping.linearize(kept, in: result), value: .local(place, .index(0)))]
    }
  }

  private func cumulative(_ operation: Cumulative, _ node: Node, _ emitter: inout ElementEmitter, _ output: Buffer) throws(CompileError) -> [Statement] {
    let type = emitter.graph.type(of: node.operands[0])
    let extent = type.shape[operation.axis]
    return try lines(type.shape, except: operation.axis, &emitter) { emitter, index throws(CompileError) in
      let total = emitter.builder.local("total", type.element, count: 1)
      let loop = try emitter.loop("k", to: extent) { emitter, k throws(CompileError) in
        var next = index
        next[operation.axis] = operation.isReverse ? .of(extent - 1) - k : k
        let value = try emitter.element(node.operands[0], next)
        let position = IndexMapping.linearize(next, in: type.shape)
        let update = Statement.accumulate(total, index: .index(0), with: operation.reducer, value: value)
        let store = Statement.store(output, index: position, value: .local(total, .index(0)))
        return operation.isExclusive ? [store, update] : [update, store]
      }
      return [.allocate(total), .assign(total, index: .index(0), value: ReductionTemplate.neutral(operation.reducer, type.element)), loop]
    }
  }

  /// The scattered-into tensor as it was.
  private func copy(_ node: Node, _ emitter: inout ElementEmitter, _ output: Buffer) throws(CompileError) -> [Statement] {
    let shape = emitter.graph.type(of: node.operands[0]).shape
    let axes = (0..<shape.rank).filter { shape[$0] != 1 }
    func nest(_ place: Int, _ index: [Expression], _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
      if place == axes.count {
        let value = try emitter.element(node.operands[0], index)
        return [.store(output, index: IndexMapping.linearize(index, in: shape), value: value)]
      }
      return [
        try emitter.loop("i", to: shape[axes[place]], place == axes.count - 1 ? .vectorized : .serial) { emitter, variable throws(CompileError) in
          var next = index
          next[axes[place]] = variable
          return try nest(place + 1, next, &emitter)
        }
      ]
    }
    return try emitter.scoped { emitter throws(CompileError) in try nest(0, [Expression](repeating: .index(0), count: shape.rank), &emitter) }
  }

  private func update(_ output: Buffer, at position: Expression, with value: Expression, _ combine: Reducer?) -> Statement {
    guard let combine else { return .store(output, index: position, value: value) }
    return .store(output, index: position, value: .binary(combine.function, .load(output, position), value))
  }

  private func scatterElements(_ operation: ScatterElements, _ node: Node, _ emitter: inout ElementEmitter, _ output: Buffer) throws(CompileError) -> [Statement] {
    let shape = emitter.graph.type(of: node.operands[0]).shape
    let copied = try copy(node, &emitter, output)
    // Updates run in order: with duplicates the last one wins.
    let updates = try lines(emitter.graph.type(of: node.operands[1]).shape, except: nil, &emitter) { emitter, index throws(CompileError) in
      var target = index
      target[operation.axis] = try emitter.boundedIndex(node.operands[1], index, within: shape[operation.axis])
      let value = try emitter.element(node.operands[2], index)
      return [update(output, at: IndexMapping.linearize(target, in: shape), with: value, operation.combine)]
    }
    return copied + updates
  }

  private func scatterND(_ operation: ScatterND, _ node: Node, _ emitter: inout ElementEmitter, _ output: Buffer) throws(CompileError) -> [Statement] {
    let graph = emitter.graph
    let shape = graph.type(of: node.operands[0]).shape
    let tuples = graph.type(of: node.operands[1]).shape
    let depth = tuples[tuples.rank - 1].constant ?? 0
    let copied = try copy(node, &emitter, output)
    let updates = try lines(graph.type(of: node.operands[2]).shape, except: nil, &emitter) { emitter, index throws(CompileError) in
      let outer = Array(index[..<(tuples.rank - 1)])
      var target: [Expression] = []
      for component in 0..<depth { target.append(try emitter.boundedIndex(node.operands[1], outer + [.index(component)], within: shape[component])) }
      target += index[(tuples.rank - 1)...]
      let value = try emitter.element(node.operands[2], index)
      return [update(output, at: IndexMapping.linearize(target, in: shape), with: value, operation.combine)]
    }
    return copied + updates
  }

  /// Selection in order: for each place the best element that comes after the one before it.
  ///
  /// The order is by value, then by index, and total (NaN counts as the largest), so that no element needs a mark. k passes over the line.
  private func topK(_ operation: TopK, _ node: Node, _ fusion: inout FusionLowering) throws(CompileError) {
    let graph = fusion.body
    let type = graph.type(of: node.operands[0])
    let extent = type.shape[operation.axis]
    func isBefore(_ a: Expression, _ i: Expression, _ b: Expression, _ j: Expression) -> Expression {
      let order: Comparison = operation.isAscending ? .less : .greater
      var better = Expression.compare(order, a, b)
      var same = Expression.compare(.equal, a, b)
      if type.element.isFloatingPoint {
        let (aNaN, bNaN) = (Expression.unary(.isNaN, a), Expression.unary(.isNaN, b))
        let (first, second) = operation.isAscending ? (bNaN, aNaN) : (aNaN, bNaN)
        better = .binary(.or, better, .binary(.and, first, .unary(.not, second)))
        same = .binary(.or, same, .binary(.and, aNaN, bNaN))
      }
      return .binary(.or, better, .binary(.and, same, .compare(.less, i, j)))
    }
    if Self.isSorted(operation, extent) { return try sorted(operation, node, &fusion, isBefore: isBefore) }
    var (emitter, arguments) = fusion.emitter()
    let values = emitter.builder.buffer("values", type.element, .write)
    let places = emitter.builder.buffer("places", .i64, .write)
    let resultShape = graph.type(of: node.results[0]).shape
    let statements = try lines(type.shape, except: operation.axis, &emitter) { emitter, index throws(CompileError) in
      let best = emitter.builder.local("best", type.element, count: 1), place = emitter.builder.local("place", .i64, count: 1)
      let last = emitter.builder.local("last", type.element, count: 1), lastPlace = emitter.builder.local("lastPlace", .i64, count: 1)
      let start: [Statement] = [
        .allocate(best), .allocate(place), .allocate(last), .allocate(lastPlace),
        .assign(last, index: .index(0), value: Self.zero(type.element)), .assign(lastPlace, index: .index(0), value: .index(-1)),
      ]
      let rounds = try emitter.loop("rank", to: operation.k) { emitter, rank throws(CompileError) in
        let scan = try emitter.loop("k", to: extent) { emitter, k throws(CompileError) in
          var next = index
          next[operation.axis] = k
          let value = emitter.builder.variable("candidate", type.element)
          let candidate = Expression.variable(value)
          let isLeft = Expression.binary(
            .or, .compare(.less, .local(lastPlace, .index(0)), .index(0)),
            isBefore(.local(last, .index(0)), .local(lastPlace, .index(0)), candidate, k))
          let isBetter = Expression.binary(
            .or, .compare(.less, .local(place, .index(0)), .index(0)), isBefore(candidate, k, .local(best, .index(0)), .local(place, .index(0))))
          return [
            .bind(value, try emitter.element(node.operands[0], next)),
            .branch(
              if: .binary(.and, isLeft, isBetter),
              then: [.assign(best, index: .index(0), value: candidate), .assign(place, index: .index(0), value: k)], else: []),
          ]
        }
        var slot = index
        slot[operation.axis] = rank
        let position = IndexMapping.linearize(slot, in: resultShape)
        return [
          .assign(best, index: .index(0), value: Self.zero(type.element)), .assign(place, index: .index(0), value: .index(-1)), scan,
          .store(values, index: position, value: .local(best, .index(0))), .store(places, index: position, value: .local(place, .index(0))),
          .assign(last, index: .index(0), value: .local(best, .index(0))), .assign(lastPlace, index: .index(0), value: .local(place, .index(0))),
        ]
      }
      return start + [rounds]
    }
    arguments += [.result(0), .result(1)]
    fusion.kernels.append(LoweredKernel(kernel: emitter.builder.kernel(fusion.name("top_k"), statements), arguments: arguments, note: "top_k by selection"))
  }

  private static func zero(_ element: ElementType) -> Expression { element == .i64 ? .index(0) : .number(0, element) }
}
