import Artifact
import Runtime
import TensorTypes

/// Artifacts: by the first byte a whole file, a footer of right digest before wrong sections, or the text of a manifest.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  guard let kind = bytes.first else { return 0 }
  let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
  if kind == UInt8(ascii: "m") {
    guard let json = try? JSON(parsing: rest), let manifest = try? Manifest(json: json) else { return 0 }
    // What is read is what was meant, and the runtime asks it these things.
    guard let again = try? Manifest(json: JSON(parsing: Array(manifest.json.text().utf8))), again == manifest else { fatalError("the manifest does not read back") }
    let dimensions = manifest.inputs.map { $0.type.shape.map { $0.constant ?? 3 } }
    if let binding = try? SymbolBinding(manifest.inputs, dimensions: dimensions) {
      _ = manifest.variant(for: binding.values)
      _ = manifest.largestArenaBytes.evaluated(binding.values)
      _ = manifest.conditions.map { $0.holds(for: binding.values) }
    }
  } else {
    var file = Array(rest)
    // A digest that fits lets damage reach what lies behind it.
    if kind == UInt8(ascii: "f") { ArtifactFooter.mend(&file) }
    if let artifact = try? ArtifactReader(path: file.withUnsafeBytes { InputFile.path($0) }, threads: 1) { _ = artifact.manifest.json.text() }
  }
  return 0
}

/// The last 256 bytes of an artifact, as `ArtifactLayout` describes them.
enum ArtifactFooter {
  static func mend(_ file: inout [UInt8]) {
    guard file.count >= 256 else { return }
    let footer = file.count - 256
    func word(_ position: Int) -> Int { (0..<8).reduce(0) { $0 | Int(file[footer + position + $1]) << (8 * $1) } }
    func store(_ digest: Digest, at position: Int) {
      for byte in 0..<8 {
        file[footer + position + byte] = UInt8(truncatingIfNeeded: digest.low >> (8 * UInt64(byte)))
        file[footer + position + 8 + byte] = UInt8(truncatingIfNeeded: digest.high >> (8 * UInt64(byte)))
      }
    }
    let starts = (0..<4).map { word(24 + 32 * $0) } + [footer]
    for index in 0..<4 where starts[index] >= 0 && starts[index] <= starts[index + 1] && starts[index + 1] <= footer {
      store(Digest(of: Array(file[starts[index]..<starts[index + 1]])), at: 24 + 32 * index + 16)
    }
    store(Digest(of: Array(file[footer..<footer + 240])), at: 240)
  }
}
