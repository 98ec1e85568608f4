import KernelIR
import TensorTypes

/// One run of a program: its memory, the values of its symbols, and what its steps do with them.
struct ProgramExecution {
  private let program: KernelProgram
  private let steps: [KernelProgram.Step]
  private let inputs: [Tensor]
  private let observing: ((KernelProgram.Call, [Tensor]) -> Void)?
  /// Of inputs, of loops around the current step, and of what is bound so far, places of regions among them.
  private var symbols: [String: Int]
  /// What a step of this run touches.
  private var touched: Set<Int> = []
  /// Nil for what no step touches, and until the symbols of its size are bound.
  private var memory: [KernelMemory?]
  /// Keeps the memory that `memory` points into.
  private var owned: [Int: TensorBytes] = [:]
  private let arena: TensorBytes
  private let arenaBytes: Int
  private var usedBytes: Int
  /// For each loop around the current step: where its rounds begin to reserve.
  private var rounds: [Int] = []
  private var exports: [Int: KernelMemory] = [:]
  private var codes: [Int: KernelCode] = [:]
  /// The numbers of the strings of this run.
  var strings = StringNumbering()

  /// Bytes that live as long as they are referenced; each 0xff at first.
  private final class TensorBytes {
    let bytes: UnsafeMutableRawBufferPointer
    init(_ count: Int) {
      bytes = .allocate(byteCount: max(count, 1), alignment: 64)
      bytes.initializeMemory(as: UInt8.self, repeating: 0xff)
    }
    deinit { bytes.deallocate() }
  }

  init(
    _ program: KernelProgram, _ inputs: [Tensor], _ symbols: [String: Int], arenaLimit: Int, _ observing: ((KernelProgram.Call, [Tensor]) -> Void)?
  ) throws(KernelError) {
    (self.program, self.inputs, self.symbols, self.observing) = (program, inputs, symbols, observing)
    let variant = program.variant(for: symbols)
    steps = variant?.steps ?? program.steps
    usedBytes = try Self.value(variant?.arenaBytes ?? program.arenaBytes, symbols, "the arena", program.name)
    arenaBytes = program.computedSymbols.isEmpty ? usedBytes : max(usedBytes, arenaLimit)
    arena = TensorBytes(arenaBytes)
    memory = Array(repeating: nil, count: program.buffers.count)
    note(steps)
    for (number, buffer) in program.buffers.enumerated() {
      // Other lengths use what is not touched here.
      if case .arena = buffer.placement, !touched.contains(number) { continue }
      if isKnown(buffer) { try place(number) }
    }
  }

  private mutating func note(_ steps: [KernelProgram.Step]) {
    for step in steps {
      let views = step.views(program.kernels)
      touched.formUnion((views.read + views.written).map(\.buffer))
      for body in step.bodies { note(body) }
    }
  }

  private static func value(_ extent: Extent, _ symbols: [String: Int], _ what: String, _ program: String) throws(KernelError) -> Int {
    guard let value = extent.evaluated(symbols), value >= 0 else {
      throw KernelError(kernel: program, message: "the size or place of \(what), \(extent), has no value for \(symbols)")
    }
    return value
  }

  private func value(_ extent: Extent, _ what: String) throws(KernelError) -> Int { try Self.value(extent, symbols, what, program.name) }
  private func fail(_ message: String) -> KernelError { KernelError(kernel: program.name, message: message) }
  private func failure(_ number: Int) -> KernelError { fail(program.failures.indices.contains(number) ? program.failures[number] : "failure \(number)") }

  // MARK: Memory

  private func isKnown(_ buffer: KernelProgram.ProgramBuffer) -> Bool {
    guard buffer.elementCount.symbols.allSatisfy({ symbols[$0] != nil }) else { return false }
    if case .arena(let offset?) = buffer.placement { return offset.symbols.allSatisfy { symbols[$0] != nil } }
    return true
  }

