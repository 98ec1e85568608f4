import Artifact
import Compiler
import Foundation
import GraphIR
import Runtime

/// A model that can run: compiled from a file just now, or taken out of an artifact.
struct RunnableModel {
  let model: Runtime.Model
  /// What the compiler made; nil for an artifact.
  let compiled: CompiledModel?

  init(path: String, _ arguments: CompileArguments) throws {
    if ArtifactFile.isNamed(path) {
      model = try Runtime.Model(artifact: ArtifactReader(path: path))
      compiled = nil
    } else {
      let compiled = try arguments.compile(path)
      model = try compiled.makeModel()
      self.compiled = compiled
    }
  }

  /// Lengths of symbolic axes for random inputs: the first of each `--dim`. In a freshly compiled model single ones are already bound.
  func symbols(_ arguments: CompileArguments) -> [String: Int] {
    arguments.dimensions.reduce(into: [:]) { $0[$1.name] = $1.lengths.first }
  }
}

/// Tells artifacts from models by their first bytes.
enum ArtifactFile {
  static func isNamed(_ path: String) -> Bool {
    guard let file = FileHandle(forReadingAtPath: path) else { return false }
    defer { try? file.close() }
    return (try? file.read(upToCount: 4)) == Data([0x7f, 0x45, 0x4c, 0x46])
  }
}
