import Testing
import TensorTypes

@Suite("Extent") struct ExtentTests {
  let n = Extent(symbol: "n")
  let m = Extent(symbol: "m")

  @Test func equalExpressionsHaveOneForm() {
    #expect(Extent(2) * (n + 1) == n + n + 2)
    #expect((n + m) * (n - m) == n * n - m * m)
    #expect(n - n == 0)
    #expect(n * m == m * n)
    #expect((n - n).constant == 0)
    #expect(n.symbol == "n")
    #expect((n + 0).symbol == "n")
    #expect((n * 2).symbol == nil)
    #expect((n * m + 1).symbols == ["m", "n"])
  }

  @Test func division() {
    #expect(Extent(7).floorDivided(by: 2) == 3)
    #expect(Extent(-7).floorDivided(by: 2) == -4)
    #expect(Extent(7).ceilDivided(by: 2) == 4)
    #expect(Extent(-7).modulo(2) == 1)
    #expect((n * 4).floorDivided(by: 2) == n * 2)
    #expect((n * m).floorDivided(by: m) == n)
    // What divides leaves the division.
    #expect((n * 2 + 1).floorDivided(by: 2) == n + Extent(1).floorDivided(by: 2))
    #expect((n * 4 + m).floorDivided(by: 2).description == "floordiv(m, 2) + 2*n")
    #expect((n * 4).modulo(2) == 0)
    #expect((n + m).dividedExactly(by: n) == nil)
    #expect((n * 2 + m * 2).dividedExactly(by: n + m) == 2)
    #expect(Extent(5).floorDivided(by: 0).isOverflow)
    #expect(Extent(5).modulo(0).isOverflow)
    #expect(Extent(Int.min).floorDivided(by: -1).isOverflow)
  }

  @Test func extremes() {
    #expect(Extent.maximum(n + 1, n) == n + 1)
    #expect(Extent.minimum(n + 1, n) == n)
    #expect(Extent.maximum(n, m) == Extent.maximum(m, n))
    #expect(Extent.maximum(n, 3).evaluated(["n": 2]) == 3)
    #expect(Extent.minimum(n, 3).evaluated(["n": 2]) == 2)
  }

  @Test func evaluation() {
    let extent = (n * n + 3).floorDivided(by: m) - 1
    #expect(extent.evaluated(["n": 4, "m": 5]) == 2)
    #expect(extent.evaluated(["n": 4]) == nil)
    #expect(extent.evaluated(["n": 4, "m": 0]) == nil)
    #expect((n * n).evaluated(["n": 1 << 40]) == nil)
    #expect(extent.substituting(["m": 2]).evaluated(["n": 5]) == 13)
    #expect(extent.substituting(["n": 5, "m": 2]) == 13)
    #expect(extent.substituting(["n": m]).symbols == ["m"])
  }

  @Test func overflowAbsorbs() {
    let huge = Extent(Int.max)
    #expect((huge + 1).isOverflow)
    #expect((huge * 2).isOverflow)
    #expect((huge * n * 2).isOverflow)
    #expect((Extent.overflow - Extent.overflow).isOverflow)
    #expect((Extent.overflow * 0).isOverflow)
    #expect(Extent.overflow.constant == nil)
    #expect(Extent.overflow.evaluated([:]) == nil)
    #expect(Extent(Int.max) - Extent(Int.max) == 0)
    #expect(!Extent(Int.min).description.isEmpty)
  }

  @Test func expressionsCannotGrowWithoutBound() {
    // Doubles in text at every step.
    var doubling = n
    for _ in 0..<200 { doubling = Extent.maximum(doubling * 2 + 1, doubling * m) }
    #expect(doubling.isOverflow)
    var nested = n
    for _ in 0..<1000 { nested = (nested + 1).floorDivided(by: 3) }
    #expect(nested.isOverflow)
    var product = Extent(1)
    for index in 0..<100 { product = product * (Extent(symbol: "a\(index)") + 1) }
    #expect(product.isOverflow)
  }

