import Artifact
import Glibc
import TensorTypes
import TestSupport
import Testing

@Suite("artifact file") struct ArtifactFileTests {
  let folder = TemporaryFolder()
  let code: [UInt8] = Array(repeating: 0x90, count: 5000) + [0x31, 0xc0, 0xc3]
  let constants = [
    ConstantChunk(byteOffset: 64, tensor: Tensor(.f32, [5], [1, 2, 3, 4, 5])),
    ConstantChunk(byteOffset: 0, tensor: Tensor([7, 8])),
  ]

  /// Writes an artifact on top of a stand-in for the runtime.
  @discardableResult func write(_ name: String = "model", manifest: Manifest = .sample) throws -> String {
    folder.write((0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 7) }, to: "runtime")
    let path = folder.file(name)
    try ArtifactWriter(runtimePath: folder.file("runtime")).write(code: code, constants: constants, manifest: manifest, to: path)
    return path
  }

  func problem(_ bytes: [UInt8]) -> ArtifactError.Problem? {
    let path = folder.write(bytes, to: "changed")
    do throws(ArtifactError) {
      _ = try ArtifactReader(path: path)
      return nil
    } catch { return error.problem }
  }

  @Test func readsWhatWasWritten() throws {
    let artifact = try ArtifactReader(path: write())
    #expect(artifact.manifest == .sample)
    #expect(artifact.code.withBytes { Array($0) } == code)
    let constants = artifact.constants.withBytes { Array($0) }
    #expect(constants.count == 64 + 20)
    #expect(constants[0] == 7 && constants[8] == 8 && constants[16..<64].allSatisfy { $0 == 0 })
    #expect(UInt(bitPattern: artifact.constants.base) % 4096 == 0 && UInt(bitPattern: artifact.code.base) % 4096 == 0)
    #expect(try artifact.executableCode().withBytes { Array($0) } == code)
    #expect(access(artifact.path, X_OK) == 0)
    #expect(Array(folder.read("model").prefix(9000)) == folder.read("runtime"))
  }

  @Test func sameContentsGiveSameBytesAndLeaveNothingElse() throws {
    try write("a")
    try write("b")
    #expect(folder.read("a") == folder.read("b"))
    #expect(folder.names == ["a", "b", "runtime"])
  }

  @Test func replacesAnOlderFileAtOnce() throws {
    folder.write([1, 2, 3], to: "model")
    _ = try ArtifactReader(path: write())
  }

  @Test func leavesNothingOnFailure() throws {
    let writer = ArtifactWriter(runtimePath: folder.file("absent"))
    #expect(throws: ArtifactError.self) { try writer.write(code: code, constants: [], manifest: .sample, to: folder.file("model")) }
    folder.write([1], to: "runtime")
    let overlapping = [ConstantChunk(byteOffset: 0, tensor: Tensor([1])), ConstantChunk(byteOffset: 4, tensor: Tensor([1]))]
    let here = ArtifactWriter(runtimePath: folder.file("runtime"))
    #expect(throws: ArtifactError.self) { try here.write(code: code, constants: overlapping, manifest: .sample, to: folder.file("model")) }
    // The destination is a folder: only the last step, the rename, fails.
    mkdir(folder.file("model"), 0o755)
    #expect(throws: ArtifactError.self) { try here.write(code: code, constants: [], manifest: .sample, to: folder.file("model")) }
    #expect(folder.names == ["model", "runtime"])
    rmdir(folder.file("model"))
  }

  @Test func tellsTruncationFromAbsence() throws {
    let bytes = folder.read(String(try write().split(separator: "/").last ?? ""))
    // Behind the preamble every cut is recognised as one; before it nothing says that there was a model.
    let preamble = 9000 / 4096 * 4096 + 4096
    for length in stride(from: 0, to: bytes.count, by: 61) {
      let expected: ArtifactError.Problem = length < preamble + 16 ? .holdsNoModel : .truncated(byteCount: length, expected: bytes.count)
      #expect(problem(Array(bytes.prefix(length))) == expected)
    }
    for length in bytes.count - 260..<bytes.count {
      #expect(problem(Array(bytes.prefix(length))) == .truncated(byteCount: length, expected: bytes.count))
    }
    #expect(ArtifactError("m", .truncated(byteCount: 5, expected: 9)).description == "m is truncated (5 of 9 bytes)")
    #expect(problem(bytes + [0]) == .inconsistent("1 bytes were appended"))
    #expect(problem(folder.read("runtime")) == .holdsNoModel)
  }

  @Test func noticesAnAlteredByteAnywhere() throws {
    let bytes = folder.read(String(try write().split(separator: "/").last ?? ""))
    let positions = Array(stride(from: 0, to: bytes.count - 256, by: 197)) + Array(bytes.count - 256..<bytes.count)
    var seen: Set<ArtifactError.Section> = []
    for position in positions {
      var altered = bytes
      altered[position] ^= 0x40
      let found = problem(altered)
      switch found {
      case .altered(let section): seen.insert(section)
      case .unsupportedFormat, .inconsistent: break
      default: Issue.record("byte \(position): \(String(describing: found))")
      }
    }
    #expect(seen == Set(ArtifactError.Section.allCases))
    #expect(ArtifactError("m", .altered(.constants)).description == "m was altered: constants digest differs")
  }

  @Test func refusesAnotherFormat() throws {
    var bytes = folder.read(String(try write().split(separator: "/").last ?? ""))
    bytes[bytes.count - 256 + 8] = 9
    #expect(problem(bytes) == .unsupportedFormat(version: 9, supported: 1))
  }

  @Test func refusesALesserMachineWithASentence() throws {
    var manifest = Manifest.sample
    manifest.target = .init(name: "znver4", requiredFeatures: ["avx2", "avx512vnni"])
    let artifact = try ArtifactReader(path: write(manifest: manifest))
    let lesser = TargetFeatures(names: ["sse2", "avx2"])
    #expect(throws: ArtifactError(artifact.path, .missingFeatures(["avx512vnni"], target: "znver4"))) { try artifact.checkMachine(lesser) }
    try artifact.checkMachine(TargetFeatures(names: ["avx2", "avx512vnni"]))
  }

  @Test func theTestRunnerIsNoArtifact() {
    #expect(!ArtifactReader.ownExecutableIsArtifact)
    #expect(throws: ArtifactError.self) { try ArtifactReader.ownExecutable() }
  }
}
