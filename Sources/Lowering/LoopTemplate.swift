import GraphIR
import KernelIR
import TensorTypes

/// Elementwise operations and data movement: one loop nest over the result, everything inlined.
struct LoopTemplate {
  let target: LoweringTarget

  /// The statements that compute the body's result into `output`.
  func emit(_ emitter: inout ElementEmitter, into output: Buffer) throws(CompileError) -> [Statement] {
    let graph = emitter.graph
    let root = graph.outputs[0]
    let shape = graph.type(of: root).shape
    let partition = DomainPartition(graph: graph)
    var statements: [Statement] = []
    for cell in partition.cells(of: shape) {
      emitter.pieces = cell.pieces
      statements += try emit(cell.region, axes: mergedAxes(graph, shape, cell), root, shape, &emitter, output)
    }
    emitter.pieces = [:]
    return statements
  }

  /// Groups of neighbouring axes that can run as one loop: every access treats them alike.
  private func mergedAxes(_ graph: Graph, _ shape: Shape, _ cell: DomainPartition.Cell) -> [[Int]] {
    let axes = (0..<shape.rank).filter { shape[$0] != 1 }
    // Merging moves the index of the group to its last axis; only broadcasts may then tell axes apart.
    var joins = [Bool](repeating: true, count: shape.rank)
    for id in graph.topologicalOrder() {
      let node = graph.node(id)
      switch node.operation {
      case is Unary, is Binary, is Compare, is Select, is Convert: continue
      case is Constant where graph.type(of: node.results[0]).rank == 0: continue
      case is Broadcast:
        // Only directly in the result's index space.
        guard graph.type(of: node.results[0]).shape == shape else { return axes.map { [$0] } }
        let source = graph.type(of: node.operands[0]).shape
        let offset = shape.rank - source.rank
        func isRepeated(_ axis: Int) -> Bool { axis < offset || source[axis - offset] == 1 }
        for (a, b) in zip(axes, axes.dropFirst()) where isRepeated(a) != isRepeated(b) { joins[b] = false }
        // What lies behind the broadcast is in another index space; it must be a load or a scalar.
        if let producer = graph.producer(of: node.operands[0]), !(producer.operation is Constant) { return axes.map { [$0] } }
      default: return axes.map { [$0] }
      }
    }
    var groups: [[Int]] = []
    for axis in axes {
      let isWhole = cell.region[axis].start == 0 && cell.region[axis].size == shape[axis]
      if joins[axis], isWhole, !groups.isEmpty { groups[groups.count - 1].append(axis) } else { groups.append([axis]) }
    }
    return groups
  }

  private func emit(
    _ region: [(start: Extent, size: Extent)], axes groups: [[Int]], _ root: ValueID, _ shape: Shape, _ emitter: inout ElementEmitter, _ output: Buffer
  ) throws(CompileError) -> [Statement] {
    if region.contains(where: { $0.size == 0 }) { return [] }
    var start = [Expression](repeating: .index(0), count: shape.rank)
    for axis in 0..<shape.rank { start[axis] = .of(region[axis].start) }
    let loops = groups.map { group in (axis: group.last ?? 0, size: group.reduce(Extent(1)) { $0 * region[$1].size }) }.filter { $0.size != 1 }
    let work = loops.reduce(Extent(1)) { $0 * $1.size }
    func sharing(_ iterations: Extent) -> LoopSharing { LoopSharing(work: work, iterations: iterations, threshold: target.parallelThreshold, threads: target.threads) }

    func store(_ index: [Expression], _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
      let value = try emitter.element(root, index)
      return [.store(output, index: IndexMapping.linearize(index, in: shape), value: value)]
    }
    guard let vector = vectorLoop(loops) else { return try emitter.scoped { emitter throws(CompileError) in try store(start, &emitter) } }

    if vector == loops.count - 1, let across = Transposition(loops, from: start, root, &emitter) {
      return try across.emit(&emitter, isParallel: sharing(work).isParallel) { emitter, places throws(CompileError) in
        var index = start
        for (loop, place) in zip(loops, places) { index[loop.axis] = start[loop.axis] + place }
        return try store(index, &emitter)
      }
    }

    func nest(_ position: Int, _ index: [Expression], _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
      if position == loops.count { return try store(index, &emitter) }
      let (axis, size) = loops[position]
      func advance(_ emitter: inout ElementEmitter, _ variable: Expression) throws(CompileError) -> [Statement] {
        var next = index
        next[axis] = start[axis] + variable
        return try nest(position + 1, next, &emitter)
      }
      if position == 0 {
        let blocks = size.ceilDivided(by: Extent(Self.blockElements))
        if position != vector { return try sharing(size).loop(&emitter, "i", to: size, advance) }
        let sharing = sharing(blocks)
        if sharing.isParallel { return try blocked(size, blocks, sharing, &emitter, advance) }
      }
      let kind: Loop.Kind = position == vector ? .vectorized : position > vector ? .unrolled : .serial
      return [try emitter.loop("i", to: size, kind, advance)]
    }
    return try nest(0, start, &emitter)
  }

  /// The loop whose iterations become SIMD lanes: the innermost, or the one before a short innermost one.
  private func vectorLoop(_ loops: [(axis: Int, size: Extent)]) -> Int? {
    guard let last = loops.last else { return nil }
    if loops.count > 1, let inner = last.size.constant, inner <= 4 { return loops.count - 2 }
    return loops.count - 1
  }

  /// A single long loop in blocks, so that several threads can share it.
  private func blocked(
    _ size: Extent, _ blocks: Extent, _ sharing: LoopSharing, _ emitter: inout ElementEmitter,
    _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    try sharing.parts(&emitter, of: blocks) { emitter, lower, upper throws(CompileError) in
      let variable = emitter.builder.variable("i")
      emitter.ranges.set(variable, to: size)
      let block = Expression.index(Self.blockElements)
      let end: Expression = size.constant.map { $0 % Self.blockElements == 0 } == true ? upper * block : .indexMinimum(upper * block, .of(size))
      let inner = try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .variable(variable)) }
      return [.loop(Loop(variable, from: lower * block, to: end, kind: .vectorized, body: inner))]
    }
  }

  private static let blockElements = 2048
}
