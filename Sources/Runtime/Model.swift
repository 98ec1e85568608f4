public import Artifact
internal import TensorTypes

/// A compiled model, ready to run. Shared by all its sessions.
public final class Model: Sendable {
  public let manifest: Manifest
  let code: CodeImage
  let constants: ConstantImage
  /// The numbers of the model's own strings; nil for a model without strings.
  let strings: StringNumbering?

  /// A model that lies in an artifact. Refuses a machine that lacks a CPU feature the code needs.
  public convenience init(artifact: ArtifactReader) throws(ArtifactError) {
    try artifact.checkMachine()
    let code = try CodeImage(artifact: artifact)
    self.init(code: code, constants: ConstantImage(artifact: artifact), manifest: artifact.manifest)
  }

  /// A model that was just compiled for this machine. The manifest does not contradict itself (`Manifest.contradiction`).
  public init(code: CodeImage, constants: ConstantImage, manifest: Manifest) {
    if let contradiction = manifest.contradiction { preconditionFailure("manifest of `\(manifest.modelName)`: \(contradiction)") }
    self.manifest = manifest
    self.code = code
    self.constants = constants
    strings = manifest.strings.isEmpty ? nil : StringNumbering(modelStrings: manifest.strings)
  }

  /// Something that runs the model, one run at a time. Sessions of one model run at the same time.
  ///
  /// - Parameters:
  ///   - threads: Threads per run; nil means what the manifest says, or else all that the process may use.
  ///   - maximumBytes: The most memory that arena and outputs may take together; nil means half of what the process may use.
  public func makeSession(threads: Int? = nil, maximumBytes: Int? = nil) throws(RunError) -> Session {
    try Session(model: self, threads: threads ?? manifest.threads ?? .max, maximumBytes: maximumBytes ?? Allowance.memoryBytes / 2)
  }
}
