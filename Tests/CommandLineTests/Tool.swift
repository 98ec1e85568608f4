import Foundation
import Glibc

/// The built `ingot`, run as its users run it.
struct Tool {
  struct Result {
    var status: Int32
    /// True if a signal ended it: a crash.
    var crashed: Bool
    var output: String
    var errors: String
    /// The last line of standard output.
    var lastLine: String { output.split(separator: "\n").last.map(String.init) ?? "" }
  }

  /// The folder of the products: tests are built into the same one.
  static let folder: String = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    let beside = (own as NSString).deletingLastPathComponent
    if FileManager.default.isExecutableFile(atPath: beside + "/ingot") { return beside }
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    return root + "/.build/release"
  }()

  static let examples = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path + "/examples"

  static func ingot(_ arguments: String..., in directory: String? = nil) throws -> Result {
    try run(folder + "/ingot", arguments, in: directory)
  }

  /// Runs a program to its end, at most so many seconds; then it is killed, which counts as a crash.
  ///
  /// By `posix_spawn`: Foundation's `Process` waits on a run loop, and many tests waiting at once were seen to wait for ever.
  static func run(_ path: String, _ arguments: [String], in directory: String? = nil, seconds: Double = 120) throws -> Result {
    let base = FileManager.default.temporaryDirectory.appendingPathComponent("ingot-tool-\(UUID().uuidString)").path
    let (outputFile, errorFile) = (base + ".out", base + ".err")
    defer {
      unlink(outputFile)
      unlink(errorFile)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    // Files rather than pipes: a full pipe that nobody reads would stop the program.
    posix_spawn_file_actions_addopen(&actions, 1, outputFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, errorFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    // The call that changes the folder of a child is not in Swift's Glibc; `env` does it.
    let command = directory.map { ["/usr/bin/env", "--chdir=" + $0, path] + arguments } ?? [path] + arguments
    var words = command.map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    let failure = posix_spawn(&pid, command[0], &actions, nil, words, environ)
    guard failure == 0 else { throw LaunchError(path: path, reason: String(cString: strerror(failure))) }

    var status: Int32 = 0
    let deadline = ContinuousClock.now + .seconds(seconds)
    while waitpid(pid, &status, WNOHANG) == 0 {
      if ContinuousClock.now > deadline { kill(pid, SIGKILL) }
      usleep(2000)
    }
    // The layout of a wait status: the signal in the low seven bits, or else the exit status above them.
    let signal = status & 0x7f
    return Result(
      status: signal == 0 ? (status >> 8) & 0xff : -signal, crashed: signal != 0,
      output: String(decoding: try Data(contentsOf: URL(fileURLWithPath: outputFile)), as: UTF8.self),
      errors: String(decoding: try Data(contentsOf: URL(fileURLWithPath: errorFile)), as: UTF8.self))
  }

  struct LaunchError: Error {
    var path: String
    var reason: String
  }
}
