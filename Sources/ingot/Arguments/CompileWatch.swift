import Compiler
import Foundation
import Synchronization

/// Ends the process when a compilation takes longer, or more memory, than `--limit seconds` and `--limit memory` allow.
///
/// A compilation writes nothing before it is done, so ending it in its middle leaves nothing behind; and unlike a check
/// between stages it does not matter which of them it is that does not come to an end.
final class CompileWatch: Sendable {
  private let isOver = Atomic(false)

  /// - Parameter spared: Seconds that do not count: those that tuning was asked to take.
  init(_ limits: CompileLimits, spared: Double) {
    let (seconds, memory) = (limits[.seconds], limits[.memory])
    let deadline = ContinuousClock.now + .seconds(min(Double(seconds), 1e9) + spared)
    Thread.detachNewThread { [self] in
      while !isOver.load(ordering: .relaxed) {
        if ContinuousClock.now > deadline { Self.refuse("more than \(seconds) s", limit: "seconds") }
        if memory > 0, Self.residentBytes > memory { Self.refuse("more than \(memory) bytes of memory", limit: "memory") }
        usleep(10_000)
      }
    }
  }

  /// To be called when the compilation has come to its end, however it did.
  func end() { isOver.store(true, ordering: .relaxed) }

  private static func refuse(_ what: String, limit: String) {
    ProgressLine.clear()
    Terminal.note("error: compiling the model takes \(what)\n  hint    --limit \(limit)=N allows more")
    // Other threads are at work; what they would do at a regular end is no longer wanted.
    _exit(1)
  }

  /// Pages of this process that are in memory.
  private static var residentBytes: Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .ascii) else { return 0 }
    let fields = text.split(separator: " ")
    return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}
