import ArgumentParser
import Compiler
import Foundation
import GraphIR
import Passes
import TensorTypes

/// The options of every verb that compiles.
struct CompileArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Read options from a YAML file: their names as keys, such as precision: bf16, dim: {batch: 1}, disable: [fuse-attention], no-cache: true. Options on the command line win over it; its relative paths are relative to it.",
      valueName: "recipe.yaml"))
  var recipe: String?

  @Option(help: ArgumentHelp("The machine to compile for: native, x86-64-v2, x86-64-v3, x86-64-v4, or a CPU's name such as znver4.", valueName: "target"))
  var target = "native"

  @Option(name: .customLong("shape"), help: ArgumentHelp("Fix the shape of an input, such as image=1x3x224x224. May be repeated.", valueName: "name=1x3x..."))
  var shapes: [ShapeArgument] = []

  @Option(
    name: .customLong("dim"),
    help: ArgumentHelp(
      "Fix a symbolic dimension, such as batch=1. Constant shapes make faster code; what is not fixed stays variable. With several lengths, such as batch=1,8,32, it stays variable and each of them gets code of its own.",
      valueName: "symbol=n[,n...]"))
  var dimensions: [DimensionArgument] = []

  @Option(
    name: .customLong("fix"),
    help: ArgumentHelp(
      "Make an input a constant of the compiled model: a .npy, .pb or .json file, such as axes=axes.npy. For models whose shapes depend on what an input holds. May be repeated.",
      valueName: "name=file"))
  var fixes: [InputArgument] = []

  @Option(
    name: .customLong("sequence"),
    help: ArgumentHelp(
      "The shapes of an input that is a sequence, such as parts=2x3,4x3: its elements become the inputs parts.0 and parts.1. An empty sequence is parts=, one of scalars parts=scalar,scalar. May be repeated; verify takes it from the data.",
      valueName: "name=2x3,..."))
  var sequences: [SequenceArgument] = []

  @Option(
    name: .customLong("optional"),
    help: ArgumentHelp(
      "What an input that is an optional holds: nothing (absent), a tensor of the declared shape (present), or one of this shape. May be repeated; verify takes it from the data.",
      valueName: "name=absent|present|2x3"))
  var optionals: [OptionalArgument] = []

  @Option(help: ArgumentHelp("Rounds for which the stacked results of a loop have room, where it is only known in the end how many there are (65536).", valueName: "n"))
  var maxTrips: Int?

  @Option(help: ArgumentHelp("Threads of one run (all cores that the process may use).", valueName: "n"))
  var threads: Int?

  @Option(help: ArgumentHelp("Most memory of one run, such as 512M or 4G (half of what the process may use).", valueName: "bytes"))
  var memoryLimit: ByteCount?

  @Option(
    help: ArgumentHelp(
      "Winograd's method for 3x3 convolutions, which multiplies 2.25 (2) or 4 times (4) less and rounds a little more: where it is estimated to be faster (auto), not at all (off), or one size of tiles wherever it applies.",
      valueName: "auto|off|2|4"))
  var winograd = WinogradUse.automatic

  @Option(
    help: ArgumentHelp(
      "What to compute with: fp32, or bf16 on machines that have AVX512_BF16 (products of bf16 summed up in fp32, bf16 weights and activations: up to twice as fast; see the error that `compile --report` and `bench` state).",
      valueName: "fp32|bf16"))
  var precision = Precision.fp32

  @OptionGroup(title: "Pruning") var pruning: PruningArguments
  @OptionGroup(title: "Quantization") var quantization: QuantizationArguments
  @OptionGroup(title: CalibrationArguments.title) var calibration: CalibrationArguments
  @OptionGroup(title: PictureArguments.title) var pictures: PictureArguments

  @Option(name: .customLong("disable"), help: ArgumentHelp("Leave out a pass (see `ingot passes`). May be repeated; commas separate names.", valueName: "pass"))
  var disabled: [String] = []

  @Option(
    help: ArgumentHelp(
      "Measure the best few candidates of each kernel on this machine, for about so many seconds (20), and keep the answers: --tune or --tune=60.", valueName: "seconds"))
  var tune: Double?

  @Option(help: ArgumentHelp("The file with the answers, read and written; none for no file (MODEL.tuning.json beside the model, if it is there).", valueName: "file"))
  var tuneCache: String?

  @Flag(help: "Compile every kernel anew, instead of taking what earlier compilations left in INGOT_CACHE (~/.cache/ingot; INGOT_CACHE=off does the same).")
  var noCache = false

  @Option(
    name: .customLong("limit"),
    help: ArgumentHelp(
      "How much a model may ask of the compiler before it is refused, by name. May be repeated. The names, and what holds without: "
        + CompileLimits.Name.allCases.map { "\($0.rawValue) (\($0.summary): \($0.usual))" }.joined(separator: "; ") + ".",
      valueName: "name=n"))
  var limits: [LimitArgument] = []

  @Option(name: .customLong("print-after"), help: ArgumentHelp("Print the model after a pass.", valueName: "pass"))
  var printAfter: [String] = []

  @Flag(help: "After every pass, verify the graph and compare its numbers with the interpreter's: names the pass that breaks a model.")
  var verifyEach = false

  @Flag(help: "Print how long each stage and pass took (to standard error).")
  var timePasses = false

  func validate() throws {
    if let threads, !(1...4096).contains(threads) { throw ValidationError("--threads takes a number from 1 to 4096, got \(threads)") }
    if let tune, !(tune > 0 && tune <= 86_400) { throw ValidationError("--tune takes seconds above 0, got \(tune)") }
    if tuneCache == "" { throw ValidationError("--tune-cache takes the name of a file, or none") }
    if let name = Self.duplicate(shapes.map(\.name)) { throw ValidationError("--shape is given twice for '\(name)'") }
    if let name = Self.duplicate(dimensions.map(\.name)) { throw ValidationError("--dim is given twice for '\(name)'") }
    if let name = Self.duplicate(limits.map(\.name.rawValue)) { throw ValidationError("--limit is given twice for '\(name)'") }
    if let name = Self.duplicate(fixes.map(\.name)) { throw ValidationError("--fix is given twice for '\(name)'") }
    if let name = Self.duplicate(sequences.map(\.name)) { throw ValidationError("--sequence is given twice for '\(name)'") }
    if let name = Self.duplicate(optionals.map(\.name)) { throw ValidationError("--optional is given twice for '\(name)'") }
    if let maxTrips, !(1...1 << 32).contains(maxTrips) { throw ValidationError("--max-trips takes a number from 1 to 4294967296, got \(maxTrips)") }
    if quantization.quantize == .int8, calibration.calibrate == nil {
      throw ValidationError(
        "--quantize int8 learns from samples which range each value has: --calibrate FOLDER names a folder with a .npy, .pb, .json, .jpg or .png file for each (--quantize dynamic-int8 needs none)")
    }
    if pruning.reconstruct, pruning.prune == nil, quantization.quantize != .weightsInt4 { throw ValidationError("--reconstruct belongs to --prune and to --quantize weights-int4") }
    if pruning.reconstruct, calibration.calibrate == nil { throw ValidationError("--reconstruct fits weights to what the layers compute on samples: name them with --calibrate") }
    if let wanted = pruning.options {
      do { try wanted.check(hasSamples: calibration.calibrate != nil) } catch { throw ValidationError(error.message + (error.hint.map { ": " + $0 } ?? "")) }
    }
    if quantization.maxAccuracyDrop != nil, calibration.calibrationLabels == nil { throw ValidationError("--max-accuracy-drop needs the right classes: --calibration-labels FILE") }
    for fix in fixes where !fix.isTensorFile { throw ValidationError("--fix takes a file that ends in .npy, .pb or .json, got '\(fix.source)'") }
  }

  /// Refuses samples that nothing asks for. Not part of `validate`: the variants of a comparison share them.
  func checkSamples() throws {
    if let fault = calibration.idleOption(for: quantization.quantize, prunes: pruning.prune != nil, reconstructs: pruning.reconstruct) { throw ValidationError(fault) }
  }

  /// Refuses options that say how a model is compiled.
  func checkNothingCompiles() throws {
    let kept: Set<String> = ["threads", "memory-limit", "dim", "sequence", "optional", "limit", "no-cache"]
    let given = OptionTable.compilation.given(in: try CommandWords.expanded(CommandWords.typed))
    guard let option = given.map(\.option).first(where: { !kept.contains($0.name) && $0.section != PictureArguments.title }) else { return }
    throw ValidationError("--\(option.name) needs a model file; an artifact is compiled already: compile the model with it")
  }

  static func duplicate(_ names: [String]) -> String? {
    var seen: Set<String> = []
    return names.first { !seen.insert($0).inserted }
  }

  /// - Throws: For files of `--fix` that cannot be read.
  func options(for path: String) throws -> CompileOptions {
    var options = CompileOptions()
    if !fixes.isEmpty {
      let inputs = try Compiler.inputs(of: path)
      for fix in fixes { options.fixed[fix.name] = try fix.tensor(inputs) }
    }
    for shape in shapes { options.shapes[shape.name] = shape.dimensions }
    for dimension in dimensions {
      if dimension.lengths.count == 1 { options.dimensions[dimension.name] = dimension.lengths[0] } else { options.variants[dimension.name] = dimension.lengths }
    }
    options.servesOneApart = dimensions.isEmpty && tune == nil && printAfter.isEmpty && !verifyEach
    for sequence in sequences { options.sequences[sequence.name] = sequence.shapes }
    for optional in optionals { options.optionals[optional.name] = optional.form }
    if let maxTrips { options.maximumTrips = maxTrips }
    options.target = target
    options.threads = threads
    options.winograd = winograd
    options.tuning.seconds = tune
    options.cacheFolder = noCache ? nil : CompileOptions.usualCacheFolder
    if let tuneCache { options.tuning.place = tuneCache == "none" ? .none : .file(tuneCache) }
    options.precision = precision
    options.pruning = pruning.options
    options.quantization = quantization.options
    options.quantization?.reconstructs = pruning.reconstruct && quantization.quantize == .weightsInt4
    options.calibration = calibration.options(pictures)
    for limit in limits { options.limits[limit.name] = limit.value }
    options.passes.disabled = Self.names(disabled)
    options.passes.printAfter = Self.names(printAfter)
    options.passes.verifiesEach = verifyEach
    return options
  }

  /// The command line with a value behind every bare `--tune`, which the parser does not know as an option with a value that may be missing.
  static func expanded(_ words: [String]) -> [String] { words.map { $0 == "--tune" ? "--tune=\(usualTuningSeconds)" : $0 } }

  private static let usualTuningSeconds = 20

  private static func names(_ lists: [String]) -> Set<String> {
    Set(lists.flatMap { $0.split(separator: ",").map(String.init) })
  }

  /// A compiler that shows its progress on a terminal.
  func compiler(_ options: CompileOptions) -> Compiler {
    let line = ProgressLine()
    return Compiler(options: options, progress: { line.show($0.stage, $0.done, of: $0.of) }, print: { print($0) })
  }

  /// Compiles, and reports times if they were asked for.
  func compile(_ path: String, options: CompileOptions) throws(CompileError) -> CompiledModel {
    let watch = CompileWatch(options.limits, spared: tune ?? 0)
    defer {
      watch.end()
      ProgressLine.clear()
    }
    let model = try compiler(options).compile(path)
    if let tuning = model.tuning {
      ProgressLine.clear()
      Terminal.note(tuning.line)
    }
    if timePasses { Terminal.note(TimeReport(model).text) }
    return model
  }
}

