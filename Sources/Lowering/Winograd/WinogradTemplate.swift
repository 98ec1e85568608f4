import GraphIR
import KernelIR
import TensorTypes

/// Convolutions by Winograd's method, as a `WinogradPlan` says: as one kernel that goes through blocks of tiles, or as three kernels
/// (transform, products, transform back) if one block holds everything.
///
/// A transform mixes the elements of a tile, so a NaN or an infinity would spread to results that do not read it, and finite elements
/// near the largest number overflow. Every such tile has a sum that is not finite; it is done again by the direct method.
struct WinogradTemplate {
  let target: LoweringTarget
  let problem: ConvolutionProblem
  let plan: WinogradPlan

  /// Matrices of a block in scratch memory: transformed input [place][tile][input channel], or products [place][tile][output channel].
  struct Matrices {
    let buffer: Buffer
    var start: Expression = .index(0)
  }

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    guard let position = fusion.body.inputs.firstIndex(of: problem.filter), let tensor = fusion.constants[position],
      let packed = WinogradFilter.packed(tensor, plan.transform, groups: plan.groups, inputs: plan.inputs, outputs: plan.outputs, plan.layout)
    else {
      throw CompileError(
        .unsupported, "a filter that Winograd's method cannot transform", stage: .lower, origin: fusion.origin,
        operands: [fusion.body.type(of: problem.filter)], hint: "switch it off with `--winograd off`")
    }
    let note = "convolution, " + plan.name
    if plan.isStaged { try lowerStages(&fusion, packed, note) } else { try lowerBlocks(&fusion, packed, note) }
  }

  private var isShared: Bool { target.threads > 1 && plan.cycles >= Double(TileSchedule.parallelCycles) }

  // MARK: Kernels

  /// All blocks in one kernel. Threads take ranges of blocks, each with scratch elements of its own.
  private func lowerBlocks(_ fusion: inout FusionLowering, _ packed: Tensor, _ note: String) throws(CompileError) {
    var (emitter, arguments) = fusion.emitter(reading: [fusion.body.outputs[0]])
    let total = plan.slices * Extent(plan.groups * plan.blocks)
    let items = isShared ? max(1, min(2 * target.threads, total.constant ?? .max)) : 1
    let panels = emitter.builder.buffer("panels", .f32, .read)
    let input = emitter.builder.buffer("v", .f32, .readWrite), product = emitter.builder.buffer("m", .f32, .readWrite)
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    arguments += [.packed(packed), fusion.addScratch(.f32, Extent(items * plan.inputElements)), fusion.addScratch(.f32, Extent(items * plan.outputElements)), .result(0)]
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }

    func block(_ emitter: inout ElementEmitter, _ number: Expression, _ transformed: Matrices, _ products: Matrices) throws(CompileError) -> [Statement] {
      var bindings = Bindings()
      let parts = emitter.mapping.delinearize(number, in: [plan.slices, Extent(plan.groups), Extent(plan.blocks)])
      let slice = bindings.name(parts[0], "slice", &emitter, below: plan.slices), group = bindings.name(parts[1], "group", &emitter, below: Extent(plan.groups))
      let first = bindings.name(parts[2] * .index(plan.tilesPerBlock), "first", &emitter, below: Extent(plan.tiles))
      let isEven = plan.tiles % plan.tilesPerBlock == 0
      let count = isEven ? Expression.index(plan.tilesPerBlock) : bindings.name(.indexMinimum(.index(plan.tilesPerBlock), .index(plan.tiles) - first), "count", &emitter)
      func tiles(_ emitter: inout ElementEmitter, _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]) throws(CompileError) -> Statement {
        let variable = emitter.builder.variable("tile")
        emitter.ranges.set(variable, to: Extent(plan.tilesPerBlock))
        return .loop(Loop(variable, to: count, body: try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .variable(variable)) }))
      }
      let forth = try tiles(&emitter) { emitter, row throws(CompileError) in
        try transformInput(&emitter, slice, group, tile: first + row, row: row, into: transformed)
      }
      let multiplied = try emitter.loop("place", to: Extent(plan.places)) { emitter, place throws(CompileError) in
        [
          try emitter.loop("panel", to: plan.layout.panels) { emitter, panel throws(CompileError) in
            try multiply(&emitter, group, place: place, panel: panel, count: count, transformed, by: panels, into: products)
          }
        ]
      }
      let back = try tiles(&emitter) { emitter, row throws(CompileError) in
        try transformOutput(&emitter, slice, group, tile: first + row, row: row, from: products, again: transformed, epilogue, output)
      }
      return bindings.statements + [forth, multiplied, back]
    }

    if items == 1 {
      statements.append(try emitter.loop("block", to: total) { emitter, number throws(CompileError) in try block(&emitter, number, Matrices(buffer: input), Matrices(buffer: product)) })
    } else {
      statements.append(
        try emitter.loop("item", to: Extent(items), .parallel) { emitter, item throws(CompileError) in
          var bindings = Bindings()
          let transformed = Matrices(buffer: input, start: item * .index(plan.inputElements))
          let products = Matrices(buffer: product, start: item * .index(plan.outputElements))
          let lower = bindings.name((item * .of(total)).dividedByIndex(.index(items)), "lower", &emitter)
          let upper = bindings.name(((item + .index(1)) * .of(total)).dividedByIndex(.index(items)), "upper", &emitter)
          let number = emitter.builder.variable("block")
          emitter.ranges.set(number, to: total)
          let body = try emitter.scoped { emitter throws(CompileError) in try block(&emitter, .variable(number), transformed, products) }
          return bindings.statements + [.loop(Loop(number, from: lower, to: upper, body: body))]
        })
    }
    let kernel = emitter.builder.kernel(fusion.name("winograd"), statements)
    let how = note + (items == 1 ? "" : ", shared by threads")
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: how, flops: problem.products * 2))
  }

  /// One block, whose stages are kernels: threads share the tiles, then places and panels, then the tiles again.
  private func lowerStages(_ fusion: inout FusionLowering, _ packed: Tensor, _ note: String) throws(CompileError) {
    let kind: Loop.Kind = isShared ? .parallel : .serial
    let transformed = fusion.addScratch(.f32, Extent(plan.inputElements)), multiplied = fusion.addScratch(.f32, Extent(plan.outputElements))
    let name = "Winograd F(\(plan.transform.outputs)x\(plan.transform.outputs))"

    var (emitter, arguments) = fusion.emitter(reading: [problem.input])
    let input = Matrices(buffer: emitter.builder.buffer("v", .f32, .write))
    let forth = try emitter.loop("tile", to: Extent(plan.tiles), kind) { emitter, tile throws(CompileError) in
      try transformInput(&emitter, .index(0), .index(0), tile: tile, row: tile, into: input)
    }
    let elements = Extent(plan.tiles * plan.places)
    fusion.kernels.append(
      LoweredKernel(
        kernel: emitter.builder.kernel(fusion.name("winograd_input"), [forth]), arguments: arguments + [transformed], note: "\(name), input transform",
        flops: elements * Extent(plan.inputs * 4)))

    emitter = ElementEmitter(graph: fusion.body)
    let panels = emitter.builder.buffer("panels", .f32, .read)
    let (left, product) = (Matrices(buffer: emitter.builder.buffer("v", .f32, .read)), Matrices(buffer: emitter.builder.buffer("m", .f32, .write)))
    let products = try TileSchedule.nest(&emitter, [("place", Extent(plan.places)), ("panel", plan.layout.panels)], isParallel: isShared) { emitter, index throws(CompileError) in
      try multiply(&emitter, .index(0), place: index[0], panel: index[1], count: .index(plan.tiles), left, by: panels, into: product)
    }
    fusion.kernels.append(
      LoweredKernel(
        kernel: emitter.builder.kernel(fusion.name("winograd_products"), products), arguments: [.packed(packed), transformed, multiplied],
        note: note + (isShared ? ", shared by threads" : ""), flops: problem.products * 2))

    (emitter, arguments) = fusion.emitter(reading: [fusion.body.outputs[0]])
    let (read, again) = (Matrices(buffer: emitter.builder.buffer("m", .f32, .read)), Matrices(buffer: emitter.builder.buffer("v", .f32, .readWrite)))
    let output = emitter.builder.buffer("y", fusion.body.type(of: fusion.body.outputs[0]).element, .write)
    let epilogue = try TileEpilogue(graph: fusion.body, anchor: problem.anchor)
    var statements = try emitter.scoped { emitter throws(CompileError) in try epilogue.path.fillBorders(output, &emitter) }
    statements.append(
      try emitter.loop("tile", to: Extent(plan.tiles), kind) { emitter, tile throws(CompileError) in
        try transformOutput(&emitter, .index(0), .index(0), tile: tile, row: tile, from: read, again: again, epilogue, output)
      })
    fusion.kernels.append(
      LoweredKernel(
        kernel: emitter.builder.kernel(fusion.name("winograd_output"), statements), arguments: arguments + [multiplied, transformed, .result(0)],
        note: "\(name), output transform", flops: elements * Extent(plan.outputs * 4)))
  }

  // MARK: Stages

  /// Values named in front of other statements.
  struct Bindings {
    var statements: [Statement] = []

    mutating func name(_ value: Expression, _ name: String, _ emitter: inout ElementEmitter, below bound: Extent? = nil) -> Expression {
      if value.constantIndex != nil { return value }
      let variable = emitter.builder.variable(name, value.element)
      if let bound { emitter.ranges.set(variable, to: bound) }
      statements.append(.bind(variable, value))
      return .variable(variable)
    }
  }

  /// The image and the first pixel of a tile's results.
  func place(_ emitter: inout ElementEmitter, _ bindings: inout Bindings, _ slice: Expression, _ tile: Expression) -> (batch: Expression, y: Expression, x: Expression) {
    let parts = emitter.mapping.delinearize(tile, in: [Extent(plan.images), Extent(plan.tilesDown), Extent(plan.tilesAcross)])
    let size = plan.transform.outputs
    let image = bindings.name(parts[0], "image", &emitter, below: Extent(plan.images))
    let y = bindings.name(parts[1] * .index(size), "y", &emitter, below: Extent(plan.tilesDown * size))
    let x = bindings.name(parts[2] * .index(size), "x", &emitter, below: Extent(plan.tilesAcross * size))
    return (plan.slices == 1 ? image : slice, y, x)
  }

  /// Reads a tile of the input, for all its channels, and writes its transform.
  private func transformInput(
    _ emitter: inout ElementEmitter, _ slice: Expression, _ group: Expression, tile: Expression, row: Expression, into matrices: Matrices
  ) throws(CompileError) -> [Statement] {
    var bindings = Bindings()
    let (batch, top, left) = place(&emitter, &bindings, slice, tile)
    let (down, across) = (problem.outer[0], problem.tiled), extent = plan.transform.extent
    let y = bindings.name(top + .index(-down.padLow), "iy", &emitter), x = bindings.name(left + .index(-across.padLow), "ix", &emitter)
    func element(_ emitter: inout ElementEmitter, _ row: Expression, _ column: Expression, _ channel: Expression) throws(CompileError) -> Expression {
      try emitter.element(problem.input, problem.index(batch: batch, outer: [y + row], tiled: x + column, channel: group * .index(plan.inputs) + channel))
    }
    func store(_ emitter: inout ElementEmitter, _ channel: Expression, _ elements: [Expression]) -> [Statement] {
      var named = Bindings()
      let start = matrices.start + row * .index(plan.inputRow) + channel
      let names = elements.map { named.name($0, "d", &emitter) }
      let values = plan.transform.inputTile(names) { named.name($0, "t", &emitter) }
      return named.statements + values.enumerated().map { .store(matrices.buffer, index: start + .index($0.offset * plan.inputMatrix), value: $0.element) }
    }
    let inside = try emitter.loop("c", to: Extent(plan.inputs), .vectorized) { emitter, channel throws(CompileError) in
      var elements: [Expression] = []
      for row in 0..<extent { for column in 0..<extent { elements.append(try element(&emitter, .index(row), .index(column), channel)) } }
      return store(&emitter, channel, elements)
    }
    // At a border the tile is put together in a local, with zeros around.
    let border = try emitter.loop("c", to: Extent(plan.inputs), .vectorized) { emitter, channel throws(CompileError) in
      let patch = emitter.builder.local("patch", .f32, count: extent * extent)
      let rows = try emitter.loop("row", to: Extent(extent)) { emitter, row throws(CompileError) in
        [
          try emitter.loop("column", to: Extent(extent)) { emitter, column throws(CompileError) in
            func within(_ place: Expression, _ axis: SlidingAxis) -> Expression {
              .binary(.and, .compare(.greaterOrEqual, place, .index(0)), .compare(.less, place, .of(axis.input)))
            }
            let index = row * .index(extent) + column
            let loaded = try emitter.scoped { emitter throws(CompileError) in [.assign(patch, index: index, value: try element(&emitter, row, column, channel))] }
            return [.branch(if: .binary(.and, within(y + row, down), within(x + column, across)), then: loaded, else: [.assign(patch, index: index, value: .number(0, .f32))])]
          }
        ]
      }
      return [.allocate(patch), rows] + store(&emitter, channel, (0..<extent * extent).map { .local(patch, .index($0)) })
    }
    return bindings.statements + [.branch(if: .binary(.and, isInside(y, down), isInside(x, across)), then: [inside], else: [border])]
  }

  /// True for a tile that sees no padding along an axis.
  private func isInside(_ first: Expression, _ axis: SlidingAxis) -> Expression {
    .binary(.and, .compare(.greaterOrEqual, first, .index(0)), .compare(.lessOrEqual, first + .index(plan.transform.extent), .of(axis.input)))
  }

  /// One matrix of the transformed input by one panel of the filter's.
  private func multiply(
    _ emitter: inout ElementEmitter, _ group: Expression, place: Expression, panel: Expression, count: Expression, _ input: Matrices, by panels: Buffer,
    into products: Matrices
  ) throws(CompileError) -> [Statement] {
    let matrix = group * .index(plan.places) + place
    let left = input.start + place * .index(plan.inputMatrix)
    let right = products.start + place * .index(plan.outputMatrix) + panel * .index(plan.shape.width)
    return try plan.layout.branch(&emitter, panel: panel) { emitter, columns, isTail throws(CompileError) in
      func tile(_ emitter: inout ElementEmitter, rows: Int, first: Expression) throws(CompileError) -> [Statement] {
        var tile = TileAccumulators(rows: rows, columns: columns, element: .f32)
        return try tile.emit(&emitter) { emitter, registers throws(CompileError) in
          try TileAccumulators.reduction(&emitter, over: Extent(plan.inputs), unroll: 1, fullUpTo: 1) { emitter, step, _ throws(CompileError) in
            let start = plan.layout.position(matrix: matrix, panel: panel, step: step, lane: .index(0), isTail: isTail)
            return try registers.step(&emitter, panels: (panels, start)) { _, row throws(CompileError) in
              .load(input.buffer, left + (first + .index(row)) * .index(plan.inputRow) + step)
            } right: { _, lane throws(CompileError) in .load(panels, start + lane) }
          }
        } finish: { _, row, lane, sum throws(CompileError) in
          [.store(products.buffer, index: right + (first + .index(row)) * .index(plan.outputRow) + lane, value: sum)]
        }
      }
      var statements: [Statement] = []
      var start = 0
      for size in TileRows.sizes(of: plan.tilesPerBlock, most: plan.shape.rows) {
        // In the last block the rows that are missing are left out, or done twice.
        let most: Expression? = count.constantIndex == plan.tilesPerBlock ? nil : .indexMaximum(count - .index(size.rows), .index(0))
        let base = start
        if size.count == 1 {
          statements += try emitter.scoped { emitter throws(CompileError) in
            try tile(&emitter, rows: size.rows, first: most.map { .indexMinimum(.index(base), $0) } ?? .index(base))
          }
        } else {
          statements.append(
            try emitter.loop("rows", to: Extent(size.count)) { emitter, number throws(CompileError) in
              var bindings = Bindings()
              let start = number * .index(size.rows) + .index(base)
              let first = bindings.name(most.map { .indexMinimum(start, $0) } ?? start, "first", &emitter)
              return bindings.statements + (try tile(&emitter, rows: size.rows, first: first))
            })
        }
        start += size.count * size.rows
      }
      return statements
    }
  }

  /// Transforms the products of a tile back, for all output channels, and stores what the epilogue makes of them.
  ///
  /// - Parameter again: The transformed input, which nothing reads after this: room for a tile that is done again.
  private func transformOutput(
    _ emitter: inout ElementEmitter, _ slice: Expression, _ group: Expression, tile: Expression, row: Expression, from products: Matrices, again: Matrices,
    _ epilogue: TileEpilogue, _ output: Buffer
  ) throws(CompileError) -> [Statement] {
    var bindings = Bindings()
    let (batch, top, left) = place(&emitter, &bindings, slice, tile)
    let size = plan.transform.outputs
    let (down, across) = (problem.outer[0].output.constant ?? 0, problem.tiled.output.constant ?? 0)
    // Not finite if one of the tile's sums is not; the sum of large ones may overflow, too, which costs no more than time.
    let check = emitter.builder.local("check", .f32, count: 1)
    func sums(_ emitter: inout ElementEmitter, _ channel: Expression) -> (statements: [Statement], values: [Expression]) {
      var named = Bindings()
      let start = products.start + row * .index(plan.outputRow) + channel
      let names = (0..<plan.places).map { named.name(.load(products.buffer, start + .index($0 * plan.outputMatrix)), "m", &emitter) }
      let values = plan.transform.outputTile(names) { named.name($0, "s", &emitter) }
      let total = values.dropFirst().reduce(values[0]) { .binary(.add, $0, $1) }
      return (named.statements + [.accumulate(check, index: .index(0), with: .sum, value: total)], values)
    }
    func store(_ emitter: inout ElementEmitter, _ row: Expression, _ column: Expression, _ channel: Expression, _ value: Expression) throws(CompileError) -> [Statement] {
      try epilogue.store(&emitter, at: problem.index(batch: batch, outer: [top + row], tiled: left + column, channel: group * .index(plan.outputs) + channel), value, into: output)
    }
    // A tile that reaches beyond the image stores a part only.
    let isEven = down % size == 0 && across % size == 0
    let rows = isEven ? Expression.index(size) : bindings.name(.indexMinimum(.index(size), .index(down) - top), "rows", &emitter)
    let columns = isEven ? Expression.index(size) : bindings.name(.indexMinimum(.index(size), .index(across) - left), "columns", &emitter)
    func storePart(_ emitter: inout ElementEmitter, _ channel: Expression, _ values: [Expression]) throws(CompileError) -> [Statement] {
      let results = emitter.builder.local("results", .f32, count: size * size)
      let (row, column) = (emitter.builder.variable("row"), emitter.builder.variable("column"))
      emitter.ranges.set(row, to: Extent(size))
      emitter.ranges.set(column, to: Extent(size))
      let body = try emitter.scoped { emitter throws(CompileError) in
        try store(&emitter, .variable(row), .variable(column), channel, .local(results, .variable(row) * .index(size) + .variable(column)))
      }
      let loops = Statement.loop(Loop(row, to: rows, body: [.loop(Loop(column, to: columns, body: body))]))
      return [.allocate(results)] + values.enumerated().map { .assign(results, index: .index($0.offset), value: $0.element) } + [loops]
    }

    let whole = try emitter.loop("c", to: Extent(plan.outputs), .vectorized) { emitter, channel throws(CompileError) in
      var (statements, values) = sums(&emitter, channel)
      for (place, value) in values.enumerated() { statements += try store(&emitter, .index(place / size), .index(place % size), channel, value) }
      return statements
    }
    let transformed: Statement
    if isEven { transformed = whole } else {
      let part = try emitter.loop("c", to: Extent(plan.outputs), .vectorized) { emitter, channel throws(CompileError) in
        let (statements, values) = sums(&emitter, channel)
        return statements + (try storePart(&emitter, channel, values))
      }
      let isWhole = Expression.binary(.and, .compare(.equal, rows, .index(size)), .compare(.equal, columns, .index(size)))
      transformed = .branch(if: isWhole, then: [whole], else: [part])
    }
    let direct = try directSums(&emitter, group, (batch, top, left), row: row, again) { emitter, channel, values throws(CompileError) in
      try storePart(&emitter, channel, values)
    }
    let isFinite = Expression.compare(.equal, .binary(.multiply, .local(check, .index(0)), .number(0, .f32)), .number(0, .f32))
    let begin: [Statement] = [.allocate(check), .assign(check, index: .index(0), value: .number(0, .f32))]
    return bindings.statements + begin + [transformed, .branch(if: isFinite, then: [], else: direct)]
  }
}
