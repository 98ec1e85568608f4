internal import CRuntime

/// Measures how long something takes, in the same way for the compiler's `bench` and the artifact's.
public struct Benchmark: Sendable {
  public enum Length: Sendable, Hashable { case seconds(Double), iterations(Int) }

  /// Runs before measuring begins: caches, page tables and clock frequency settle.
  public var warmUpSeconds: Double
  public var length: Length

  public init(length: Length = .seconds(2), warmUpSeconds: Double = 0.3) {
    self.length = length
    self.warmUpSeconds = warmUpSeconds
  }

  public struct Result: Sendable, Hashable {
    /// Seconds per run, sorted. Runs below 20 microseconds are timed several at once; a sample is then their mean.
    public var samples: [Double]
    public var runsPerSample: Int

    public init(samples: [Double], runsPerSample: Int) {
      self.samples = samples
      self.runsPerSample = runsPerSample
    }

    public var median: Double { quantile(0.5) }
    public var p99: Double { quantile(0.99) }
    public var minimum: Double { samples.first ?? 0 }
    public var mean: Double { samples.isEmpty ? 0 : samples.reduce(0, +) / Double(samples.count) }
    /// Interquartile range over median: above 0.05 the machine was not quiet.
    public var spread: Double { median > 0 ? (quantile(0.75) - quantile(0.25)) / median : 0 }

    /// Linear interpolation between the two nearest samples.
    public func quantile(_ q: Double) -> Double {
      guard let last = samples.last else { return 0 }
      let position = q * Double(samples.count - 1)
      let index = Int(clamping: position)
      guard index + 1 < samples.count else { return last }
      return samples[index] + (samples[index + 1] - samples[index]) * (position - Double(index))
    }
  }

  /// - Parameter body: One run. It should allocate nothing that the measured thing does not need.
  public func run<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure) -> Result {
    let shortestSample = 20_000.0
    let warmUpEnd = ingot_nanoseconds() + Int64(warmUpSeconds * 1e9)
    var fastest = Double.infinity
    repeat {
      let start = ingot_nanoseconds()
      try body()
      fastest = min(fastest, Double(ingot_nanoseconds() - start))
    } while ingot_nanoseconds() < warmUpEnd

    let runsPerSample = max(1, Int(clamping: (shortestSample / max(fastest, 1)).rounded(.up)))
    var samples: [Double] = []
    samples.reserveCapacity(1 << 16)
    let begin = ingot_nanoseconds()
    func isDone() -> Bool {
      switch length {
      case .iterations(let count): samples.count * runsPerSample >= count
      case .seconds(let seconds): Double(ingot_nanoseconds() - begin) >= seconds * 1e9
      }
    }
    repeat {
      let start = ingot_nanoseconds()
      for _ in 0..<runsPerSample { try body() }
      samples.append(Double(ingot_nanoseconds() - start) / Double(runsPerSample) / 1e9)
    } while !isDone()
    samples.sort()
    return Result(samples: samples, runsPerSample: runsPerSample)
  }
}

/// What the machine can do at most, measured, for putting a result into relation.
public enum MachineLimits {
  /// Bytes per second that all threads together read from memory.
  ///
  /// - Parameter byteCount: Well above the caches.
  public static func memoryBandwidth(threads: Int, byteCount: Int = 256 << 20) throws(RunError) -> Double {
    var memory = Arena()
    try memory.grow(to: byteCount)
    memory.base.initializeMemory(as: UInt8.self, repeating: 1, count: byteCount)
    let pool = ThreadPool(threads: threads)
    // An address as a number: the loop only reads what was written above.
    let address = UInt(bitPattern: memory.base)
    var best = 0.0
    for _ in 0..<5 {
      let start = ingot_nanoseconds()
      pool.parallel(count: byteCount >> 16) { range in
        guard let base = UnsafeRawPointer(bitPattern: address) else { return }
        _ = ingot_read_memory(base + range.lowerBound * 65536, range.count * 65536)
      }
      best = max(best, Double((byteCount >> 16) << 16) / Double(max(1, ingot_nanoseconds() - start)) * 1e9)
    }
    return best
  }

  /// Time-stamp cycles per second, for turning `Session.stepCycles` into time.
  public static let cyclesPerSecond: Double = {
    let (nanoseconds, cycles) = (ingot_nanoseconds(), ingot_cycles())
    while ingot_nanoseconds() - nanoseconds < 10_000_000 {}
    return Double(ingot_cycles() - cycles) / Double(ingot_nanoseconds() - nanoseconds) * 1e9
  }()
}
