import ArgumentParser
import Artifact
import Compiler
import Foundation
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
      """)

  @Argument(help: ArgumentHelp("A model (.onnx, .ingot) or a compiled artifact.", valueName: "model"))
  var path: String

  @Option(help: ArgumentHelp("How long to measure, after warming up.", valueName: "s"))
  var seconds = 2.0

  @Option(help: ArgumentHelp("Write the result as JSON; - means standard output, instead of the text.", valueName: "file"))
  var json: String?

  @Flag(help: "Add a table by kernel: share of the time, speed, fraction of the machine's peak.")
  var profile = false

  @Flag(help: "Measure OpenBLAS's matrix product too, for comparison.")
  var yardstick = false

  @OptionGroup(title: "Inputs") var inputs: InputArguments
  @OptionGroup(title: "Compilation") var arguments: CompileArguments

  func validate() throws {
    if !(seconds > 0 && seconds <= 86_400) { throw ValidationError("--seconds takes a number above 0, got \(seconds)") }
  }

  func run() throws {
    let runnable = try RunnableModel(path: path, arguments, inputs: inputs)
    let manifest = runnable.model.manifest
    let tensors = try inputs.tensors(for: manifest, pictures: arguments.pictures, symbols: runnable.symbols(arguments))
    let session = try runnable.model.makeSession(threads: arguments.threads, maximumBytes: arguments.memoryLimit?.bytes)
    try session.prepare(tensors)
    let target = try runnable.compiled?.target ?? Target.host()
    let peak = try MachinePeak.measure(target: target, threads: session.threads)
    let result = try Benchmark(length: .seconds(seconds)).run { () throws(RunError) in try session.invoke() }
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
