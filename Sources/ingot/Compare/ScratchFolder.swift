import Foundation
import Synchronization

/// A folder of this process for files that nobody else needs, and the programs that work in it.
///
/// Both are gone when the process is interrupted: what Ctrl-C ends leaves nothing behind.
final class ScratchFolder: Sendable {
  let path: String
  private let children = Mutex<Set<pid_t>>([])
  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("ingot-\(getpid())-\(UInt32.random(in: 0 ... .max))").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    for number in Self.signals {
      // Somebody who ignores a signal (nohup) wants it ignored.
      var before = sigaction()
      sigaction(number, nil, &before)
      if unsafeBitCast(before.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) { continue }
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [self] in
        // Who holds this lock is the only one to start programs; it is not given back.
        children.withLock { children in
          for child in children { kill(child, SIGKILL) }
          for child in children { waitpid(child, nil, 0) }
          // Other threads may write a file in the meantime.
          for _ in 0..<1000 where access(path, F_OK) == 0 { remove() }
          ProgressLine.clear()
          // What it would have been without this.
          signal(number, SIG_DFL)
          var own = sigset_t()
          sigemptyset(&own)
          sigaddset(&own, number)
          pthread_sigmask(SIG_UNBLOCK, &own, nil)
          kill(getpid(), number)
          usleep(100_000)
          _exit(128 + number)
        }
      }
      source.activate()
      sources.withLock { $0.append(Source(source)) }
    }
  }

  /// Dispatch's objects may be used from any thread; the protocol does not say so.
  private struct Source: @unchecked Sendable {
    let signal: any DispatchSourceSignal
    init(_ signal: any DispatchSourceSignal) { self.signal = signal }
  }
  private let sources = Mutex<[Source]>([])

  func file(_ name: String) -> String { path + "/" + name }

  func remove() { try? FileManager.default.removeItem(atPath: path) }

  /// Starts a program that must not outlive this process.
  ///
  /// - Parameter spawn: Gives its number, or nil if it did not start.
  func start(_ spawn: () -> pid_t?) {
    children.withLock { children in if let child = spawn() { children.insert(child) } }
  }
  func ended(_ child: pid_t) { children.withLock { _ = $0.remove(child) } }

  /// Signals that a program must not find ignored or blocked because this process does so.
  static var signalSet: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in signals { sigaddset(&set, number) }
    return set
  }
}