  /// Gives a buffer its memory; what it held is void.
  private mutating func place(_ number: Int) throws(KernelError) {
    let buffer = program.buffers[number]
    let count = try value(buffer.elementCount, buffer.name)
    let (byteCount, overflows) = count.multipliedReportingOverflow(by: buffer.element.byteCount)
    guard !overflows else { throw fail("buffer `\(buffer.name)` leaves 63 bits") }
    var base: UnsafeMutableRawPointer?
    var isWritable = false
    switch buffer.placement {
    case .input(let position):
      guard inputs.indices.contains(position), inputs[position].byteCount == byteCount else {
        throw fail("buffer `\(buffer.name)` of \(byteCount) bytes is input \(position)")
      }
      base = allocate(number, copying: inputs[position])
    case .constant(let position):
      guard program.constants.indices.contains(position), program.constants[position].tensor.byteCount == byteCount else {
        throw fail("buffer `\(buffer.name)` of \(byteCount) bytes is constant \(position)")
      }
      base = allocate(number, copying: program.constants[position].tensor)
    case .output(let position):
      guard program.outputs.indices.contains(position) else { throw fail("buffer `\(buffer.name)` is output \(position), which does not exist") }
      base = allocate(number, byteCount)
      isWritable = true
    case .arena(offset: nil):
      guard byteCount <= max(arenaBytes, 1 << 30) else { throw fail("buffer `\(buffer.name)` has \(byteCount) bytes") }
      base = allocate(number, byteCount)
      isWritable = true
    case .arena(offset: let offset?):
      let start = try value(offset, buffer.name)
      guard start <= usedBytes, byteCount <= usedBytes - start, start % buffer.element.byteCount == 0 else {
        throw fail("buffer `\(buffer.name)`, bytes \(start) to \(start + byteCount), leaves the arena of \(usedBytes)")
      }
      base = arena.bytes.baseAddress.map { $0 + start }
      isWritable = true
    }
    guard let base else { throw fail("no memory for buffer `\(buffer.name)`") }
    memory[number] = KernelMemory(name: buffer.name, element: buffer.element, count: count, base: base, isWritable: isWritable)
  }

  private mutating func allocate(_ number: Int, _ byteCount: Int) -> UnsafeMutableRawPointer? {
    let bytes = TensorBytes(byteCount)
    owned[number] = bytes
    return bytes.bytes.baseAddress
  }

  private mutating func allocate(_ number: Int, copying tensor: Tensor) -> UnsafeMutableRawPointer? {
    let base = allocate(number, tensor.byteCount)
    tensor.withBytes { if let from = $0.baseAddress { base?.copyMemory(from: from, byteCount: $0.count) } }
    return base
  }

  /// Gives values to symbols and new memory to the buffers whose size or place names them.
  private mutating func bind(_ values: [(symbol: String, value: Int)]) throws(KernelError) {
    for (symbol, value) in values { symbols[symbol] = value }
    for (number, buffer) in program.buffers.enumerated() where touched.contains(number) {
      var named = buffer.elementCount.symbols
      var isPlanned = false
      if case .arena(let offset?) = buffer.placement {
        named += offset.symbols
        isPlanned = true
      }
      guard named.contains(where: { name in values.contains { $0.symbol == name } }) else { continue }
      memory[number] = nil
      // A planned buffer waits for its region.
      let isRegion = values.contains { value in !program.computedSymbols.contains(value.symbol) }
      if isKnown(buffer), !isPlanned || isRegion { try place(number) }
    }
  }

  private mutating func reserve(_ region: KernelProgram.Region, at start: Int, failure number: Int) throws(KernelError) {
    guard let bytes = region.byteCount.evaluated(symbols), bytes >= 0, bytes <= arenaBytes - start else { throw failure(number) }
    usedBytes = start + bytes
    try bind([(region.symbol, start)])
  }

