import GraphIR
import KernelIR
import TensorTypes

/// A loop nest whose innermost loop runs across the rows of an operand: neighbours of that operand lie along another loop.
///
/// The two loops are cut into blocks, so that a cache line that was fetched for one element is still there when its neighbours are
/// wanted:
///
///     for block of a, block of b { for a in block { vector b in block { y[a, b] = x[b, a] } } }
///
struct Transposition {
  private let sizes: [Extent]
  /// The loop along which the operand is contiguous.
  private let turned: Int
  private let turnedBlock: Int
  private let laneBlock: Int

  /// Half of a first-level cache for the lines of a block.
  private static let blockBytes = 16 << 10

  /// Nil if no operand is read across.
  init?(_ loops: [(axis: Int, size: Extent)], from start: [Expression], _ root: ValueID, _ emitter: inout ElementEmitter) {
    guard loops.count >= 2, let lanes = loops[loops.count - 1].size.constant, lanes >= 64 else { return nil }
    var probe = emitter
    var (index, variables): ([Expression], [Variable]) = (start, [])
    for loop in loops {
      let variable = probe.builder.variable("p")
      probe.ranges.set(variable, to: loop.size)
      variables.append(variable)
      index[loop.axis] = start[loop.axis] + .variable(variable)
    }
    let result = probe.builder.variable("result", emitter.graph.type(of: root).element)
    guard let statements = try? probe.scoped({ probe throws(CompileError) in [.bind(result, try probe.element(root, index))] }) else { return nil }
    var found: (loop: Int, size: Int)?
    for statement in statements {
      statement.visitExpressions { expression in
        guard found == nil, case .load(_, let place) = expression else { return }
        let step = TileAccess.coefficient(of: variables[variables.count - 1], in: place)
        if let step, step.magnitude <= 1 { return }
        for (number, variable) in variables.dropLast().enumerated() where TileAccess.coefficient(of: variable, in: place) == 1 {
          if let size = loops[number].size.constant, size >= 8 { found = (number, size) }
        }
      }
    }
    guard let found else { return nil }
    turned = found.loop
    sizes = loops.map(\.size)
    turnedBlock = min(found.size, 128)
    // A line for each lane and each 64 bytes of its row.
    let lines = (turnedBlock * 4 + 63) / 64 + 1
    laneBlock = min(lanes, max(32, Self.blockBytes / (64 * lines) & ~15))
  }

  /// `body` gets the place along each loop.
  func emit(
    _ emitter: inout ElementEmitter, isParallel: Bool, _ body: (inout ElementEmitter, [Expression]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let lane = sizes.count - 1
    let blocks = sizes.indices.map { axis -> (name: String, extent: Extent) in
      axis == turned ? ("block", sizes[axis].ceilDivided(by: Extent(turnedBlock))) : axis == lane ? ("block", sizes[axis].ceilDivided(by: Extent(laneBlock))) : ("i", sizes[axis])
    }
    return try TileSchedule.nest(&emitter, blocks, isParallel: isParallel) { emitter, places throws(CompileError) in
      func inner(_ emitter: inout ElementEmitter, _ axis: Int, _ block: Int, _ kind: Loop.Kind, _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement])
        throws(CompileError) -> [Statement]
      {
        let variable = emitter.builder.variable("i")
        emitter.ranges.set(variable, to: sizes[axis])
        let first = places[axis] * .index(block)
        let end: Expression = blocks[axis].extent == 1 ? .of(sizes[axis]) : .indexMinimum(first + .index(block), .of(sizes[axis]))
        let statements = try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .variable(variable)) }
        return [.loop(Loop(variable, from: first, to: end, kind: kind, body: statements))]
      }
      return try inner(&emitter, turned, turnedBlock, .serial) { emitter, row throws(CompileError) in
        try inner(&emitter, lane, laneBlock, .vectorized) { emitter, column throws(CompileError) in
          var index = places
          (index[turned], index[lane]) = (row, column)
          return try body(&emitter, index)
        }
      }
    }
  }
}
