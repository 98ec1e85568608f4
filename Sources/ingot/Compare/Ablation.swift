import Compiler
import LLVMCodegen

/// Which passes a model needs, and what each of them gains: every one left out in turn, and added in turn to the least that compiles.
struct Ablation {
  /// What a pass turned out to be.
  enum PassKind: Sendable, Hashable {
    /// It changed the model, and the model compiles without it.
    case optional
    /// Without it the model does not compile: the compiler's words.
    case required(String)
    /// It ran and changed nothing, so that leaving it out makes no difference.
    case idle
    /// It is no part of this pipeline (a pass for another precision, or switched off by the command).
    case absent
  }

  struct Switch: Sendable {
    var pass: String
    var summary: String
    var kind: PassKind
  }

  typealias Candidate = (variant: Variant, build: Result<VariantBuild, VariantBuild.Failure>)

  private let comparison: Comparison
  private let given: [OptionTable.Given]
  /// In the order in which passes first run.
  private(set) var switches: [Switch] = []
  /// Passes that the least program has, beside those that are idle.
  private(set) var leastPasses: [String] = []

  init(_ comparison: Comparison, given: [OptionTable.Given]) { (self.comparison, self.given) = (comparison, given) }

  /// Everything there is to measure: the baseline first, then each pass left out, then what else can be chosen, then what adding in turn gives.
  mutating func candidates() throws -> [Candidate] {
    let base = try comparison.build(comparison.baseline)
    var all: [Candidate] = [(comparison.baseline, .success(base))]
    var summaries: [String: String] = [:]
    for pass in Compiler.passes { summaries[pass.name] = pass.summary }
    // Pruning and quantization are no passes that --disable knows; leaving them out is a choice below.
    for pass in base.passes where summaries[pass.name] != nil {
      var kind = PassKind.idle
      if pass.hasChanged {
        let candidate = build(Variant(.without(pass.name), "without \(pass.name)", adding: ["--disable=\(pass.name)"], to: given))
        if case .failure(let failure) = candidate.build { kind = .required(failure.message) } else {
          kind = .optional
          all.append(candidate)
        }
      }
      switches.append(Switch(pass: pass.name, summary: summaries[pass.name] ?? "", kind: kind))
    }
    let ran = Set(switches.map(\.pass))
    switches += Compiler.passes.filter { !ran.contains($0.name) }.map { Switch(pass: $0.name, summary: $0.summary, kind: .absent) }
    all += choices.map(build)
    return all + addedInTurn()
  }

  /// The baseline with one other choice made.
  private var choices: [Variant] {
    var found: [Variant] = []
    let arguments = comparison.arguments
    if arguments.winograd != .off { found.append(Variant(.choice("winograd"), "--winograd off", adding: ["--winograd=off"], to: given)) }
    let machine = try? Target(named: arguments.target)
    switch arguments.precision {
    case .bf16: found.append(Variant(.choice("precision"), "--precision fp32", adding: ["--precision=fp32"], to: given))
    case .fp32: if machine?.hasBF16 == true { found.append(Variant(.choice("precision"), "--precision bf16", adding: ["--precision=bf16"], to: given)) }
    }
    for section in ["Quantization", "Pruning"] where given.contains(where: { $0.option.section == section }) {
      found.append(Variant(.choice(section.lowercased()), "without \(section.lowercased())", adding: [], to: given.filter { $0.option.section != section }))
    }
    return found
  }

  // MARK: Added in turn

  private mutating func addedInTurn() -> [Candidate] {
    let free = switches.filter { $0.kind == .optional }.map(\.pass)
    guard !free.isEmpty, let least = least(of: free) else { return [] }
    leastPasses = switches.compactMap { item in
      if case .required = item.kind { return item.pass }
      return least.kept.contains(item.pass) ? item.pass : nil
    }
    var all = [least.candidate]
    var enabled = Set(least.kept)
    for pass in free where !enabled.contains(pass) {
      enabled.insert(pass)
      // With the last one it is the baseline again.
      all.append(build(variant(.added(pass), "+ \(pass)", without: free.filter { !enabled.contains($0) })))
    }
    return all
  }

  /// The fewest passes with which the model still compiles: those without which it never does, and what these need in turn.
  private func least(of free: [String]) -> (kept: [String], candidate: Candidate)? {
    func attempt(_ kept: [String]) -> Candidate? {
      let candidate = build(variant(.least, "least that compiles", without: free.filter { !kept.contains($0) }))
      if case .success = candidate.build { return candidate }
      return nil
    }
    var kept: [String] = []
    var found = attempt(kept)
    for pass in free where found == nil {
      kept.append(pass)
      found = attempt(kept)
    }
    guard var best = found else { return nil }
    for pass in kept {
      let fewer = kept.filter { $0 != pass }
      if kept.count > 1, let candidate = attempt(fewer) { (kept, best) = (fewer, candidate) }
    }
    return (kept, best)
  }

  private func variant(_ role: Variant.Role, _ name: String, without passes: [String]) -> Variant {
    Variant(role, name, adding: passes.isEmpty ? [] : ["--disable=\(passes.joined(separator: ","))"], to: given)
  }

  private func build(_ variant: Variant) -> Candidate { comparison.candidate(variant) }
}
