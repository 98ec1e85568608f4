import Artifact
import TensorTypes

/// `info`: what the model is called, takes and gives, and where it comes from.
enum InfoVerb {
  static let verb = Verb(
    name: "info", summary: "Describes the model: inputs, outputs, target, origin.", operands: nil,
    options: [Option(name: "--json", help: "print the manifest as JSON")], examples: ["info", "info --json"], run: run)

  private static func run(_ arguments: Arguments) throws(Failure) -> Int32 {
    let manifest = try OwnModel.manifest()
    Console.print(arguments.has("--json") ? "\(manifest.json)" : text(manifest))
    return 0
  }

  private static func text(_ manifest: Manifest) -> String {
    var lines = ["\(manifest.modelName), version \(manifest.modelVersion)"]
    for port in manifest.inputs { lines.append("  input   \(port.name)  \(port.type)") }
    for port in manifest.outputs { lines.append("  output  \(port.name)  \(port.type)") }
    lines.append("  target  \(manifest.target.name)" + (manifest.target.requiredFeatures.isEmpty ? "" : " (\(manifest.target.requiredFeatures.count) CPU features needed)"))
    lines.append("  memory  \(manifest.arenaBytes) bytes per run")
    let flops = manifest.steps.reduce(Extent(0)) { $0 + $1.flops }
    lines.append("  work    \(flops) operations in \(manifest.steps.count) kernels")
    if !manifest.labels.isEmpty { lines.append("  labels  \(manifest.labels.count), from \(manifest.labels.first ?? "")") }
    if !manifest.sourceDigest.isEmpty { lines.append("  source  \(manifest.sourceDigest)") }
    if !manifest.toolVersion.isEmpty { lines.append("  tool    ingot \(manifest.toolVersion)") }
    return lines.joined(separator: "\n")
  }
}
