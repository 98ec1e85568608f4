import GraphIR
import KernelIR
import TensorTypes

/// The statements for one head (one matrix of the batch) of an attention kernel.
struct AttentionHead {
  let plan: AttentionTemplate.Plan
  let memory: AttentionTemplate.Scratch
  let output: Buffer
  /// Whose scratch memory it uses.
  let item: Expression
  let batch: [Expression]
  /// The batch index of the head after this one; past the end for the last.
  let nextBatch: [Expression]?
  private var problem: AttentionProblem { plan.problem }

  init(plan: AttentionTemplate.Plan, memory: AttentionTemplate.Scratch, output: Buffer, item: Expression, batch: [Expression], nextBatch: [Expression]?) {
    (self.plan, self.memory, self.output, self.item, self.batch, self.nextBatch) = (plan, memory, output, item, batch, nextBatch)
  }

  /// Packs, then goes through a range of tiles of rows.
  func statements(_ emitter: inout ElementEmitter, from lower: Expression, to upper: Expression) throws(CompileError) -> [Statement] {
    var statements = try pack(&emitter, problem.scores.operands[1], plan.keys, into: memory.keys)
    if let values = plan.values, let buffer = memory.values { statements += try pack(&emitter, problem.values.operands[1], values, into: buffer) }
    return statements
      + (try plan.tiles.loops(&emitter, from: lower, to: upper) { emitter, rows, first throws(CompileError) in
        try packQueries(&emitter, rows, first) + (try scores(&emitter, rows, first)) + (try weigh(&emitter, rows, first)) + (try multiply(&emitter, rows, first))
      })
  }

  // MARK: Packing

  /// Lays a right operand out in panels.
  private func pack(_ emitter: inout ElementEmitter, _ value: ValueID, _ layout: PanelLayout, into buffer: Buffer) throws(CompileError) -> [Statement] {
    [
      try emitter.loop("panel", to: layout.panels) { emitter, panel throws(CompileError) in
        try branch(layout, &emitter, panel) { emitter, columns, isTail throws(CompileError) in
          let count: Expression
          if case .known(let stored, _) = columns, layout.tail != nil { count = .index(stored) } else {
            count = .indexMinimum(.index(layout.width), .of(layout.columns) - panel * .index(layout.width))
          }
          if layout.group > 1 { return [try packGroups(&emitter, value, layout, into: buffer, panel, count, isTail: isTail)] }
          return [
            try emitter.loop("k", to: layout.steps) { emitter, step throws(CompileError) in
              let lane = emitter.builder.variable("n")
              emitter.ranges.set(lane, to: count.constantIndex.map { Extent($0) } ?? Extent(layout.width))
              let copy = try emitter.scoped { emitter throws(CompileError) in
                let element = try emitter.element(value, batch + [step, panel * .index(layout.width) + .variable(lane)])
                return [.store(buffer, index: layout.position(matrix: item, panel: panel, step: step, lane: .variable(lane), isTail: isTail), value: element)]
              }
              return [.loop(Loop(lane, to: count, kind: .vectorized, body: copy))]
            }
          ]
        }
      }
    ]
  }

  /// Lays out the groups of steps of a panel, side by side for each column.
  private func packGroups(
    _ emitter: inout ElementEmitter, _ value: ValueID, _ layout: PanelLayout, into buffer: Buffer, _ panel: Expression, _ count: Expression, isTail: Bool
  ) throws(CompileError) -> Statement {
    try emitter.loop("k", to: layout.steps.floorDivided(by: Extent(layout.group))) { emitter, group throws(CompileError) in
      let lane = emitter.builder.variable("n")
      emitter.ranges.set(lane, to: count.constantIndex.map { Extent($0) } ?? Extent(layout.width))
      let copy = try emitter.scoped { emitter throws(CompileError) in
        let place = layout.position(matrix: item, panel: panel, step: group, lane: .variable(lane), isTail: isTail)
        // All are read before the first is written, so that neighbours are moved as one number.
        var parts: [Expression] = []
        for part in 0..<layout.group {
          parts.append(emitter.bound(try emitter.element(value, batch + [group * .index(layout.group) + .index(part), panel * .index(layout.width) + .variable(lane)])))
        }
        return parts.enumerated().map { .store(buffer, index: place + .index($0), value: $1) }
      }
      return [.loop(Loop(lane, to: count, body: copy))]
    }
  }

