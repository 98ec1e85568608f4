internal import Artifact
public import TensorTypes

/// Runs data sets with known results through a model. A data set is a folder in the layout of the ONNX backend tests:
/// `input_0.pb`, `input_1.pb`, …, `output_0.pb`, …, one `TensorProto` each, numbered like the model's inputs and outputs.
public struct Verification: Sendable {
  public var tolerance: Tolerance
  public var outputNames: [String]
  /// What the files hold; those beyond it are tensors.
  public var layout: DataSetLayout

  /// - Parameter outputNames: For messages; outputs beyond them are called by their number.
  public init(tolerance: Tolerance = .onnxBackendTest, outputNames: [String] = [], layout: DataSetLayout = DataSetLayout()) {
    self.tolerance = tolerance
    self.outputNames = outputNames
    self.layout = layout
  }

  /// What came of it.
  public struct Report: Sendable {
    public var passed = true
    public var largestAbsoluteError = 0.0
    public var largestRelativeError = 0.0
    /// Names of the inputs that had to be made constants of the compiled model, because it depends on their values.
    public var fixedInputs: [String] = []
    /// Options that a compilation needs for such data sets: what sequences and optionals are made of.
    public var options: [String] = []
    /// One line per data set.
    public var lines: [String] = []

    /// The line that programs read. An error that is no finite number is `null`.
    public var json: String {
      var members: [JSON.Member] = [
        .init("passed", .bool(passed)), .init("max_abs_err", .number(largestAbsoluteError)), .init("max_rel_err", .number(largestRelativeError)),
      ]
      if !fixedInputs.isEmpty { members.append(.init("fixed", .array(fixedInputs.map { .string($0) }))) }
      if !options.isEmpty { members.append(.init("options", .array(options.map { .string($0) }))) }
      return JSON.object(members).text()
    }
  }

  /// - Parameter model: Runs the model on the tensors of all inputs; what it throws counts as a failed data set.
  /// - Throws: Only for data that cannot be read.
  public func run(_ folders: [String], model: ([Tensor]) throws -> [Tensor]) throws(TensorFileError) -> Report {
    try run(folders, values: { try model($0.flatMap(\.tensors)) })
  }

  /// - Parameter values: Runs the model on what each file holds.
  public func run(_ folders: [String], values model: ([DataSetValue]) throws -> [Tensor]) throws(TensorFileError) -> Report {
    var report = Report()
    for folder in folders {
      let inputs = try DataSetLayout.values("input", layout.inputs, in: folder)
      let wanted = try DataSetLayout.values("output", layout.outputs, in: folder).flatMap(\.tensors)
      do {
        let results = try model(inputs)
        compare(results, wanted, folder, &report)
      } catch {
        report.passed = false
        report.largestAbsoluteError = .infinity
        report.largestRelativeError = .infinity
        report.lines.append("\(folder): failed: \(error)")
      }
    }
    return report
  }

  private func compare(_ results: [Tensor], _ wanted: [Tensor], _ folder: String, _ report: inout Report) {
    guard results.count == wanted.count else {
      report.passed = false
      report.lines.append("\(folder): differs: \(results.count) outputs, expected \(wanted.count)")
      return
    }
    var facts: [String] = []
    var largest = 0.0
    for (position, (got, want)) in zip(results, wanted).enumerated() {
      let comparison = TensorComparison(got, against: want, tolerance: tolerance)
      report.largestAbsoluteError = max(report.largestAbsoluteError, comparison.largestAbsoluteError)
      report.largestRelativeError = max(report.largestRelativeError, comparison.largestRelativeError)
      largest = max(largest, comparison.largestAbsoluteError)
      let name = outputNames.indices.contains(position) ? "output `\(outputNames[position])`" : "output \(position)"
      if let mismatch = comparison.mismatch {
        facts.append("\(name) \(mismatch)")
      } else if let first = comparison.first {
        facts.append("\(name)\(Shape(first.index)) is \(first.gotText ?? "\(first.got)"), expected \(first.wantText ?? "\(first.want)") (\(comparison.differingElements) of \(want.count) elements differ)")
      }
    }
    report.passed = report.passed && facts.isEmpty
    report.lines.append("\(folder): " + (facts.isEmpty ? "matches (largest absolute error \(largest))" : "differs: " + facts.joined(separator: "; ")))
  }

  /// The tolerance in `data.json` beside the model, where the backend tests need another one than usual.
  public static func tolerance(besideModel path: String) -> Tolerance? {
    let folder = path.contains("/") ? path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") : "."
    guard let bytes = try? FileSystem.read(folder + "/data.json", maximumBytes: 1 << 20), let json = try? JSON(parsing: bytes) else { return nil }
    let usual = Tolerance.onnxBackendTest
    guard json["rtol"] != nil || json["atol"] != nil else { return nil }
    return Tolerance(relative: json["rtol"]?.double ?? usual.relative, absolute: json["atol"]?.double ?? usual.absolute)
  }
}
