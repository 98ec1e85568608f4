import TensorTypes

/// A whole model as kernels: buffers, and calls in order.
public struct KernelProgram: Sendable {
  /// Where a buffer lives when the program runs.
  public enum Placement: Sendable, Hashable {
    case input(Int)
    case output(Int)
    /// An index into `constants`.
    case constant(Int)
    /// Bytes from the start of the arena; nil until memory is planned.
    case arena(offset: Extent?)
  }

  public struct ProgramBuffer: Sendable {
    public var name: String
    public var element: ElementType
    public var elementCount: Extent
    public var placement: Placement
    public var byteCount: Extent { elementCount * Extent(element.byteCount) }
    public init(name: String, element: ElementType, elementCount: Extent, placement: Placement) {
      (self.name, self.element, self.elementCount, self.placement) = (name, element, elementCount, placement)
    }
  }

  /// Part of a buffer, from an element on. The offset may mention the symbols of enclosing loops.
  public struct View: Sendable, Hashable {
    public var buffer: Int
    public var elementOffset: Extent
    public init(_ buffer: Int, offset: Extent = 0) { (self.buffer, self.elementOffset) = (buffer, offset) }
  }

  /// One call of a kernel.
  public struct Call: Sendable {
    public var kernel: Int
    public var arguments: [View]
    /// A value for each of the kernel's symbols, over the program's symbols and those of enclosing loops.
    public var symbols: [Extent]
    /// The graph nodes whose work it does, the main one first.
    public var origin: String
    /// Floating-point operations (a multiply-add counts two), and bytes read and written at least.
    public var flops: Extent
    public var bytes: Extent
    /// Why this kernel looks as it does: template, tile, what was fused.
    public var note: String
    /// Which of several ways was taken; nil where there is only one.
    public var choice: KernelChoice?
    public init(kernel: Int, arguments: [View], symbols: [Extent], origin: String, flops: Extent = 0, bytes: Extent = 0, note: String = "") {
      (self.kernel, self.arguments, self.symbols, self.origin, self.flops, self.bytes, self.note) = (kernel, arguments, symbols, origin, flops, bytes, note)
    }
  }

  /// A constant, laid out as the kernels read it.
  public struct ProgramConstant: Sendable {
    public var name: String
    public var tensor: Tensor
    public init(name: String, tensor: Tensor) { (self.name, self.tensor) = (name, tensor) }
  }

  /// One input or output of the program.
  public struct Port: Sendable {
    public var name: String
    public var type: TensorType
    public init(name: String, type: TensorType) { (self.name, self.type) = (name, type) }
  }

  public var name: String
  public var inputs: [Port]
  public var outputs: [Port]
  /// The symbols that the shapes of the inputs define, in the order in which the entry point receives them.
  public var symbols: [String]
  /// The symbols that the steps bind, behind `symbols` in the array that the entry point receives. Each may name extents once it is bound.
  public var computedSymbols: [String] = []
  /// What stops a run, as sentences for people: the entry point returns 1 + the index of one. See `addFailure`.
  public var failures: [String] = []
  public var buffers: [ProgramBuffer] = []
  public var kernels: [Kernel] = []
  public var steps: [Step] = []
  /// Steps for certain lengths; no two fit the same ones.
  public var variants: [Variant] = []
  public var constants: [ProgramConstant] = []
  /// Ways to write kernels that were not taken, for reports; of the code for all lengths.
  public var refusals: [KernelRefusal] = []
  /// The strings that the model names, by number; nil for a model without strings.
  public var strings: StringTable?
  /// The size of the part of the arena that `symbols` alone decide; 0 until memory is planned. Regions lie behind it (`Step.reserve`).
  public var arenaBytes: Extent = 0

  public init(name: String, inputs: [Port], outputs: [Port], symbols: [String]) {
    (self.name, self.inputs, self.outputs, self.symbols) = (name, inputs, outputs, symbols)
  }

  /// Every call, in order, those inside loops once: first those of `steps`, then those of each variant.
  public var calls: [Call] { Self.calls(of: steps) + variants.flatMap { Self.calls(of: $0.steps) } }

  /// Every function of text that a step asks for, once; the code names them by their positions.
  public var textFunctions: [TextFunction] {
    var found: [TextFunction] = []
    func collect(_ steps: [Step]) {
      for step in steps {
        if case .text(let text) = step, !found.contains(text.function) { found.append(text.function) }
        for body in step.bodies { collect(body) }
      }
    }
    collect(steps)
    for variant in variants { collect(variant.steps) }
    return found
  }

  /// Adds a reason for a run to stop, or finds it among those that are there.
  public mutating func addFailure(_ message: String) -> Int {
    if let found = failures.firstIndex(of: message) { return found }
    failures.append(message)
    return failures.count - 1
  }

  /// Adds a kernel, or finds the one with the same code.
  public mutating func add(_ kernel: Kernel) -> Int {
    if let found = kernels.firstIndex(where: { $0.hasSameCode(as: kernel) }) { return found }
    kernels.append(kernel)
    return kernels.count - 1
  }
}
