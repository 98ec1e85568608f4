import ArgumentParser
import Compiler
import Foundation
import GraphIR
import KernelIR
import LLVMCodegen
import Passes
import Runtime
import TensorTypes

/// `compile`: a model file becomes an executable, a library, or text to read.
struct CompileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compile", abstract: "Compiles a model into an executable that serves it (or a library, or text to read).",
    discussion: """
      The executable holds code and weights, needs nothing beside it, and has verbs of its own: serve, run, info, bench, verify.
      The same model with the same options gives the same bytes.

      Examples:
        ingot compile model.onnx -o model && ./model serve
        ingot compile model.onnx -o model --dim batch=1 --threads 1 --target x86-64-v3
        ingot compile classifier.onnx -o classifier --labels classes.txt
        ingot compile model.onnx -o libmodel.so --emit so        # and model.h, for C
        ingot compile model.onnx --emit graph                    # text, to standard output
        ingot compile model.onnx -o model --precision bf16 --write-recipe model.yaml
        ingot compile model.onnx -o model --recipe model.yaml    # the same again
        ingot compile model.onnx -o model --prune channels --sparsity 0.3 --reconstruct --calibrate samples
        ingot compile model.onnx -o model --quantize int8 --calibrate samples --min-sqnr 30
      """)

  enum Emission: String, CaseIterable, ExpressibleByArgument {
    case exe, so, object, graph, kernels, llvm, asm

    var isText: Bool {
      switch self {
      case .graph, .kernels, .llvm, .asm: true
      case .exe, .so, .object: false
      }
    }
  }

  @Argument(help: ArgumentHelp("The model: .onnx, or .ingot.", valueName: "model"))
  var path: String

  @Option(name: .shortAndLong, help: ArgumentHelp("Where to write; text goes to standard output without it.", valueName: "file"))
  var output: String?

  @Option(help: "What to write: \(Emission.allCases.map(\.rawValue).joined(separator: ", ")).")
  var emit = Emission.exe

  @Option(help: ArgumentHelp("The name the model is served under (the file's name).", valueName: "name"))
  var name: String?

  @Option(help: ArgumentHelp("The version that the model states.", valueName: "version"))
  var modelVersion = "1"

  @Option(help: ArgumentHelp("Names of a classifier's classes, one a line.", valueName: "file"))
  var labels: String?

  @Option(help: ArgumentHelp("Write what each pass did, what was fused, what was not and why, times, sizes and kernels; with --precision bf16 or --quantize also the error against fp32 on the first sample or random inputs, and with --quantize that of each layer. As text (.txt), a page (.html), or JSON (any other name).", valueName: "file"))
  var report: String?

  @Flag(help: "Leave the error against fp32 out of --report: it takes a second compilation.")
  var noErrorReport = false

  @Flag(help: "Leave the error of each quantized layer by itself out of --report: it takes a run of the model for each.")
  var noLayerErrors = false

  @Option(help: ArgumentHelp("Keep the options that were used in a file for --recipe.", valueName: "recipe.yaml"))
  var writeRecipe: String?

  @OptionGroup(title: "Compilation") var arguments: CompileArguments

  func validate() throws {
    if output == nil, !emit.isText { throw ValidationError("--emit \(emit.rawValue) needs -o FILE") }
    if modelVersion.isEmpty || modelVersion.contains("/") { throw ValidationError("--model-version '\(modelVersion)' cannot be part of a URL") }
    if let name, name.isEmpty || name.contains("/") { throw ValidationError("--name '\(name)' cannot be part of a URL") }
    var written: [String: String] = [:]
    for (option, path) in [("-o", output), ("--report", report), ("--write-recipe", writeRecipe)] {
      guard let path, path != "-" else { continue }
      let place = URL(fileURLWithPath: path).standardizedFileURL.path
      if let other = written.updateValue(option, forKey: place), !place.hasPrefix("/dev/") { throw ValidationError("\(other) and \(option) name the same file, \(path)") }
    }
    try arguments.checkSamples()
  }

  func run() throws {
    var options = try arguments.options(for: path)
    options.modelName = name
    options.modelVersion = modelVersion
    if let labels { options.labels = try LabelFile.read(labels) }
    if report != nil, !noLayerErrors { options.quantization?.measuresLayers = true }
    let start = ContinuousClock.now
    if emit == .graph {
      try write(text: try arguments.compiler(options).portable(path).text())
      ProgressLine.clear()
      return
    }
    if emit.isText, self.report == nil, !arguments.timePasses {
      // What is read needs no object code.
      let plan = try arguments.compiler(options).plan(path)
      ProgressLine.clear()
      if let tuning = plan.tuning { Terminal.note(tuning.line) }
      return try write(text: try text(plan.program, plan.target))
    }
    let model = try arguments.compile(path, options: options)
    if emit == .so || emit == .object, !model.manifest.strings.isEmpty {
      throw CompileError(
        .unsupported, "a model with strings needs the runtime beside its code, which only an executable has", stage: .write, origin: NodeOrigin(file: path),
        hint: "leave --emit out")
    }
    switch emit {
    case .exe: if let output { try model.writeArtifact(to: output) }
    case .so: if let output { try SharedLibrary(model).write(to: output) }
    case .object: if let output { try RelocatableObject(model, prefix: EmbeddingSource.identifier(model.manifest.modelName)).write(to: output) }
    case .llvm, .asm, .kernels: try write(text: try text(model.program, model.target))
    case .graph: break
    }
    if let writeRecipe {
      let given = OptionTable(Self.self).given(in: try CommandWords.expanded(CommandWords.typed)).filter { OptionTable.compilation.option(named: $0.option.name) != nil }
      let recipe = try RecipeText(given, target: model.target.cpu, threads: options.threads ?? Allowance.cpus, model: path, path: writeRecipe)
      try OutputFile.write(recipe.text, to: writeRecipe)
    }
    var report = CompileReport(model, output: output, seconds: (ContinuousClock.now - start).seconds)
    if let path = self.report {
      if options.isInexact, !noErrorReport {
        if let tensors = try firstSample(of: model, options) {
          report.deviations = try deviations(of: model, options, for: tensors)
          report.deviationInputs = "the first sample of \(options.calibration?.path ?? "")"
        } else {
          // Made-up inputs do not fit every model: that it compiled is what counts.
          do { report.deviations = try deviations(of: model, options, for: try randomInputs(of: model)) } catch { report.deviationObstacle = "\(error)" }
        }
      }
      try OutputFile.write(report.contents(for: path), to: path)
    }
    if output != nil { print(([report.line] + report.pruningLines + report.quantizationLines + (report.deviations?.lines ?? [])).joined(separator: "\n")) }
  }

  /// Ranges that were learned from samples say nothing about random numbers. Nil without samples that can be read again.
  private func firstSample(of model: CompiledModel, _ options: CompileOptions) throws -> [Tensor]? {
    guard let calibration = options.calibration, !calibration.isPipe, let graph = model.revision?.graph else { return nil }
    return try CalibrationSamples(calibration, for: graph, fixed: try Compiler(options: options.exact).fixedInputs(path)).tensors(0)
  }

  /// Symbolic axes are as long as `--dim` says, or 2.
  private func randomInputs(of model: CompiledModel) throws -> [Tensor] {
    try InputArguments.parse([]).tensors(for: model.manifest, pictures: arguments.pictures, symbols: Dictionary(uniqueKeysWithValues: model.manifest.symbols.map { ($0, 2) }))
  }

  /// How far the model is from fp32.
  private func deviations(of model: CompiledModel, _ options: CompileOptions, for tensors: [Tensor]) throws -> [Deviation] {
    let results = try model.makeModel().makeSession(threads: options.threads).run(tensors)
    return try arguments.deviations(path, options, results, for: tensors)
  }

  private func text(_ program: KernelProgram, _ target: Target) throws(CodegenError) -> String {
    switch emit {
    case .llvm: try emitLLVM(program, for: target)
    case .asm: try emitAssembly(program, for: target)
    case .kernels, .graph, .exe, .so, .object: program.printed
    }
  }

  private func write(text: String) throws(CompileError) { try write(bytes: Array(text.utf8)) }

  private func write(bytes: [UInt8]) throws(CompileError) {
    if let output, output != "-" { return try OutputFile.write(bytes, to: output) }
    FileHandle.standardOutput.write(Data(bytes))
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// A text file with one class name a line.
enum LabelFile {
  static func read(_ path: String) throws(CompileError) -> [String] {
    guard let data = FileManager.default.contents(atPath: path) else { throw CompileError(.badInput, "cannot read the labels in `\(path)`", stage: .load) }
    let lines = String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    var labels = lines.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
    while labels.last?.isEmpty == true { labels.removeLast() }
    guard !labels.isEmpty else { throw CompileError(.badInput, "`\(path)` names no classes", stage: .load) }
    return labels
  }
}
