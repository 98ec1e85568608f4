public import Artifact
public import TensorTypes

/// Runs a model, one run at a time, and keeps what a run needs: arena, output buffers, argument arrays.
///
/// `run` does everything. For measuring and serving there are its parts: `prepare` binds inputs, `invoke` runs without allocating
/// as long as shapes stay the same, `withOutput` reads a result where the code wrote it.
public final class Session {
  public let model: Model
  /// Threads of one run, the caller included.
  public let threads: Int
  /// The most memory that arena and outputs may take together.
  public let maximumBytes: Int

  private let pool: ThreadPool?
  private let frame: CallFrame
  /// Nil for a model without strings.
  private let text: TextService?
  private var arena = Arena()
  private var outputMemory = Arena()
  /// Kept alive until other inputs are bound: the frame points into them.
  private var boundInputs: [Tensor] = []
  private var boundDimensions: [[Int]]?
  /// True if inputs of the bound dimensions are there.
  private var isPrepared = false
  private var binding: SymbolBinding?
  /// Positions of the symbols that the code computes, with their upper bounds.
  private var computedSlots: [(position: Int, bound: Int)] = []
  private var outputOffsets: [Int]
  private var outputDimensions: [[Int]]

  init(model: Model, threads wanted: Int, maximumBytes: Int) throws(RunError) {
    let manifest = model.manifest
    let pool = wanted > 1 && Allowance.cpus > 1 ? ThreadPool.shared : nil
    self.model = model
    self.pool = pool
    self.maximumBytes = min(maximumBytes, Int.max / 4)
    threads = max(1, min(wanted, pool?.threads ?? 1))
    frame = CallFrame(
      inputCount: manifest.inputs.count, outputCount: manifest.outputs.count, symbolCount: manifest.symbols.count,
      stepCount: manifest.steps.count, pool: pool, threads: threads)
    text = model.strings.map { TextService(functions: manifest.textFunctions, strings: $0) }
    if let text { frame.setText(text) }
    outputOffsets = Array(repeating: 0, count: manifest.outputs.count)
    outputDimensions = Array(repeating: [], count: manifest.outputs.count)
    // A model without symbols has one size, known now: better refused here than at the first request.
    let dimensions = manifest.inputs.compactMap(\.type.shape.constants)
    if manifest.symbols.isEmpty, dimensions.count == manifest.inputs.count { try bind(dimensions: dimensions) }
  }

  /// Runs the model.
  ///
  /// - Parameter inputs: In the order of the manifest.
  /// - Returns: New tensors in the order of the manifest.
  public func run(_ inputs: [Tensor]) throws(RunError) -> [Tensor] {
    try prepare(inputs)
    try invoke()
    return outputs
  }

  /// Checks the inputs, binds symbols to their dimensions and makes room for the results.
  public func prepare(_ inputs: [Tensor]) throws(RunError) {
    let ports = model.manifest.inputs
    guard inputs.count == ports.count else { throw .inputCount(expected: ports.map(\.name), got: inputs.count) }
    var isSameShape = boundDimensions != nil
    for (index, (tensor, port)) in zip(inputs, ports).enumerated() {
      guard tensor.element == port.type.element else { throw .elementType(input: port.name, expected: port.type, got: tensor.type) }
      if isSameShape, let boundDimensions, boundDimensions[index] != tensor.dimensions { isSameShape = false }
    }
    if !isSameShape { try bind(dimensions: inputs.map(\.dimensions)) }
    boundInputs = try text?.bind(inputs) ?? inputs
    isPrepared = true
    for (index, tensor) in boundInputs.enumerated() {
      // The address stays valid after the closure because `boundInputs` holds the storage.
      tensor.withBytes { bytes in if let base = bytes.baseAddress { frame.setInput(index, base) } }
    }
  }

  /// Runs the code on the bound inputs.
  public func invoke() throws(RunError) {
    guard isPrepared else { throw .notPrepared }
    text?.beginRun()
    for slot in computedSlots { frame.setSymbol(slot.position, slot.bound) }
    let code = frame.call(model.code.entry, constants: model.constants.base, arena: arena.base)
    guard code == 0 else {
      let reasons = model.manifest.failures
      let reason = reasons.indices.contains(code - 1) ? reasons[code - 1] : nil
      throw .failed(code: code, reason: text?.failure.map { failure in (reason.map { $0 + ": " } ?? "") + failure.message } ?? reason)
    }
    if !computedSlots.isEmpty { try readComputedSymbols() }
  }

  // MARK: Results

  /// Copies of the results, in the order of the manifest.
  public var outputs: [Tensor] {
    model.manifest.outputs.indices.map { index in
      if let text, model.manifest.outputs[index].type.element == .string { return withOutput(index) { text.tensor($0, outputDimensions[index]) } }
      return Tensor(model.manifest.outputs[index].type.element, outputDimensions[index]) { target in
        withOutput(index) { source in target.copyMemory(from: source) }
      }
    }
  }

