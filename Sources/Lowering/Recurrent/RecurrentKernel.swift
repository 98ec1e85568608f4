import GraphIR
import KernelIR
import TensorTypes

/// Statements of one recurrent problem inside one kernel, and the buffers they use.
///
/// Every carried value lies twice in memory: a step reads one half and writes the other, so that nothing is copied
/// between steps and no order among the units matters.
struct RecurrentKernel {
  /// What a buffer holds; `scan` counts the problems of a kernel.
  enum Argument: Hashable {
    case operand(scan: Int, Int)
    /// A constant of the body.
    case constant(scan: Int, Int)
    case weights(scan: Int, stage: Int, product: Int)
    case result(scan: Int, Int)
    case state(scan: Int, Int)
    /// What a stage stores for later products.
    case left(scan: Int, stage: Int)
  }
  /// Which half of the states a step reads (0 or 1), and which slices it takes.
  struct Clock {
    var parity: Expression
    var time: Expression
  }

  let problem: RecurrentProblem
  let scan: Int
  let target: LoweringTarget
  var emitter: ElementEmitter
  var arguments: [Argument]
  private var buffers: [Argument: Buffer] = [:]
  private let needed: Set<ValueID>

  init(_ problem: RecurrentProblem, scan: Int, target: LoweringTarget, builder: KernelBuilder, arguments: [Argument]) {
    (self.problem, self.scan, self.target, self.arguments) = (problem, scan, target, arguments)
    emitter = ElementEmitter(graph: problem.body, builder: builder)
    // Weights are read from their blocks only.
    var (stack, visited) = (problem.body.outputs, Set(problem.body.outputs))
    while let next = stack.popLast() {
      guard let node = problem.body.producer(of: next) else { continue }
      for operand in node.operation is Dot ? [node.operands[0]] : node.operands where visited.insert(operand).inserted { stack.append(operand) }
    }
    needed = visited
  }

  private mutating func buffer(_ argument: Argument, _ element: ElementType, _ access: Kernel.Access) -> Buffer {
    if let known = buffers[argument] { return known }
    let buffer = emitter.builder.buffer("b\(arguments.count)", element, access)
    arguments.append(argument)
    buffers[argument] = buffer
    return buffer
  }

  private func stateCount(_ position: Int) -> Extent { problem.body.type(of: problem.body.inputs[position]).shape.elementCount }

  private mutating func state(_ position: Int) -> Buffer {
    buffer(.state(scan: scan, position), problem.body.type(of: problem.body.inputs[position]).element, .readWrite)
  }

  // MARK: Before and after the steps

