import GraphIR
import Passes
import TensorTypes

/// Compares models with the fp32 one on samples.
final class QuantizationTrial {
  /// How a model compares with fp32.
  struct Score {
    var decibels: Double
    /// Samples whose class is right; 0 without labels.
    var correct = 0
  }

  let samples: CalibrationSamples
  /// Those that layers are told apart by.
  private let few: CalibrationSamples
  private let options: CompileOptions
  private let progress: @Sendable (Compiler.Progress) -> Void
  private let labels: SampleLabels?
  /// What fp32 gives, by sample.
  private var references: [[Tensor]] = []
  private var fewReferences: [[Tensor]] = []
  /// Of fp32.
  private(set) var exactCorrect = 0
  private(set) var rows = 0

  /// More are hardly needed to put layers in order.
  private static let fewSamples = 8

  init(
    _ graph: Graph, _ samples: CalibrationSamples, options: CompileOptions, progress: @escaping @Sendable (Compiler.Progress) -> Void
  ) throws(CompileError) {
    (self.samples, self.options, self.progress) = (samples, options, progress)
    few = samples.thinned(to: Self.fewSamples)
    var labels: SampleLabels?
    if let path = options.calibration?.labels { labels = try SampleLabels(reading: path, offset: options.calibration?.labelOffset ?? 0) }
    self.labels = labels
    let exact = try Calibration(graph, watching: [], options: options, progress: progress)
    for position in 0..<samples.count {
      progress(Compiler.Progress(stage: "compare", done: position, of: samples.count))
      let results = try exact.run(try samples.tensors(position))
      references.append(results)
      if let labels {
        guard let found = try labels.correct(results.first ?? Tensor(zeros: .f32, []), of: position, in: samples) else {
          throw CompileError(.badInput, "the model's first output has no classes to compare labels with", stage: .run)
        }
        exactCorrect += found.correct
        rows += found.rows
      }
    }
    for position in 0..<few.count { fewReferences.append(try exact.run(try few.tensors(position))) }
  }

  /// A compiled model to be compared.
  func model(_ graph: Graph) throws(CompileError) -> Calibration { try Calibration(graph, watching: [], options: options, progress: progress) }

  /// - Parameters:
  ///   - extra: Inputs behind those of the samples.
  ///   - isQuick: On few samples, and without labels.
  func score(_ model: Calibration, extra: [Tensor] = [], isQuick: Bool = false) throws(CompileError) -> Score {
    let samples = isQuick ? few : self.samples
    var noise = SignalToNoise()
    var correct = 0
    for position in 0..<samples.count {
      let results = try model.run(try samples.tensors(position) + extra)
      noise.add(results, reference: isQuick ? fewReferences[position] : references[position])
      if !isQuick, let labels, let first = results.first { correct += try labels.correct(first, of: position, in: samples)?.correct ?? 0 }
    }
    return Score(decibels: noise.decibels, correct: correct)
  }

  /// Puts into a report how a model compares.
  func check(_ graph: Graph, _ report: inout QuantizationReport) throws(CompileError) {
    progress(Compiler.Progress(stage: "compare"))
    let score = try score(try model(graph))
    report.decibels = score.decibels
    if labels != nil { report.accuracy = (exactCorrect, score.correct, rows) }
  }

  func progress(_ stage: String, _ done: Int, of count: Int) { progress(Compiler.Progress(stage: stage, done: done, of: count)) }
}
