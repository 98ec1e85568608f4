import KernelIR
import Passes
import TensorTypes
import Testing

@Suite("plan-memory") struct PlanMemoryTests {
  /// A chain of calls that read and write the given buffers. Sizes are elements of f32.
  private func program(_ sizes: [Extent], _ calls: [[Int]], symbols: [String] = []) -> KernelProgram {
    var program = KernelProgram(name: "test", inputs: [], outputs: [], symbols: symbols)
    for (number, size) in sizes.enumerated() { program.buffers.append(.init(name: "b\(number)", element: .f32, elementCount: size, placement: .arena(offset: nil))) }
    program.steps = calls.map { .call(.init(kernel: 0, arguments: $0.map { KernelProgram.View($0) }, symbols: [], origin: "")) }
    return program
  }

  /// No two buffers that are alive together share bytes, and all end inside the arena.
  private func check(_ planned: KernelProgram, _ calls: [[Int]], _ symbols: [String: Int] = [:]) throws {
    var places: [(range: Range<Int>, life: ClosedRange<Int>)] = []
    let arena = try #require(planned.arenaBytes.evaluated(symbols))
    for (number, buffer) in planned.buffers.enumerated() {
      guard case .arena(let offset?) = buffer.placement else { continue }
      let start = try #require(offset.evaluated(symbols)), size = try #require(buffer.byteCount.evaluated(symbols))
      #expect(start >= 0 && start % 64 == 0 && start + size <= arena)
      let steps = calls.indices.filter { calls[$0].contains(number) }
      let (first, last) = (try #require(steps.first), try #require(steps.last))
      for other in places where other.life.overlaps(first...last) { #expect(!other.range.overlaps(start..<start + size), "buffer \(number)") }
      places.append((start..<start + size, first...last))
    }
  }

  @Test func aChainNeedsTwoBuffers() throws {
    let calls = (0..<9).map { [$0, $0 + 1] }
    let planned = try #require(program(Array(repeating: 1024, count: 10), calls).planningMemory())
    #expect(planned.arenaBytes == 8192)
    #expect(planned.liveBytesBound() == 8192)
    try check(planned, calls)
  }

  @Test(arguments: 1...30) func isNearTheLowerBound(_ seed: Int) throws {
    // Layers with residuals of some lengths, as in convolutional networks.
    var state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15
    func random(_ range: ClosedRange<Int>) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return range.lowerBound + Int(state >> 33) % range.count
    }
    let count = 60
    let sizes = (0..<count).map { _ in Extent(16 * random(1...400)) }
    let calls = (1..<count).map { step -> [Int] in
      let residual = random(0...3) == 0 ? [max(0, step - random(2...6))] : []
      return [step - 1, step] + residual
    }
    let planned = try #require(program(sizes, calls).planningMemory())
    try check(planned, calls)
    let bound = try #require(planned.liveBytesBound()), arena = try #require(planned.arenaBytes.constant)
    #expect(arena >= bound && Double(arena) <= 1.08 * Double(bound), "\(arena) of \(bound)")
  }

  /// Sums of such sizes leave 63 bits.
  @Test func whatNoMachineHoldsIsRefused() {
    let planned = program([Extent(1 << 60), Extent(1 << 60), Extent(1 << 60)], [[0, 1], [1, 2]])
    #expect(planned.planningMemory() == nil)
    #expect(planned.liveBytesBound() == nil)
  }

  @Test func symbolicSizesShareTheirUnit() throws {
    let batch = Extent(symbol: "batch"), length = Extent(symbol: "length")
    let sizes: [Extent] = [batch * 64, batch * 128, batch * 32, batch * length * 16, batch * length * 16, 100, batch + 1]
    let calls = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]]
    let planned = try #require(program(sizes, calls, symbols: ["batch", "length"]).planningMemory())
    for symbols in [["batch": 1, "length": 1], ["batch": 7, "length": 3], ["batch": 32, "length": 128]] {
      try check(planned, calls, symbols)
      let bound = try #require(planned.liveBytesBound(symbols))
      #expect(try #require(planned.arenaBytes.evaluated(symbols)) >= bound)
    }
    // The three that grow with the batch alone lie in the bytes of the two that are alive together.
    #expect(planned.arenaBytes.evaluated(["batch": 1, "length": 0]).map { $0 <= 64 * 12 + 512 + 64 } ?? false)
  }

  @Test func aLoopKeepsWhatItTouchesAlive() throws {
    var looped = program([64, 64, 64], [[0, 1]])
    looped.steps.append(.loop(symbol: "%i", count: 4, body: program([], [[1, 2], [2, 1]]).steps))
    let planned = try #require(looped.planningMemory())
    #expect(planned.arenaBytes == 512)
    #expect(planned.liveBytesBound() == 512)
  }

  /// A program of calls `read -> written`.
  private func flow(_ sizes: [Extent], computed: [String] = [], symbols: [String] = []) -> KernelProgram {
    var program = program(sizes, [], symbols: symbols)
    program.computedSymbols = computed
    var builder = KernelBuilder()
    let (x, y) = (builder.buffer("x", .f32, .read), builder.buffer("y", .f32, .write))
    program.kernels = [builder.kernel("copy", [.store(y, index: .index(0), value: .load(x, .index(0)))])]
    return program
  }

  private func step(_ from: Int, _ to: Int) -> KernelProgram.Step { .call(.init(kernel: 0, arguments: [.init(from), .init(to)], symbols: [], origin: "")) }

  @Test func whatARoundWritesFirstLivesWithinTheRound() throws {
    // 0 is there before the loop and after it; 1 to 4 are a chain inside of each round.
    var looped = flow(Array(repeating: 64, count: 6))
    looped.steps = [step(5, 0), .loop(symbol: "%i", count: 4, body: [step(0, 1), step(1, 2), step(2, 3), step(3, 4), step(4, 0)]), step(0, 5)]
    let planned = try #require(looped.planningMemory())
    // 5, 0 and two of the chain at a time.
    #expect(planned.arenaBytes == Extent(4 * 256))
    // What a round reads before it writes lives on to the next one.
    looped.steps = [step(5, 0), .loop(symbol: "%i", count: 4, body: [step(1, 2), step(2, 3), step(3, 4), step(4, 1)]), step(0, 5)]
    #expect(try #require(looped.planningMemory()).arenaBytes == 5 * 256)
  }

  @Test func regionsFollowTheSymbolsOfTheirSizes() throws {
    let (a, b) = (Extent(symbol: "%a"), Extent(symbol: "%b"))
    var program = flow([16, a * 16, a * b * 16, b * 16, a * 16], computed: ["%a", "%b"])
    program.buffers.append(.init(name: "m", element: .i64, elementCount: 2, placement: .input(0)))
    let failure = program.addFailure("negative")
    program.steps = [
      .define(symbols: ["%a"], from: .init(5), failure: failure), .require(.nonNegative, 9 - a, failure: failure),
      step(0, 1), step(1, 4),
      .define(symbols: ["%b"], from: .init(5, offset: 1), failure: failure),
      step(4, 2), step(2, 3),
    ]
    try program.check()
    let planned = try #require(program.planningMemory())
    try planned.check()
    #expect(planned.arenaBytes == 64)
    let reservations = planned.steps.enumerated().compactMap { position, step -> (Int, KernelProgram.Region)? in
      if case .reserve(let region, _) = step { (position, region) } else { nil }
    }
    // Behind the condition on %a; behind %b.
    #expect(reservations.map(\.0) == [2, 6])
    #expect(reservations[0].1.byteCount == a * 128 && reservations[1].1.byteCount == a * b * 64 + b * 64)
    for (number, region) in [(1, 0), (4, 0), (2, 1), (3, 1)] {
      guard case .arena(let offset?) = planned.buffers[number].placement else { throw Missing() }
      #expect(offset.symbols.contains(reservations[region].1.symbol))
    }
    #expect(planned.liveBytesBound() == nil)
  }

  @Test func armsOfABranchReserveTheSameRegion() throws {
    let n = Extent(symbol: "%n")
    var program = flow([16, n], computed: ["%n"])
    program.buffers.append(.init(name: "c", element: .bool, elementCount: 1, placement: .input(0)))
    let failure = program.addFailure("negative")
    program.steps = [
      .branch(
        if: .init(2), then: [.set(symbol: "%n", to: 4, failure: failure), step(0, 1)], else: [.set(symbol: "%n", to: 7, failure: failure), step(0, 1)]),
      step(1, 0),
    ]
    try program.check()
    let planned = try #require(program.planningMemory())
    try planned.check()
    guard case .branch(_, let then, let otherwise) = planned.steps[0] else { throw Missing() }
    for arm in [then, otherwise] { if case .reserve = arm[1] {} else { Issue.record("no region") } }
  }

  @Test func staleSizesAreRefused() throws {
    // The buffer is touched before the round has bound its size.
    let n = Extent(symbol: "%n")
    var program = flow([16, n], computed: ["%n"])
    let failure = program.addFailure("negative")
    program.steps = [
      .set(symbol: "%n", to: 4, failure: failure), step(0, 1),
      .loop(symbol: "%i", count: 3, body: [step(1, 0), .set(symbol: "%n", to: 5, failure: failure)]),
    ]
    #expect(throws: KernelError.self) { try program.check() }
    program.steps[2] = .loop(symbol: "%i", count: 3, body: [.set(symbol: "%n", to: 5, failure: failure), step(0, 1), step(1, 0)])
    try program.check()
    // Not the last step; and not set right before the loop.
    let advance = KernelProgram.Step.advance(.init([.init("%n", to: n + 1)], moves: [], failure: failure))
    program.steps[2] = .loop(symbol: "%i", count: 3, body: [advance, step(1, 0)])
    #expect(throws: KernelError.self) { try program.check() }
    program.steps[2] = .loop(symbol: "%i", count: 3, body: [step(1, 0), advance])
    try program.check()
    program.steps[0] = .loop(symbol: "%j", count: 1, body: [])
    #expect(throws: KernelError.self) { try program.check() }
  }

  private struct Missing: Error {}

  @Test func constantsWithTheSameBytesAreStoredOnce() {
    var program = KernelProgram(name: "test", inputs: [], outputs: [], symbols: [])
    for (number, value) in [1.0, 2.0, 1.0, 1.0].enumerated() {
      let tensor = Tensor(.f32, [100]) { bytes in for place in 0..<100 { bytes.storeBytes(of: Float(value) + Float(place), toByteOffset: 4 * place, as: Float.self) } }
      program.constants.append(.init(name: "c\(number)", tensor: tensor))
      program.buffers.append(.init(name: "c\(number)", element: .f32, elementCount: 100, placement: .constant(number)))
    }
    let hasFound = program.shareConstants()
    #expect(hasFound)
    #expect(program.constants.count == 2)
    #expect(program.buffers.map(\.placement) == [.constant(0), .constant(1), .constant(0), .constant(0)])
    let findsMore = program.shareConstants()
    #expect(!findsMore)
  }
}
