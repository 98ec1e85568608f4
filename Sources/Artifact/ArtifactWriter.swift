#if canImport(Glibc)
import Glibc
#endif
public import TensorTypes

/// A constant and its place in the constants section.
public struct ConstantChunk: Sendable {
  public var byteOffset: Int
  public var tensor: Tensor

  public init(byteOffset: Int, tensor: Tensor) {
    self.byteOffset = byteOffset
    self.tensor = tensor
  }
}

/// Writes artifacts.
///
/// The file grows under a temporary name in the folder of the destination and takes its place by one rename: readers see
/// the old file or the whole new one, and a failure leaves nothing. Equal contents give equal bytes.
public struct ArtifactWriter: Sendable {
  /// The `ingot-runtime` executable that the artifact starts from.
  public var runtimePath: String

  public init(runtimePath: String) { self.runtimePath = runtimePath }

  /// - Parameters:
  ///   - constants: In any order, without overlap. Gaps are zeros.
  ///   - constantsByteCount: The size of the section; nil means up to the end of the last chunk.
  public func write(
    code: [UInt8], constants: [ConstantChunk], constantsByteCount: Int? = nil, manifest: Manifest, to path: String
  ) throws(ArtifactError) {
    if let contradiction = manifest.contradiction { throw ArtifactError(path, .invalidContents(contradiction)) }
    guard manifest.entryOffset < code.count else { throw ArtifactError(path, .invalidContents("the entry point lies outside the code")) }
    let ordered = constants.filter { $0.tensor.byteCount > 0 }.sorted { $0.byteOffset < $1.byteOffset }
    let constantsBytes = try Self.byteCount(of: ordered, atLeast: constantsByteCount ?? 0, path)
    if let constantsByteCount, constantsBytes != constantsByteCount {
      throw ArtifactError(path, .invalidContents("constants end at \(constantsBytes), behind the section of \(constantsByteCount) bytes"))
    }
    let manifestBytes = Array(manifest.json.text().utf8)

    let runtime = try OpenFile(reading: runtimePath)
    let runtimeBytes = try runtime.byteCount()
    guard
      var layout = ArtifactLayout(
        runtimeBytes: runtimeBytes, codeBytes: code.count, constantsBytes: constantsBytes, manifestBytes: manifestBytes.count)
    else { throw ArtifactError(path, .invalidContents("it would leave 63 bits")) }

    var facts = stat()
    if stat(path, &facts) == 0, facts.st_mode & S_IFMT != S_IFREG { throw ArtifactError(path, .invalidContents("what is there is no file that can be replaced")) }
    let temporary = Self.temporaryPath(beside: path)
    let file = try OpenFile(creating: temporary)
    do throws(ArtifactError) {
      var output = SectionOutput(file: file)
      try output.copy(runtime, byteCount: runtimeBytes)
      try output.pad(to: layout.preambleOffset)
      try output.write(layout.preamble)
      layout.runtime.digest = try output.endSection(paddingTo: layout.code.offset)
      try output.write(code)
      layout.code.digest = try output.endSection(paddingTo: layout.constants.offset)
      for chunk in ordered {
        try output.pad(to: layout.constants.offset + chunk.byteOffset)
        try chunk.tensor.withBytes { bytes throws(ArtifactError) in try output.write(bytes) }
      }
      layout.constants.digest = try output.endSection(paddingTo: layout.manifest.offset)
      try output.write(manifestBytes)
      layout.manifest.digest = try output.endSection(paddingTo: layout.footerOffset)
      try output.write(layout.footer)
      guard fchmod(file.descriptor, 0o755) == 0 else { throw file.failure("make it executable") }
      guard rename(temporary, path) == 0 else { throw file.failure("rename it to \(path)") }
    } catch {
      unlink(temporary)
      throw ArtifactError(path, error.problem)
    }
  }

  /// The end of the last chunk; throws if chunks overlap or leave 63 bits.
  private static func byteCount(of ordered: [ConstantChunk], atLeast minimum: Int, _ path: String) throws(ArtifactError) -> Int {
    var end = 0
    for chunk in ordered {
      guard chunk.byteOffset >= end else { throw ArtifactError(path, .invalidContents("constants overlap at byte \(chunk.byteOffset)")) }
      let (next, overflowed) = chunk.byteOffset.addingReportingOverflow(chunk.tensor.byteCount)
      guard !overflowed else { throw ArtifactError(path, .invalidContents("constants leave 63 bits")) }
      end = next
    }
    return max(end, minimum)
  }

  /// A name that no other writer of this machine uses at this moment.
  private static func temporaryPath(beside path: String) -> String {
    let name = path.split(separator: "/", omittingEmptySubsequences: false).last.map(String.init) ?? path
    let folder = path.dropLast(name.utf8.count == 0 ? 0 : name.count)
    return "\(folder).\(name).\(getpid()).\(UInt32.random(in: 0 ... .max))"
  }
}

/// Appends to a file and computes the digest of the section that is being written.
private struct SectionOutput: ~Copyable {
  private let descriptor: Int32
  private let path: String
  private var position = 0
  private var digest = DigestStream()

  init(file: borrowing OpenFile) {
    descriptor = file.descriptor
    path = file.path
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) throws(ArtifactError) {
    guard let base = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let count = Glibc.write(descriptor, base + done, bytes.count - done)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw ArtifactError(path, .system(action: "write it", errno: errno)) }
      done += count
    }
    position += bytes.count
    digest.update(bytes)
  }

  mutating func write(_ bytes: [UInt8]) throws(ArtifactError) {
    try bytes.withUnsafeBufferPointer { buffer throws(ArtifactError) in try write(UnsafeRawBufferPointer(buffer)) }
  }

  mutating func pad(to offset: Int) throws(ArtifactError) {
    while position < offset { try write([UInt8](repeating: 0, count: min(offset - position, 1 << 16))) }
  }

  mutating func copy(_ source: borrowing OpenFile, byteCount: Int) throws(ArtifactError) {
    var copied = 0
    while copied < byteCount {
      let piece = try source.read(byteCount: min(byteCount - copied, 1 << 20), at: copied)
      guard !piece.isEmpty else { throw ArtifactError(source.path, .inconsistent("it shrank while it was read")) }
      try write(piece)
      copied += piece.count
    }
  }

  mutating func endSection(paddingTo offset: Int) throws(ArtifactError) -> Digest {
    try pad(to: offset)
    let finished = digest.finish()
    digest = DigestStream()
    return finished
  }
}