  /// Puts the initial values into the half that the first step reads.
  mutating func before() throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    for position in 0..<problem.scan.carried {
      let to = state(position)
      let from = buffer(.operand(scan: scan, position), to.element, .read)
      statements.append(try emitter.loop("i", to: stateCount(position), .vectorized) { _, index throws(CompileError) in [.store(to, index: index, value: .load(from, index))] })
    }
    return statements
  }

  /// Hands over the last values.
  mutating func after() throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    let half = problem.scan.extent.modulo(2)
    for position in 0..<problem.scan.carried {
      let from = state(position)
      let to = buffer(.result(scan: scan, position), from.element, .write)
      let start = Expression.of(half * stateCount(position))
      statements.append(try emitter.loop("i", to: stateCount(position), .vectorized) { _, index throws(CompileError) in [.store(to, index: index, value: .load(from, start + index))] })
    }
    return statements
  }

  // MARK: A step

  /// The slice that step number `step` takes.
  func time(_ step: Expression) -> Expression { problem.scan.isReversed ? .of(problem.scan.extent - 1) - step : step }

  /// All steps, one after the other.
  mutating func steps() throws(CompileError) -> Statement {
    let step = emitter.builder.variable("step")
    let parity = emitter.builder.variable("parity"), time = emitter.builder.variable("time")
    var body: [Statement] = [
      .bind(parity, Expression.variable(step).remainderByIndex(.index(2))), .bind(time, self.time(.variable(step))),
    ]
    for stage in problem.stages.indices { body += try self.stage(stage, Clock(parity: .variable(parity), time: .variable(time)), isParallel: false) }
    return .loop(Loop(step, to: .of(problem.scan.extent), body: body))
  }

  /// Says where the values lie that a step reads.
  private mutating func place(_ clock: Clock, before stage: Int) {
    let (body, scan) = (problem.body, problem.scan)
    for (position, input) in body.inputs.enumerated() where needed.contains(input) {
      let type = body.type(of: input)
      if position < scan.carried + scan.scanned {
        let source = position < scan.carried ? state(position) : buffer(.operand(scan: self.scan, position), type.element, .read)
        let start = (position < scan.carried ? clock.parity : clock.time) * .of(type.shape.elementCount)
        emitter.placed[input] = ElementEmitter.Place { index in .load(source, start + IndexMapping.linearize(index, in: type.shape)) }
      } else {
        let outer = scan.body.inputs.count
        emitter.buffers[input] = buffer(position < outer ? .operand(scan: self.scan, position) : .constant(scan: self.scan, position - outer), type.element, .read)
      }
    }
    for number in 0..<min(stage, problem.stored.count) {
      for target in problem.stages[number].targets { emitter.stored[target] = left(number) }
    }
  }

  private mutating func left(_ stage: Int) -> Buffer {
    buffer(.left(scan: scan, stage: stage), problem.body.type(of: problem.stages[stage].targets[0]).element, .readWrite)
  }

  /// Where a stage puts an element of one of its targets: into the next half of a state, a slice of a result, both, or
  /// memory for later products.
  private mutating func destinations(_ target: ValueID, stage: Int, _ clock: Clock) -> [(buffer: Buffer, start: Expression)] {
    if stage < problem.stored.count { return [(left(stage), .index(0))] }
    var places: [(buffer: Buffer, start: Expression)] = []
    let type = problem.body.type(of: target)
    for (position, output) in problem.body.outputs.enumerated() where output == target {
      if position < problem.scan.carried {
        places.append((state(position), (.index(1) - clock.parity) * .of(stateCount(position))))
      } else {
        places.append((buffer(.result(scan: scan, position), type.element, .write), clock.time * .of(type.shape.elementCount)))
      }
    }
    return places
  }

  /// One stage of a step, block of units by block of units.
  ///
  /// Every other step walks the blocks backwards: it then finds in the second-level cache what the step before read
  /// last, even if the weights are a little larger than the cache.
  mutating func stage(_ number: Int, _ clock: Clock, isParallel: Bool) throws(CompileError) -> [Statement] {
    let stage = problem.stages[number]
    let tile = RecurrentTile(stage, target)
    place(clock, before: number)
    let places = stage.targets.map { destinations($0, stage: number, clock) }
    var weights: [Int: Buffer] = [:]
    for product in stage.products { weights[product] = buffer(.weights(scan: scan, stage: number, product: product), .f32, .read) }
    let writer = RecurrentStageWriter(problem: problem, stage: stage, tile: tile, weights: weights, places: places)
    let (full, blocks) = (stage.units / tile.width, (stage.units + tile.width - 1) / tile.width)
    if blocks == 1 { return try writer.block(&emitter, .index(0), stored: stage.units) }

    func block(_ emitter: inout ElementEmitter, _ index: Expression) throws(CompileError) -> [Statement] {
      let variable = emitter.builder.variable("block")
      emitter.ranges.set(variable, to: Extent(blocks))
      let turned: Expression = .select(.compare(.equal, clock.parity, .index(0)), index, .index(blocks - 1) - index)
      var statements: [Statement] = [.bind(variable, turned)]
      let whole = try emitter.scoped { emitter throws(CompileError) in try writer.block(&emitter, .variable(variable), stored: tile.width) }
      if full == blocks { return statements + whole }
      let rest = try emitter.scoped { emitter throws(CompileError) in try writer.block(&emitter, .variable(variable), stored: stage.units - full * tile.width) }
      statements.append(.branch(if: .compare(.less, .variable(variable), .index(full)), then: whole, else: rest))
      return statements
    }
    return [try emitter.loop("b", to: Extent(blocks), isParallel ? .parallel : .serial) { emitter, index throws(CompileError) in try block(&emitter, index) }]
  }
}
