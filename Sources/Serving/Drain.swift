import Glibc

/// Waits for the signals that end a server, and ends it without failing a request.
///
/// SIGTERM or SIGINT: readiness fails at once, requests are accepted for a grace period more, then the listener
/// closes, requests in flight finish, and the process exits with 0. A second signal exits at once.
package struct Drain {
  private let signals: sigset_t

  /// Blocks the signals in this thread and in all that it starts from now on; call it before any other thread exists.
  package init() {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGINT)
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signals = set
  }

  /// Waits for the first signal, drains, and returns the exit status: 0, or 1 if requests had to be cut off.
  package func run(_ server: Server, _ options: ServerOptions, log: (String) -> Void) -> Int32 {
    while !signalled(withinSeconds: 3600) {}
    let start = Self.now
    server.beginDraining()
    log("draining: not ready any more, accepting for \(options.graceSeconds) s")
    if signalled(withinSeconds: min(options.graceSeconds, options.drainSeconds)) { return Self.interrupted }
    server.stopAccepting()
    while server.openConnections > 0 {
      guard Self.now - start < options.drainSeconds else {
        log("cut off \(server.requestsInFlight) requests after \(options.drainSeconds) s (--drain-seconds)")
        let isCutOff = server.requestsInFlight > 0
        _ = server.stopRuns()
        return isCutOff ? 1 : 0
      }
      if signalled(withinSeconds: 0.005) { return Self.interrupted }
    }
    // Nobody waits for what still runs. Only a kernel that does not return keeps its worker, which is then not joined.
    let end = max(start + options.drainSeconds, Self.now + 1)
    while server.stopRuns() {
      guard Self.now < end else {
        log("a run did not end within \(options.drainSeconds) s (--drain-seconds)")
        return 1
      }
      if signalled(withinSeconds: 0.005) { return Self.interrupted }
    }
    server.shutDown()
    log("stopped")
    return 0
  }

  /// What shells report for a process that SIGTERM ended.
  private static let interrupted: Int32 = 143

  private func signalled(withinSeconds seconds: Double) -> Bool {
    var set = signals
    var timeout = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    return sigtimedwait(&set, nil, &timeout) > 0
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
