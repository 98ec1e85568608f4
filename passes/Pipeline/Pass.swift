import GraphIR

/// One verb over a graph or a program: a named value that changes it.
///
/// Passes are values, so a pipeline can list, disable, time and bisect them by their printed names.
public struct Pass<IR: Sendable>: Sendable {
  /// The printed name, such as `fold-constants`.
  public let name: String
  /// What the pass does, in one sentence.
  public let summary: String
  /// Changes the subject; true if anything is different afterwards.
  public let run: @Sendable (inout IR, inout PassContext) throws(CompileError) -> Bool

  public init(
    _ name: String, _ summary: String, run: @escaping @Sendable (inout IR, inout PassContext) throws(CompileError) -> Bool
  ) {
    self.name = name
    self.summary = summary
    self.run = run
  }
}

/// What passes of one run share: a budget of rewrites, for finding the first bad one by bisection, and what they refused.
public struct PassContext: Sendable {
  /// Rewrites that may still be made; nil is any number.
  public var rewritesLeft: Int?
  /// Rewrites made so far.
  public private(set) var rewriteCount = 0
  /// The pass that used up the rewrites of a single run: two of its rules undo each other.
  public internal(set) var runawayPass: String?
  /// What passes might have done and did not, each in its last run.
  public private(set) var refusals: [Refusal] = []
  private var knownRefusals: Set<Refusal> = []

  public init(stopAfterRewrites: Int? = nil) { rewritesLeft = stopAfterRewrites }

  /// Takes one rewrite from the budget; false if none is left.
  public mutating func spendRewrite() -> Bool {
    if let left = rewritesLeft {
      if left <= 0 { return false }
      rewritesLeft = left - 1
    }
    rewriteCount += 1
    return true
  }

  /// Says why a pass leaves a node as it is; once for each reason.
  public mutating func refuse(_ pass: String, _ origin: NodeOrigin, _ reason: String) {
    let refusal = Refusal(pass: pass, origin: origin, reason: reason)
    if knownRefusals.insert(refusal).inserted { refusals.append(refusal) }
  }

  /// Forgets what a pass refused before: it looks again.
  mutating func forgetRefusals(of pass: String) {
    if !refusals.contains(where: { $0.pass == pass }) { return }
    refusals.removeAll { $0.pass == pass }
    knownRefusals = Set(refusals)
  }
}

/// What a pipeline can run over: it verifies, prints and has a size.
public protocol PassSubject: Sendable {
  /// Checks everything a pass could have broken.
  func verify(stage: CompileError.Stage) throws(CompileError)
  /// The number of nodes, for `--time-passes`.
  var size: Int { get }
  /// Bytes of all constants, for reports.
  var constantBytes: Int { get }
  /// The text form, large constants elided.
  var printed: String { get }
}

extension Graph: PassSubject {
  public var size: Int { topologicalOrder().count }
  public var constantBytes: Int { topologicalOrder().reduce(0) { $0 + ((node($1).operation as? Constant)?.tensor.byteCount ?? 0) } }
  public var printed: String { text(elidingAbove: 16) }
}
