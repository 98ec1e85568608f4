import GraphIR
import KernelIR
import Lowering
import TensorTypes

/// One fusion as a program of its own: what the templates make of a graph with one anchor.
package struct LoweredFusion {
  package let program: KernelProgram
  package let notes: [String]
  package let choice: KernelChoice?
  package let refusals: [KernelRefusal]

  /// - Parameters:
  ///   - body: The fusion's body.
  ///   - constants: The inputs of the body that are known, by number; the others become inputs of the program, in order.
  package init(_ template: Fusion.Template, _ body: Graph, constants: [Int: Tensor], target: LoweringTarget, answers: KernelAnswers = KernelAnswers()) throws {
    var lowering = FusionLowering(Fusion(template, body: body), origin: NodeOrigin(node: "test", operatorName: "test"), target: target, constants: constants, answers: answers)
    try lowering.run()
    var program = KernelProgram(name: "fusion", inputs: [], outputs: [], symbols: body.symbols)
    var operands: [Int: Int] = [:]
    for (position, input) in body.inputs.enumerated() {
      let type = body.type(of: input)
      operands[position] = program.buffers.count
      if let tensor = constants[position] {
        program.constants.append(.init(name: "w\(position)", tensor: tensor))
        program.buffers.append(.init(name: "w\(position)", element: type.element, elementCount: type.shape.elementCount, placement: .constant(program.constants.count - 1)))
      } else {
        program.inputs.append(.init(name: "x\(position)", type: type))
        program.buffers.append(.init(name: "x\(position)", element: type.element, elementCount: type.shape.elementCount, placement: .input(program.inputs.count - 1)))
      }
    }
    var results: [Int] = []
    for (position, output) in body.outputs.enumerated() {
      let type = body.type(of: output)
      program.outputs.append(.init(name: "y\(position)", type: type))
      results.append(program.buffers.count)
      program.buffers.append(.init(name: "y\(position)", element: type.element, elementCount: type.shape.elementCount, placement: .output(position)))
    }
    var scratch: [Int] = []
    for (element, count) in lowering.scratch {
      scratch.append(program.buffers.count)
      let start = program.arenaBytes
      program.buffers.append(.init(name: "s\(scratch.count)", element: element, elementCount: count, placement: .arena(offset: start)))
      program.arenaBytes = start + (count * Extent(element.byteCount)).ceilDivided(by: 64) * 64
    }
    for lowered in lowering.kernels {
      try lowered.kernel.verify()
      var views: [KernelProgram.View] = []
      for (argument, parameter) in zip(lowered.arguments, lowered.kernel.parameters) {
        switch argument {
        case .operand(let number): views.append(.init(operands[number] ?? 0))
        case .result(let number): views.append(.init(results[number]))
        case .scratch(let number): views.append(.init(scratch[number]))
        case .packed(let tensor):
          program.constants.append(.init(name: parameter.name, tensor: tensor))
          program.buffers.append(.init(name: parameter.name, element: tensor.element, elementCount: Extent(tensor.count), placement: .constant(program.constants.count - 1)))
          views.append(.init(program.buffers.count - 1))
        }
      }
      let number = program.add(lowered.kernel)
      program.steps.append(
        .call(.init(kernel: number, arguments: views, symbols: lowered.kernel.symbols.map { Extent(symbol: $0) }, origin: "test", flops: lowered.flops, note: lowered.note)))
    }
    self.program = program
    notes = lowering.kernels.map(\.note)
    choice = lowering.choice
    refusals = lowering.refusals
  }
}
