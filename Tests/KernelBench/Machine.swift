import CRuntime
import Glibc
import KernelIR
import LLVMCodegen
import TensorTypes

/// Executable memory with a compiled program in it.
struct Machine: ~Copyable {
  let program: CompiledProgram
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int

  init(_ program: KernelProgram, _ target: Target) throws {
    let compiled = try compile(program, for: target, workers: 1)
    let size = (compiled.image.count + 4095) & ~4095
    guard let map = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), map != MAP_FAILED else { throw Failure.memory }
    compiled.image.withUnsafeBytes { bytes in if let start = bytes.baseAddress { map.copyMemory(from: start, byteCount: bytes.count) } }
    guard mprotect(map, size, PROT_READ | PROT_EXEC) == 0 else { throw Failure.memory }
    (self.program, base, byteCount) = (compiled, map, size)
  }

  deinit { munmap(base, byteCount) }

  enum Failure: Error { case memory, wrongResult(String) }

  func run(inputs: [UnsafeRawPointer?], outputs: [UnsafeMutableRawPointer?], rounds: Int) {
    var context = ingot_context(parallel: ingot_parallel, pool: nil, threads: 1, profile: nil, arena_bytes: 0, arena_used: nil, text: nil, text_state: nil, stop: nil)
    var symbols: [Int64] = [0]
    var outputs = outputs
    for _ in 0..<rounds { _ = ingot_call(base + program.entryOffset, &context, inputs, &outputs, nil, nil, &symbols) }
  }
}

/// A program of one kernel: read parameters are inputs, the others outputs, in order.
func program(of kernel: Kernel, counts: [Int]) -> KernelProgram {
  var program = KernelProgram(name: "bench", inputs: [], outputs: [], symbols: [])
  var (inputs, outputs) = (0, 0)
  var arguments: [KernelProgram.View] = []
  for (parameter, access) in zip(kernel.parameters, kernel.accesses) {
    let placement: KernelProgram.Placement = access == .read ? .input(inputs) : .output(outputs)
    if access == .read { inputs += 1 } else { outputs += 1 }
    program.buffers.append(.init(name: parameter.name, element: parameter.element, elementCount: Extent(counts[parameter.slot]), placement: placement))
    arguments.append(.init(program.buffers.count - 1))
  }
  let number = program.add(kernel)
  program.steps = [.call(.init(kernel: number, arguments: arguments, symbols: [], origin: kernel.name))]
  return program
}

/// 64-byte aligned floats from a small generator.
func floats(_ count: Int, seed: UInt64) -> UnsafeMutablePointer<Float> {
  let raw = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * 4, alignment: 64).bindMemory(to: Float.self, capacity: count)
  var state = seed
  for index in 0..<count {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    raw[index] = Float(Int32(truncatingIfNeeded: state >> 33) % 1000) / 1000
  }
  return raw
}

/// Seconds of the fastest of several runs of `body`, each about 30 ms.
func fastest(_ body: (Int) -> Void) -> Double {
  body(1)
  var rounds = 1
  while true {
    let start = ingot_nanoseconds()
    body(rounds)
    if ingot_nanoseconds() - start > 20_000_000 { break }
    rounds *= 2
  }
  var best = Double.infinity
  for _ in 0..<15 {
    let start = ingot_nanoseconds()
    body(rounds)
    best = min(best, Double(ingot_nanoseconds() - start) / Double(rounds))
  }
  return best * 1e-9
}