extension Precision: ExpressibleByArgument {}

extension CompileArguments {
  /// How far results in a lower precision are from what fp32 gives for the same inputs.
  func deviations(_ path: String, _ options: CompileOptions, _ results: [Tensor], for inputs: [Tensor]) throws -> [Deviation] {
    var reference = try PrecisionReference(path, options: options)
    try reference.compare(results, for: inputs)
    return reference.deviations
  }
}

/// The table of `--time-passes`: stages, then passes, slowest first.
struct TimeReport {
  let text: String

  init(_ model: CompiledModel) {
    var table = TextTable(leftAlignedFrom: 3)
    for stage in model.stageSeconds { table.rows.append([String(format: "%.4f s", stage.seconds), "", "", "stage \(stage.name)"]) }
    var totals: [String: (seconds: Double, runs: Int, nodes: Int)] = [:]
    for record in model.records {
      let old = totals[record.name] ?? (0, 0, 0)
      totals[record.name] = (old.seconds + record.seconds, old.runs + 1, old.nodes + record.nodesAfter - record.nodesBefore)
    }
    for (name, total) in totals.sorted(by: { ($1.value.seconds, $0.key) < ($0.value.seconds, $1.key) }) {
      table.rows.append([String(format: "%.4f s", total.seconds), "\(total.runs)x", "\(total.nodes > 0 ? "+" : "")\(total.nodes) nodes", "pass  \(name)"])
    }
    text = table.text
  }
}

extension WinogradUse: ExpressibleByArgument {}
