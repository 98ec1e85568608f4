import ArgumentParser
import Artifact
import Compiler
import Foundation
import GraphIR
import LLVMCodegen
import Runtime
import TensorTypes

/// `bench`: how long a run takes, where the time goes, and how far that is from what the machine can do.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures how long a run takes and where the time goes.",
    discussion: """
      Prints the median, the fastest run, the 99th percentile and the spread (interquartile range over median: above 5 % the
      machine was not quiet), then arithmetic and memory traffic beside what this machine reaches at most, measured in the same run.

      Examples:
        ingot bench model.onnx --dim batch=1 --threads 1
        ingot bench model.onnx --profile --seconds 5
        ingot bench model.onnx --json result.json --yardstick
        ingot bench ./artifact --dim batch=8         # compiled with --dim batch=1,8,32
        ingot bench model.onnx --compare 'bf16: --precision bf16' --compare 'small: --winograd off' --html report.html
        ingot bench model.onnx --ablate --seconds 60 --json ablation.json --html ablation.html

      --compare measures other compile options beside those of the command (the baseline), by turns in short slices: latency, runs
      per second with all processors busy, size of the artifact, memory of its process, time to compile, error against fp32 (with
      --samples over all of them), and with --labels how many answers are right. A variant
      is a line of options, with a name before it if you like; a recipe file (.yaml); or the word baseline.
      --ablate leaves every pass out in turn, and adds them in turn to the least that compiles; it finds out which passes a model
      cannot do without. Both compile without the object cache, in processes of their own: what fails there is a row, not the end.
      """)

  @Argument(help: ArgumentHelp("A model (.onnx, .ingot) or a compiled artifact.", valueName: "model"))
  var path: String

  @Option(help: ArgumentHelp("How long to measure, after warming up (2; with --compare and --ablate for all variants together, a second for each).", valueName: "s"))
  var seconds: Double?

  @Option(help: ArgumentHelp("Write the result as JSON; - means standard output, instead of the text.", valueName: "file"))
  var json: String?

  @Flag(help: "Add a table by kernel: share of the time, speed, fraction of the machine's peak.")
  var profile = false

  @Flag(help: "Measure OpenBLAS's matrix product too, for comparison.")
  var yardstick = false

  @Option(
    name: .customLong("compare"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp("Measure another way to compile the model beside this one, such as 'bf16: --precision bf16'. May be repeated.", valueName: "[name:] options"))
  var compared: [String] = []

  @Flag(help: "Measure what each pass gains: left out in turn, and added in turn to the least that compiles.")
  var ablate = false

  @Option(help: ArgumentHelp("Write a comparison as one HTML file, with plots and all figures.", valueName: "file"))
  var html: String?

  @Option(help: ArgumentHelp("With --compare and --ablate: samples to state the error over, as --calibrate takes them (but others than those).", valueName: "folder|file"))
  var samples: String?

  @Option(help: ArgumentHelp("The right classes of --samples, to state accuracy with: as --calibration-labels takes them; --label-offset holds for them too.", valueName: "file"))
  var labels: String?

  @OptionGroup(title: "Inputs") var inputs: InputArguments
  @OptionGroup(title: "Compilation") var arguments: CompileArguments

  func validate() throws {
    if let seconds, !(seconds > 0 && seconds <= 86_400) { throw ValidationError("--seconds takes a number above 0, got \(seconds)") }
    let isComparison = ablate || !compared.isEmpty
    if !isComparison { try arguments.checkSamples() }
    if html != nil, !isComparison { throw ValidationError("--html shows a comparison: it needs --compare or --ablate") }
    if !isComparison, samples != nil { throw ValidationError("--samples are for --compare and --ablate") }
    if samples == nil, labels != nil { throw ValidationError("--labels are for --samples") }
    if isComparison, profile || yardstick { throw ValidationError("--profile and --yardstick measure one variant: leave them out with --compare and --ablate (whose HTML report has profiles)") }
  }

  func run() throws {
    if ablate || !compared.isEmpty {
      if ArtifactFile.isNamed(path) { throw ValidationError("--compare and --ablate compile: they need a model file, not an artifact") }
      return try compare()
    }
    let runnable = try RunnableModel(path: path, arguments, inputs: inputs)
    let manifest = runnable.model.manifest
    let tensors = try inputs.tensors(for: manifest, pictures: arguments.pictures, symbols: runnable.symbols(arguments))
    let session = try runnable.model.makeSession(threads: arguments.threads, maximumBytes: arguments.memoryLimit?.bytes)
    try session.prepare(tensors)
    let target = try runnable.compiled?.target ?? Target.host()
    let peak = try MachinePeak.measure(target: target, threads: session.threads)
    let result = try Benchmark(length: .seconds(seconds ?? 2)).run { () throws(RunError) in try session.invoke() }
    let profile = profile ? try secondsPerStep(session) : nil

    let deviations = runnable.compiled == nil || !runnable.options.isInexact ? nil : try arguments.deviations(path, runnable.options, try session.run(tensors), for: tensors)
    let work = KernelWork.perStep(manifest, runnable.compiled?.program, symbols: session.symbolValues)
    let report = BenchReport(
      manifest: manifest, steps: Array(manifest.steps[session.steps]), calls: runnable.compiled.map { Array($0.program.calls[session.steps]) },
      variant: session.variant?.label, threads: session.threads, result: result, work: work, secondsPerStep: profile, peak: peak,
      sgemm: yardstick ? Yardstick.sgemm(threads: session.threads) : nil, deviations: deviations)
    if json == "-" { return print(report.json.text()) }
    if let json { try OutputFile.write(report.json.text() + "\n", to: json) }
    print(report.text)
  }

  /// Variants, or passes, by turns.
  private func compare() throws {
    let given = OptionTable(Self.self).given(in: try CommandWords.expanded(CommandWords.typed)).filter { OptionTable.compilation.option(named: $0.option.name) != nil }
    let own = OptionTable.compilation.given(in: given.map(\.word))
    var variants: [Variant] = []
    // The parser would print the usage of another command.
    do { variants = try compared.map { try Variant($0, base: own) } } catch let error as ValidationError {
      throw CompileError(.usage, error.message, stage: .load, hint: "ingot bench --help has examples")
    }
    var comparison = try Comparison(path: path, inputs: inputs, baseline: Variant(baseline: own), arguments: arguments, seconds: seconds)
    defer { comparison.end() }
    comparison.measuresLayers = html != nil || json != nil
    comparison.samples = try samples.map { try LabelledSamples($0, labels: labels, model: path, arguments) }
    var ablation = ablate ? Ablation(comparison, given: own) : nil
    var candidates = try ablation?.candidates() ?? [comparison.candidate(comparison.baseline)]
    candidates += Variant.distinct(variants).map(comparison.candidate)
    let findings = try comparison.measure(candidates)
    let report = ComparisonReport(
      path: path, command: "ingot bench " + CommandWords.quoted(CommandWords.typed), findings: findings, ablation: ablation,
      machine: try MachineFacts.measure(threads: findings.threads))
    if let html { try OutputFile.write(ComparisonPage(report).text, to: html) }
    if json == "-" { return print(report.json.text()) }
    if let json { try OutputFile.write(report.json.text() + "\n", to: json) }
    print(report.text)
  }

  /// Seconds of every step in one run, the median of many. Measured apart from the timing, which counting cycles would disturb.
  private func secondsPerStep(_ session: Session) throws(RunError) -> [Double] {
    let runs = 21
    var cycles: [[Int]] = []
    session.isProfiling = true
    for _ in 0..<runs {
      session.clearProfile()
      try session.invoke()
      cycles.append(session.stepCycles)
    }
    session.isProfiling = false
    return session.steps.map { step in Double(cycles.map { $0[step] }.sorted()[runs / 2]) / MachineLimits.cyclesPerSecond }
  }
}
