public import TensorTypes

/// What an artifact says about itself: the model's signature, what its code expects, and where it came from.
public struct Manifest: Sendable, Hashable {
  /// One input or output.
  public struct Port: Sendable, Hashable {
    public var name: String
    /// Its extents may name symbols of the manifest.
    public var type: TensorType
    /// For an output that is a map for each row: what the columns stand for.
    public var keys: MapKeys?

    /// - Parameter keys: What the columns stand for, where the model gives maps.
    public init(name: String, type: TensorType, keys: MapKeys? = nil) {
      self.name = name
      self.type = type
      self.keys = keys
    }
  }

  /// An input of the model that was made a constant when it was compiled.
  public struct FixedInput: Sendable, Hashable {
    /// Among all inputs of the model, fixed or not.
    public var position: Int
    public var name: String
    public var type: TensorType
    /// Of the value's bytes, as text.
    public var digest: String
    /// The first elements, for people.
    public var text: String

    /// - Parameters:
    ///   - digest: Of the value's bytes.
    ///   - text: Its first elements, for messages.
    public init(position: Int, name: String, type: TensorType, digest: String, text: String) {
      (self.position, self.name, self.type, self.digest, self.text) = (position, name, type, digest, text)
    }

    /// Keeps what tells the value from others, not the value.
    public init(position: Int, name: String, value: Tensor) {
      let shown = 8
      let elements = (0..<min(shown, value.count)).map { element in
        value.withBytes { bytes in
          value.element.isFloatingPoint ? "\(Float(Tensor.double(bytes, value.element, element)))" : "\(Tensor.integer(bytes, value.element, element))"
        }
      }
      self.init(
        position: position, name: name, type: value.type, digest: value.withBytes { Digest(of: $0) }.description,
        text: elements.joined(separator: " ") + (value.count > shown ? " ..." : ""))
    }
  }

  /// An input or output of the model that is a sequence or an optional: its elements are ports of their own, whose number is fixed.
  public struct Structure: Sendable, Hashable {
    /// An optional has one element or none, unless it holds a sequence.
    public enum Kind: String, Sendable, Hashable { case sequence, optional }
    public var name: String
    public var kind: Kind
    /// Positions among all inputs, those that are fixed included, or among the outputs.
    public var ports: Range<Int>

    /// - Parameter ports: Empty for what holds nothing.
    public init(name: String, kind: Kind, ports: Range<Int>) { (self.name, self.kind, self.ports) = (name, kind, ports) }

    /// Such as `x (sequence of 3)`.
    public var text: String {
      switch kind {
      case .sequence: "\(name)  sequence of \(ports.count)"
      case .optional: "\(name)  optional" + (ports.isEmpty ? " without a value" : ports.count == 1 ? "" : " of \(ports.count)")
      }
    }
  }

  /// What the code takes for granted about the symbols; checked before each run.
  public struct Condition: Sendable, Hashable {
    /// What the value of the extent has to be.
    public enum Kind: String, Sendable, Hashable { case zero, nonNegative }
    public var kind: Kind
    public var extent: Extent
    /// What is wrong with the inputs if it does not hold.
    public var violation: String

    /// - Parameter violation: A sentence for those whose inputs break the condition.
    public init(_ kind: Kind, _ extent: Extent, violation: String) { (self.kind, self.extent, self.violation) = (kind, extent, violation) }

    /// False also where the extent cannot be computed.
    public func holds(for symbols: [String: Int]) -> Bool {
      guard let value = extent.evaluated(symbols) else { return false }
      return kind == .zero ? value == 0 : value >= 0
    }
  }

  /// One kernel call, for profiles: what it is, where in the model it comes from, and what it ought to cost.
  public struct Step: Sendable, Hashable {
    public var name: String
    /// The nodes of the model that it computes, as text.
    public var origin: String
    public var flops: Extent
    public var bytes: Extent

    public init(name: String, origin: String, flops: Extent, bytes: Extent) {
      self.name = name
      self.origin = origin
      self.flops = flops
      self.bytes = bytes
    }
  }

  /// Code of its own for certain lengths of symbolic axes.
  public struct Variant: Sendable, Hashable {
    /// At least one; their symbols are among the manifest's.
    public var lengths: [String: Int]
    /// Scratch memory of a run with these lengths.
    public var arenaBytes: Extent
    /// Which of the manifest's steps it runs.
    public var steps: Range<Int>

    /// - Parameters:
    ///   - lengths: By symbol.
    ///   - arenaBytes: May name symbols that `lengths` leaves open.
    ///   - steps: Positions in `Manifest.steps`.
    public init(lengths: [String: Int], arenaBytes: Extent, steps: Range<Int>) {
      self.lengths = lengths
      self.arenaBytes = arenaBytes
      self.steps = steps
    }

    /// `batch=8, sequence=128`.
    public var label: String { lengths.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ") }
  }

  /// The machine that the code was compiled for.
  public struct Target: Sendable, Hashable {
    /// Such as `znver4` or `x86-64-v3`.
    public var name: String
    /// Names as LLVM spells them. The code runs on any machine that has all of them.
    public var requiredFeatures: [String]

    public init(name: String, requiredFeatures: [String]) {
      self.name = name
      self.requiredFeatures = requiredFeatures
    }
  }

