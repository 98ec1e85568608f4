import KernelIR
import LLVMCodegen
import Testing
import TensorTypes

@Suite("programs") struct ProgramTests {
  /// y = x + 1 over 24 elements, twice over the arena, then times a constant.
  static func chain() throws -> KernelProgram {
    var program = KernelProgram(name: "chain", inputs: [], outputs: [], symbols: [])
    let tensor = Tensor(.f32, [24]) { bytes in for index in 0..<24 { bytes.storeBytes(of: Float(index), toByteOffset: 4 * index, as: Float.self) } }
    let small = Tensor(.u8, [3]) { $0[0] = 9 }
    program.constants = [.init(name: "small", tensor: small), .init(name: "weights", tensor: tensor)]
    program.buffers = [
      .init(name: "x", element: .f32, elementCount: 24, placement: .input(0)),
      .init(name: "t", element: .f32, elementCount: 24, placement: .arena(offset: 64)),
      .init(name: "w", element: .f32, elementCount: 24, placement: .constant(1)),
      .init(name: "y", element: .f32, elementCount: 24, placement: .output(0)),
    ]
    program.arenaBytes = 256
    let increment = program.add(map(.f32, .f32, count: 24) { .binary(.add, $0, .number(1, .f32)) })
    let again = program.add(map(.f32, .f32, count: 24) { .binary(.add, $0, .number(1, .f32)) })
    #expect(increment == again)
    let scale = program.add(map2(.f32, .f32, count: 24) { .binary(.multiply, $0, $1) })
    program.steps = [
      .call(.init(kernel: increment, arguments: [.init(0), .init(1)], symbols: [], origin: "a")),
      .call(.init(kernel: scale, arguments: [.init(1), .init(2), .init(3)], symbols: [], origin: "b")),
    ]
    return program
  }

  @Test func callsConstantsAndArena() throws {
    let executor = try Executor(Self.chain())
    #expect(executor.compiled.constantOffsets == [0, 64])
    #expect(executor.compiled.constantsByteCount == 64 + 96)
    var constants = [UInt8](repeating: 0, count: 160)
    constants.replaceSubrange(64..<160, with: bytes((0..<24).map { Float($0) }))
    let x = (0..<24).map { Float($0) - 10 }
    var counters: [Int64] = [0, 0]
    let expected = (0..<24).map { (x[$0] + 1) * Float($0) }
    #expect(values(executor.run([bytes(x)], outputs: [96], constants: constants, arenaBytes: 256)[0], as: Float.self) == expected)
    let measured = counters.withUnsafeMutableBufferPointer { executor.run([bytes(x)], outputs: [96], constants: constants, arenaBytes: 256, profile: $0.baseAddress) }
    #expect(values(measured[0], as: Float.self) == expected)
    #expect(counters.allSatisfy { $0 > 0 })
  }

  @Test func sameBytesForAnyNumberOfWorkers() throws {
    let program = try Self.chain()
    let target = try Target.host()
    let one = try compile(program, for: target, workers: 1)
    let four = try compile(program, for: target, workers: 4)
    #expect(one.image == four.image && one.entryOffset == four.entryOffset)
  }

  @Test func loopsOverStepsAndSymbols() throws {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .i64, .read)
    let y = builder.buffer("y", .i64, .write)
    let half = Extent(symbol: "n").floorDivided(by: 2)
    let kernel = builder.kernel(
      "step",
      [
        builder.loop("i", to: .extent(Extent(symbol: "n"))) { _, i in
          [.store(y, index: i, value: .binary(.add, .load(x, i), .extent(half * 10 + Extent(symbol: "t"))))]
        }
      ])
    var program = KernelProgram(name: "loop", inputs: [], outputs: [], symbols: ["n"])
    program.buffers = [
      .init(name: "x", element: .i64, elementCount: Extent(symbol: "n"), placement: .input(0)),
      .init(name: "y", element: .i64, elementCount: Extent(symbol: "n") * 3, placement: .output(0)),
    ]
    let number = program.add(kernel)
    let n = Extent(symbol: "n")
    program.steps = [
      .loop(
        symbol: "t", count: 3,
        body: [.call(.init(kernel: number, arguments: [.init(0), .init(1, offset: n * Extent(symbol: "t"))], symbols: [n, Extent(symbol: "t")], origin: "step"))])
    ]
    let executor = try Executor(program)
    let input: [Int64] = [1, 2, 3, 4, 5]
    let result = values(executor.run([bytes(input)], outputs: [15 * 8], symbols: [5])[0], as: Int64.self)
    #expect(result == (0..<3).flatMap { t in input.map { $0 + 20 + Int64(t) } })
  }

  @Test(arguments: [1, 2], [0, 1, 7, 100]) func parallelLoops(_ threads: Int, _ rows: Int) throws {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .f32, .read)
    let y = builder.buffer("y", .f32, .write)
    let factor = builder.variable("factor", .f32)
    let width = Extent(symbol: "width")
    let kernel = builder.kernel(
      "rows",
      [
        .bind(factor, .load(x, .index(0))),
        builder.loop("r", from: .index(2), to: .extent(Extent(symbol: "rows") * 3 + 2), by: 3, .parallel) { kb, r in
          [
            kb.loop("c", to: .extent(width), .vectorized) { _, c in
              let row = (r - .index(2)).dividedByIndex(.index(3))
              return [.store(y, index: row * .extent(width) + c, value: .binary(.multiply, .load(x, c), .variable(factor)))]
            }
          ]
        },
      ])
    let values = (0..<21).map { Float($0) + 2 }
    let result = try run(kernel, [values], as: Float.self, count: rows * 21, symbols: [rows, 21], threads: threads)
    #expect(result == (0..<rows * 21).map { values[$0 % 21] * 2 })
  }

  @Test func unknownTargetsAreNamed() {
    #expect(throws: CodegenError.self) { try Target(named: "pentium") }
    do { _ = try Target(named: "pentium") } catch { #expect("\(error)".contains("x86-64-v3") && "\(error)".contains("znver4")) }
  }

  @Test func targetsStateWhatTheyNeed() throws {
    let target = try Target(named: "x86-64-v3")
    #expect(target.vectorBytes == 32 && target.registerCount == 16 && !target.hasVNNI)
    #expect(target.features.contains("avx2") && !target.features.contains("avx512f"))
    let wide = try Target(named: "znver4")
    #expect(wide.hasVNNI && wide.hasBF16 && wide.vectorBytes == 64 && wide.features.contains("avx512bf16"))
    let assembly = try emitAssembly(program(of: map(.f32, .f32, count: nil) { .unary(.exponential, $0) }), for: target)
    #expect(assembly.contains("ymm") && !assembly.contains("zmm"))
  }

  @Test func stackIsLimited() throws {
    var builder = KernelBuilder()
    let y = builder.buffer("y", .f32, .write)
    let large = builder.local("large", .f32, count: 1 << 20)
    let kernel = builder.kernel("stack", [.allocate(large), .store(y, index: .index(0), value: .local(large, .index(0)))])
    #expect {
      try compile(program(of: kernel), for: Target.host())
    } throws: { error in
      if case .stack = (error as? CodegenError)?.problem { true } else { false }
    }
  }

  @Test func llvmTextIsReadable() throws {
    let text = try emitLLVM(Self.chain(), for: Target.host())
    #expect(text.contains("define") && text.contains("ingot_entry"))
  }
}
