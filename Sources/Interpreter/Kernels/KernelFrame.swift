import KernelIR
import TensorTypes

/// Part of memory that a kernel sees as one of its parameters.
struct KernelMemory {
  let name: String
  let element: ElementType
  let count: Int
  let base: UnsafeMutableRawPointer
  let isWritable: Bool
}

/// What one call of a kernel works on: its buffers, variables, locals, and the extents it mentions.
///
/// Scalars are kept as 64 bits of their lane type: `Double`, `Int64` or `UInt64`.
final class KernelFrame {
  let kernel: String
  let buffers: [KernelMemory]
  let extents: [Int64]
  private let variables: Scratch<UInt64>
  private let locals: Scratch<UInt64>
  private let isWritten: Scratch<Bool>
  /// Rounds of `while` loops that are left before one counts as endless.
  private var roundsLeft = 1 << 32

  init(kernel: String, buffers: [KernelMemory], extents: [Int64], variables: Int, locals: Int) {
    (self.kernel, self.buffers, self.extents) = (kernel, buffers, extents)
    self.variables = Scratch(variables, repeating: 0)
    self.locals = Scratch(locals, repeating: 0)
    isWritten = Scratch(locals, repeating: false)
  }

  func fail(_ message: String) -> KernelError { KernelError(kernel: kernel, message: message) }

  subscript(variable slot: Int) -> UInt64 {
    @inline(__always) get { variables[slot] }
    @inline(__always) set { variables[slot] = newValue }
  }

  func countRound() throws(KernelError) {
    roundsLeft -= 1
    if roundsLeft < 0 { throw fail("a `while` loop does not end") }
  }

  // MARK: Buffers

  @inline(__always) func checked(_ slot: Int, _ index: Int64, _ verb: String) throws(KernelError) -> Int {
    let buffer = buffers[slot]
    guard index >= 0, index < Int64(buffer.count) else { throw fail("\(verb) element \(index) of `\(buffer.name)`, which has \(buffer.count)") }
    return Int(index)
  }

  @inline(__always) func load<W: LaneScalar>(_ slot: Int, _ index: Int64) throws(KernelError) -> W {
    let position = try checked(slot, index, "loads")
    var value = W.zero
    W.load(buffers[slot].element, buffers[slot].base, at: position, count: 1, into: &value)
    return value
  }

  @inline(__always) func store<W: LaneScalar>(_ slot: Int, _ index: Int64, _ value: W) throws(KernelError) {
    let position = try checked(slot, index, "stores")
    guard buffers[slot].isWritable else { throw fail("stores to `\(buffers[slot].name)`, which is an input or a constant of the program") }
    var value = value
    W.store(&value, buffers[slot].element, buffers[slot].base, at: position, count: 1)
  }

  // MARK: Locals

  @inline(__always) func position(_ local: Local, at start: Int, _ index: Int64) throws(KernelError) -> Int {
    guard index >= 0, index < Int64(local.count) else { throw fail("uses element \(index) of local `\(local.name)`, which has \(local.count)") }
    return start + Int(index)
  }

  func read(_ local: Local, at start: Int, _ index: Int64) throws(KernelError) -> UInt64 {
    let position = try position(local, at: start, index)
    guard isWritten[position] else { throw fail("reads element \(index) of local `\(local.name)` before it is written") }
    return locals[position]
  }

  func write(_ local: Local, at start: Int, _ index: Int64, _ bits: UInt64) throws(KernelError) {
    let position = try position(local, at: start, index)
    locals[position] = bits
    isWritten[position] = true
  }

  func forget(_ start: Int, _ count: Int) {
    for position in start..<start + count { isWritten[position] = false }
  }
}