  /// The dimensions of a result of the last run.
  public func dimensions(ofOutput index: Int) -> [Int] { outputDimensions[index] }

  /// The elements of a result where the code wrote them. The buffer must not leave `body`.
  public func withOutput<Result, Failure: Error>(
    _ index: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let elements = elementCount(of: outputDimensions[index]) ?? 0
    let byteCount = elements * model.manifest.outputs[index].type.element.byteCount
    return try body(UnsafeRawBufferPointer(start: outputMemory.base + outputOffsets[index], count: byteCount))
  }

  // MARK: Profile

  /// True while runs count the cycles of every step.
  public var isProfiling = false {
    didSet { frame.setProfiling(isProfiling) }
  }

  /// Time-stamp cycles of every step of the manifest, summed over the runs since profiling began or was cleared.
  public var stepCycles: [Int] { (0..<frame.stepCount).map { frame.cycles(ofStep: $0) } }

  public func clearProfile() { frame.clearProfile() }

  /// Bytes of scratch memory that the bound shapes need.
  public private(set) var arenaBytes = 0

  /// The code that serves the bound shapes; nil if that is the code for all lengths.
  public private(set) var variant: Manifest.Variant?

  /// The steps of the manifest that a run takes.
  public var steps: Range<Int> { variant?.steps ?? model.manifest.generalSteps }

  // MARK: Binding

  private func bind(dimensions: [[Int]]) throws(RunError) {
    boundDimensions = nil
    isPrepared = false
    let manifest = model.manifest
    var binding = try SymbolBinding(manifest.inputs, dimensions: dimensions)
    for condition in manifest.conditions where !condition.holds(for: binding.values) {
      let symbols = condition.extent.symbols.map { "\($0) is \(binding.values[$0].map(String.init) ?? "unknown")" }
      throw .condition(violation: condition.violation, symbols: symbols.joined(separator: ", "))
    }
    for computed in manifest.computedSymbols {
      guard let bound = computed.upperBound.evaluated(binding.values), bound >= 0 else {
        throw .tooLarge(what: "`\(computed.name)`", bytes: nil, limit: maximumBytes)
      }
      binding.set(computed.name, to: bound)
    }
    for (index, symbol) in manifest.symbols.enumerated() { frame.setSymbol(index, try binding.value(of: symbol)) }
    computedSlots = []
    for computed in manifest.computedSymbols {
      if let position = manifest.symbols.firstIndex(of: computed.name) {
        computedSlots.append((position, try binding.value(of: computed.name)))
      }
    }

    let variant = manifest.variant(for: binding.values)
    guard let arenaBytes = (variant?.arenaBytes ?? manifest.arenaBytes).evaluated(binding.values), arenaBytes >= 0 else {
      throw .tooLarge(what: "the arena", bytes: nil, limit: maximumBytes)
    }
    guard arenaBytes <= maximumBytes else { throw .tooLarge(what: "the arena", bytes: arenaBytes, limit: maximumBytes) }
    var end = 0
    for (index, port) in manifest.outputs.enumerated() {
      let lengths = try binding.dimensions(ofOutput: port)
      guard let elements = elementCount(of: lengths) else {
        throw .tooLarge(what: "output `\(port.name)`", bytes: nil, limit: maximumBytes)
      }
      let (bytes, overflowed) = elements.multipliedReportingOverflow(by: port.type.element.byteCount)
      guard !overflowed, bytes <= maximumBytes - arenaBytes - end else {
        throw .tooLarge(what: "output `\(port.name)`", bytes: overflowed ? nil : bytes, limit: maximumBytes)
      }
      outputOffsets[index] = end
      outputDimensions[index] = lengths
      end += (bytes + 63) / 64 * 64
    }
    try arena.grow(to: arenaBytes)
    try outputMemory.grow(to: end)
    for index in manifest.outputs.indices { frame.setOutput(index, outputMemory.base + outputOffsets[index]) }
    self.arenaBytes = arenaBytes
    self.variant = variant
    self.binding = binding
    boundDimensions = dimensions
  }

  /// Takes the true values of symbols that the code computed into the dimensions of the results.
  private func readComputedSymbols() throws(RunError) {
    guard var exact = binding else { throw .notPrepared }
    let manifest = model.manifest
    for slot in computedSlots {
      let (name, value) = (manifest.symbols[slot.position], frame.symbol(slot.position))
      guard value >= 0, value <= slot.bound else { throw .inconsistentResult("\(value) for `\(name)`, which is at most \(slot.bound)") }
      exact.set(name, to: value)
    }
    for (index, port) in manifest.outputs.enumerated() {
      // Not larger than the room that the upper bound gave: the code is trusted to be monotone only after this check.
      guard let lengths = port.type.shape.evaluated(exact.values), let elements = elementCount(of: lengths),
        let room = binding.flatMap({ port.type.shape.evaluated($0.values) }).flatMap({ elementCount(of: $0) }), elements <= room
      else { throw .inconsistentResult("dimensions of `\(port.name)` that leave its memory") }
      outputDimensions[index] = lengths
    }
  }
}
