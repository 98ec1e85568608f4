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
