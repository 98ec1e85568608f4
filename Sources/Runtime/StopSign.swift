internal import CRuntime

/// Asks a session's run to end, from any thread.
///
/// Compiled loops over steps whose number of rounds the data decides look at it in every round, and the run throws `RunError.stopped`.
/// Each run starts with the sign down; one that has no such loop does not see it.
///
/// `@unchecked Sendable`: the word is written and read by whole, in C and in compiled code.
public final class StopSign: @unchecked Sendable {
  let word: UnsafeMutablePointer<Int64>

  init() {
    word = .allocate(capacity: 1)
    word.initialize(to: 0)
  }

  deinit { word.deallocate() }

  /// Ends the run under way, if there is one.
  public func stop() { ingot_set_stop(word, 1) }

  func clear() { ingot_set_stop(word, 0) }
}
