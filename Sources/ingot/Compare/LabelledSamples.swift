import Compiler
import GraphIR
import Runtime
import TensorTypes

/// Samples that every variant is tried on, with the right answers where those are known.
struct LabelledSamples {
  private let samples: CalibrationSamples
  private let labels: SampleLabels?

  /// A class among so many of the largest counts for the second figure.
  private static let shortlist = 5

  /// - Parameters:
  ///   - path: A folder, or a file, as `--calibrate` takes it.
  ///   - labels: A file that `SampleLabels` reads; nil for samples without answers.
  init(_ path: String, labels: String?, model: String, _ arguments: CompileArguments) throws {
    var options = CalibrationOptions(path: path)
    options.maximumSamples = .max
    options.optionName = "--samples"
    let preparation = arguments.pictures.preparation
    options.picture = { path, port throws(TensorFileError) in try preparation.tensor(from: try Image.read(path), for: port, source: path) }
    let exact = try arguments.options(for: model).exact
    samples = try CalibrationSamples(options, for: try Compiler(options: exact, print: { _ in }).portable(model), fixed: try Compiler(options: exact).fixedInputs(model))
    self.labels = try labels.map { path throws(CompileError) in try SampleLabels(reading: path, offset: arguments.calibration.labelOffset) }
  }

  var count: Int { samples.count }

  /// Runs all samples and shows each one's results.
  func run(_ session: Session, visit: (_ sample: Int, _ results: [Tensor]) throws(CompileError) -> Void) throws(CompileError) {
    for sample in 0..<samples.count {
      let results: [Tensor]
      let tensors = try samples.tensors(sample)
      do throws(RunError) { results = try session.run(tensors) } catch { throw CompileError(.badInput, "\(samples.name(sample)): \(error)", stage: .run) }
      try visit(sample, results)
    }
  }

  /// Counts right answers; nothing without labels, or where the first output has no classes.
  func judge(_ results: [Tensor], of sample: Int, into accuracy: inout VariantResult.Accuracy?) throws(CompileError) {
    guard let labels, let output = results.first, let width = output.dimensions.last(where: { $0 != 1 }), width > 1, output.count % width == 0 else { return }
    let rows = output.count / width
    let classes = try labels.classes(of: sample, in: samples, rows: rows, width: width)
    var total = accuracy ?? VariantResult.Accuracy(samples: 0, top1: 0, top5: width > Self.shortlist ? 0 : nil)
    output.withBytes { bytes in
      for (row, label) in classes.enumerated() {
        total.samples += 1
        let score = Tensor.double(bytes, output.element, row * width + label)
        // Of equal scores the first class is the answer.
        let better = (0..<width).count { column in
          let other = Tensor.double(bytes, output.element, row * width + column)
          return other > score || (other == score && column < label)
        }
        if score.isNaN { continue }
        if better == 0 { total.top1 += 1 }
        if better < Self.shortlist, let known = total.top5 { total.top5 = known + 1 }
      }
    }
    accuracy = total
  }
}
