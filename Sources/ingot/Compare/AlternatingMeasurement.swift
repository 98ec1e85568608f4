import Runtime

/// Measures several things by turns, in short slices: what disturbs the machine for a while disturbs all of them.
struct AlternatingMeasurement {
  /// One thing that is measured.
  struct Lane {
    /// One run.
    var run: () throws(RunError) -> Void
    /// Seconds of runs, in the order in which they were measured.
    var samples: [Double] = []
    /// The median of each slice; as many as rounds.
    var slices: [Double] = []
    var runsPerSample = 1
    var failure: RunError?

    init(_ run: @escaping () throws(RunError) -> Void) { self.run = run }

    var result: Benchmark.Result { Benchmark.Result(samples: samples.sorted(), runsPerSample: runsPerSample) }
  }

  /// How many times less time one takes than another, slice by slice of the same round.
  struct Ratio: Sendable, Hashable {
    var median: Double
    /// The middle half of the rounds; of fewer than `fewestForQuartiles` all of them, as a quarter of so few says nothing.
    var lower: Double
    var upper: Double
    var rounds: Int

    static let one = Ratio(median: 1, lower: 1, upper: 1, rounds: 0)
    static let fewestForQuartiles = 8

    init(median: Double, lower: Double, upper: Double, rounds: Int) { (self.median, self.lower, self.upper, self.rounds) = (median, lower, upper, rounds) }

    /// Whether the rounds leave it open which is faster.
    var isWithinNoise: Bool { lower <= 1 && upper >= 1 || abs(median - 1) < 0.002 }

    init?(_ reference: [Double], over slices: [Double]) {
      let ratios = zip(reference, slices).filter { $1 > 0 }.map { $0 / $1 }.sorted()
      guard !ratios.isEmpty else { return nil }
      let quartiles = Benchmark.Result(samples: ratios, runsPerSample: 1)
      let isFew = ratios.count < Self.fewestForQuartiles
      self.init(median: quartiles.median, lower: isFew ? ratios[0] : quartiles.quantile(0.25), upper: isFew ? ratios[ratios.count - 1] : quartiles.quantile(0.75), rounds: ratios.count)
    }
  }

  private static let shortestSample = 20e-6
  private static let shortestSlice = 0.01
  private static let rounds = 3...31

  /// - Parameters:
  ///   - seconds: For all of them together; more if three rounds of one run each take longer.
  ///   - progress: Called after every round with how many there were, of how many.
  static func run(_ lanes: inout [Lane], seconds: Double, progress: (Int, Int) -> Void) {
    let clock = ContinuousClock()
    func time(_ body: () throws(RunError) -> Void) throws(RunError) -> Double {
      let start = clock.now
      try body()
      return (clock.now - start).seconds
    }
    var typical: [Double] = []
    for index in lanes.indices {
      do throws(RunError) {
        let first = try time(lanes[index].run), second = try time(lanes[index].run)
        typical.append(min(first, second))
        lanes[index].runsPerSample = max(1, Int(clamping: (shortestSample / max(min(first, second), 1e-9)).rounded(.up)))
      } catch {
        lanes[index].failure = error
        typical.append(0)
      }
    }
    let shortest = typical.reduce(0) { $0 + max(2 * $1, shortestSlice) }
    let rounds = min(max(Int(clamping: seconds / max(shortest, 1e-9)), Self.rounds.lowerBound), Self.rounds.upperBound)
    let count = lanes.count
    let slice = seconds / Double(rounds * max(count, 1))
    for round in 0..<rounds {
      for position in 0..<count {
        // Each begins once, and each follows another one than in the round before.
        let turn = round % 2 == 0 ? position : count - 1 - position
        let index = (turn + round) % count
        guard lanes[index].failure == nil else { continue }
        do throws(RunError) {
          let repeats = lanes[index].runsPerSample
          let body = lanes[index].run
          // What the others left in the caches goes.
          let warming = try time(body)
          var own: [Double] = []
          let end = clock.now + .seconds(max(0, slice - warming))
          repeat {
            own.append(try time { () throws(RunError) in for _ in 0..<repeats { try body() } } / Double(repeats))
          } while clock.now < end
          lanes[index].samples += own
          lanes[index].slices.append(Benchmark.Result(samples: own.sorted(), runsPerSample: 1).median)
        } catch { lanes[index].failure = error }
      }
      progress(round + 1, rounds)
    }
  }
}
