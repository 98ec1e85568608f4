import ArgumentParser
import Artifact
import Compiler
import GraphIR
import Runtime

/// `inspect`: what a model takes, gives, contains and costs, and what becomes of it.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Describes a model: interface, operators, parameters, cost, and what fuses into what.",
    discussion: """
      A model that needs something unsupported is refused (exit status 3) with everything named that stands in the way: each node
      with its operator and opset, the reason, the nearest thing that is supported, and what avoids it when the model is exported.

      Examples:
        ingot inspect model.onnx
        ingot inspect model.onnx --dim batch=1 --svg model.svg
        ingot inspect ./model                        # a compiled artifact
      """)

  @Argument(help: ArgumentHelp("A model (.onnx, .ingot) or a compiled artifact.", valueName: "model"))
  var path: String

  @Option(help: ArgumentHelp("Draw the graph.", valueName: "file"))
  var svg: String?

  @Option(help: ArgumentHelp("Write everything as JSON; - means standard output, instead of the text.", valueName: "file"))
  var json: String?

  @OptionGroup(title: "Compilation") var arguments: CompileArguments

  func validate() throws { try arguments.checkSamples() }

  func run() throws {
    if ArtifactFile.isNamed(path) {
      try arguments.checkNothingCompiles()
      guard svg == nil else { throw ValidationError("--svg needs a model file; an artifact holds machine code only") }
      let manifest = try ArtifactReader(path: path).manifest
      return try report(ArtifactSummary(manifest).text, json: manifest.json)
    }
    let compiler = arguments.compiler(try arguments.options(for: path))
    try refuse(try compiler.obstacles(path))
    let plan: Compiler.Plan
    do throws(CompileError) { plan = try compiler.plan(path) } catch {
      if error.problem == .unsupported { try refuse(ObstacleReport(path: path, error)) }
      throw error
    }
    ProgressLine.clear()
    let summary = ModelSummary(plan, path: path)
    if let svg { try OutputFile.write(GraphDrawing(plan.graph).svg, to: svg) }
    try report(summary.text, json: summary.json)
  }

  /// Ends with what stands in the way of compiling, if there is anything.
  private func refuse(_ obstacles: ObstacleReport) throws {
    if obstacles.isEmpty { return }
    ProgressLine.clear()
    if json == "-" { print(obstacles.json.text()) } else if let json { try OutputFile.write(obstacles.json.text() + "\n", to: json) }
    Terminal.note(obstacles.text)
    throw ExitCode(obstacles.exitCode)
  }

  private func report(_ text: String, json value: JSON) throws {
    if json == "-" { return print(value.text()) }
    if let json { try OutputFile.write(value.text() + "\n", to: json) }
    print(text)
  }
}
