import GraphIR
import KernelIR
import TensorTypes

/// Reductions over the same rows, with the elementwise work before, between and after them, as one kernel.
///
/// A row is what one combination of the kept axes selects. Softmax, layer norm, RMS norm and their like read
/// their row a few times while it is in the L1 cache, and need not be recognised by name:
///
///     parallel row { max over row; sum of exp(x - max) over row, kept in y; y / sum over row }
///
/// If the innermost axis is reduced, the lanes of a vector run along the row; otherwise each lane is a row.
struct ReductionTemplate {
  let target: LoweringTarget

  /// Elements of all rows that are worked on one by one.
  private static let mostSingleElements = 4

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    let rows = try RowSpace(fusion.body, fusion.origin)
    let template = self
    let usesResultAsScratch = rows.scratch != nil
    try fusion.single("reduction", access: usesResultAsScratch ? .readWrite : .write) { emitter, output throws(CompileError) in
      try template.emit(rows, &emitter, output)
    }
  }

  private func emit(_ rows: RowSpace, _ emitter: inout ElementEmitter, _ output: Buffer) throws(CompileError) -> [Statement] {
    let path = rows.path
    let borders = try path.fillBorders(output, &emitter)
    let kept = rows.keptAxes.filter { rows.shape[$0] != 1 }
    let rowCount = kept.reduce(Extent(1)) { $0 * rows.shape[$1] }
    let sharing = LoopSharing(work: rows.shape.elementCount, iterations: rowCount, threshold: target.parallelThreshold / 4, threads: target.threads)
    // With the last axis kept, its loop is the vector loop; the kept axes before it are the outer loops.
    let lanesAreRows = rows.vectorAxis.map { rows.keptAxes.contains($0) } ?? false
    let outer = lanesAreRows ? kept.filter { $0 != rows.vectorAxis } : kept
    let outerShape = Shape(outer.map { rows.shape[$0] })

    func row(_ emitter: inout ElementEmitter, _ index: [Expression]) throws(CompileError) -> [Statement] {
      try stages(rows, index, &emitter, output)
    }
    func lanes(_ emitter: inout ElementEmitter, _ index: [Expression], parallel: Bool) throws(CompileError) -> [Statement] {
      guard lanesAreRows, let axis = rows.vectorAxis else { return try row(&emitter, index) }
      let size = rows.shape[axis]
      let block = target.lanes * 2
      guard parallel, let constant = size.constant, constant % block == 0, constant > block else {
        return [
          try emitter.loop("lane", to: size, .vectorized) { emitter, variable throws(CompileError) in
            var next = index
            next[axis] = variable
            return try row(&emitter, next)
          }
        ]
      }
      return [
        try emitter.loop("block", to: Extent(constant / block), .parallel) { emitter, number throws(CompileError) in
          [
            try emitter.loop("lane", to: Extent(block), .vectorized) { emitter, variable throws(CompileError) in
              var next = index
              next[axis] = number * .index(block) + variable
              return try row(&emitter, next)
            }
          ]
        }
      ]
    }
    let start = [Expression](repeating: .index(0), count: rows.shape.rank)
    if outerShape.elementCount == 1 { return borders + (try lanes(&emitter, start, parallel: sharing.isParallel)) }
    let outerSharing = LoopSharing(
      work: rows.shape.elementCount, iterations: outerShape.elementCount, threshold: target.parallelThreshold / 4, threads: target.threads)
    let loop = try outerSharing.loop(&emitter, "row", to: outerShape.elementCount) { emitter, number throws(CompileError) in
      var index = start
      for (axis, part) in zip(outer, emitter.mapping.delinearize(number, in: outerShape)) { index[axis] = part }
      return try lanes(&emitter, index, parallel: false)
    }
    return borders + loop
  }

  /// Everything that happens to one row: each reduction in turn, then the result.
  private func stages(_ rows: RowSpace, _ index: [Expression], _ emitter: inout ElementEmitter, _ output: Buffer) throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    let outerProvided = emitter.provided
    defer { emitter.provided = outerProvided }
    let outerStored = emitter.stored
    defer { emitter.stored = outerStored }
    let graph = emitter.graph
    for stage in rows.stages {
      // f16 and bf16 are summed in f32.
      let element = graph.type(of: stage.result).element
      let wide: ElementType = element.isNarrowFloat ? .f32 : element
      let local = emitter.builder.local("r", wide, count: 1)
      statements.append(.allocate(local))
      statements.append(.assign(local, index: .index(0), value: neutral(stage.reducer, wide)))
      let scratch = rows.scratch.flatMap { $0.stage == stage.result ? $0.value : nil }
      statements += try walk(rows, index, &emitter) { emitter, position throws(CompileError) in
        var body: [Statement] = []
        if let scratch {
          let value = try emitter.element(scratch, position)
          let variable = emitter.builder.variable("kept", value.element)
          body.append(.bind(variable, value))
          body.append(.store(output, index: IndexMapping.linearize(position, in: rows.shape), value: variable.element == output.element ? .variable(variable) : .convert(.variable(variable), output.element)))
          emitter.provided[scratch] = .variable(variable)
        }
        // In a block of its own: what it names may read the kept value, which is named just above.
        body += try emitter.scoped { emitter throws(CompileError) in
          let value = try emitter.element(stage.operand, position)
          return [.accumulate(local, index: .index(0), with: stage.reducer, value: value.element == wide ? value : .convert(value, wide))]
        }
        if let scratch { emitter.provided[scratch] = nil }
        return body
      }
      if let scratch { emitter.stored[scratch] = output }
      let result = Expression.local(local, .index(0))
      let variable = emitter.builder.variable("row", element)
      statements.append(.bind(variable, wide == element ? result : .convert(result, element)))
      emitter.provided[stage.result] = .variable(variable)
    }
    let path = rows.path
    if rows.resultIsPerRow {
      // One value for each row: the index in the result's shape has the reduced axes as 1 or not at all.
      let shape = graph.type(of: path.computed).shape
      let kept = rows.keptAxes.map { index[$0] }
      let place = emitter.mapping.reshape(kept, from: Shape(rows.keptAxes.map { rows.shape[$0] }), to: shape)
      statements += try emitter.scoped { emitter throws(CompileError) in
        let value = try emitter.element(path.computed, place)
        return [.store(output, index: path.position(place, emitter.mapping), value: value)]
      }
      return statements
    }
    statements += try walk(rows, index, &emitter) { emitter, position throws(CompileError) in
      let value = try emitter.element(path.computed, position)
      return [.store(output, index: path.position(position, emitter.mapping), value: value)]
    }
    return statements
  }

  /// Loops over the elements of one row.
  private func walk(
    _ rows: RowSpace, _ index: [Expression], _ emitter: inout ElementEmitter,
    _ body: (inout ElementEmitter, [Expression]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let axes = rows.reducedAxes.filter { rows.shape[$0] != 1 }
    // A few numbers that were stored one by one are found on their way to memory, as vectors only behind it.
    let isTiny = rows.shape.elementCount.constant.map { $0 <= Self.mostSingleElements } ?? false
    func nest(_ place: Int, _ index: [Expression], _ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
      if place == axes.count { return try emitter.scoped { emitter throws(CompileError) in try body(&emitter, index) } }
      let axis = axes[place]
      let kind: Loop.Kind = axis == rows.vectorAxis ? (isTiny ? .unrolled : .vectorized) : .serial
      return [
        try emitter.loop("k", to: rows.shape[axis], kind) { emitter, variable throws(CompileError) in
          var next = index
          next[axis] = variable
          return try nest(place + 1, next, &emitter)
        }
      ]
    }
    return try nest(0, index, &emitter)
  }

  private func neutral(_ reducer: Reducer, _ element: ElementType) -> Expression { Self.neutral(reducer, element) }

  /// What a reduction starts from.
  static func neutral(_ reducer: Reducer, _ element: ElementType) -> Expression {
    func literal(_ value: Double) -> Expression { element == .i64 ? .index(Int(clamping: value)) : .number(value, element) }
    switch reducer {
    case .sum, .or: return literal(0)
    case .product, .and: return literal(1)
    case .maximum:
      if element.isFloatingPoint { return .number(-.infinity, element) }
      return element == .i64 ? .index(.min) : .number(Double(element.integerRange?.lowerBound ?? 0), element)
    case .minimum:
      if element.isFloatingPoint { return .number(.infinity, element) }
      if element == .i64 { return .index(.max) }
      return element == .u64 ? .convert(.index(-1), .u64) : .number(Double(element.integerRange?.upperBound ?? 1), element)
    }
  }
}
