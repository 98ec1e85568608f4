import GraphIR
import KernelIR
import TensorTypes

extension NarrowDotTemplate {
  /// Memory that the kernel before the product fills.
  struct Preparation {
    var numbers: LoweredKernel.Argument?
    var scales: LoweredKernel.Argument?
    var sums: LoweredKernel.Argument?
  }

  /// A kernel that takes the sums of the left operand's chunks, and rounds them to 8 bits if products are made of integers.
  ///
  ///     scale = max |x| / 127, number = round(x / scale), sum = scale * (the sum of the numbers)
  func lowerPreparation(_ fusion: inout FusionLowering, _ problem: NarrowDotProblem, _ panels: NarrowPanels) throws(CompileError) -> Preparation {
    var preparation = Preparation()
    let isRounded = problem.arithmetic == .integer
    guard isRounded || problem.needsSums else { return preparation }
    var (emitter, arguments) = fusion.emitter(skipping: Set(fusion.body.inputs).subtracting(fusion.inputs(of: [problem.left])))
    func add(_ name: String, _ element: ElementType, _ count: Int) -> (Buffer, LoweredKernel.Argument) {
      let place = fusion.addScratch(element, problem.rows * Extent(count))
      arguments.append(place)
      return (emitter.builder.buffer(name, element, .write), place)
    }
    var prepared = Prepared()
    let stored = panels.units * panels.stepsPerUnit
    if isRounded {
      let (numbers, numberPlace) = add("numbers", .i8, stored), (scales, scalePlace) = add("steps", .f32, problem.chunks)
      (prepared.numbers, preparation.numbers) = (numbers, numberPlace)
      (prepared.scales, preparation.scales) = (scales, scalePlace)
    }
    if problem.needsSums {
      let (sums, place) = add("sums", .f32, problem.chunks)
      (prepared.sums, preparation.sums) = (sums, place)
    }
    let last = problem.steps - (problem.chunks - 1) * problem.chunk
    let whole = last == problem.chunk ? problem.chunks : problem.chunks - 1
    let isParallel = target.threads > 1 && ((problem.rows * Extent(problem.steps)).constant ?? 0) >= target.parallelThreshold && problem.rows.constant != 1
    let statements = try TileSchedule.nest(&emitter, [("row", problem.rows)], isParallel: isParallel) { emitter, index throws(CompileError) in
      var body: [Statement] = []
      if whole > 0 {
        body.append(
          try emitter.loop("chunk", to: Extent(whole)) { emitter, chunk throws(CompileError) in
            try prepare(&emitter, problem, panels, prepared, row: index[0], chunk: chunk, length: problem.chunk)
          })
      }
      if whole < problem.chunks {
        body += try emitter.scoped { emitter throws(CompileError) in
          try prepare(&emitter, problem, panels, prepared, row: index[0], chunk: .index(whole), length: last)
        }
      }
      return body
    }
    let kernel = emitter.builder.kernel(fusion.name(isRounded ? "round_rows" : "sum_rows"), statements)
    let note = isRounded ? "rounds the left operand of the dot after it to 8 bits" : "sums up the left operand of the dot after it"
    fusion.kernels.append(LoweredKernel(kernel: kernel, arguments: arguments, note: note))
    return preparation
  }

  private func prepare(
    _ emitter: inout ElementEmitter, _ problem: NarrowDotProblem, _ panels: NarrowPanels, _ prepared: Prepared, row: Expression, chunk: Expression, length: Int
  ) throws(CompileError) -> [Statement] {
    func element(_ emitter: inout ElementEmitter, _ k: Expression) throws(CompileError) -> Expression {
      try emitter.element(problem.left, [row, chunk * .index(problem.chunk) + k])
    }
    func each(_ emitter: inout ElementEmitter, _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]) throws(CompileError) -> Statement {
      try emitter.loop("k", to: Extent(length), .vectorized, body)
    }
    let place = row * .index(problem.chunks) + chunk
    guard let numbers = prepared.numbers, let scales = prepared.scales else {
      guard let sums = prepared.sums else { return [] }
      let sum = emitter.builder.local("sum", .f32, count: 1)
      return [
        .allocate(sum), .assign(sum, index: .index(0), value: .number(0, .f32)),
        try each(&emitter) { emitter, k throws(CompileError) in [.accumulate(sum, index: .index(0), with: .sum, value: try element(&emitter, k))] },
        .store(sums, index: place, value: .local(sum, .index(0))),
      ]
    }
    let most = emitter.builder.local("most", .f32, count: 1), sum = emitter.builder.local("sum", .i32, count: 1)
    let scale = emitter.builder.variable("scale", .f32), inverse = emitter.builder.variable("inverse", .f32)
    let start = (row * .index(panels.units) + chunk * .index(panels.unitsPerChunk)) * .index(panels.stepsPerUnit)
    var statements: [Statement] = [
      .allocate(most), .assign(most, index: .index(0), value: .number(0, .f32)),
      try each(&emitter) { emitter, k throws(CompileError) in
        [.accumulate(most, index: .index(0), with: .maximum, value: .unary(.absolute, try element(&emitter, k)))]
      },
      .bind(scale, .binary(.multiply, .local(most, .index(0)), .number(1 / 127, .f32))),
      // Nothing but zeros has no scale.
      .bind(inverse, .select(.compare(.greater, .local(most, .index(0)), .number(0, .f32)), .binary(.divide, .number(127, .f32), .local(most, .index(0))), .number(0, .f32))),
      .store(scales, index: place, value: .variable(scale)),
      .allocate(sum), .assign(sum, index: .index(0), value: .number(0, .i32)),
    ]
    statements.append(
      try each(&emitter) { emitter, k throws(CompileError) in
        // A subnormal maximum has an infinite inverse.
        let product = Expression.binary(.multiply, try element(&emitter, k), .variable(inverse))
        let held = Expression.binary(.minimum, .binary(.maximum, .unary(.round, product), .number(-127, .f32)), .number(127, .f32))
        let number = emitter.bound(.convert(held, .i32))
        return [.store(numbers, index: start + k, value: .convert(number, .i8)), .accumulate(sum, index: .index(0), with: .sum, value: number)]
      })
    let units = (length + panels.stepsPerUnit - 1) / panels.stepsPerUnit
    let rest = units * panels.stepsPerUnit - length
    if rest > 0 {
      statements.append(
        try emitter.loop("k", to: Extent(rest), .vectorized) { _, k throws(CompileError) in [.store(numbers, index: start + .index(length) + k, value: .number(0, .i8))] })
    }
    if let sums = prepared.sums {
      statements.append(.store(sums, index: place, value: .binary(.multiply, .convert(.local(sum, .index(0)), .f32), .variable(scale))))
    }
    return statements
  }
}
