import GraphIR
import KernelIR

/// One way to write a kernel: what it is called, what it is expected to cost, and what its template needs to write it.
///
/// The name says everything that distinguishes it from the other candidates of the problem, and stays the same from version to version: tuning
/// files hold it. `tile 14x32, rows of pixels, blocks of 8`.
package struct Candidate<Way: Sendable>: Sendable {
  package var name: String
  package var way: Way
  package var cost: KernelCost

  package init(_ name: String, _ way: Way, cost: KernelCost) { (self.name, self.way, self.cost) = (name, way, cost) }
}

/// Answers from outside to the question which candidate to take: what a tuning file says for one target.
public struct KernelAnswers: Sendable, Hashable {
  public struct Answer: Sendable, Hashable {
    public var candidate: String
    /// The duration that was measured; nil for a choice by hand.
    public var nanoseconds: Int?
    public init(candidate: String, nanoseconds: Int? = nil) { (self.candidate, self.nanoseconds) = (candidate, nanoseconds) }
  }
  public var byProblem: [String: Answer]
  /// How other code already has the constant of a node packed, by the node's name. Taken over where it costs little:
  /// constants that are packed alike are stored once.
  public var packings: [String: String] = [:]
  public init(_ byProblem: [String: Answer] = [:]) { self.byProblem = byProblem }
}

/// A way that packs a constant operand.
package protocol PackingWay: Sendable {
  /// Ways that pack the same constant alike have the same one; nil if it does not pack a constant.
  var packing: String? { get }
}

extension FusionLowering {
  /// How much slower a kernel may be for the sake of constants that are stored once.
  private static var sharingCost: Double { 1.05 }

  /// Takes the candidate that `answers` names for the problem, or else the one with the least cost (of equal ones the first).
  ///
  /// The choice is kept in `choice`, from where the report of the kernel takes it.
  /// - Parameter note: What makes the candidates others than for the same operation on other constants.
  /// - Throws: `.usage` if the candidate named in `answers` is not among them.
  mutating func choose<Way>(_ anchor: Node, among candidates: [Candidate<Way>], distinguishedBy note: String? = nil) throws(CompileError) -> Way {
    let problem = problemName(anchor, distinguishedBy: note)
    guard let least = candidates.min(by: { $0.cost.total < $1.cost.total }) else {
      throw CompileError(.unsupported, "no way to write this kernel", stage: .lower, origin: origin)
    }
    var (taken, reason) = (least, KernelChoice.Reason.estimate)
    if let answer = answers.byProblem[problem] {
      guard let named = candidates.first(where: { $0.name == answer.candidate }) else {
        throw CompileError(
          .usage, "the tuning names `\(answer.candidate)` for `\(problem)`, which is not a candidate", stage: .lower, origin: origin,
          hint: "tune again with --tune; the candidates are " + candidates.map { "`\($0.name)`" }.joined(separator: ", "))
      }
      taken = named
      if let nanoseconds = answer.nanoseconds { reason = .measured(nanoseconds: nanoseconds) }
    }
    if let packing = answers.packings[origin.node], case .estimate = reason {
      let alike = candidates.filter { ($0.way as? any PackingWay)?.packing == packing }.min { $0.cost.total < $1.cost.total }
      if let alike, alike.cost.total <= least.cost.total * Self.sharingCost { taken = alike }
    }
    let sorted = candidates.enumerated().sorted { ($0.element.cost.total, $0.offset) < ($1.element.cost.total, $1.offset) }.map(\.element)
    choice = KernelChoice(
      problem: problem, taken: taken.name, reason: reason,
      candidates: sorted.map { KernelChoice.Candidate(name: $0.name, cycles: $0.cost.total, parts: $0.cost.description) })
    choice?.packing = (taken.way as? any PackingWay)?.packing
    choice?.node = origin.node
    return taken.way
  }

  /// What is to be computed, so that equal fusions get equal answers: the anchor with its operand types, what surrounds it,
  /// which operands are constants, the threads; and a digest of the whole body, for what this does not say.
  func problemName(_ anchor: Node, distinguishedBy note: String? = nil) -> String {
    let operands = anchor.operands.map { operand in
      let isConstant = body.inputs.firstIndex(of: operand).map { constants[$0] != nil } ?? false
      return "\(isConstant ? "constant " : "")\(body.type(of: operand))"
    }
    var (before, after): ([String], [String]) = ([], [])
    let reaching = Set(body.topologicalOrder().prefix { body.node($0).results != anchor.results })
    for id in body.topologicalOrder() {
      let node = body.node(id)
      if node.results == anchor.results || node.operation is Constant { continue }
      if reaching.contains(id) { before.append(node.operation.mnemonic) } else { after.append(node.operation.mnemonic) }
    }
    let parts = [
      "\(anchor.operation.mnemonic) \(operands.joined(separator: " x "))", before.isEmpty ? "" : "after " + before.joined(separator: " "),
      after.isEmpty ? "" : "then " + after.joined(separator: " "), "\(target.threads) thread\(target.threads == 1 ? "" : "s")",
      // Other sets of candidates.
      note ?? "", target.winograd == .automatic ? "" : "winograd \(target.winograd.rawValue)", "#" + bodyDigest,
    ]
    return parts.filter { !$0.isEmpty }.joined(separator: ", ")
  }

  /// Sixteen digits that depend on operations, attributes and types of the body and on which inputs are constants, not on names.
  private var bodyDigest: String {
    var plain = body
    plain.name = "body"
    for input in plain.inputs { plain.rename(input, "") }
    for id in plain.topologicalOrder() { for result in plain.node(id).results { plain.rename(result, "") } }
    plain.setOutputs(plain.outputs.map { ("", $0) })
    // FNV-1a.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    let flags = body.inputs.indices.map { constants[$0] == nil ? "v" : "c" }.joined()
    for byte in (plain.text(elidingAbove: 0) + flags).utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
