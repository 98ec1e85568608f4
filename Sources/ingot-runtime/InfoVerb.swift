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
    for structure in manifest.inputStructures { lines.append("  input   \(structure.text)") }
    for structure in manifest.outputStructures { lines.append("  output  \(structure.text)") }
    for input in manifest.fixedInputs { lines.append("  fixed   \(input.name)  \(input.type) \(input.text)") }
    for port in manifest.outputs { lines.append("  output  \(port.name)  \(port.type)") }
    lines.append("  target  \(manifest.target.name)" + (manifest.target.requiredFeatures.isEmpty ? "" : " (\(manifest.target.requiredFeatures.count) CPU features needed)"))
    if manifest.precision != "fp32" { lines.append("  numbers \(manifest.precision)") }
    lines.append("  memory  \(manifest.arenaBytes) bytes per run" + (manifest.computedSymbols.isEmpty ? "" : ", and what the lengths need that it computes (--memory-limit)"))
    let general = manifest.steps[manifest.generalSteps]
    lines.append("  work    \(general.reduce(Extent(0)) { $0 + $1.flops }) operations in \(general.count) kernels")
    for variant in manifest.variants {
      let flops = manifest.steps[variant.steps].reduce(Extent(0)) { $0 + $1.flops }
      lines.append("  code of its own for \(variant.label): \(flops) operations in \(variant.steps.count) kernels, \(variant.arenaBytes) bytes per run")
    }
    if !manifest.labels.isEmpty { lines.append("  labels  \(manifest.labels.count), from \(manifest.labels.first ?? "")") }
    if !manifest.sourceDigest.isEmpty { lines.append("  source  \(manifest.sourceDigest)") }
    if !manifest.toolVersion.isEmpty { lines.append("  tool    ingot \(manifest.toolVersion)") }
    return lines.joined(separator: "\n")
  }
}