  private func memory(at view: KernelProgram.View, _ user: String) throws(KernelError) -> KernelMemory {
    guard memory.indices.contains(view.buffer), let whole = memory[view.buffer] else { throw KernelError(kernel: user, message: "touches buffer \(view.buffer), which has no memory yet") }
    let offset = try Self.value(view.elementOffset, symbols, "an argument", user)
    guard offset <= whole.count else { throw KernelError(kernel: user, message: "touches `\(whole.name)` of \(whole.count) elements from element \(offset) on") }
    return KernelMemory(name: whole.name, element: whole.element, count: whole.count - offset, base: whole.base + offset * whole.element.byteCount, isWritable: whole.isWritable)
  }

  // MARK: Steps

  mutating func run() throws(KernelError) { try run(steps) }

  private mutating func run(_ steps: [KernelProgram.Step]) throws(KernelError) { for step in steps { try run(step) } }

  private mutating func run(_ step: KernelProgram.Step) throws(KernelError) {
    switch step {
    case .call(let call): try run(call)
    case .loop(let symbol, let count, let body):
      let before = symbols[symbol]
      rounds.append(usedBytes)
      for index in 0..<(try value(count, "a loop")) {
        symbols[symbol] = index
        usedBytes = rounds.last ?? usedBytes
        try run(body)
      }
      rounds.removeLast()
      symbols[symbol] = before
    case .define(let names, let view, let number):
      let source = try memory(at: view, program.name)
      guard source.element == .i64, source.count >= names.count else { throw fail("\(names) are read from \(source.count) \(source.element.name)") }
      var values: [(String, Int)] = []
      for (position, name) in names.enumerated() { values.append((name, try length(Int(source.base.load(fromByteOffset: position * 8, as: Int64.self)), number))) }
      try bind(values)
    case .set(let symbol, let extent, let number): try bind([(symbol, try length(extent.evaluated(symbols), number))])
    case .require(let requirement, let extent, let number):
      guard let value = extent.evaluated(symbols), requirement == .zero ? value == 0 : value >= 0 else { throw failure(number) }
    case .branch(let view, let then, let otherwise): try run(try condition(view) ? then : otherwise)
    case .repeatWhile(let view, let symbol, let body):
      rounds.append(usedBytes)
      var round = 0
      try bind([(symbol, 0)])
      while try condition(view) {
        usedBytes = rounds.last ?? usedBytes
        try run(body)
        round += 1
        try bind([(symbol, round)])
      }
      rounds.removeLast()
    case .advance(let advance): try run(advance)
    case .text(let text): try run(text)
    case .export(let view, let output): exports[output] = try memory(at: view, program.name)
    case .reserve(let region, let number): try reserve(region, at: usedBytes, failure: number)
    }
  }

  private func length(_ value: Int?, _ number: Int) throws(KernelError) -> Int {
    guard let value, (0...KernelProgram.largestComputedValue).contains(value) else { throw failure(number) }
    return value
  }

  private func condition(_ view: KernelProgram.View) throws(KernelError) -> Bool {
    let place = try memory(at: view, program.name)
    guard place.element == .bool, place.count >= 1 else { throw fail("`\(place.name)` decides a step but is no bool") }
    return place.base.load(as: UInt8.self) != 0
  }

  private mutating func run(_ text: KernelProgram.TextCall) throws(KernelError) {
    let count = try value(text.count, "a text"), width = try value(text.width, "a text")
    var addresses: [UnsafeRawPointer] = []
    for (position, view) in text.arguments.enumerated() {
      let place = try memory(at: view, program.name)
      guard place.count >= count || text.function.readsPattern && position == 1 else { throw fail("`\(text.function)` leaves `\(place.name)`") }
      addresses.append(UnsafeRawPointer(place.base))
    }
    let target = try memory(at: text.result, program.name)
    guard target.isWritable, target.count >= count * width else { throw fail("`\(text.function)` leaves `\(target.name)`") }
    do throws(TextError) { try text.function.apply(addresses, target.base, count: count, width: width, strings: &strings) } catch { throw fail(error.message) }
  }