  public var modelName: String
  public var modelVersion = "1"
  public var inputs: [Port]
  public var outputs: [Port]
  /// By position.
  public var fixedInputs: [FixedInput] = []
  /// Inputs and outputs that are no tensors, by position.
  public var inputStructures: [Structure] = []
  public var outputStructures: [Structure] = []
  /// Every symbol, in the order in which the code wants their values.
  public var symbols: [String] = []
  /// Those of `symbols` whose values only the code can find, such as the number of boxes that survive non-maximum suppression. An output
  /// whose shape names one of them lies where the code says.
  public var computedSymbols: [String] = []
  public var conditions: [Condition] = []
  /// Scratch memory of one run that no variant serves; with computed symbols what it needs at least.
  public var arenaBytes: Extent = 0
  /// Where in the code image the entry point is.
  public var entryOffset = 0
  /// Those of the code for all lengths, then those of each variant.
  public var steps: [Step] = []
  /// Which code runs for which lengths; without any, all steps run always.
  public var variants: [Variant] = []
  /// What the code's result codes mean: code `k` is `failures[k - 1]`.
  public var failures: [String] = []
  /// The strings that the model names, in the order of their numbers; the first one is empty. None for a model without strings.
  public var strings: [String] = []
  /// What the code asks of the runtime, by number.
  public var textFunctions: [TextFunction] = []
  public var target: Target
  /// The passes that made it, as text.
  public var pipeline = ""
  /// What it computes with: `fp32` or `bf16`.
  public var precision = "fp32"
  /// Digest of the model file, as text.
  public var sourceDigest = ""
  public var toolVersion = ""
  /// Names of the classes that a classifier's output positions stand for.
  public var labels: [String] = []
  /// Threads of a run unless the user says otherwise; nil means as many as the process may use.
  public var threads: Int?

  public init(modelName: String, inputs: [Port], outputs: [Port], target: Target) {
    self.modelName = modelName
    self.inputs = inputs
    self.outputs = outputs
    self.target = target
  }

  /// The variant that serves a run with these values of symbols; nil if the code for all lengths does.
  public func variant(for symbols: [String: Int]) -> Variant? {
    variants.first { $0.lengths.allSatisfy { symbols[$0.key] == $0.value } }
  }

  /// True if the code says where the output lies, because its shape names a computed symbol.
  public func isPlacedByCode(_ output: Port) -> Bool {
    !computedSymbols.isEmpty && output.type.shape.contains { extent in !extent.isConstant && extent.symbols.contains(where: computedSymbols.contains) }
  }

  /// The steps of the code for all lengths.
  public var generalSteps: Range<Int> { 0..<(variants.map(\.steps.lowerBound).min() ?? steps.count) }

  /// The most that any run needs of the arena, as an expression over the symbols.
  public var largestArenaBytes: Extent { variants.reduce(arenaBytes) { .maximum($0, $1.arenaBytes) } }

  /// What contradicts itself in it, or nil.
  public var contradiction: String? {
    if Set(symbols).count != symbols.count { return "a symbol is listed twice" }
    let computed = computedSymbols
    if Set(computed).count != computed.count { return "a computed symbol is listed twice" }
    let known = Set(symbols)
    let bound = known.subtracting(computed)
    if let name = computed.first(where: { !known.contains($0) }) { return "computed symbol `\(name)` is not among the symbols" }
    func unknown(_ extent: Extent, beside allowed: Set<String>) -> String? {
      if extent == .overflow { return "an extent that overflows" }
      return extent.symbols.first { !allowed.contains($0) }.map { "an extent with the unknown symbol `\($0)`" }
    }
    for port in inputs {
      for extent in port.type.shape { if let fact = unknown(extent, beside: bound) { return "input `\(port.name)` has \(fact)" } }
    }
    for port in outputs {
      for extent in port.type.shape { if let fact = unknown(extent, beside: known) { return "output `\(port.name)` has \(fact)" } }
    }
    for condition in conditions { if let fact = unknown(condition.extent, beside: bound) { return "a condition has \(fact)" } }
    if let fact = unknown(arenaBytes, beside: bound) { return "the arena has \(fact)" }
    for step in steps {
      if let fact = unknown(step.flops, beside: known) ?? unknown(step.bytes, beside: known) { return "step `\(step.name)` has \(fact)" }
    }
    for variant in variants {
      if variant.lengths.isEmpty { return "a variant for no lengths" }
      if let name = variant.lengths.keys.sorted().first(where: { !bound.contains($0) }) { return "a variant for the unknown symbol `\(name)`" }
      if let fact = unknown(variant.arenaBytes, beside: bound) { return "the arena of variant \(variant.label) has \(fact)" }
      if variant.steps.lowerBound < 0 || variant.steps.upperBound > steps.count { return "the steps of variant \(variant.label) do not exist" }
    }
    if Set(variants.map(\.lengths)).count != variants.count { return "two variants are for the same lengths" }
    if entryOffset < 0 { return "the entry offset is negative" }
    if Set(inputs.map(\.name)).count != inputs.count { return "two inputs have one name" }
    for (earlier, fixed) in zip([nil] + fixedInputs.map { Optional($0.position) }, fixedInputs) {
      if fixed.position <= earlier ?? -1 || fixed.position >= inputs.count + fixedInputs.count { return "fixed input `\(fixed.name)` has an impossible position" }
      if !fixed.type.shape.isStatic { return "fixed input `\(fixed.name)` has no fixed shape" }
    }
    if let first = strings.first, !first.isEmpty { return "the first of its strings is not empty" }
    for port in outputs {
      if let keys = port.keys, port.type.rank != 2 || port.type.shape[1].constant.map({ $0 != keys.count }) ?? true { return "output `\(port.name)` has \(keys.count) keys" }
    }
    for (structures, count) in [(inputStructures, inputs.count + fixedInputs.count), (outputStructures, outputs.count)] {
      var end = 0
      for structure in structures {
        if structure.ports.lowerBound < end || structure.ports.upperBound > count { return "`\(structure.name)` has elements that do not exist" }
        end = structure.ports.upperBound
      }
    }
    if let threads, threads < 1 { return "threads is below 1" }
    return nil
  }
}
