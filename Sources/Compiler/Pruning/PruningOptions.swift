public import GraphIR
public import Passes

/// Which weights a compilation is to leave out (`--prune`).
public struct PruningOptions: Sendable, Hashable {
  /// What is left out together.
  public enum Method: String, Sendable, CaseIterable {
    /// The least important weights, wherever they are.
    case magnitude
    /// Of every few consecutive steps of a sum so many.
    case ratio = "n:m"
    case blocks
    /// Whole channels of convolutions, columns of linear layers and attention heads, with everything that depends on them.
    case channels
  }
  public var method: Method
  /// The part of the weights, or channels, that is to go; nil where the pattern says it.
  public var sparsity: Double?
  /// Nil for the method's usual one.
  public var pattern: SparsityPattern?
  /// Nil for the usual one: channels whose loss is measured compete with those of all layers, anything else goes layer by layer.
  public var budget: PruningBudget?
  /// Fit the weights that remain to what the layers computed before, on `CompileOptions.calibration`.
  public var reconstructs = false
  /// How many forms of each picture among the samples channels are fitted to: itself, and mirrored and moved ones.
  public var variants = 1

  /// The usual part and pattern of a method.
  public init(_ method: Method) { self.method = method }

  /// Blocks as wide as a register tile's narrowest panel of columns: every empty block is a step that its tile leaves out, and smaller ones
  /// keep more accuracy than larger ones. Measured on Zen 4, 128x768x768 with one block in five: 1x16 takes 268 us, 4x16 284, 16x16 276,
  /// 1x32 271, 1x64 277, where the dense product takes 1297. Where one instruction multiplies some neighbouring steps, only all of them together are
  /// left out: with bf16 2x16 takes 167 us, 1x16 272, the dense product 667; in bytes 4x16 takes 77 us, 1x16 220, the dense product 338.
  public static func usualBlocks(multipliedTogether steps: Int = 1) -> SparsityPattern { .blocks(steps: steps, columns: 16) }
  /// Neighbouring columns share the steps that they keep, for the same reason.
  public static let usualRatio = SparsityPattern.ratio(kept: 2, of: 4, columns: 16)

  /// What is zeroed together; nil for channels.
  ///
  /// - Parameter steps: Neighbouring steps of a sum that one instruction multiplies.
  package func weightPattern(multipliedTogether steps: Int = 1) -> SparsityPattern? {
    switch method {
    case .magnitude: .elements
    case .ratio: pattern ?? Self.usualRatio
    case .blocks: pattern ?? Self.usualBlocks(multipliedTogether: steps)
    case .channels: nil
    }
  }

  /// How what goes is spread over the layers.
  var usedBudget: PruningBudget { budget ?? (method == .channels && reconstructs ? .global : .layer) }

  /// More would take time and add little.
  public static let mostVariants = 64

  /// The part that goes.
  var part: Double {
    if case .ratio(let kept, let of, _)? = weightPattern() { return 1 - Double(kept) / Double(of) }
    return sparsity ?? 0
  }

  /// - Throws: `CompileError`: `.usage` for what contradicts itself.
  public func check(hasSamples: Bool) throws(CompileError) {
    func refuse(_ fact: String, _ hint: String) -> CompileError { CompileError(.usage, fact, stage: .load, hint: hint) }
    if let sparsity, !(sparsity > 0 && sparsity < 1) {
      throw refuse("--sparsity takes a number between 0 and 1, got \(sparsity)", "0.8 removes four of five weights")
    }
    switch (method, pattern) {
    case (.ratio, nil), (.ratio, .ratio), (.blocks, nil), (.blocks, .blocks), (.magnitude, nil), (.magnitude, .elements), (.channels, nil): break
    case (.ratio, let pattern?): throw refuse("--prune n:m takes a pattern such as 2:4 or 2:4x16, got \(pattern)", "2:4x16 keeps the same two of four steps for sixteen columns")
    case (.blocks, let pattern?): throw refuse("--prune blocks takes a pattern such as 1x16 or 4x16, got \(pattern)", "steps of the sum, then columns")
    case (let method, let pattern?): throw refuse("--prune \(method.rawValue) takes no --pattern, got \(pattern)", "patterns are for --prune blocks and --prune n:m")
    }
    if method == .ratio {
      if let sparsity, abs(sparsity - part) > 1e-6 {
        throw refuse("--sparsity \(sparsity) contradicts the pattern \(weightPattern() ?? Self.usualRatio), which removes \(part)", "leave --sparsity out")
      }
    } else if sparsity == nil {
      throw refuse("--prune \(method.rawValue) needs --sparsity", "--sparsity 0.8 removes four of five weights")
    }
    if !(1...Self.mostVariants).contains(variants) { throw refuse("--augment takes a number from 1 to \(Self.mostVariants), got \(variants)", "4 adds three forms of each picture") }
    if variants > 1, !reconstructs || method != .channels { throw refuse("--augment belongs to --prune channels --reconstruct", "other ways of pruning use the samples as they are") }
    if reconstructs, !hasSamples {
      throw refuse("--reconstruct needs samples to fit the weights to", "name a folder of them with --calibrate")
    }
  }
}

extension CompileOptions {
  /// Neighbouring steps of a sum that one instruction multiplies in most products of what is compiled: four of bytes, two of bf16.
  package var stepsMultipliedTogether: Int {
    if let quantization, !quantization.scheme.isWeightsOnly { return 4 }
    return precision == .bf16 ? 2 : 1
  }
}
