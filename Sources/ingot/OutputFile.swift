import Foundation
import GraphIR

/// Files that appear whole or not at all: they grow under a temporary name beside their own and take it by one rename.
enum OutputFile {
  static func write(_ bytes: some ContiguousBytes, to path: String) throws(CompileError) {
    let data = bytes.withUnsafeBytes { Data($0) }
    try replace(path) { temporary in try data.write(to: URL(fileURLWithPath: temporary)) }
  }

  static func write(_ text: String, to path: String) throws(CompileError) { try write(Array(text.utf8), to: path) }

  /// Lets `make` create a file and gives it its name; removes what is left of it if something fails.
  static func replace(_ path: String, _ make: (String) throws -> Void) throws(CompileError) {
    let name = (path as NSString).lastPathComponent
    let folder = (path as NSString).deletingLastPathComponent
    let temporary = (folder.isEmpty ? "" : folder + "/") + ".\(name).\(getpid()).\(UInt32.random(in: 0 ... .max))"
    do {
      try make(temporary)
      guard rename(temporary, path) == 0 else {
        throw CompileError(.badInput, "cannot rename `\(temporary)` to `\(path)`: \(String(cString: strerror(errno)))", stage: .write)
      }
    } catch {
      unlink(temporary)
      throw error as? CompileError ?? CompileError(.badInput, "cannot write `\(path)`: \(reason(error))", stage: .write)
    }
  }

  /// The system's own words, which Foundation buries.
  private static func reason(_ error: any Error) -> String {
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
    return underlying.domain == NSPOSIXErrorDomain ? String(cString: strerror(Int32(underlying.code))) : error.localizedDescription
  }
}
