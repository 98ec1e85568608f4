import CRuntime
import KernelIR
import Lowering
import LoweringTestSupport

/// Every candidate of a layer, estimated and measured: what the cost model is calibrated with.
struct CandidateTable {
  struct Row {
    var name: String
    var cycles: Double
    var parts: String
    var seconds: Double
  }
  let layer: Layer
  private(set) var rows: [Row] = []

  init(_ layer: Layer, _ target: LoweringTarget) throws {
    self.layer = layer
    guard let choice = try layer.test.lowered(target).choice else { return }
    var machines: [CompiledFusion] = []
    for candidate in choice.candidates {
      let answers = KernelAnswers([choice.problem: .init(candidate: candidate.name)])
      machines.append(try layer.test.machine(try layer.test.lowered(target, answers: answers), target))
      rows.append(Row(name: candidate.name, cycles: candidate.cycles, parts: candidate.parts, seconds: .infinity))
    }
    // Alternating, so that all see the same machine.
    for round in 0..<9 {
      for number in rows.indices {
        let rounds = max(1, round == 0 ? 1 : Int(300e-6 / rows[number].seconds))
        let start = ingot_nanoseconds()
        machines[number].run(rounds: rounds)
        rows[number].seconds = min(rows[number].seconds, Double(ingot_nanoseconds() - start) * 1e-9 / Double(rounds))
      }
    }
  }

  /// How much longer the candidate with the least estimate takes than the fastest.
  var loss: Double {
    guard let taken = rows.first, let best = rows.map(\.seconds).min() else { return 0 }
    return taken.seconds / best - 1
  }

  func text(most: Int = .max) -> String {
    guard let best = rows.map(\.seconds).min() else { return "\(layer.name): one way only" }
    let lines = rows.sorted { $0.seconds < $1.seconds }.prefix(most).map { row in
      "    \(Main.pad(Main.short(row.seconds * 1e6), 10))us \(Main.pad("+\(Int((row.seconds / best - 1) * 100))%", 7))"
        + "\(Main.pad("\(Main.short(row.seconds * 3.7e9 / row.cycles * 100)) %", 10))of \(Main.pad("\(Int(row.cycles))", 12))\(Main.pad(row.name, 52))\(row.parts)"
    }
    return "\(layer.count)x \(layer.name): least estimate loses \(Main.short(loss * 100)) %\n" + lines.joined(separator: "\n")
  }
}
