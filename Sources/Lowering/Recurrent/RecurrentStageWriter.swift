import GraphIR
import KernelIR
import TensorTypes

/// Writes the tiles of one stage of a recurrent step: all gates of a block of units are summed up in registers, and
/// what the cell makes of them is computed right there.
struct RecurrentStageWriter {
  let problem: RecurrentProblem
  let stage: RecurrentProblem.Stage
  let tile: RecurrentTile
  let weights: [Int: Buffer]
  /// Where the elements of each target go.
  let places: [[(buffer: Buffer, start: Expression)]]

  /// - Parameter stored: Units of the block that exist.
  func block(_ emitter: inout ElementEmitter, _ block: Expression, stored: Int) throws(CompileError) -> [Statement] {
    let rows = TileRows(Extent(stage.rows), most: tile.rows)
    return try rows.loops(&emitter, from: .index(0), to: .of(rows.count)) { emitter, count, first throws(CompileError) in
      try tile(&emitter, block, rows: count, from: first, stored: stored)
    }
  }

  private func tile(_ emitter: inout ElementEmitter, _ block: Expression, rows: Int, from first: Expression, stored: Int) throws(CompileError) -> [Statement] {
    // sums[gate][row]
    var sums: [[Local]] = []
    for _ in stage.gates { sums.append((0..<rows).map { _ in emitter.builder.local("acc", .f32, count: tile.width) }) }
    var statements: [Statement] = sums.joined().map { .allocate($0) }
    if !sums.isEmpty {
      statements.append(
        try emitter.loop("n", to: Extent(tile.width), .vectorized) { _, lane throws(CompileError) in
          sums.joined().map { .assign($0, index: lane, value: .number(0, .f32)) }
        })
    }
    for number in stage.products {
      let product = problem.products[number]
      let gates = stage.gates.indices.filter { stage.gates[$0].product == number }
      guard let buffer = weights[number] else { continue }
      let perStep = gates.count * tile.width
      let start = block * .index(product.steps * perStep)
      // Two steps at a time: a row alone has few instructions to a step.
      let unroll = rows * perStep * 4 >= 12 * 64 ? 1 : 2
      statements += try TileAccumulators.reduction(&emitter, over: Extent(product.steps), unroll: unroll, fullUpTo: 4) { emitter, step, _ throws(CompileError) in
        var body: [Statement] = []
        for row in 0..<rows {
          let left = try emitter.element(product.left, [first + .index(row), step])
          body.append(
            try emitter.loop("n", to: Extent(tile.width), .vectorized) { _, lane throws(CompileError) in
              gates.enumerated().map { place, gate in
                let weight = Expression.load(buffer, start + step * .index(perStep) + .index(place * tile.width) + lane)
                return .assign(sums[gate][row], index: lane, value: .multiplyAdd(left, weight, .local(sums[gate][row], lane)))
              }
            })
        }
        return body
      }
    }
    let base = block * .index(tile.width)
    statements.append(
      try emitter.loop("n", to: Extent(stored), .vectorized) { emitter, lane throws(CompileError) in
        var stores: [Statement] = []
        for row in 0..<rows { stores += try finish(&emitter, row: first + .index(row), unit: base + lane, lane, sums.map { $0[row] }) }
        return stores
      })
    return statements
  }

  /// Computes and stores one element of each target.
  private func finish(_ emitter: inout ElementEmitter, row: Expression, unit: Expression, _ lane: Expression, _ sums: [Local]) throws(CompileError) -> [Statement] {
    let outer = emitter.placed
    for number in stage.products {
      let product = problem.products[number]
      emitter.placed[product.result] = ElementEmitter.Place { index in
        for (gate, sum) in zip(stage.gates, sums) where gate.product == number && index[1] == unit + .index(gate.offset) { return .local(sum, lane) }
        return nil
      }
    }
    let domain: Shape = [Extent(stage.rows), Extent(stage.units)]
    let index = stage.rows == 1 ? [Expression.index(0), unit] : [row, unit]
    var stores: [Statement] = []
    let block = try emitter.scoped { emitter throws(CompileError) in
      for (target, places) in zip(stage.targets, places) {
        let type = problem.body.type(of: target)
        let value = emitter.builder.variable("t", type.element)
        stores.append(.bind(value, try emitter.element(target, emitter.mapping.reshape(index, from: domain, to: type.shape))))
        for (buffer, start) in places {
          stores.append(.store(buffer, index: start + IndexMapping.linearize(index, in: domain), value: .variable(value)))
        }
      }
      return []
    }
    emitter.placed = outer
    // What the targets share first, then each target, then the stores: a step never reads what it writes.
    return block + stores
  }
}
