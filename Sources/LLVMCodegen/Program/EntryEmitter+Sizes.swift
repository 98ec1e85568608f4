internal import CLLVM
import KernelIR
import TensorTypes

/// Steps that find sizes, check them and reserve memory. Nothing of what they compute may wrap: a size that leaves 64 bits fails the run
/// before any kernel sees it.
extension EntryEmitter {
  /// The value of an extent over the symbols of the program, of loops and of what is bound here. Its parts were checked when they were bound.
  func value(of extent: Extent, _ symbols: [String: IRValue]) throws(CodegenError) -> IRValue { try b.emit(extent, current(extent, symbols)) }

  func checkedValue(of extent: Extent, _ symbols: [String: IRValue]) throws(CodegenError) -> (value: IRValue, isOutside: IRValue) {
    try b.emitChecked(extent, current(extent, symbols))
  }

  private func current(_ extent: Extent, _ symbols: [String: IRValue]) -> [String: IRValue] {
    if program.computedSymbols.isEmpty { return symbols }
    var symbols = symbols
    for name in extent.symbols { if let value = slots.value(name) { symbols[name] = value } }
    return symbols
  }

  /// Returns `failure` if the condition holds, else goes on.
  func fail(_ failure: Int, if condition: IRValue) {
    let (stop, next) = (b.block("fail"), b.block("sound"))
    b.branch(if: condition, to: stop, else: next)
    b.position(atEndOf: stop)
    LLVMBuildRet(b.raw, b.integer(1 + failure, b.i32).raw)
    b.position(atEndOf: next)
  }

  /// Returns `ingot_stopped` if another thread has asked for it. A volatile load: the word changes while the loop runs.
  func returnIfStopped() {
    let word = b.load(b.pointer, b.element(b.parameter(0), b.i64, at: Self.stopField), alignment: 8)
    let (look, stop, next) = (b.block("look"), b.block("stop"), b.block("go.on"))
    b.branch(if: b.compare(LLVMIntEQ, word, b.null), to: next, else: look)
    b.position(atEndOf: look)
    let value = b.load(b.i64, word, alignment: 8)
    LLVMSetVolatile(value.raw, 1)
    b.branch(if: b.compare(LLVMIntNE, value, 0), to: stop, else: next)
    b.position(atEndOf: stop)
    LLVMBuildRet(b.raw, b.integer(Self.stopped, b.i32).raw)
    b.position(atEndOf: next)
  }

  /// Where `stop` is in the context, in words.
  private static var stopField: Int { 8 }
  /// `ingot_stopped` of the C interface.
  private static var stopped: Int { -1 }

  /// True for a value below 0, or above the largest that a computed symbol may have.
  func isNoLength(_ value: IRValue) -> IRValue { b.compare(LLVMIntUGT, value, KernelProgram.largestComputedValue) }

  func emitDefinition(of names: [String], at address: IRValue, failure: Int) throws(CodegenError) {
    var isBad = b.integer(0, b.i1)
    for (position, name) in names.enumerated() {
      let value = b.load(b.i64, b.element(address, b.i64, at: position), alignment: 8)
      slots.bind(name, to: value)
      isBad = b.or(isBad, isNoLength(value))
    }
    fail(failure, if: isBad)
  }

  func emitRequirement(_ requirement: KernelProgram.Requirement, _ extent: Extent, _ symbols: [String: IRValue], failure: Int) throws(CodegenError) {
    let (value, isOutside) = try checkedValue(of: extent, symbols)
    let isBroken = switch requirement {
    case .zero: b.compare(LLVMIntNE, value, 0)
    case .nonNegative: b.compare(LLVMIntSLT, value, b.index(0))
    }
    fail(failure, if: b.or(isOutside, isBroken))
  }

  // MARK: Memory

  func emitReservation(of region: KernelProgram.Region, _ symbols: [String: IRValue], failure: Int) throws(CodegenError) {
    slots.bind(region.symbol, to: slots.used)
    try use(region.byteCount, from: slots.used, symbols, failure: failure)
  }

  /// Marks bytes of the arena as in use, or fails.
  private func use(_ byteCount: Extent, from start: IRValue, _ symbols: [String: IRValue], failure: Int) throws(CodegenError) {
    let (bytes, isOutside) = try checkedValue(of: byteCount, symbols)
    let end = b.withOverflow("llvm.sadd.with.overflow", start, bytes)
    let isNegative = b.compare(LLVMIntSLT, bytes, b.index(0))
    let limit = b.load(b.i64, b.element(b.parameter(0), b.i64, at: 4), alignment: 8)
    fail(failure, if: b.or(b.or(isOutside, end.overflows), b.or(isNegative, b.compare(LLVMIntSGT, end.value, limit))))
    slots.used = end.value
    let most = b.load(b.pointer, b.element(b.parameter(0), b.i64, at: 5), alignment: 8)
    b.store(b.smax(b.load(b.i64, most, alignment: 8), end.value), most, alignment: 8)
  }

