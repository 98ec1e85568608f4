import GraphIR
import KernelIR
import TensorTypes

/// Attention as one kernel: for a few query rows of a head at a time the scores, what happens to their rows, and the
/// product with the values. The scores of one tile of rows lie in scratch memory that stays in the nearest cache.
///
///     parallel item { for head {
///       pack keys (and values, unless they lie together)
///       for tile of rows { pack queries; scores = q k; each row: max, exp, sum, divide, ...; y = scores v }
///     } }
///
/// In bytes the scores become f32 behind the first product, and bytes again behind the last of what happens to their rows; both right operands are packed in
/// groups of four steps. Keys are packed because a product needs neighbouring columns next to each other, and a head's keys lie the other way
/// round. Each item has scratch memory of its own, so the number of items is bounded and does not depend on the run.
struct AttentionTemplate {
  let target: LoweringTarget
  /// Heads are shared out in at most so many items for each thread.
  private static let itemsPerThread = 8

  /// The layout of one kernel: tiles, scratch memory and items.
  struct Plan {
    let problem: AttentionProblem
    let epilogue: TileEpilogue
    let tiles: TileRows
    let keys: PanelLayout
    /// nil: the values are read in place.
    let values: PanelLayout?
    let valueColumns: PanelLayout
    /// Elements from one row of scores to the next: an odd number of cache lines, so that rows do not share a cache set.
    let scoreStride: Extent
    /// The same of what the values are multiplied by, if these are bytes.
    let weightStride: Int
    let mostRows: Int
    let lanes: Int
  }

  /// The scratch memory of a kernel; each item has its part.
  struct Scratch {
    var keys: Buffer
    var queries: Buffer
    var scores: Buffer
    var values: Buffer?
    /// What the values are multiplied by; nil if it takes the place of the scores.
    var weights: Buffer?
  }

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    let problem = try AttentionProblem(fusion)
    var (emitter, arguments) = fusion.emitter()
    let plan = try plan(problem, fusion.body, emitter)
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments.append(.result(0))
    let (items, most, parts) = share(plan)
    func scratch(_ name: String, _ element: ElementType, _ count: Extent, _ emitter: inout ElementEmitter, _ fusion: inout FusionLowering) -> Buffer {
      arguments.append(fusion.addScratch(element, count * Extent(most)))
      return emitter.builder.buffer(name, element, .readWrite)
    }
    func element(_ value: ValueID) -> ElementType { fusion.body.type(of: value).element }
    let (left, right) = (element(problem.scores.operands[0]), element(problem.scores.operands[1]))
    let (weights, values) = (element(problem.weights), element(problem.values.operands[1]))
    let memory = Scratch(
      keys: scratch("keys", right, plan.keys.matrixElements, &emitter, &fusion),
      queries: scratch("queries", left, Extent(plan.mostRows * problem.depth), &emitter, &fusion),
      scores: scratch("scores", .f32, Extent(plan.mostRows) * plan.scoreStride, &emitter, &fusion),
      values: plan.values.map { scratch("values", values, $0.matrixElements, &emitter, &fusion) },
      weights: problem.isInBytes ? scratch("weights", weights, Extent(plan.mostRows * plan.weightStride), &emitter, &fusion) : nil)

