public import Artifact

/// Compiled code in executable memory: flat, position-independent, without imports.
public final class CodeImage: Sendable {
  private let region: MappedRegion
  public let entryOffset: Int

  /// Copies fresh code into executable memory, for running what was just compiled.
  public init(copying code: [UInt8], entryOffset: Int) throws(RunError) {
    precondition(code.indices.contains(entryOffset), "the entry point \(entryOffset) lies outside \(code.count) bytes of code")
    guard
      let region = MappedRegion.anonymous(
        byteCount: code.count, access: .readAndExecute, fill: { $0.copyBytes(from: code) })
    else { throw .cannotLoadCode(bytes: code.count) }
    self.region = region
    self.entryOffset = entryOffset
  }

  /// Code that an artifact holds, mapped from its file.
  public init(artifact: ArtifactReader) throws(ArtifactError) {
    region = try artifact.executableCode()
    entryOffset = artifact.manifest.entryOffset
  }

  public var byteCount: Int { region.byteCount }

  /// The address of the entry point; valid as long as the image lives.
  var entry: UnsafeRawPointer { region.base + entryOffset }

  /// The address of another function in the image, such as a benchmark kernel; valid as long as the image lives.
  package func address(at offset: Int) -> UnsafeRawPointer {
    precondition(offset >= 0 && offset < byteCount, "offset leaves the code")
    return region.base + offset
  }
}