  /// New values for carried symbols, then the bytes that the next round reads.
  mutating func emit(_ advance: KernelProgram.Advance, _ symbols: [String: IRValue], _ ports: [KernelProgram.Placement: IRValue]) throws(CodegenError) {
    var values: [IRValue] = []
    var isBad = b.integer(0, b.i1)
    for binding in advance.bindings {
      let (value, isOutside) = try checkedValue(of: binding.value, symbols)
      values.append(value)
      isBad = b.or(isBad, b.or(isOutside, isNoLength(value)))
    }
    var blocks: [MovedBlock] = []
    for move in advance.moves {
      guard program.buffers.indices.contains(move.from.buffer) else { throw CodegenError(.malformed("a move names buffer \(move.from.buffer), which does not exist")) }
      let bytes = b.mul(try value(of: move.elementCount, symbols), program.buffers[move.from.buffer].element.byteCount)
      blocks.append(MovedBlock(source: try address(of: move.from, symbols, ports), byteCount: bytes))
    }
    for (binding, value) in zip(advance.bindings, values) { slots.bind(binding.symbol, to: value) }
    fail(advance.failure, if: isBad)
    let used = slots.used
    if let region = advance.region {
      try use(region.byteCount, from: try value(of: Extent(symbol: region.symbol), symbols), symbols, failure: advance.failure)
      slots.keepForNextRound()
    }
    for (position, move) in advance.moves.enumerated() { blocks[position].target = try address(of: move.to, symbols, ports) }
    try emitMoves(blocks, behind: used, failure: advance.failure)
  }

  private struct MovedBlock {
    var source: IRValue
    var byteCount: IRValue
    var target: IRValue

    init(source: IRValue, byteCount: IRValue) { (self.source, self.byteCount, target) = (source, byteCount, source) }
  }

  /// Moves blocks one after the other. If a target lies over the source of a later one, all go through the memory behind what is in use.
  private func emitMoves(_ blocks: [MovedBlock], behind used: IRValue, failure: Int) throws(CodegenError) {
    guard blocks.count > 1 else {
      for block in blocks { move(block.source, to: block.target, block.byteCount) }
      return
    }
    var isMixed = b.integer(0, b.i1)
    func number(_ pointer: IRValue) -> IRValue { b.cast(LLVMPtrToInt, pointer, to: b.i64) }
    for (position, block) in blocks.enumerated() {
      for later in blocks[(position + 1)...] {
        let startsBefore = b.compare(LLVMIntULT, number(later.source), b.add(number(block.target), block.byteCount))
        let endsBehind = b.compare(LLVMIntULT, number(block.target), b.add(number(later.source), later.byteCount))
        isMixed = b.or(isMixed, b.and(startsBefore, endsBehind))
      }
    }
    let (staged, direct, exit) = (b.block("staged"), b.block("direct"), b.block("moved"))
    b.branch(if: isMixed, to: staged, else: direct)
    b.position(atEndOf: direct)
    for block in blocks { move(block.source, to: block.target, block.byteCount) }
    b.branch(to: exit)
    b.position(atEndOf: staged)
    var place = b.smax(used, slots.used)
    var places: [IRValue] = []
    for block in blocks {
      places.append(b.offset(b.parameter(4), bytes: place))
      place = b.add(place, b.and(b.add(block.byteCount, 63), -64))
    }
    // Each block lies in the arena already: their sum cannot wrap.
    let limit = b.load(b.i64, b.element(b.parameter(0), b.i64, at: 4), alignment: 8)
    fail(failure, if: b.compare(LLVMIntSGT, place, limit))
    for (block, place) in zip(blocks, places) { move(block.source, to: place, block.byteCount) }
    for (block, place) in zip(blocks, places) { move(place, to: block.target, block.byteCount) }
    b.branch(to: exit)
    b.position(atEndOf: exit)
  }

  private func move(_ source: IRValue, to target: IRValue, _ byteCount: IRValue) {
    LLVMBuildMemMove(b.raw, target.raw, 1, source.raw, 1, byteCount.raw)
  }
}
