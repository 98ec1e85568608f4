import Artifact
import Foundation
import Runtime
import TensorTypes

/// A variant that was made into an artifact, by a compiler in a process of its own: what fails or crashes there is a row of the
/// comparison and not its end. What runs is what would be shipped.
struct VariantBuild {
  struct Failure: Error, Sendable {
    var message: String
  }

  let variant: Variant
  let model: Runtime.Model
  /// All bytes of the file: code, weights, and what serves them.
  let artifactBytes: Int
  let weightsBytes: Int
  let codeBytes: Int
  /// Stages of the compilation, without the start of the process, what is measured for reports, and writing the file. No cached objects.
  let compileSeconds: Double
  let stages: [(name: String, seconds: Double)]
  let compilePeakBytes: Int
  let passes: [PassEffect]
  /// How each kernel call was written, and why.
  let notes: [String]
  /// Error of each layer, where the variant computes in lower precision and says it.
  let layers: JSON?
  let prunedLayers: JSON?
  /// What its options did to the model, where they change its numbers.
  let remarks: [String]
  /// Equal for variants whose code and constants are the same bytes.
  let identity: String

  private let artifactPath: String

  /// Compiles.
  ///
  /// - Parameters:
  ///   - measuresLayers: Whether the error of each quantized layer is found out, too.
  ///   - folder: For the artifact, until `discardFile`.
  init(_ variant: Variant, of path: String, measuresLayers: Bool, in folder: ScratchFolder) throws(Failure) {
    self.variant = variant
    let base = folder.file("variant-\(UInt64.random(in: 0 ... .max))")
    let report = base + ".json"
    artifactPath = base
    defer { unlink(report) }
    let child: ChildProcess
    let fixed = ["--no-cache", "--no-error-report", "--output", base, "--report", report] + (measuresLayers ? [] : ["--no-layer-errors"])
    do { child = try ChildProcess.run(ChildProcess.own, ["compile", path] + variant.words.filter { $0 != "--no-cache" } + fixed, in: folder) } catch { throw Failure(message: error.localizedDescription) }
    guard child.status == 0 else { throw Failure(message: child.failure) }
    do {
      let json = try JSON(parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: report))))
      let reader = try ArtifactReader(path: base)
      model = try Runtime.Model(artifact: reader)
      artifactBytes = reader.fileBytes
      identity = "\(reader.codeDigest) \(reader.constantsDigest)"
      weightsBytes = json["weights_bytes"]?.integer ?? 0
      codeBytes = json["code_bytes"]?.integer ?? 0
      stages = (json["stages"]?.array ?? []).map { ($0["name"]?.string ?? "", $0["seconds"]?.double ?? 0) }
      compileSeconds = stages.filter { $0.name != "measure layers" }.reduce(0) { $0 + $1.seconds }
      passes = Self.effects(json)
      notes = (json["kernels"]?.array ?? []).map { $0["note"]?.string ?? "" }
      layers = (json["quantization"]?["layers"]).flatMap { $0.array?.isEmpty ?? true ? nil : $0 }
      prunedLayers = (json["pruning"]?["layers"]).flatMap { $0.array?.isEmpty ?? true ? nil : $0 }
      remarks = Self.remarks(json)
      compilePeakBytes = json["peak_memory_bytes"]?.integer ?? 0
    } catch { throw Failure(message: "\(error)") }
  }

  /// What is loaded stays mapped.
  func discardFile() { unlink(artifactPath) }

  /// The most memory that the artifact has in use in a process of its own, for one run with these inputs.
  ///
  /// Also the proof that it runs: what is miscompiled may end a process.
  ///
  /// - Parameter inputs: `NAME=FILE` for each input.
  /// - Returns: Nil if the system does not say.
  func residentBytes(inputs: [String], threads: Int, in folder: ScratchFolder) throws(Failure) -> Int? {
    let child: ChildProcess
    let words = ["run", "--threads", "\(threads)", "--peak-memory"] + inputs.flatMap { ["--input", $0] }
    do { child = try ChildProcess.run(artifactPath, words, in: folder, seconds: 600) } catch { throw Failure(message: error.localizedDescription) }
    guard child.status == 0 else { throw Failure(message: "its run failed: " + child.failure) }
    return child.output.split(separator: "\n").last.flatMap { line in line.hasPrefix("peak memory") ? line.split(separator: " ").compactMap { Int($0) }.first : nil }
  }

  private static func remarks(_ json: JSON) -> [String] {
    var remarks: [String] = []
    if let quantization = json["quantization"], let summary = quantization["summary"]?.string {
      remarks.append("\(summary): \(quantization["quantized_layers"]?.integer ?? 0) of \(quantization["layers"]?.array?.count ?? 0) layers")
    }
    if let pruning = json["pruning"], let before = pruning["constant_bytes_before"]?.integer, let after = pruning["constant_bytes_after"]?.integer {
      remarks.append("pruned \(pruning["layers"]?.array?.count ?? 0) layers, constants \(Quantity.bytes(before)) → \(Quantity.bytes(after))")
    }
    return remarks
  }

  /// As the report says it, one entry for each run.
  private static func effects(_ json: JSON) -> [PassEffect] {
    PassEffect.merged(
      (json["passes"]?.array ?? []).filter { $0["variant"]?.bool != true }.map { record in
        func integer(_ name: String) -> Int { record[name]?.integer ?? 0 }
        return PassEffect(
          name: record["name"]?.string ?? "", runs: 1, seconds: record["seconds"]?.double ?? 0, nodesBefore: integer("nodes_before"), nodesAfter: integer("nodes_after"),
          constantBytesBefore: integer("constant_bytes_before"), constantBytesAfter: integer("constant_bytes_after"), hasChanged: record["changed"]?.bool ?? false)
      })
  }
}
