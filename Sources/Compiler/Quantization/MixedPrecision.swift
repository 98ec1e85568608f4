import Foundation
import GraphIR
import Passes
import TensorTypes

/// The input that says which layers of a graph made by `insertSwitchedQuantization` are quantised.
struct SwitchedLayers {
  let count: Int
  /// No name that a model's own input has.
  let name = "ingot.quantized"

  func tensor(_ isQuantized: (Int) -> Bool) -> Tensor {
    Tensor(.bool, [count]) { bytes in for layer in 0..<count { bytes[layer] = isQuantized(layer) ? 1 : 0 } }
  }
}

/// Which layers stay in floating point for the sake of the outputs.
///
/// Each layer is quantised by itself and the outputs are compared with fp32; then as few of the worst layers as will do are kept. All of that is
/// done with one compiled graph in which an input switches the layers. What is chosen is checked with the graph that will be shipped, and more
/// is kept if that should fall short.
///
/// Source: the order and the greedy choice follow Wu et al., Integer quantization for deep learning inference (2020), 4.2.
struct MixedPrecision {
  struct Choice {
    /// By layer: why it is kept.
    var kept: [Int: String] = [:]
    var decibelsAlone: [Double] = []
    /// How what will be shipped compares with fp32; nil without a target.
    var score: QuantizationTrial.Score?
  }

  private let wanted: QuantizationOptions
  private let trial: QuantizationTrial
  private let switches: SwitchedLayers

  init(_ wanted: QuantizationOptions, _ trial: QuantizationTrial, _ switches: SwitchedLayers) { (self.wanted, self.trial, self.switches) = (wanted, trial, switches) }

  /// - Parameters:
  ///   - build: The graph to be shipped, with some layers in floating point.
  ///   - name: Of a layer, for messages.
  /// - Throws: `CompileError`: `.badInput` if no choice meets the target; it says which comes nearest.
  func choose(_ graph: Graph, build: (Set<Int>) throws(CompileError) -> Graph, name: (Int) -> String) throws(CompileError) -> Choice {
    let model = try trial.model(graph)
    var choice = Choice()
    choice.decibelsAlone = try trial.decibels(model, extra: (0..<switches.count).map { layer in switches.tensor { $0 == layer } })
    guard wanted.hasTarget else { return choice }
    let worstFirst = (0..<switches.count).sorted { (choice.decibelsAlone[$0], $0) < (choice.decibelsAlone[$1], $1) }

    // The least number of worst layers that meets the target, taking it that keeping more never hurts.
    var (low, high) = (0, switches.count)
    while low < high {
      let middle = (low + high) / 2
      trial.progress("choose layers", high - low, of: switches.count)
      let kept = Set(worstFirst.prefix(middle))
      if meets(try trial.score(model, extra: [switches.tensor { !kept.contains($0) }])) { high = middle } else { low = middle + 1 }
    }
    // With all layers kept there is nothing to ship; one less says how near a choice can come.
    var count = min(low, switches.count - 1)
    var best: (score: QuantizationTrial.Score, kept: Int)?
    while count < switches.count {
      let score = try trial.score(try trial.model(try build(Set(worstFirst.prefix(count)))))
      if best.map({ isBetter(score, $0.score) }) ?? true { best = (score, count) }
      if meets(score) {
        choice.score = score
        for layer in worstFirst.prefix(count) {
          choice.kept[layer] = String(format: "quantized alone it leaves %.1f dB", choice.decibelsAlone[layer]) + ", and the target is " + targetText
        }
        return choice
      }
      count += max(1, (switches.count - count) / 8)
    }
    throw CompileError(
      .badInput, "no choice of layers reaches \(targetText)" + (best.map { ": the best is \(text($0.score)), with \($0.kept) of \(switches.count) layers in floating point" } ?? ""),
      stage: .run, hint: "ask for less, or leave --quantize out; the layer that hurts most is `\(worstFirst.first.map(name) ?? "")`")
  }

  private func meets(_ score: QuantizationTrial.Score) -> Bool {
    if let least = wanted.minimumDecibels, score.decibels < least { return false }
    if let most = wanted.maximumAccuracyDrop, trial.rows > 0 {
      return Double(trial.exactCorrect - score.correct) * 100 <= most * Double(trial.rows)
    }
    return true
  }

  private func isBetter(_ a: QuantizationTrial.Score, _ b: QuantizationTrial.Score) -> Bool {
    wanted.maximumAccuracyDrop == nil || a.correct == b.correct ? a.decibels > b.decibels : a.correct > b.correct
  }

  private var targetText: String {
    var parts: [String] = []
    if let least = wanted.minimumDecibels { parts.append(String(format: "%g dB", least)) }
    if let most = wanted.maximumAccuracyDrop { parts.append(String(format: "a loss of at most %g %% of the samples", most)) }
    return parts.joined(separator: " and ")
  }

  private func text(_ score: QuantizationTrial.Score) -> String {
    let decibels = String(format: "%.1f dB", score.decibels)
    return trial.rows > 0 ? "\(score.correct) of \(trial.rows) samples right where fp32 has \(trial.exactCorrect), \(decibels)" : decibels
  }
}
