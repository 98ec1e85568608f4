import ArgumentParser
import Compiler
import Interpreter
import Runtime
import TensorTypes

/// `verify`: data sets with known results.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Runs a model on data sets with known results and compares.",
    discussion: """
      A data set is a folder in the layout of the ONNX backend tests: input_0.pb, input_1.pb, ..., output_0.pb, ...
      Where shapes depend on what an input holds (an axis, say), the model is compiled for its value in each data set; "fixed" in
      the last line names such inputs.
      With --precision bf16 the error against fp32 on the same inputs is stated, too; such results need wider tolerances (say
      --rtol 0.05 --atol 0.05). The last line of standard output is JSON: {"passed":...,"max_abs_err":...,"max_rel_err":...}. Numbers match if
      |got - want| <= atol + rtol * |want|. A file data.json beside the model may hold other tolerances ("rtol", "atol").

      Example:
        ingot verify model.onnx test_data_set_0 test_data_set_1
      """)

  @Argument(help: ArgumentHelp("A model (.onnx, .ingot) or a compiled artifact.", valueName: "model"))
  var path: String

  @Argument(help: ArgumentHelp("Folders of test data.", valueName: "dataset-dir"))
  var folders: [String] = []

  @Option(help: ArgumentHelp("Relative tolerance (1e-3).", valueName: "x"))
  var rtol: Double?

  @Option(help: ArgumentHelp("Absolute tolerance (1e-7).", valueName: "x"))
  var atol: Double?

  @Flag(help: "Use the interpreter, which defines what operations mean, instead of compiled code. Slow.")
  var interpreter = false

  @OptionGroup(title: "Compilation") var arguments: CompileArguments

  func validate() throws {
    if folders.isEmpty { throw ValidationError("verify needs at least one data set folder") }
    try arguments.checkSamples()
    for (name, value) in [("--rtol", rtol), ("--atol", atol)] {
      if let value, !(value >= 0 && value.isFinite) { throw ValidationError("\(name) takes a number of at least 0, got \(value)") }
    }
  }

  func run() throws {
    let isArtifact = ArtifactFile.isNamed(path)
    if isArtifact, interpreter { throw ValidationError("--interpreter needs a model file; an artifact holds machine code only") }
    var tolerance = Verification.tolerance(besideModel: path) ?? .onnxBackendTest
    tolerance.relative = rtol ?? tolerance.relative
    tolerance.absolute = atol ?? tolerance.absolute
    if isArtifact { try arguments.checkNothingCompiles() }
    var forms = try VerifiedForms(path, arguments, usesInterpreter: interpreter)
    // Refusals of the model come before those of the data; a model may depend on what the first data set holds.
    try forms.prepare(for: (try? DataSetLayout.values("input", forms.layout.inputs, in: folders[0])) ?? [])
    var report = try Verification(tolerance: tolerance, outputNames: forms.outputNames, layout: forms.layout).run(folders, values: { try forms.run($0) })
    report.fixedInputs = forms.fixedNames
    report.options = forms.structureOptions
    for line in forms.deviationLines { print(line) }
    for line in report.lines { print(line) }
    print(report.json)
    if !report.passed { throw ExitCode(1) }
  }
}
