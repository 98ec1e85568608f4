import Foundation

/// The files of this repository, as the tests read them.
struct SourceTree {
  /// The folder that holds `Package.swift`.
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  struct File: CustomStringConvertible {
    /// From the root, such as `ir/Graph/Graph.swift`.
    var path: String
    var lines: [Substring]
    var description: String { path }
    var name: String { (path as NSString).lastPathComponent }
  }

  /// Files below some folders whose names end in one of the suffixes, sorted.
  static func files(below folders: [String], endingIn suffixes: [String]) throws -> [File] {
    var found: [File] = []
    for folder in folders {
      guard let walk = FileManager.default.enumerator(atPath: root + "/" + folder) else { continue }
      for case let path as String in walk where suffixes.contains(where: path.hasSuffix) {
        let text = try String(contentsOfFile: "\(root)/\(folder)/\(path)", encoding: .utf8)
        found.append(File(path: "\(folder)/\(path)", lines: text.split(separator: "\n", omittingEmptySubsequences: false)))
      }
    }
    return found.sorted { $0.path < $1.path }
  }

  static func productSources() throws -> [File] { try files(below: ["ir", "passes", "Sources"], endingIn: [".swift"]) }
}
