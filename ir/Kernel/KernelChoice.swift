/// Which of several ways a kernel was written in, and why: for `inspect`, `--profile` and the tuner.
public struct KernelChoice: Sendable, Hashable {
  public enum Reason: Sendable, Hashable {
    /// The least estimate.
    case estimate
    /// Measured on the machine that the tuning file names, in nanoseconds.
    case measured(nanoseconds: Int)
  }
  public struct Candidate: Sendable, Hashable {
    public var name: String
    /// Estimated duration on the threads that the program may use.
    public var cycles: Double
    /// What the estimate is made of: `arithmetic 80%, panels 12%, ...`.
    public var parts: String
    public init(name: String, cycles: Double, parts: String) { (self.name, self.cycles, self.parts) = (name, cycles, parts) }
  }

  /// What was to be computed: operation, shapes, epilogue, threads. Equal problems have equal candidates.
  public var problem: String
  /// The name of the candidate that was taken.
  public var taken: String
  public var reason: Reason
  /// All of them, the least estimate first.
  public var candidates: [Candidate]
  /// The node whose work it is, and how its constant operand is packed.
  public var node = ""
  public var packing: String?

  public init(problem: String, taken: String, reason: Reason, candidates: [Candidate]) {
    (self.problem, self.taken, self.reason, self.candidates) = (problem, taken, reason, candidates)
  }

  /// One line: why this one, and what it would cost to take another.
  public var explanation: String {
    let own = candidates.first { $0.name == taken }
    func relative(_ candidate: Candidate) -> String {
      guard let own, own.cycles > 0 else { return candidate.name }
      let percent = ((candidate.cycles / own.cycles - 1) * 100).rounded()
      guard abs(percent) < 1e6 else { return candidate.name }
      return "\(candidate.name) \(percent < 0 ? "" : "+")\(Int(percent))%"
    }
    let others = candidates.filter { $0.name != taken }.prefix(3).map(relative)
    let why: String
    switch reason {
    case .estimate: why = candidates.count == 1 ? "the only way" : "least estimate of \(candidates.count)"
    case .measured(let nanoseconds): why = "measured fastest, \(Self.microseconds(nanoseconds)) us"
    }
    let estimate = own.map { ": \(Self.short($0.cycles)) cycles (\($0.parts))" } ?? ""
    return why + estimate + (others.isEmpty ? "" : "; next " + others.joined(separator: ", "))
  }

  private static func microseconds(_ nanoseconds: Int) -> String { "\(nanoseconds / 1000).\(nanoseconds / 100 % 10)" }

  private static func short(_ cycles: Double) -> String {
    guard cycles.isFinite, cycles < 1e15 else { return "countless" }
    return cycles >= 1e7 ? "\(Int(cycles / 1e6))M" : cycles >= 1e4 ? "\(Int(cycles / 1e3))k" : "\(Int(cycles))"
  }
}
