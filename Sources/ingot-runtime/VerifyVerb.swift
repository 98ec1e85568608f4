import Runtime

/// `verify`: data sets with known results, in the layout of the ONNX backend tests.
enum VerifyVerb {
  static let verb = Verb(
    name: "verify", summary: "Compares the model with data sets of known results (input_0.pb … output_0.pb …); ends with a line of JSON.",
    operands: "DATASET_DIR...",
    options: [
      Option(name: "--rtol", value: "X", help: "relative tolerance (1e-3)"),
      Option(name: "--atol", value: "X", help: "absolute tolerance (1e-7)"),
      Option(name: "--threads", value: "N", help: "kernel threads (all cores this process may use)"), Option.memoryLimit,
    ],
    examples: ["verify test_data_set_0 test_data_set_1"], run: run)

  private static func run(_ arguments: Arguments) throws(Failure) -> Int32 {
    guard !arguments.operands.isEmpty else { throw .usage("verify needs at least one DATASET_DIR") }
    var tolerance = Tolerance.onnxBackendTest
    tolerance.relative = try number("--rtol", arguments) ?? tolerance.relative
    tolerance.absolute = try number("--atol", arguments) ?? tolerance.absolute
    let threads = try arguments.integer("--threads", in: 1...4096)
    let limit = try arguments.bytes(Option.memoryLimit.name)
    let model = try OwnModel.load()
    let session: Session
    do throws(RunError) { session = try model.makeSession(threads: threads, maximumBytes: limit) } catch { throw .failed("\(error)") }
    let verification = Verification(tolerance: tolerance, outputNames: model.manifest.outputs.map(\.name), layout: DataSetLayout(model.manifest))
    do throws(TensorFileError) {
      let manifest = model.manifest
      let report = try verification.run(arguments.operands) { try session.run(manifest.fixedInputs.removed(from: $0, leaving: manifest.inputs.count)) }
      for line in report.lines { Console.print(line) }
      Console.print(report.json)
      return report.passed ? 0 : 1
    } catch { throw .failed("\(error)") }
  }

  private static func number(_ name: String, _ arguments: Arguments) throws(Failure) -> Double? {
    guard let text = arguments.text(name) else { return nil }
    guard let value = Double(text), value >= 0, value.isFinite else { throw .usage("option '\(name)' takes a number of at least 0, got '\(text)'") }
    return value
  }
}
