public import Artifact
public import GraphIR
import ONNXFrontend

/// What stands between a model and its compilation: all of it at once, for people and as JSON.
public struct ObstacleReport: Sendable {
  /// What several nodes are refused for.
  private struct Group {
    var refusal: CompileError
    var nodes: [String]
    var advice: SupportAdvice
  }

  private let path: String
  private let groups: [Group]
  private let unexaminedNodes: Int

  init(path: String, refusals: [CompileError], unexaminedNodes: Int) {
    var groups: [Group] = []
    var positions: [String: Int] = [:]
    for refusal in refusals {
      let key = "\(refusal.origin.operatorName)\u{0}\(refusal.message)"
      if let known = positions[key] {
        groups[known].nodes.append(refusal.origin.node)
      } else {
        positions[key] = groups.count
        groups.append(Group(refusal: refusal, nodes: [refusal.origin.node], advice: SupportAdvice(operator: refusal.origin.operatorName)))
      }
    }
    (self.path, self.groups, self.unexaminedNodes) = (path, groups, unexaminedNodes)
  }

  /// Of one refusal that came after loading.
  public init(path: String, _ refusal: CompileError) { self.init(path: path, refusals: [refusal], unexaminedNodes: 0) }

  public var isEmpty: Bool { groups.isEmpty }

  /// As of the refusal that a compilation would end with.
  public var exitCode: Int32 { groups.contains { $0.refusal.problem == .unsupported } ? 3 : groups.first?.refusal.exitCode ?? 0 }

  public var text: String {
    let count = groups.reduce(0) { $0 + $1.nodes.count }
    var lines = ["error: \(count) node\(count == 1 ? "" : "s") of \(path) cannot be compiled"]
    for group in groups {
      let origin = group.refusal.origin
      let name = origin.operatorName.isEmpty ? "the model" : origin.operatorName + (origin.opset > 0 ? " (opset \(origin.opset))" : "")
      let nodes = group.nodes.filter { !$0.isEmpty }
      lines.append("  \(name)" + (nodes.isEmpty ? "" : ", \(group.nodes.count) node\(group.nodes.count == 1 ? "" : "s"): " + nodes.prefix(4).joined(separator: ", ") + (nodes.count > 4 ? ", ..." : "")))
      lines.append("    reason   \(group.refusal.message)")
      if !group.refusal.operands.isEmpty { lines.append("    inputs   " + group.refusal.operands.map(\.description).joined(separator: ", ")) }
      if let nearest = group.advice.nearest { lines.append("    nearest  \(nearest)") }
      if let remedy = group.advice.remedy { lines.append("    exporter \(remedy)") }
      if let hint = group.refusal.hint, !hint.contains("ingot inspect"), hint != group.advice.text { lines.append("    hint     \(hint)") }
    }
    if unexaminedNodes > 0 {
      lines.append("  \(unexaminedNodes) nodes behind these could not be looked at: the model does not declare the types of what they read (onnx.shape_inference writes them)")
    }
    return lines.joined(separator: "\n")
  }

  public var json: JSON {
    func text(_ text: String?) -> JSON { text.map { .string($0) } ?? .null }
    return .object([
      .init("model", .string(path)),
      .init(
        "obstacles",
        .array(
          groups.map { group in
            .object([
              .init("operator", .string(group.refusal.origin.operatorName)), .init("opset", .integer(group.refusal.origin.opset)),
              .init("nodes", .array(group.nodes.map { .string($0) })), .init("reason", .string(group.refusal.message)),
              .init("inputs", .array(group.refusal.operands.map { .string($0.description) })),
              .init("supported", .bool(group.refusal.problem != .unsupported)), .init("nearest", text(group.advice.nearest)),
              .init("exporter", text(group.advice.remedy)), .init("hint", text(group.refusal.hint)),
              .init("depends_on", .array(group.refusal.dependsOn.map { .string($0) })),
            ])
          })), .init("unexamined_nodes", .integer(unexaminedNodes)),
    ])
  }
}
