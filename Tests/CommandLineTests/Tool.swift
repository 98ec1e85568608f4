import Foundation

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

  /// Runs a program to its end, at most so many seconds.
  static func run(_ path: String, _ arguments: [String], in directory: String? = nil, seconds: Double = 120) throws -> Result {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
    // Files rather than pipes: a full pipe that nobody reads would stop the program.
    let base = FileManager.default.temporaryDirectory.appendingPathComponent("ingot-tool-\(UUID().uuidString)")
    let (outputFile, errorFile) = (base.appendingPathExtension("out"), base.appendingPathExtension("err"))
    defer {
      try? FileManager.default.removeItem(at: outputFile)
      try? FileManager.default.removeItem(at: errorFile)
    }
    _ = FileManager.default.createFile(atPath: outputFile.path, contents: nil)
    _ = FileManager.default.createFile(atPath: errorFile.path, contents: nil)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: outputFile)
    process.standardError = try FileHandle(forWritingTo: errorFile)
    try process.run()
    let deadline = Date().addingTimeInterval(seconds)
    while process.isRunning, Date() < deadline { usleep(2000) }
    if process.isRunning { process.terminate() }
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus, crashed: process.terminationReason == .uncaughtSignal,
      output: String(decoding: try Data(contentsOf: outputFile), as: UTF8.self), errors: String(decoding: try Data(contentsOf: errorFile), as: UTF8.self))
  }
}
