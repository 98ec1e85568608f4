import CRuntime
import Glibc
import KernelIR
import LLVMCodegen
import TensorTypes

/// A program compiled in process, with its memory.
package final class CompiledFusion {
  package let compiled: CompiledProgram
  private let program: KernelProgram
  private let symbols: [String: Int]
  private let code: UnsafeMutableRawPointer
  private let codeBytes: Int
  private let constants: UnsafeMutableRawPointer
  private let arena: UnsafeMutableRawPointer
  private var outputs: [UnsafeMutableRawPointer] = []
  private var inputs: [UnsafeMutableRawPointer] = []
  private let pool: OpaquePointer?
  private let threads: Int

  package enum Failure: Error { case memory, input(Int) }

  /// - Parameter inputs: One tensor for each input of the program; copied.
  package init(_ program: KernelProgram, inputs: [Tensor], symbols: [String: Int] = [:], threads: Int = 1) throws {
    compiled = try compile(program, for: try Target.host(), workers: 1)
    self.program = program
    self.symbols = symbols
    self.threads = threads
    codeBytes = (compiled.image.count + 4095) & ~4095
    guard let map = mmap(nil, codeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), map != MAP_FAILED else { throw Failure.memory }
    compiled.image.withUnsafeBytes { bytes in if let start = bytes.baseAddress { map.copyMemory(from: start, byteCount: bytes.count) } }
    guard mprotect(map, codeBytes, PROT_READ | PROT_EXEC) == 0 else { throw Failure.memory }
    code = map
    constants = .allocate(byteCount: compiled.constantsByteCount + 64, alignment: 64)
    for (offset, constant) in zip(compiled.constantOffsets, program.constants) {
      let target = constants + offset
      constant.tensor.withBytes { bytes in if let start = bytes.baseAddress { target.copyMemory(from: start, byteCount: bytes.count) } }
    }
    arena = .allocate(byteCount: (program.arenaBytes.evaluated(symbols) ?? 0) + 64, alignment: 64)
    pool = threads > 1 ? ingot_pool_create(Int64(threads), 1_000_000) : nil
    for tensor in inputs {
      let copy = UnsafeMutableRawPointer.allocate(byteCount: tensor.byteCount + 64, alignment: 64)
      tensor.withBytes { bytes in if let start = bytes.baseAddress { copy.copyMemory(from: start, byteCount: bytes.count) } }
      self.inputs.append(copy)
    }
    for port in program.outputs {
      let count = (port.type.byteCount.evaluated(symbols) ?? 0) + 64
      let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
      memset(memory, 0xff, count)
      outputs.append(memory)
    }
  }

  deinit {
    munmap(code, codeBytes)
    constants.deallocate()
    arena.deallocate()
    for memory in inputs + outputs { memory.deallocate() }
    if let pool { ingot_pool_destroy(pool) }
  }

  package func run(rounds: Int = 1) {
    var context = ingot_context(parallel: ingot_parallel, pool: pool.map { UnsafeMutableRawPointer($0) }, threads: Int64(threads), profile: nil, arena_bytes: 0, arena_used: nil, text: nil, text_state: nil, stop: nil)
    var values = program.symbols.map { Int64(symbols[$0] ?? 0) } + [0]
    let ins = inputs.map { UnsafeRawPointer($0) as UnsafeRawPointer? } + [nil]
    var outs = outputs.map { $0 as UnsafeMutableRawPointer? } + [nil]
    for _ in 0..<rounds { _ = ingot_call(code + compiled.entryOffset, &context, ins, &outs, constants, arena, &values) }
  }

  /// The result of the last run.
  package func output(_ number: Int = 0) -> Tensor {
    let type = program.outputs[number].type
    let dimensions = type.shape.evaluated(symbols) ?? []
    return Tensor(type.element, dimensions) { bytes in
      bytes.copyMemory(from: UnsafeRawBufferPointer(start: self.outputs[number], count: bytes.count))
    }
  }
}
