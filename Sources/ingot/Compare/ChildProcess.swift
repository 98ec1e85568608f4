import Foundation

/// A program that ran to its end in a process of its own.
struct ChildProcess {
  /// 0 for success; the signal's number, negated, if one ended it.
  var status: Int32
  var output: String
  var errors: String
  /// The most memory it had in use.
  var peakMemoryBytes: Int

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
  static func run(_ path: String, _ arguments: [String], folder: String, seconds: Double = 3600) throws -> ChildProcess {
    let base = folder + "/\(UInt64.random(in: 0 ... .max))"
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
    let failure = posix_spawn(&pid, path, &actions, nil, words, environ)
    guard failure == 0 else { throw CocoaError(.executableNotLoadable, userInfo: [NSLocalizedDescriptionKey: "cannot start `\(path)`: \(String(cString: strerror(failure)))"]) }

    var status: Int32 = 0
    var peak = 0
    let deadline = ContinuousClock.now + .seconds(seconds)
    while waitpid(pid, &status, WNOHANG) == 0 {
      if ContinuousClock.now > deadline { kill(pid, SIGKILL) }
      // What the system says of a process that has ended counts the memory of the one that started it.
      peak = max(peak, PeakMemory.bytes(ofProcess: "\(pid)"))
      usleep(500)
    }
    func text(_ file: String) -> String { FileManager.default.contents(atPath: file).map { String(decoding: $0, as: UTF8.self) } ?? "" }
    // The layout of a wait status: the signal in the low seven bits, or else the exit status above them.
    let signal = status & 0x7f
    return ChildProcess(status: signal == 0 ? (status >> 8) & 0xff : -signal, output: text(outputFile), errors: text(errorFile), peakMemoryBytes: peak)
  }
}

/// A folder of this process for files that nobody else needs.
struct ScratchFolder: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("ingot-\(getpid())-\(UInt32.random(in: 0 ... .max))").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  func file(_ name: String) -> String { path + "/" + name }

  func remove() { try? FileManager.default.removeItem(atPath: path) }
}
