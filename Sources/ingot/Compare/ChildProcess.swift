import Foundation

/// A program that ran to its end in a process of its own.
struct ChildProcess {
  /// 0 for success; the signal's number, negated, if one ended it.
  var status: Int32
  var output: String
  var errors: String

  /// Why it failed, in its own words if it left any.
  var failure: String {
    let said = errors.trimmingCharacters(in: .whitespacesAndNewlines)
    if status < 0 { return "ended by signal \(-status)" + (said.isEmpty ? "" : ": \(said)") }
    return said.isEmpty ? "exit status \(status)" : said.hasPrefix("error: ") ? String(said.dropFirst(7)) : said
  }

  /// This executable.
  static var own: String { (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0] }

  /// Runs a program and waits for its end; it is ended after so many seconds.
  ///
  /// Its output goes through files in `folder`: a full pipe that nobody reads would stop it.
  static func run(_ path: String, _ arguments: [String], in folder: ScratchFolder, seconds: Double = 3600) throws -> ChildProcess {
    let base = folder.file("\(UInt64.random(in: 0 ... .max))")
    let (outputFile, errorFile) = (base + ".out", base + ".err")
    defer {
      unlink(outputFile)
      unlink(errorFile)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, outputFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, errorFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var words = ([path] + arguments).map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var (usual, none) = (ScratchFolder.signalSet, sigset_t())
    sigemptyset(&none)
    posix_spawnattr_setsigdefault(&attributes, &usual)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    var failure: Int32 = 0
    folder.start {
      failure = posix_spawn(&pid, path, &actions, &attributes, words, environ)
      return failure == 0 ? pid : nil
    }
    guard failure == 0 else { throw CocoaError(.executableNotLoadable, userInfo: [NSLocalizedDescriptionKey: "cannot start `\(path)`: \(String(cString: strerror(failure)))"]) }

    defer { folder.ended(pid) }
    var status: Int32 = 0
    let deadline = ContinuousClock.now + .seconds(seconds)
    while waitpid(pid, &status, WNOHANG) == 0 {
      if ContinuousClock.now > deadline { kill(pid, SIGKILL) }
      usleep(2000)
    }
    func text(_ file: String) -> String { FileManager.default.contents(atPath: file).map { String(decoding: $0, as: UTF8.self) } ?? "" }
    // The layout of a wait status: the signal in the low seven bits, or else the exit status above them.
    let signal = status & 0x7f
    return ChildProcess(status: signal == 0 ? (status >> 8) & 0xff : -signal, output: text(outputFile), errors: text(errorFile))
  }
}
