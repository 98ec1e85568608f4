import Passes
import TensorTypes
import Testing

@Suite("observers") struct ObserverTests {
  private func tensor(_ values: [Double]) -> Tensor { Tensor(.f32, [values.count], values) }

  /// Normal numbers by Box and Muller, the same on every machine.
  private func normal(_ count: Int, seed: UInt64) -> [Double] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in
      // The sum of twelve uniform numbers has variance 1.
      (0..<12).reduce(-6.0) { sum, _ in sum + Double(generator.next() >> 11) * 0x1p-53 }
    }
  }

  private func range(_ kind: ObserverKind, _ samples: [[Double]]) throws -> ValueRange {
    var observer = kind.makeObserver()
    for sample in samples { observer.observe(tensor(sample)) }
    return try #require(observer.range)
  }

  /// The average squared error of numbers that 256 steps over a range stand for.
  private func error(_ range: ValueRange, _ values: [Double]) -> Double {
    let scale = ByteScale(covering: range)
    return values.reduce(0) { $0 + ($1 - scale.rounded($1)) * ($1 - scale.rounded($1)) } / Double(values.count)
  }

  @Test(arguments: ObserverKind.allCases) func seesNothingInNothing(_ kind: ObserverKind) {
    var observer = kind.makeObserver()
    observer.observe(tensor([]))
    observer.observe(tensor([.nan, .infinity]))
    #expect(observer.range == nil)
  }

  @Test(arguments: ObserverKind.allCases) func coversOneNumberAndZero(_ kind: ObserverKind) throws {
    let range = try range(kind, [[3, 3, 3]])
    #expect(range.lower == 0 && range.upper >= 2.9 && range.upper <= 3.001)
  }

  @Test(arguments: ObserverKind.allCases) func ignoresWhatIsNoNumber(_ kind: ObserverKind) throws {
    let range = try range(kind, [[.nan, -1, .infinity, 1, -.infinity] + [Double](repeating: 0.5, count: 40)])
    #expect(range.lower >= -1 && range.upper <= 1)
  }

  @Test func theExtremesAreThoseOfAllSamples() throws {
    #expect(try range(.minmax, [[-1, 2], [0.5, 5], [-3, 0]]) == ValueRange(-3, 5))
  }

  @Test func theMovingAverageLiesBetween() throws {
    let range = try range(.movingAverage, [[0, 1]] + [[Double]](repeating: [0, 2], count: 9))
    #expect(range.lower == 0 && range.upper > 1.5 && range.upper < 2)
    #expect(abs(try self.range(.movingAverage, [[-1, 4]]).upper - 4) < 1e-12)
  }

  @Test func thePercentileCutsOutliers() throws {
    let uniform = (0..<100_000).map { Double($0) / 100_000 }
    let range = try range(.percentile, [uniform + [1000, -1000]])
    #expect(range.upper > 0.98 && range.upper < 1.6 && range.lower > -0.6)
  }

  @Test func entropyCutsALongTailAndKeepsTheBody() throws {
    let values = normal(50_000, seed: 1) + [60]
    let range = try range(.entropy, [values])
    #expect(range.upper > 2.5 && range.upper < 30)
    #expect(range.lower < -2.5)
  }

  @Test func squaredErrorBeatsTheExtremesOnOutliers() throws {
    // Cubes have long tails.
    let values = normal(50_000, seed: 2).map { $0 * $0 * $0 }
    let (learned, all) = (try range(.mse, [values]), try range(.minmax, [values]))
    #expect(error(learned, values) < error(all, values) * 0.95)
    // On uniform numbers there is nothing to gain by cutting.
    let uniform = (0..<10_000).map { Double($0) / 10_000 }
    #expect(try range(.mse, [uniform]).upper > 0.97)
  }

  @Test func theOrderOfSamplesDoesNotMatterToHistograms() throws {
    let samples = (0..<6).map { seed in normal(2000, seed: UInt64(seed)).map { $0 * Double(seed + 1) } }
    for kind in [ObserverKind.percentile, .entropy, .mse] {
      let (forth, back) = (try range(kind, samples), try range(kind, samples.reversed()))
      #expect(abs(forth.upper - back.upper) <= 0.05 * forth.upper && abs(forth.lower - back.lower) <= 0.05 * -forth.lower, "\(kind.rawValue)")
    }
  }

  @Test func aHistogramGrowsWithoutLosingNumbers() {
    var histogram = GrowingHistogram()
    for exponent in 0..<40 { histogram.add(tensor([Double(1 << exponent), -Double(1 << exponent) * 0.75, 0])) }
    #expect(histogram.total == 120 && histogram.counts.reduce(0, +) == 120)
    #expect(histogram.counts.count <= GrowingHistogram.mostBins)
    // Zero is an edge: one bin ends there and the next begins.
    #expect((0...histogram.counts.count).contains { histogram.edge($0) == 0 })
    #expect(histogram.extremes?.upper == Double(1 << 39))
  }

  @Test func bytesHoldZeroExactly() {
    for range in [ValueRange(-1, 1), ValueRange(0, 6), ValueRange(-0.3, 0), ValueRange(0, 0), ValueRange(-1e-40, 1e-42)] {
      #expect(ByteScale(covering: range).rounded(0) == 0)
    }
    #expect(ByteScale(covering: ValueRange(0, 6)).zero == 0)
    #expect(abs(ByteScale(covering: ValueRange(0, 6)).rounded(6) - 6) < 1e-6)
  }
}
