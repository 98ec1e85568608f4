/// A path as the folder and the name in it, split at the last slash.
///
/// Foundation's `deletingLastPathComponent` traps on names of one character (Swift 6.3.1), so nothing here uses it for what a user typed.
struct PathParts {
  /// With its slash; empty for a name alone.
  let folder: String
  let name: String

  init(_ path: String) {
    let start = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8.index(after: $0) } ?? path.startIndex
    (folder, name) = (String(path[..<start]), String(path[start...]))
  }
}
