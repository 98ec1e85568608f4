import GraphIR
import KernelIR
import TensorTypes

/// One kernel that a template wrote, and what each of its buffers is.
package struct LoweredKernel {
  package enum Argument {
    /// The fusion's operand of that number, as it lies in memory (row-major).
    case operand(Int)
    /// A constant in a layout of the template's choice.
    case packed(Tensor)
    /// The fusion's result of that number.
    case result(Int)
    /// Memory between the kernels of this fusion, by number; see `FusionLowering.scratch`.
    case scratch(Int)
  }
  package var kernel: Kernel
  /// One for each parameter of the kernel.
  package var arguments: [Argument]
  /// Template, tile and packing, for `inspect` and `--profile`.
  package var note: String
  package var flops: Extent = 0
}

/// The work of turning one fusion into kernels.
package struct FusionLowering {
  let fusion: Fusion
  let origin: NodeOrigin
  let target: LoweringTarget
  /// The operands that are constants; a template may pack them instead of reading them.
  let constants: [Int: Tensor]
  /// What measurements say.
  let answers: KernelAnswers
  /// Which way the template took, and why; written by `choose`.
  package var choice: KernelChoice?
  /// Ways that it might have taken, and why it did not.
  package var refusals: [KernelRefusal] = []
  package var kernels: [LoweredKernel] = []
  /// Element type and count of each scratch buffer.
  package private(set) var scratch: [(element: ElementType, count: Extent)] = []

  package init(_ fusion: Fusion, origin: NodeOrigin, target: LoweringTarget, constants: [Int: Tensor], answers: KernelAnswers = KernelAnswers()) {
    (self.fusion, self.origin, self.target, self.constants, self.answers) = (fusion, origin, target, constants, answers)
  }

  var body: Graph { fusion.body }

  mutating func addScratch(_ element: ElementType, _ count: Extent) -> LoweredKernel.Argument {
    scratch.append((element, count))
    return .scratch(scratch.count - 1)
  }

  /// Lowers the fusion with the template it names.
  package mutating func run() throws(CompileError) {
    switch fusion.template {
    case .loop:
      let template = LoopTemplate(target: target)
      try single("loop") { emitter, output throws(CompileError) in try template.emit(&emitter, into: output) }
    case .reduction: try ReductionTemplate(target: target).lower(&self)
    case .dot:
      if let anchor = NarrowDotProblem.anchor(in: body) { try NarrowDotTemplate(target: target).lower(&self, anchor) } else {
        try DotTemplate(target: target).lower(&self)
      }
    case .attention: try AttentionTemplate(target: target).lower(&self)
    case .convolution: try ConvolutionTemplate(target: target).lower(&self)
    case .window: try WindowTemplate(target: target).lower(&self)
    case .special: try SpecialTemplate(target: target).lower(&self)
    }
  }

  /// An emitter whose body inputs are read-only buffers, but for those in `skipping` (packed or unread), and the
  /// arguments that go with them.
  func emitter(skipping: Set<ValueID> = []) -> (ElementEmitter, [LoweredKernel.Argument]) {
    var emitter = ElementEmitter(graph: body)
    emitter.roundsOnce = target.lanes >= 8
    var arguments: [LoweredKernel.Argument] = []
    for (position, input) in body.inputs.enumerated() where !skipping.contains(input) {
      let name = "x\(position)"
      emitter.buffers[input] = emitter.builder.buffer(name, body.type(of: input).element, .read)
      arguments.append(.operand(position))
    }
    return (emitter, arguments)
  }

  /// A fusion that is one kernel writing its only result.
  mutating func single(
    _ note: String, access: Kernel.Access = .write,
    _ write: (inout ElementEmitter, Buffer) throws(CompileError) -> [Statement]
  ) throws(CompileError) {
    var (emitter, arguments) = emitter()
    let output = emitter.builder.buffer("y", body.type(of: body.outputs[0]).element, access)
    let statements = try emitter.scoped { emitter throws(CompileError) in try write(&emitter, output) }
    let kernel = emitter.builder.kernel(name(note), statements)
    kernels.append(LoweredKernel(kernel: kernel, arguments: arguments + [.result(0)], note: note))
  }

  /// A kernel's name: the template and the operator it came from.
  func name(_ note: String) -> String {
    let plain = (note + "_" + origin.operatorName).lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
    return String(plain)
  }
}
