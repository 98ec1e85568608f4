import ArgumentParser
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
  /// What it was compiled with.
  let options: CompileOptions

  /// - Parameter inputs: What is given for its inputs. Those on whose values the model depends become constants.
  init(path: String, _ arguments: CompileArguments, inputs: InputArguments) throws {
    if ArtifactFile.isNamed(path) {
      try arguments.checkNothingCompiles()
      model = try Runtime.Model(artifact: ArtifactReader(path: path))
      (compiled, options) = (nil, CompileOptions())
      return
    }
    var options = try arguments.options(for: path)
    let given = options
    let declared = try Compiler.inputs(of: path)
    // Read only if the model cannot be compiled without.
    let compiled = try options.fixing(inputs: declared.map(\.name), known: { name in inputs.given(name, declared) }) { options throws(CompileError) in
      try arguments.compile(path, options: options)
    }
    let fixed = declared.map(\.name).filter { options.fixed[$0] != nil && given.fixed[$0] == nil }
    if !fixed.isEmpty { Terminal.note("note: compiled for this value of \(fixed.map { "`\($0)`" }.joined(separator: ", ")), on which shapes depend") }
    if options.shapes.count > given.shapes.count { Terminal.note("note: compiled for these shapes of its inputs") }
    model = try compiled.makeModel()
    (self.compiled, self.options) = (compiled, options)
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
