import Synchronization

/// Counts finished modules and reports them.
final class ProgressCounter: Sendable {
  private let done = Atomic(0)
  private let total: Int
  private let report: (@Sendable (Int, Int) -> Void)?

  init(total: Int, report: (@Sendable (Int, Int) -> Void)?) { (self.total, self.report) = (total, report) }

  func advance() {
    let count = done.add(1, ordering: .relaxed).newValue
    report?(count, total)
  }
}
