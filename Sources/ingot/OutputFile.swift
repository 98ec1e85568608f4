import Foundation
import GraphIR

/// Files that appear whole or not at all: they grow under a temporary name beside their own and take it by one rename.
///
/// What is there and is no regular file (a device, a pipe) is written into instead, and a symbolic link keeps pointing at what is written.
enum OutputFile {
  static func write(_ bytes: some ContiguousBytes, to path: String) throws(CompileError) {
    let data = bytes.withUnsafeBytes { Data($0) }
    if path == "-" { return FileHandle.standardOutput.write(data) }
    try replace(path) { temporary in try data.write(to: URL(fileURLWithPath: temporary)) }
  }

  /// - Parameter path: `-` is the standard output.
  static func write(_ text: String, to path: String) throws(CompileError) { try write(Array(text.utf8), to: path) }

  /// Lets `make` create a file and gives it its name; removes what is left of it if something fails.
  static func replace(_ path: String, _ make: (String) throws -> Void) throws(CompileError) {
    var (path, isStream) = (path, false)
    var facts = stat()
    if path.isEmpty || path.hasSuffix("/") || path.contains("\0") { throw refusal(path, "it is no name of a file") }
    if stat(path, &facts) == 0 {
      switch facts.st_mode & S_IFMT {
      case S_IFREG: path = linked(path)
      case S_IFDIR: throw refusal(path, "it is a folder")
      default: isStream = true
      }
    }
    let place = isStream ? PathParts(NSTemporaryDirectory() + "ingot") : PathParts(path)
    let temporary = "\(place.folder).\(place.name).\(getpid()).\(UInt32.random(in: 0 ... .max))"
    do {
      try make(temporary)
      if isStream {
        try pour(temporary, into: path)
        unlink(temporary)
      } else if rename(temporary, path) != 0 { throw refusal(path, String(cString: strerror(errno))) }
    } catch {
      unlink(temporary)
      throw error as? CompileError ?? refusal(path, reason(error))
    }
  }

  /// What a symbolic link leads to in the end.
  private static func linked(_ path: String) -> String {
    guard let whole = realpath(path, nil) else { return path }
    defer { free(whole) }
    return String(cString: whole)
  }

  private static func pour(_ file: String, into stream: String) throws {
    let target = try FileHandle(forWritingTo: URL(fileURLWithPath: stream))
    defer { try? target.close() }
    try target.write(contentsOf: Data(contentsOf: URL(fileURLWithPath: file), options: .alwaysMapped))
  }

  private static func refusal(_ path: String, _ reason: String) -> CompileError {
    CompileError(.badInput, "cannot write `\(path)`: \(reason)", stage: .write)
  }

  /// The system's own words, which Foundation buries.
  private static func reason(_ error: any Error) -> String {
    let error = error as NSError
    if error.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(error.code))) }
    if let underlying = error.userInfo[NSUnderlyingErrorKey] as? NSError, underlying.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(underlying.code))) }
    return error.code == CocoaError.fileNoSuchFile.rawValue ? "its folder does not exist" : error.localizedDescription
  }
}