  @Test(arguments: [
    "0", "7", "-7", "n", "-n", "2*n", "n + 1", "2*m*n - 3*n + 5", "floordiv(n + 1, 2)", "mod(n, 4) - 1", "max(m, n + 2)", "min(4, n)",
    "floordiv(floordiv(n, 2) + m, 3)*m + 1", "'a b' + 2", "'it''s'", "'floordiv'", "'9lives'", "overflow", "unk__12*3", "x.y%z",
  ])
  func textReadsBack(_ text: String) throws {
    let extent = try #require(Extent(text: text))
    #expect(Extent(text: extent.description) == extent, "\(extent)")
  }

  @Test(arguments: ["", " ", "1 2", "n +", "* n", "(n", "n)", "floordiv(n)", "floordiv(n, 2", "'open", "''", "99999999999999999999", "n ! 2", "max n"])
  func wrongTextIsRefused(_ text: String) { #expect(Extent(text: text) == nil) }

  @Test func deepTextIsRefused() {
    #expect(Extent(text: String(repeating: "(", count: 100_000) + "n" + String(repeating: ")", count: 100_000)) == nil)
  }

  /// Arithmetic and evaluation agree, over a seeded set of expressions.
  @Test func arithmeticAgreesWithNumbers() throws {
    var state: UInt64 = 42
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for _ in 0..<2000 {
      let bindings = ["n": next(9), "m": next(9)]
      var (extent, value) = (Extent(next(9) - 4), 0)
      value = try #require(extent.constant)
      for _ in 0..<next(8) {
        let (operand, number) = [(n, bindings["n"] ?? 0), (m, bindings["m"] ?? 0), (Extent(3), 3), (Extent(-2), -2)][next(4)]
        switch next(6) {
        case 0: (extent, value) = (extent + operand, value + number)
        case 1: (extent, value) = (extent - operand, value - number)
        case 2: (extent, value) = (extent * operand, value * number)
        case 3: (extent, value) = (Extent.maximum(extent, operand), max(value, number))
        case 4: (extent, value) = (extent.modulo(3), ((value % 3) + 3) % 3)
        default: (extent, value) = (extent.floorDivided(by: 2), value >> 1)
        }
      }
      #expect(extent.evaluated(bindings) == value, "\(extent) with \(bindings)")
      #expect(Extent(text: extent.description) == extent)
      #expect(extent.substituting(bindings.mapValues { Extent($0) }).constant == value)
    }
  }
}

@Suite("Shape") struct ShapeTests {
  let n = Extent(symbol: "n")

  @Test func countsAndBroadcasts() {
    #expect(Shape([2, 3, 4]).elementCount == 24)
    #expect(Shape([n, 3]).elementCount == n * 3)
    #expect(Shape([n, 1, 3]).broadcast(with: [5, 1]) == [n, 5, 3])
    #expect(Shape([2, 3]).broadcast(with: [4, 3]) == nil)
    #expect(Shape([n]).broadcast(with: [4]) == [4])
    #expect(Shape([n, 2]).evaluated(["n": -1]) == nil)
    #expect(Shape([n, 2]).evaluated(["n": 3]) == [3, 2])
    #expect(TensorType(.f16, [n, 2]).byteCount == n * 4)
    #expect("\(TensorType(.bf16, [n + 1, 2]))" == "bf16[n + 1,2]")
  }

  @Test func concreteCounts() {
    #expect(elementCount(of: []) == 1)
    #expect(elementCount(of: [0, 5]) == 0)
    #expect(elementCount(of: [-1]) == nil)
    #expect(elementCount(of: [1 << 40, 1 << 40]) == nil)
    #expect(elementCount(of: [0, -1]) == nil)
    #expect(elementCount(of: [0, 1 << 40, 1 << 40]) == nil && elementCount(of: [1 << 40, 1 << 40, 0]) == nil)
  }
}
