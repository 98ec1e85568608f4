import GraphIR
import Passes
import TensorTypes

/// Compares models with the fp32 one on samples.
final class QuantizationTrial {
  /// How a model compares with fp32.
  struct Score {
    var decibels: Double
    /// Labelled rows that are right; 0 without labels.
    var correct = 0
  }

  private let samples: CalibrationSamples
  /// Those that layers are told apart by.
  private let few: CalibrationSamples
  private let options: CompileOptions
  private let progress: @Sendable (Compiler.Progress) -> Void
  private let labels: SampleLabels?
  /// What fp32 gives, by sample.
  private var references: [[Tensor]] = []
  private var fewReferences: [[Tensor]] = []
  /// Labelled rows, and how many of them fp32 has right.
  private(set) var rows = 0
  private(set) var exactCorrect = 0

  /// The most samples that tell layers apart: more hardly change their order.
  private static let mostOfFew = 8
  /// Multiplications that telling all layers apart may take, so that it ends within a minute or two; two samples are used in any case.
  private static let mostWork = 1.5e12
  /// The most bytes of results that are kept to compare with.
  private static let mostReferences = 1 << 30

  /// - Parameter layers: How many will be told apart.
  init(
    _ graph: Graph, _ samples: CalibrationSamples, layers: Int = 0, options: CompileOptions, progress: @escaping @Sendable (Compiler.Progress) -> Void
  ) throws(CompileError) {
    (self.options, self.progress) = (options, progress)
    var labels: SampleLabels?
    if let path = options.calibration?.labels {
      let read = try SampleLabels(reading: path, offset: options.calibration?.labelOffset ?? 0)
      try read.check(samples)
      labels = read
    }
    self.labels = labels
    let exact = try Calibration(graph, watching: [], options: options, progress: progress)
    let bytes = try exact.run(try samples.tensors(0)).reduce(1) { $0 + $1.byteCount }
    self.samples = samples.thinned(to: Self.mostReferences / bytes)
    few = self.samples.thinned(to: min(Self.mostOfFew, max(2, Int(Self.mostWork / max(graph.multiplications * Double(max(layers, 1)), 1)))))
    for position in 0..<self.samples.count {
      progress(Compiler.Progress(stage: "run fp32", done: position, of: self.samples.count))
      let results = try exact.run(try self.samples.tensors(position))
      references.append(results)
      if let labels {
        guard let found = try labels.rightRows(results.first ?? Tensor(zeros: .f32, []), of: position, in: self.samples) else {
          throw CompileError(.badInput, "the model's first output has no classes to compare labels with", stage: .run)
        }
        rows += found.count
        exactCorrect += found.count { $0 }
      }
    }
    for position in 0..<few.count { fewReferences.append(try exact.run(try few.tensors(position))) }
    if options.quantization?.maximumAccuracyDrop != nil, exactCorrect == 0 {
      throw CompileError(
        .badInput, "fp32 is right for none of \(rows) samples, so there is nothing to lose: the labels in `\(options.calibration?.labels ?? "")` are not those of `\(samples.path)`", stage: .run,
        hint: "--label-offset is added to every class, such as 1 for models whose class 0 is the background")
    }
  }

  /// A compiled model to be compared.
  func model(_ graph: Graph) throws(CompileError) -> Calibration { try Calibration(graph, watching: [], options: options, progress: progress) }

  /// - Parameters:
  ///   - extra: Inputs behind those of the samples.
  ///   - isQuick: On few samples, and without labels.
  func score(_ model: Calibration, extra: [Tensor] = [], isQuick: Bool = false) throws(CompileError) -> Score {
    let samples = isQuick ? few : self.samples
    var noise = SignalToNoise()
    var score = Score(decibels: 0)
    for position in 0..<samples.count {
      let results = try model.run(try samples.tensors(position) + extra)
      noise.add(results, reference: isQuick ? fewReferences[position] : references[position])
      guard !isQuick, let labels, let first = results.first else { continue }
      score.correct += try labels.rightRows(first, of: position, in: samples)?.count { $0 } ?? 0
    }
    score.decibels = noise.decibels
    return score
  }

  /// Puts into a report how a model compares.
  func check(_ graph: Graph, _ report: inout QuantizationReport) throws(CompileError) {
    progress(Compiler.Progress(stage: "compare with fp32"))
    let score = try score(try model(graph))
    report.decibels = score.decibels
    if labels != nil { report.accuracy = (exactCorrect, score.correct, rows) }
  }

  func progress(_ stage: String, _ done: Int, of count: Int) { progress(Compiler.Progress(stage: stage, done: done, of: count)) }
}

extension Graph {
  /// Multiplications of all contractions with constant weights in a run; lengths that are open count as 64.
  fileprivate var multiplications: Double {
    topologicalOrder().reduce(0.0) { sum, id in
      let node = node(id)
      guard node.operation is Dot || node.operation is Convolution, let weights = constant(node.operands[1]), !weights.dimensions.isEmpty else { return sum }
      let axis = QuantizedWeights.outputAxis(of: node.operation, rank: weights.dimensions.count) ?? weights.dimensions.count - 1
      let results = type(of: node.results[0]).shape.reduce(1.0) { $0 * Double($1.constant ?? 64) }
      return sum + results * Double(weights.count / max(weights.dimensions[axis], 1))
    }
  }
}
