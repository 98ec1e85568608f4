import CRuntime
import Glibc
import KernelIR
import LLVMCodegen
import TensorTypes

/// A compiled program in executable memory.
final class Executor {
  let compiled: CompiledProgram
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int

  struct OutOfMemory: Error {}

  init(_ program: KernelProgram, for target: Target? = nil) throws {
    compiled = try compile(program, for: target ?? Target.host(), workers: 1)
    byteCount = (compiled.image.count + 4095) & ~4095
    guard let map = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), map != MAP_FAILED else { throw OutOfMemory() }
    base = map
    compiled.image.withUnsafeBytes { bytes in if let start = bytes.baseAddress { map.copyMemory(from: start, byteCount: bytes.count) } }
    guard mprotect(map, byteCount, PROT_READ | PROT_EXEC) == 0 else { throw OutOfMemory() }
  }

  deinit { munmap(base, byteCount) }

  /// Runs the entry point on copies of the inputs and gives the bytes of the outputs; each output starts as `fill`.
  ///
  /// Every buffer is followed by guard bytes, which must come back unchanged.
  func run(
    _ inputs: [[UInt8]], outputs: [Int], symbols: [Int] = [], constants: [UInt8] = [], arenaBytes: Int = 0, threads: Int = 1, profile: UnsafeMutablePointer<Int64>? = nil
  ) -> [[UInt8]] {
    let guardBytes = 64
    func block(_ bytes: [UInt8], _ count: Int) -> UnsafeMutableRawPointer {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: count + guardBytes, alignment: 64)
      memory.initializeMemory(as: UInt8.self, repeating: 0xa5, count: count + guardBytes)
      bytes.withUnsafeBytes { source in if let start = source.baseAddress { memory.copyMemory(from: start, byteCount: source.count) } }
      return memory
    }
    let inputBlocks = inputs.map { block($0, $0.count) }
    let outputBlocks = outputs.map { block([], $0) }
    let (constantBlock, arena) = (block(constants, constants.count), block([], arenaBytes))
    defer { for block in inputBlocks + outputBlocks + [constantBlock, arena] { block.deallocate() } }
    var context = ingot_context(
      parallel: { _, body, closure, count in
        // Two uneven ranges, out of order, as threads might do it.
        let cut = count / 3
        body?(closure, cut, count)
        body?(closure, 0, cut)
      }, pool: nil, threads: Int64(threads), profile: profile, arena_bytes: 0, arena_used: nil, text: nil, text_state: nil, stop: nil)
    var symbolValues = symbols.map(Int64.init) + [0]
    let inputPointers = inputBlocks.map { UnsafeRawPointer($0) as UnsafeRawPointer? } + [nil]
    var outputPointers = outputBlocks.map { $0 as UnsafeMutableRawPointer? } + [nil]
    let status = ingot_call(base + compiled.entryOffset, &context, inputPointers, &outputPointers, constantBlock, arena, &symbolValues)
    precondition(status == 0)
    for (block, count) in zip(outputBlocks, outputs) {
      precondition(UnsafeRawBufferPointer(start: block + count, count: guardBytes).allSatisfy { $0 == 0xa5 }, "the kernel wrote past the end of an output")
    }
    return zip(outputBlocks, outputs).map { Array(UnsafeRawBufferPointer(start: $0, count: $1)) }
  }
}

func bytes<Element>(_ values: [Element]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

func values<Element>(_ bytes: [UInt8], as type: Element.Type) -> [Element] {
  let count = bytes.count / MemoryLayout<Element>.stride
  return Array(unsafeUninitializedCapacity: count) { buffer, filled in
    bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<(count * MemoryLayout<Element>.stride)])) }
    filled = count
  }
}

/// A program of one call: parameters that are only read become inputs, the others outputs, in order.
func program(of kernel: Kernel) -> KernelProgram {
  var program = KernelProgram(name: "test", inputs: [], outputs: [], symbols: kernel.symbols)
  var (inputs, outputs) = (0, 0)
  var arguments: [KernelProgram.View] = []
  for (parameter, access) in zip(kernel.parameters, kernel.accesses) {
    let placement: KernelProgram.Placement = access == .read ? .input(inputs) : .output(outputs)
    if access == .read { inputs += 1 } else { outputs += 1 }
    program.buffers.append(.init(name: parameter.name, element: parameter.element, elementCount: 0, placement: placement))
    arguments.append(.init(program.buffers.count - 1))
  }
  let number = program.add(kernel)
  program.steps = [.call(.init(kernel: number, arguments: arguments, symbols: kernel.symbols.map { Extent(symbol: $0) }, origin: "test"))]
  return program
}

/// y[i] = f(x[i]) over a vectorized loop of `count` (nil: the symbol `n`).
func map(_ from: ElementType, _ to: ElementType, count: Int?, _ body: (Expression) -> Expression) -> Kernel {
  var builder = KernelBuilder()
  let x = builder.buffer("x", from, .read)
  let y = builder.buffer("y", to, .write)
  let upper = count.map { Expression.index($0) } ?? .extent(Extent(symbol: "n"))
  let loop = builder.loop("i", to: upper, .vectorized) { _, i in [.store(y, index: i, value: body(.load(x, i)))] }
  return builder.kernel("map", [loop])
}

/// y[i] = f(a[i], b[i]).
func map2(_ from: ElementType, _ to: ElementType, count: Int?, _ body: (Expression, Expression) -> Expression) -> Kernel {
  var builder = KernelBuilder()
  let a = builder.buffer("a", from, .read)
  let b = builder.buffer("b", from, .read)
  let y = builder.buffer("y", to, .write)
  let upper = count.map { Expression.index($0) } ?? .extent(Extent(symbol: "n"))
  let loop = builder.loop("i", to: upper, .vectorized) { _, i in [.store(y, index: i, value: body(.load(a, i), .load(b, i)))] }
  return builder.kernel("map2", [loop])
}

func run<Input, Output>(_ kernel: Kernel, _ inputs: [[Input]], as type: Output.Type, count: Int, symbols: [Int] = [], threads: Int = 1, target: Target? = nil) throws -> [Output] {
  let executor = try Executor(program(of: kernel), for: target)
  let results = executor.run(inputs.map { bytes($0) }, outputs: [count * MemoryLayout<Output>.stride], symbols: symbols, threads: threads)
  return values(results[0], as: type)
}
