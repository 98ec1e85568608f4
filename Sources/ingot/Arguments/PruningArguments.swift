import ArgumentParser
import Compiler
import Passes

/// `--prune` and what belongs to it.
struct PruningArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Leave out a part of the weights: the smallest (magnitude), so many of every few along the sum (n:m), blocks of them (blocks), or whole channels and attention heads with all that depends on them (channels). Products with enough empty blocks get kernels that skip them.",
      valueName: "magnitude|n:m|blocks|channels"))
  var prune: PruningOptions.Method?

  @Option(help: ArgumentHelp("The part that --prune leaves out, between 0 and 1.", valueName: "part"))
  var sparsity: Double?

  @Option(
    help: ArgumentHelp(
      "What --prune leaves out as a whole: steps of the sum x columns for blocks (\(PruningOptions.usualBlocks()); \(PruningOptions.usualBlocks(multipliedTogether: 2)) with --precision bf16, \(PruningOptions.usualBlocks(multipliedTogether: 4)) with --quantize int8 or dynamic-int8, which multiply so many steps at once); for n:m how many steps of how many are kept, and for how many neighbouring columns they are the same (\(PruningOptions.usualRatio)).",
      valueName: "4x16|2:4x16"))
  var pattern: SparsityPattern?

  @Option(
    help: ArgumentHelp(
      "Which layers lose how much: all the same part (layer), or what costs least of the whole model: by measured error for channels with --reconstruct, which is their usual way, otherwise compared with the rest of the layer (global).",
      valueName: "layer|global"))
  var pruneBudget: PruningBudget?

  @Option(help: ArgumentHelp("Forms of each picture that --prune channels --reconstruct fits to: itself, and mirrored and moved ones.", valueName: "n"))
  var augment = 1

  @Flag(help: "Fit the weights that remain to what the layers compute on the samples of --calibrate: for --prune by least squares (optimal brain surgeon), for --quantize weights-int4 GPTQ.")
  var reconstruct = false

  func validate() throws {
    guard prune == nil else { return }
    if sparsity != nil { throw ValidationError("--sparsity belongs to --prune") }
    if pattern != nil { throw ValidationError("--pattern belongs to --prune") }
    if augment != 1 { throw ValidationError("--augment belongs to --prune") }
  }

  var options: PruningOptions? {
    guard let prune else { return nil }
    var options = PruningOptions(prune)
    (options.sparsity, options.pattern, options.budget, options.reconstructs) = (sparsity, pattern, pruneBudget, reconstruct)
    options.variants = augment
    return options
  }
}

extension PruningOptions.Method: ExpressibleByArgument {}
extension PruningBudget: ExpressibleByArgument {}
extension SparsityPattern: ExpressibleByArgument {
  /// What the command line names: `2:4`, `2:4x16`, `4x16`.
  ///
  /// - Returns: nil for anything else.
  public init?(argument: String) { self.init(argument) }
}