  private mutating func run(_ advance: KernelProgram.Advance) throws(KernelError) {
    var values: [(String, Int)] = []
    for binding in advance.bindings { values.append((binding.symbol, try length(binding.value.evaluated(symbols), advance.failure))) }
    var contents: [[UInt8]] = []
    for move in advance.moves {
      let source = try memory(at: move.from, program.name)
      let count = try value(move.elementCount, "a move")
      guard count <= source.count else { throw fail("a move takes \(count) elements of `\(source.name)`, which has \(source.count)") }
      contents.append(Array(UnsafeRawBufferPointer(start: source.base, count: count * source.element.byteCount)))
    }
    try bind(values)
    if let region = advance.region {
      guard let start = symbols[region.symbol] else { throw fail("`\(region.symbol)` is not reserved") }
      try reserve(region, at: start, failure: advance.failure)
      if !rounds.isEmpty { rounds[rounds.count - 1] = usedBytes }
    }
    for (move, bytes) in zip(advance.moves, contents) {
      let target = try memory(at: move.to, program.name)
      guard target.isWritable, bytes.count <= target.count * target.element.byteCount else { throw fail("a move leaves `\(target.name)`") }
      bytes.withUnsafeBytes { if let from = $0.baseAddress { target.base.copyMemory(from: from, byteCount: $0.count) } }
    }
  }

  private mutating func run(_ call: KernelProgram.Call) throws(KernelError) {
    guard program.kernels.indices.contains(call.kernel) else { throw fail("a call of kernel \(call.kernel), which does not exist") }
    let kernel = program.kernels[call.kernel]
    guard call.arguments.count == kernel.parameters.count, call.symbols.count == kernel.symbols.count else {
      throw KernelError(kernel: kernel.name, message: "is called with \(call.arguments.count) buffers and \(call.symbols.count) symbols")
    }
    let code: KernelCode
    if let known = codes[call.kernel] { code = known } else { code = try KernelCode(kernel) }
    codes[call.kernel] = code

    var buffers: [KernelMemory] = []
    for (argument, parameter) in zip(call.arguments, kernel.parameters) {
      let place = try memory(at: argument, kernel.name)
      guard place.element == parameter.element else {
        throw KernelError(kernel: kernel.name, message: "parameter `\(parameter.name)` of \(parameter.element.name) is given `\(place.name)` of \(place.element.name)")
      }
      buffers.append(
        KernelMemory(
          name: place.name == parameter.name ? place.name : "\(parameter.name) (\(place.name))", element: place.element, count: place.count, base: place.base,
          isWritable: place.isWritable))
    }
    var values: [String: Int] = [:]
    for (symbol, extent) in zip(kernel.symbols, call.symbols) {
      // A loop's symbol may be negative in an index; only sizes may not.
      guard let value = extent.evaluated(symbols) else { throw KernelError(kernel: kernel.name, message: "symbol `\(symbol)`, \(extent), has no value for \(symbols)") }
      values[symbol] = value
    }
    try code.run(buffers, symbols: values)
    observing?(call, buffers.map { Self.tensor($0, [$0.count]) })
  }

  // MARK: Results

  func outputs() throws(KernelError) -> [Tensor] {
    var results: [Tensor] = []
    for (number, port) in program.outputs.enumerated() {
      let place = exports[number] ?? program.buffers.firstIndex { $0.placement == .output(number) }.flatMap { memory[$0] }
      guard let place, let dimensions = port.type.shape.evaluated(symbols), let count = elementCount(of: dimensions),
        exports[number] == nil ? count == place.count : count <= place.count
      else { throw fail("output `\(port.name)` (\(port.type)) has no buffer of its size") }
      let result = Self.tensor(place, dimensions)
      results.append(result.element == .string ? result.referring(to: strings.table) : result)
    }
    return results
  }

  private static func tensor(_ memory: KernelMemory, _ dimensions: [Int]) -> Tensor {
    Tensor(memory.element, dimensions) { $0.copyMemory(from: UnsafeRawBufferPointer(start: memory.base, count: $0.count)) }
  }
}
