public import Artifact
internal import CRuntime
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

  /// Ends a run from another thread.
  public let stopSign = StopSign()

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
  /// Positions of the symbols that the code computes.
  private let computedSlots: [Int]
  /// For each output whether the code says where it lies.
  private let isPlacedByCode: [Bool]
  private var footprint = Footprint()
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
    frame.setStop(stopSign)
    let computed = Set(manifest.computedSymbols)
    computedSlots = manifest.symbols.indices.filter { computed.contains(manifest.symbols[$0]) }
    isPlacedByCode = manifest.outputs.map { manifest.isPlacedByCode($0) }
    outputOffsets = Array(repeating: 0, count: manifest.outputs.count)
    outputDimensions = Array(repeating: [], count: manifest.outputs.count)
    // A model without symbols has one size, known now: better refused here than at the first request.
    let dimensions = manifest.inputs.compactMap(\.type.shape.constants)
    if manifest.symbols.count == computedSlots.count, dimensions.count == manifest.inputs.count { try bind(dimensions: dimensions) }
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
    stopSign.clear()
    let isOpen = !computedSlots.isEmpty
    if isOpen { prepareComputed() }
    let code = frame.call(model.code.entry, constants: model.constants.base, arena: arena.base)
    if code == Int(ingot_stopped) { throw .stopped }
    guard code == 0 else {
      let reasons = model.manifest.failures
      let reason = reasons.indices.contains(code - 1) ? reasons[code - 1] : nil
      if let failure = text?.failure { throw .failed(code: code, reason: (reason.map { $0 + ": " } ?? "") + failure.message) }
      throw .failed(code: code, reason: reason, symbols: reason.map(valuesNamed(in:)) ?? "")
    }
    if isOpen { try readComputedSymbols() }
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
    let start = isPlacedByCode[index] ? frame.output(index) : outputMemory.base + outputOffsets[index]
    return try body(UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : byteCount))
  }

  // MARK: Profile

  /// True while runs count the cycles of every step.
  public var isProfiling = false {
    didSet { frame.setProfiling(isProfiling) }
  }

  /// Time-stamp cycles of every step of the manifest, summed over the runs since profiling began or was cleared.
  public var stepCycles: [Int] { (0..<frame.stepCount).map { frame.cycles(ofStep: $0) } }

  public func clearProfile() { frame.clearProfile() }

  /// Bytes of scratch memory that the bound shapes need; with computed symbols at least.
  public private(set) var arenaBytes = 0

  /// The values of all symbols in the last run.
  public private(set) var symbolValues: [String: Int] = [:]

  /// The code that serves the bound shapes; nil if that is the code for all lengths.
  public private(set) var variant: Manifest.Variant?

  /// The steps of the manifest that a run takes.
  public var steps: Range<Int> { variant?.steps ?? model.manifest.generalSteps }

  // MARK: Binding

  private func bind(dimensions: [[Int]]) throws(RunError) {
    boundDimensions = nil
    isPrepared = false
    let manifest = model.manifest
    let binding = try SymbolBinding(manifest.inputs, dimensions: dimensions)
    for condition in manifest.conditions where !condition.holds(for: binding.values) {
      let symbols = condition.extent.symbols.map { "\($0) is \(binding.values[$0].map(String.init) ?? "unknown")" }
      throw .condition(violation: condition.violation, symbols: symbols.joined(separator: ", "))
    }
    for (index, symbol) in manifest.symbols.enumerated() where !computedSlots.contains(index) { frame.setSymbol(index, try binding.value(of: symbol)) }

    let variant = manifest.variant(for: binding.values)
    guard let arenaBytes = (variant?.arenaBytes ?? manifest.arenaBytes).evaluated(binding.values), arenaBytes >= 0 else {
      throw .tooLarge(what: "the arena", bytes: nil, limit: maximumBytes)
    }
    guard arenaBytes <= maximumBytes else { throw .tooLarge(what: "the arena", bytes: arenaBytes, limit: maximumBytes) }
    var end = 0
    for (index, port) in manifest.outputs.enumerated() where !isPlacedByCode[index] {
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
    if computedSlots.isEmpty { try arena.grow(to: arenaBytes) } else { try reserveArena(least: arenaBytes, beside: end) }
    try outputMemory.grow(to: end)
    for index in manifest.outputs.indices where !isPlacedByCode[index] { frame.setOutput(index, outputMemory.base + outputOffsets[index]) }
    self.arenaBytes = arenaBytes
    self.variant = variant
    self.binding = binding
    symbolValues = binding.values
    boundDimensions = dimensions
  }

  // MARK: Computed symbols

  /// Addresses for as much as a run may ever use; they stay the same, so that no run waits for memory to move.
  private func reserveArena(least: Int, beside outputBytes: Int) throws(RunError) {
    if arena.byteCount == 0 { try arena.reserve(maximumBytes, least: least, isHuge: least >= 8 << 20) }
    guard least <= arena.byteCount else { throw .tooLarge(what: "the arena", bytes: least, limit: arena.byteCount) }
    frame.setArenaBytes(min(arena.byteCount, maximumBytes - outputBytes))
  }

  private func prepareComputed() {
    for slot in computedSlots { frame.setSymbol(slot, 0) }
    for (index, isPlaced) in isPlacedByCode.enumerated() where isPlaced { frame.setOutput(index, nil) }
    // Results of the last run lie in the arena: what it used too much is given back now.
    if let range = footprint.surplus(afterUsing: max(frame.usedArenaBytes, arenaBytes)) { arena.giveBack(from: range.lowerBound, to: range.upperBound) }
    frame.usedArenaBytes = 0
  }

  /// Takes the values of symbols that the code computed into the dimensions of the results.
  private func readComputedSymbols() throws(RunError) {
    guard var exact = binding else { throw .notPrepared }
    let manifest = model.manifest
    for slot in computedSlots { exact.set(manifest.symbols[slot], to: frame.symbol(slot)) }
    for (index, port) in manifest.outputs.enumerated() where isPlacedByCode[index] {
      let lengths = try exact.dimensions(ofOutput: port)
      guard let elements = elementCount(of: lengths), elements == 0 || frame.output(index) != nil else {
        throw .inconsistentResult("no place for output `\(port.name)`")
      }
      outputDimensions[index] = lengths
    }
    symbolValues = exact.values
  }

  /// Such as `%Slice.1 is -3`: the values of the computed symbols that a text names.
  private func valuesNamed(in text: String) -> String {
    func isPart(_ byte: UInt8) -> Bool { (48...57).contains(byte) || (65...90).contains(byte & 0xdf) || byte == 46 || byte == 95 }
    let bytes = Array(text.utf8)
    func names(_ symbol: String) -> Bool {
      let wanted = Array(symbol.utf8)
      return bytes.indices.contains { start in
        bytes.count - start >= wanted.count && bytes[start..<start + wanted.count].elementsEqual(wanted)
          && (start + wanted.count == bytes.count || !isPart(bytes[start + wanted.count]))
      }
    }
    return computedSlots.filter { names(model.manifest.symbols[$0]) }.map { "\(model.manifest.symbols[$0]) is \(frame.symbol($0))" }.joined(separator: ", ")
  }
}

/// How much memory the runs of a session have touched, so that one unusually large run does not keep its memory for good.
private struct Footprint {
  private var touched = 0
  private var recent = 0
  private var runs = 0
  /// Runs that are looked at together, and what is not worth a system call.
  private static let window = 8, slack = 64 << 20

  /// - Returns: Bytes that no run has used for a while.
  mutating func surplus(afterUsing bytes: Int) -> Range<Int>? {
    touched = max(touched, bytes)
    recent = max(recent, bytes)
    runs += 1
    guard runs >= Self.window else { return nil }
    let (kept, all) = (recent, touched)
    (runs, recent) = (0, 0)
    guard all - kept > max(kept, Self.slack) else { return nil }
    touched = kept
    return kept..<all
  }
}