    var statements = try emitter.scoped { emitter throws(CompileError) in try plan.epilogue.path.fillBorders(output, &emitter) }
    func head(_ emitter: inout ElementEmitter, _ slice: Expression, _ item: Expression, _ lower: Expression, _ upper: Expression) throws(CompileError) -> [Statement] {
      // The next head, if it is likely to be this item's.
      let next: [Expression]? = problem.slices == 1 || parts > 1 ? nil : emitter.mapping.delinearize(slice + .index(1), in: problem.batch)
      return try AttentionHead(plan: plan, memory: memory, output: output, item: item, batch: emitter.mapping.delinearize(slice, in: problem.batch), nextBatch: next)
        .statements(&emitter, from: lower, to: upper)
    }
    if items == 1 {
      statements.append(
        try emitter.loop("slice", to: problem.slices) { emitter, slice throws(CompileError) in
          try head(&emitter, slice, .index(0), .index(0), .of(plan.tiles.count))
        })
    } else if parts > 1 {
      statements.append(
        try emitter.loop("item", to: items, .parallel) { emitter, item throws(CompileError) in
          let slice = emitter.builder.variable("slice"), lower = emitter.builder.variable("lower"), upper = emitter.builder.variable("upper")
          emitter.ranges.set(slice, to: problem.slices)
          let part = item.remainderByIndex(.index(parts))
          func boundary(_ part: Expression) -> Expression { (part * .of(plan.tiles.count)).dividedByIndex(.index(parts)) }
          let bindings: [Statement] = [
            .bind(slice, item.dividedByIndex(.index(parts))), .bind(lower, boundary(part)), .bind(upper, boundary(part + .index(1))),
          ]
          return bindings + (try head(&emitter, .variable(slice), item, .variable(lower), .variable(upper)))
        })
    } else {
      statements += try TileSchedule.ranges(&emitter, of: problem.slices, items: items) { emitter, item, lower, upper throws(CompileError) in
        let slice = emitter.builder.variable("slice")
        emitter.ranges.set(slice, to: problem.slices)
        let inner = try emitter.scoped { emitter throws(CompileError) in
          try head(&emitter, .variable(slice), item, .index(0), .of(plan.tiles.count))
        }
        return [.loop(Loop(slice, from: lower, to: upper, body: inner))]
      }
    }
    let kernel = emitter.builder.kernel(fusion.name("attention"), statements)
    let note = "attention\(problem.isInBytes ? " in bytes" : ""), \(plan.mostRows) rows at a time, keys packed, values \(plan.values == nil ? "read in place" : "packed")" + (items == 1 ? "" : ", parallel")
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: note, flops: problem.products * 2))
  }

  private func plan(_ problem: AttentionProblem, _ body: Graph, _ emitter: ElementEmitter) throws(CompileError) -> Plan {
    let lanes = TileShape.lanes(of: .f32, target)
    var most = TileShape.mostRows(vectors: 2, target)
    if let rows = problem.rows.constant { most = max(1, min(most, rows)) } else { most = max(1, most & ~3) }
    func shape(_ columns: Int?) -> TileShape {
      TileShape(rows: most, vectors: columns.map { min(2, max(1, ($0 + lanes - 1) / lanes)) } ?? 2, lanes: lanes)
    }
    let keys = PanelLayout(steps: Extent(problem.depth), columns: problem.keys, shape: shape(problem.keys.constant), group: problem.group)
    let columns = PanelLayout(steps: problem.keys, columns: Extent(problem.width), shape: shape(problem.width), group: problem.group)
    // Rows of values that follow each other without gaps are as good as packed ones.
    let v = problem.values.operands[1]
    let rank = problem.batch.rank
    let isTogether = TileAccess.stride(of: v, along: rank + 1, emitter) == 1 && TileAccess.stride(of: v, along: rank, emitter) == problem.width
    let line = 64 / 4
    let stride: Extent
    if let count = problem.keys.constant {
      let lines = max(1, (count + line - 1) / line)
      stride = Extent((lines | 1) * line)
    } else {
      stride = keys.panels * Extent(keys.width) + Extent(line)
    }
    return Plan(
      problem: problem, epilogue: try TileEpilogue(graph: body, anchor: problem.values), tiles: TileRows(problem.rows, most: most), keys: keys,
      values: isTogether && !problem.isInBytes ? nil : columns, valueColumns: columns, scoreStride: stride,
      weightStride: (((problem.keys.constant ?? 0) + 63) / 64 | 1) * 64, mostRows: most, lanes: lanes)
  }

  /// How many items the work is cut into, how many there can be at most, and into how many parts of rows each head.
  private func share(_ plan: Plan) -> (items: Extent, most: Int, parts: Int) {
    let (threads, slices) = (target.threads, plan.problem.slices)
    let cycles = plan.problem.cycles(target)
    if threads <= 1 || (cycles.constant ?? .max) < TileSchedule.parallelCycles { return (1, 1, 1) }
    if let heads = slices.constant, heads < 2 * threads {
      let parts = max(1, min((2 * threads + max(1, heads) - 1) / max(1, heads), plan.tiles.count.constant ?? .max))
      let count = max(1, heads * parts)
      return (Extent(count), count, parts)
    }
    let most = min(slices.constant ?? .max, Self.itemsPerThread * threads)
    var items = Extent.minimum(slices, Extent(most))
    if !cycles.isConstant { items = .minimum(items, cycles.floorDivided(by: Extent(TileSchedule.parallelCycles)) + 1) }
    return (items, most, 1)
  }
}
