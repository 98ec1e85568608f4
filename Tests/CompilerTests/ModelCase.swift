import Foundation
import Testing

/// A small model in text form, with what its first comment lines say: sizes to try, and how near the numbers must be.
///
///     // symbols: n = 1, 5; m = 2, 3       runs at (n, m) = (1, 2) and (5, 3)
///     // tolerance: 1e-3                   relative and absolute
struct ModelCase: Sendable, CustomTestStringConvertible {
  let name: String
  let path: String
  /// One run for each.
  let bindings: [[String: Int]]
  let tolerance: Double

  var testDescription: String { name }

  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases").path

  static let all: [ModelCase] = {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return files.filter { $0.hasSuffix(".ingot") }.sorted().map { ModelCase(path: folder + "/" + $0) }
  }()

  static func named(_ name: String) -> ModelCase { ModelCase(path: folder + "/\(name).ingot") }

  init(path: String) {
    self.path = path
    name = ((path as NSString).lastPathComponent as NSString).deletingPathExtension
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    var lengths: [String: [Int]] = [:]
    var tolerance = 2e-5
    for line in text.split(separator: "\n") {
      if let list = Self.rest(of: line, after: "// symbols:") {
        for part in list.split(separator: ";") {
          let sides = part.split(separator: "=")
          guard sides.count == 2 else { continue }
          lengths[sides[0].trimmingCharacters(in: .whitespaces)] = sides[1].split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        }
      } else if let number = Self.rest(of: line, after: "// tolerance:").flatMap({ Double($0.trimmingCharacters(in: .whitespaces)) }) {
        tolerance = number
      }
    }
    self.tolerance = tolerance
    bindings = (0..<(lengths.values.map(\.count).max() ?? 1)).map { position in lengths.mapValues { $0[position % $0.count] } }
  }

  private static func rest(of line: Substring, after marker: String) -> Substring? { line.hasPrefix(marker) ? line.dropFirst(marker.count) : nil }
}
