internal import Artifact

/// Names of files for the outputs of a model, one for each: `NAME.npy`.
///
/// Names of outputs come from the model, and files are in one folder. So `/` becomes `_`, a name that begins with a point or is empty gets a `_`
/// before it, and one that is longer than file names may be (255 bytes) is cut and ends in a digest of the whole. Where two would be the same file, the ones
/// that were changed end in a digest too. The same names give the same files.
public struct OutputFileNames: Sendable {
  /// In the order of the outputs.
  public let names: [String]

  private static let ending = ".npy"
  private static let mostBytes = 255
  /// Beside a digest, so that the temporary name of a file that is being written fits too.
  private static let mostKeptBytes = 160

  public init(_ outputs: [String]) {
    let plain = outputs.map(Self.plain)
    let counts = Dictionary(plain.map { ($0, 1) }, uniquingKeysWith: +)
    var taken: Set<String> = []
    names = zip(outputs, plain).map { output, plain in
      var stem = plain
      if plain.utf8.count + Self.ending.utf8.count > Self.mostBytes || (plain != output && counts[plain] != 1) { stem = Self.shortened(plain) + "-" + Digest(of: Array(output.utf8)).description.prefix(16) }
      var name = stem
      var number = 2
      // Outputs of one name, or one that is called like the digest of another.
      while !taken.insert(name).inserted {
        name = Self.shortened(stem) + "-\(number)"
        number += 1
      }
      return name + Self.ending
    }
  }

  private static func plain(_ name: String) -> String {
    let plain = String(name.map { $0 == "/" || $0 == "\0" ? "_" : $0 })
    return plain.isEmpty || plain.hasPrefix(".") ? "_" + plain : plain
  }

  /// What fits of a name, whole characters.
  private static func shortened(_ name: String) -> String {
    var bytes = 0
    return String(
      name.prefix { letter in
        bytes += letter.utf8.count
        return bytes <= mostKeptBytes
      })
  }
}
