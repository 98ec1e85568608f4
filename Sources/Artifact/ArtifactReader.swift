#if canImport(Glibc)
import Glibc
#endif

/// An artifact whose structure, digests and manifest were checked.
public struct ArtifactReader: Sendable {
  /// How much is checked when an artifact is opened. The footer and the manifest always are.
  public enum Check: Sendable, Hashable {
    /// Every byte of the file.
    case everything
    /// Not the runtime and the constants: for tools that only describe the artifact.
    case description
  }

  public let path: String
  public let manifest: Manifest
  /// The compiled code. Mapped for reading; `executableCode` maps it for running.
  public let code: MappedRegion
  /// The weights: mapped, read only, on a page.
  public let constants: MappedRegion
  /// Size of the whole file.
  public let fileBytes: Int
  private let layout: ArtifactLayout

  /// Digests as the footer has them.
  public var codeDigest: Digest { layout.code.digest }
  public var constantsDigest: Digest { layout.constants.digest }
  public var manifestDigest: Digest { layout.manifest.digest }

  /// The file that the running process was started from.
  public static func ownExecutable(threads: Int = 2) throws(ArtifactError) -> ArtifactReader {
    try ArtifactReader(path: "/proc/self/exe", threads: threads)
  }

  /// True if the running process was started from a file that ends in a footer, whatever state the rest is in.
  public static var ownExecutableIsArtifact: Bool {
    guard let file = try? OpenFile(reading: "/proc/self/exe"), let size = try? file.byteCount(), size >= ArtifactLayout.footerBytes,
      let magic = try? file.read(byteCount: ArtifactLayout.footerMagic.count, at: size - ArtifactLayout.footerBytes)
    else { return false }
    return magic == ArtifactLayout.footerMagic
  }

  /// Opens an artifact.
  ///
  /// - Parameter threads: How many threads may compute digests.
  /// - Complexity: One pass over the file. Measured: 100 MiB in the page cache take 4 to 5 ms on two threads; asking the
  ///   system to map the pages ahead (`MAP_POPULATE`, `MADV_POPULATE_READ`) made that no faster.
  public init(path: String, checking check: Check = .everything, threads: Int = 2) throws(ArtifactError) {
    let file = try OpenFile(reading: path)
    let shownPath = path == "/proc/self/exe" ? (Self.ownPath ?? path) : path
    let size: Int
    do { size = try file.byteCount() } catch { throw ArtifactError(shownPath, error.problem) }
    guard size >= ArtifactLayout.footerBytes else { throw ArtifactError(shownPath, .holdsNoModel) }
    guard let whole = MappedRegion.file(descriptor: file.descriptor, offset: 0, byteCount: size, access: .read) else {
      throw ArtifactError(shownPath, .system(action: "map it", errno: errno))
    }

    let layout: ArtifactLayout
    do {
      let footer = whole.part(offset: size - ArtifactLayout.footerBytes, byteCount: ArtifactLayout.footerBytes)
      layout = try ArtifactLayout(footer: footer.withBytes { Array($0) }, fileBytes: size)
    } catch {
      switch error {
      case .absent: throw ArtifactError(shownPath, Self.diagnoseMissingFooter(whole))
      case .version(let version): throw ArtifactError(shownPath, .unsupportedFormat(version: version, supported: ArtifactLayout.formatVersion))
      case .digest: throw ArtifactError(shownPath, .altered(.footer))
      case .inconsistent(let fact): throw ArtifactError(shownPath, .inconsistent(fact))
      }
    }

    for (name, section, end) in layout.sections {
      if check == .description && (name == .runtime || name == .constants) { continue }
      let part = whole.part(offset: section.offset, byteCount: end - section.offset)
      let digest = part.withBytes { Digest(of: $0, threads: threads) }
      guard digest == section.digest else { throw ArtifactError(shownPath, .altered(name)) }
    }

    do {
      let text = whole.part(offset: layout.manifest.offset, byteCount: layout.manifest.byteCount)
      manifest = try Manifest(json: text.withBytes { bytes throws(JSONError) in try JSON(parsing: bytes) })
    } catch {
      throw ArtifactError(shownPath, .malformedManifest("\(error)"))
    }
    guard manifest.entryOffset < layout.code.byteCount else {
      throw ArtifactError(shownPath, .malformedManifest("the entry point \(manifest.entryOffset) lies outside \(layout.code.byteCount) bytes of code"))
    }
    self.path = path
    self.layout = layout
    fileBytes = size
    code = whole.part(offset: layout.code.offset, byteCount: layout.code.byteCount)
    constants = whole.part(offset: layout.constants.offset, byteCount: layout.constants.byteCount)
  }

  /// Throws if this machine lacks something that the code needs.
  public func checkMachine(_ host: TargetFeatures = .host) throws(ArtifactError) {
    let missing = host.missing(from: manifest.target.requiredFeatures)
    guard missing.isEmpty else { throw ArtifactError(path, .missingFeatures(missing, target: manifest.target.name)) }
  }

  /// Maps the code for execution.
  package func executableCode() throws(ArtifactError) -> MappedRegion {
    let file = try OpenFile(reading: path)
    // The file behind the path may have been replaced since; the digest says whether it is still the same code.
    guard try file.byteCount() == fileBytes else { throw ArtifactError(path, .inconsistent("it was replaced while it was read")) }
    guard
      let region = MappedRegion.file(
        descriptor: file.descriptor, offset: layout.code.offset, byteCount: layout.code.byteCount, access: .readAndExecute)
    else { throw file.failure("map its code") }
    guard memcmp(region.base, code.base, layout.code.byteCount) == 0 else { throw ArtifactError(path, .inconsistent("it was replaced while it was read")) }
    return region
  }

  // MARK: Messages

  /// Tells a truncated artifact from a file that never was one, by the preamble.
  private static func diagnoseMissingFooter(_ whole: MappedRegion) -> ArtifactError.Problem {
    whole.withBytes { bytes in
      var offset = 0
      while offset <= bytes.count - ArtifactLayout.preambleBytes {
        if bytes[offset..<offset + 8].elementsEqual(ArtifactLayout.preambleMagic) {
          let expected = Int(truncatingIfNeeded: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)))
          guard expected > 0 else { return .altered(.footer) }
          if expected > bytes.count { return .truncated(byteCount: bytes.count, expected: expected) }
          return expected == bytes.count ? .altered(.footer) : .inconsistent("\(bytes.count - expected) bytes were appended")
        }
        offset += ArtifactLayout.pageBytes
      }
      return .holdsNoModel
    }
  }

  /// The real name of the running executable, for messages.
  private static var ownPath: String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { readlink("/proc/self/exe", $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
    }
    return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
  }
}
