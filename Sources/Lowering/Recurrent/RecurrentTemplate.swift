import GraphIR
import KernelIR
import TensorTypes

/// Recurrent layers: all steps in one kernel, or a kernel for each stage of a step that several threads share.
struct RecurrentTemplate {
  let target: LoweringTarget

  struct Written {
    var kernel: Kernel
    var arguments: [RecurrentKernel.Argument]
    var note: String
    var flops: Extent
  }

  /// True if several threads should share each step: the hand-offs then cost less than they save.
  ///
  /// Beside another layer that does not depend on this one each thread takes a layer.
  func sharesSteps(_ problems: [RecurrentProblem]) -> Bool {
    guard target.threads > 1, problems.count == 1 else { return false }
    // Few rows wait for the weights: 28 bytes a cycle from the second-level cache.
    let cycles = max(problems[0].flops / 32, problems[0].weightBytes / 28)
    return cycles >= TileSchedule.parallelCycles
  }

  /// One kernel that runs all steps of some problems; with several threads the problems side by side.
  func whole(_ problems: [RecurrentProblem], name: String) throws(CompileError) -> Written {
    var (builder, arguments) = (KernelBuilder(), [RecurrentKernel.Argument]())
    var bodies: [[Statement]] = []
    var flops: Extent = 0
    for (number, problem) in problems.enumerated() {
      var writer = RecurrentKernel(problem, scan: number, target: target, builder: builder, arguments: arguments)
      let body = try writer.before() + [writer.steps()] + writer.after()
      bodies.append(body)
      (builder, arguments) = (writer.emitter.builder, writer.arguments)
      flops = flops + problem.scan.extent * Extent(problem.flops)
    }
    var statements = bodies.last ?? []
    if bodies.count > 1 {
      statements = [
        builder.loop("layer", to: .index(bodies.count), .parallel) { _, layer in
          var chain = bodies[bodies.count - 1]
          for number in bodies.indices.dropLast().reversed() { chain = [.branch(if: .compare(.equal, layer, .index(number)), then: bodies[number], else: chain)] }
          return chain
        }
      ]
    }
    let note = describe(problems[0]) + ", all steps in one kernel" + (bodies.count > 1 ? ", \(bodies.count) layers side by side" : "")
    return Written(kernel: builder.kernel(name, statements), arguments: arguments, note: note, flops: flops)
  }

  /// The kernels before the steps, of a step's stages, and behind the steps. `symbol` counts the steps.
  func stepwise(_ problem: RecurrentProblem, symbol: Extent, name: String) throws(CompileError) -> (before: Written, stages: [Written], after: Written) {
    func written(_ name: String, flops: Extent, _ body: (inout RecurrentKernel) throws(CompileError) -> [Statement]) throws(CompileError) -> Written {
      var writer = RecurrentKernel(problem, scan: 0, target: target, builder: KernelBuilder(), arguments: [])
      let statements = try body(&writer)
      let note = flops == 0 ? "copies states" : describe(problem) + ", step by step, parallel"
      return Written(kernel: writer.emitter.builder.kernel(name, statements), arguments: writer.arguments, note: note, flops: flops)
    }
    let before = try written("start", flops: 0) { writer throws(CompileError) in try writer.before() }
    let after = try written("finish", flops: 0) { writer throws(CompileError) in try writer.after() }
    var stages: [Written] = []
    for number in problem.stages.indices {
      let share = Extent(problem.flops / max(1, problem.stages.count))
      stages.append(
        try written(name, flops: share) { writer throws(CompileError) in
          let clock = RecurrentKernel.Clock(parity: .of(symbol.modulo(2)), time: writer.time(.of(symbol)))
          return try writer.stage(number, clock, isParallel: true)
        })
    }
    return (before, stages, after)
  }

  private func describe(_ problem: RecurrentProblem) -> String {
    let tiles = problem.stages.map { stage in
      let tile = RecurrentTile(stage, target)
      return "\(min(stage.rows, tile.rows))x\(tile.width) units x \(stage.gates.count) gates"
    }
    return "recurrent, " + tiles.joined(separator: " then ")
  }
}
