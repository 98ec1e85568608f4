public import Artifact

/// The constants of a model as its code addresses them: one block, aligned to 64 bytes at least.
public final class ConstantImage: Sendable {
  private let region: MappedRegion

  /// Collects constants in new memory, for code that was just compiled. Gaps are zeros.
  ///
  /// - Parameter byteCount: The size of the block; every chunk lies inside it.
  public init(copying chunks: [ConstantChunk], byteCount: Int) throws(RunError) {
    guard
      let region = MappedRegion.anonymous(
        byteCount: byteCount, access: .read,
        fill: { memory in
          for chunk in chunks {
            chunk.tensor.withBytes { bytes in
              precondition(
                chunk.byteOffset >= 0 && chunk.byteOffset <= byteCount && bytes.count <= byteCount - chunk.byteOffset,
                "a constant leaves the block of \(byteCount) bytes")
              UnsafeMutableRawBufferPointer(rebasing: memory[chunk.byteOffset..<chunk.byteOffset + bytes.count]).copyMemory(from: bytes)
            }
          }
        })
    else { throw .outOfMemory(bytes: byteCount) }
    self.region = region
  }

  /// The constants of an artifact, mapped from its file.
  public init(artifact: ArtifactReader) { region = artifact.constants }

  public var byteCount: Int { region.byteCount }

  /// Valid as long as the image lives.
  var base: UnsafeRawPointer { region.base }
}
