/// The estimated duration of a kernel in cycles of one core's clock, by what the cycles are spent on.
///
/// Everything that a template says about time is one of these, so that ways which have nothing else in common can be compared.
package struct KernelCost: Sendable, Hashable {
  package enum Part: String, Sendable, CaseIterable {
    /// Multiply-adds, or the loads and latencies that bind them inside a tile.
    case arithmetic
    /// The right operand on its way from beyond the first-level cache.
    case panels
    /// The left operand, or the image, on its way from beyond the first-level cache.
    case input
    /// Results, and what the epilogue reads.
    case output
    /// Laying an operand out when the kernel runs, or transforming it.
    case packing
    /// Loops, calls, hand-off to other threads.
    case overhead
    /// Threads that wait for the others.
    case idle
  }
  private var cycles: [Part: Double] = [:]

  package init() {}

  package subscript(_ part: Part) -> Double {
    get { cycles[part] ?? 0 }
    set { cycles[part] = newValue }
  }

  package var total: Double { Part.allCases.reduce(0) { $0 + self[$1] } }

  /// Every part as long as `factor` times it.
  package func scaled(by factor: Double) -> KernelCost {
    var scaled = self
    for part in Part.allCases where scaled[part] != 0 { scaled[part] *= factor }
    return scaled
  }

  package static func + (a: KernelCost, b: KernelCost) -> KernelCost {
    var sum = a
    for part in Part.allCases where b[part] != 0 { sum[part] += b[part] }
    return sum
  }

  /// `arithmetic 85%, panels 15%`: what makes up at least a hundredth, largest first.
  package var description: String {
    let total = total
    guard total > 0, total.isFinite else { return "nothing to do" }
    let shares = Part.allCases.map { ($0, self[$0] / total) }.filter { $0.1 >= 0.01 }.sorted { $0.1 > $1.1 }
    return shares.map { "\($0.0.rawValue) \(Int(($0.1 * 100).rounded()))%" }.joined(separator: ", ")
  }
}