  /// Panels of a number that is only known at run time are computed at full width: what lies behind the last key is not used.
  private func branch(
    _ layout: PanelLayout, _ emitter: inout ElementEmitter, _ panel: Expression,
    _ body: (inout ElementEmitter, TileAccumulators.Columns, _ isTail: Bool) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    if layout.tail != nil { return try layout.branch(&emitter, panel: panel, body) }
    return try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .known(stored: layout.width, computed: layout.width), false) }
  }

  /// Copies the tile's queries: their elements are then next to each other, and computed once.
  private func packQueries(_ emitter: inout ElementEmitter, _ rows: Int, _ first: Expression) throws(CompileError) -> [Statement] {
    [
      try emitter.loop("row", to: Extent(rows)) { emitter, row throws(CompileError) in
        try prefetchKeys(&emitter, first + row) + [
          try emitter.loop("k", to: Extent(problem.depth), .vectorized) { emitter, step throws(CompileError) in
            let value = try emitter.element(problem.scores.operands[0], batch + [first + row, step])
            return [.store(memory.queries, index: queryBase + row * .index(problem.depth) + step, value: value)]
          }
        ]
      }
    ]
  }

  /// Asks for one key of the next head, which packing will read across its rows: too far apart for a processor to foresee.
  ///
  /// Measured: with a batch of 8 the keys come from beyond the second-level cache, and a head took 16 % longer.
  private func prefetchKeys(_ emitter: inout ElementEmitter, _ key: Expression) throws(CompileError) -> [Statement] {
    guard let nextBatch else { return [] }
    var statements: [Statement] = []
    for offset in stride(from: 0, to: problem.depth, by: 64 / memory.keys.element.byteCount) {
      func request(_ expression: Expression) {
        if case .load(let buffer, let index) = expression { statements.append(.prefetch(buffer, index: index, forWriting: false)) }
        for child in expression.children { request(child) }
      }
      request(try emitter.element(problem.scores.operands[1], nextBatch + [.index(offset), key]))
    }
    return statements
  }

  private var queryBase: Expression { item * .index(plan.mostRows * problem.depth) }

  /// Where a row of scores starts.
  private func scoreBase(_ row: Expression) -> Expression { item * .of(Extent(plan.mostRows) * plan.scoreStride) + row * .of(plan.scoreStride) }

  /// Where a row of bytes that the values are multiplied by starts.
  private func weightBase(_ row: Expression) -> Expression { item * .index(plan.mostRows * plan.weightStride) + row * .index(plan.weightStride) }

  // MARK: Products

  private func scores(_ emitter: inout ElementEmitter, _ rows: Int, _ first: Expression) throws(CompileError) -> [Statement] {
    [
      try emitter.loop("panel", to: plan.keys.panels) { emitter, panel throws(CompileError) in
        try branch(plan.keys, &emitter, panel) { emitter, columns, isTail throws(CompileError) in
          guard case .known(_, let computed) = columns else { return [] }
          // In bytes a score is more than the sum, and there is none for what lies behind the last key.
          let all: TileAccumulators.Columns = problem.isInBytes ? columns : .known(stored: computed, computed: computed)
          return try tile(&emitter, rows, all, steps: Extent(problem.depth)) { emitter, row, step throws(CompileError) in
            .load(memory.queries, queryBase + .index(row * problem.depth) + step * .index(problem.group))
          } right: { emitter, step, lane throws(CompileError) in
            .load(memory.keys, plan.keys.position(matrix: item, panel: panel, step: step, lane: lane, isTail: isTail))
          } finish: { emitter, row, lane, sum throws(CompileError) in
            let key = panel * .index(plan.keys.width) + lane
            var score = sum
            if problem.isInBytes {
              let outer = emitter.provided
              emitter.provided[problem.scores.results[0]] = sum
              score = try emitter.element(problem.first, batch + [first + .index(row), key])
              emitter.provided = outer
            }
            return [.store(memory.scores, index: scoreBase(.index(row)) + key, value: score)]
          }
        }
      }
    ]
  }

  private func multiply(_ emitter: inout ElementEmitter, _ rows: Int, _ first: Expression) throws(CompileError) -> [Statement] {
    let layout = plan.valueColumns
    return [
      try emitter.loop("panel", to: layout.panels) { emitter, panel throws(CompileError) in
        try layout.branch(&emitter, panel: panel) { emitter, columns, isTail throws(CompileError) in
          var columns = columns
          // In place there is nothing behind the last column to read.
          if memory.values == nil, case .known(let stored, _) = columns { columns = .known(stored: stored, computed: stored) }
          let start = panel * .index(layout.width)
          return try tile(&emitter, rows, columns, steps: problem.keys, results: { row, lane in batch + [first + row, start + lane] }) { emitter, row, step throws(CompileError) in
            if let weights = memory.weights { .load(weights, weightBase(.index(row)) + step * .index(problem.group)) } else { .load(memory.scores, scoreBase(.index(row)) + step) }
          } right: { emitter, step, lane throws(CompileError) in
            if let packed = memory.values { return .load(packed, layout.position(matrix: item, panel: panel, step: step, lane: lane, isTail: isTail)) }
            return try emitter.element(problem.values.operands[1], batch + [step, start + lane])
          } finish: { emitter, row, lane, sum throws(CompileError) in
            try plan.epilogue.store(&emitter, at: batch + [first + .index(row), start + lane], sum, into: output)
          }
        }
      }
    ]
  }

  private func tile(
    _ emitter: inout ElementEmitter, _ rows: Int, _ columns: TileAccumulators.Columns, steps: Extent,
    results: ((_ row: Expression, _ lane: Expression) -> [Expression])? = nil,
    left: (inout ElementEmitter, _ row: Int, _ step: Expression) throws(CompileError) -> Expression,
    right: (inout ElementEmitter, _ step: Expression, _ lane: Expression) throws(CompileError) -> Expression,
    finish: (inout ElementEmitter, _ row: Int, _ lane: Expression, _ sum: Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let vectors = if case .known(_, let computed) = columns { (computed + plan.lanes - 1) / plan.lanes } else { 1 }
    let groups = steps.floorDivided(by: Extent(problem.group))
    let splits = TileAccumulators.splits(rows: rows, vectors: vectors, steps: groups.constant)
    let unroll = max(splits, rows * vectors >= 12 ? 1 : rows * vectors >= 6 ? 2 : 4)
    var tile = TileAccumulators(rows: rows, splits: splits, columns: columns, element: problem.isInBytes ? .i32 : .f32)
    var ahead: [Statement] = []
    if let results {
      ahead = try TileAccumulators.prefetches(plan.epilogue, &emitter, rows: rows, columns, steps: steps, into: output) { results(.index($0), $1) }
    }
    return try tile.emit(&emitter, ahead: ahead) { emitter, tile throws(CompileError) in
      try TileAccumulators.reduction(&emitter, over: groups, unroll: unroll, fullUpTo: 2) { emitter, step, number throws(CompileError) in
        try tile.step(&emitter, split: number, together: problem.group) { emitter, row throws(CompileError) in
          try left(&emitter, row, step)
        } right: { emitter, lane throws(CompileError) in
          try right(&emitter, step, lane)
        }
      }
    } finish: { emitter, row, lane, sum throws(CompileError) in
      try finish(&emitter, row, lane, sum)
    }
  }

  // MARK: Rows

  /// Turns each row of scores into weights: its reductions one after the other, then the weights. What later steps
  /// need of an element takes its place as soon as nothing needs what was there.
  private func weigh(_ emitter: inout ElementEmitter, _ rows: Int, _ first: Expression) throws(CompileError) -> [Statement] {
    [
      try emitter.loop("row", to: Extent(rows)) { emitter, row throws(CompileError) in
        let provided = emitter.provided
        defer { emitter.provided = provided }
        var current = problem.first
        var statements: [Statement] = []
        func walk(_ emitter: inout ElementEmitter, _ body: (inout ElementEmitter, Expression, [Expression]) throws(CompileError) -> [Statement]) throws(CompileError) -> Statement {
          try emitter.loop("n", to: problem.keys, .vectorized) { emitter, key throws(CompileError) in
            let place = scoreBase(row) + key
            emitter.provided[current] = .load(memory.scores, place)
            defer { emitter.provided[current] = nil }
            return try body(&emitter, place, batch + [first + row, key])
          }
        }
        for (number, stage) in problem.stages.enumerated() {
          let local = emitter.builder.local("r", .f32, count: 1)
          statements += [.allocate(local), .assign(local, index: .index(0), value: ReductionTemplate.neutral(stage.reducer, .f32))]
          let isKept = problem.canReplace(current, by: stage.operand, after: number)
          statements.append(
            try walk(&emitter) { emitter, place, index throws(CompileError) in
              let element = try emitter.element(stage.operand, index)
              if !isKept { return [.accumulate(local, index: .index(0), with: stage.reducer, value: element)] }
              let kept = emitter.builder.variable("kept", .f32)
              return [
                .bind(kept, element), .store(memory.scores, index: place, value: .variable(kept)),
                .accumulate(local, index: .index(0), with: stage.reducer, value: .variable(kept)),
              ]
            })
          if isKept { current = stage.operand }
          let result = emitter.builder.variable("row", .f32)
          statements.append(.bind(result, .local(local, .index(0))))
          emitter.provided[stage.result] = .variable(result)
        }
        if current == problem.weights { return statements }
        statements.append(
          try walk(&emitter) { emitter, place, index throws(CompileError) in
            let weight = try emitter.element(problem.weights, index)
            guard let weights = memory.weights, let key = index.last else { return [.store(memory.scores, index: place, value: weight)] }
            return [.store(weights, index: weightBase(row) + key, value: weight)]
          })
        return statements
      }
    ]
  }
}
