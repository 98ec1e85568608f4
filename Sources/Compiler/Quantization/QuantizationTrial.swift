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
  /// The model in fp32.
  private let exact: Calibration
  /// What fp32 gives for some of the samples, by position; the others are run again.
  private var known: [Int: [Tensor]] = [:]
  private var knownBytes = 0
  /// How many classes labels tell apart.
  private var classes = 0

  /// Labelled rows, and how many of them fp32 has right.
  private(set) var rows = 0
  private(set) var exactCorrect = 0

  /// The most samples that tell layers apart: more hardly change their order.
  private static let mostOfFew = 8
  /// Multiplications that telling all layers apart may take, so that it ends within a minute or two; two samples are used in any case.
  private static let mostWork = 1.5e12
  /// The most bytes of results that are kept from one comparison to the next.
  private static let mostKnownBytes = 1 << 26

  /// - Parameter layers: How many will be told apart.
  init(
    _ graph: Graph, _ samples: CalibrationSamples, layers: Int = 0, options: CompileOptions, progress: @escaping @Sendable (Compiler.Progress) -> Void
  ) throws(CompileError) {
    (self.options, self.progress, self.samples) = (options, progress, samples)
    var labels: SampleLabels?
    if let path = options.calibration?.labels {
      let read = try SampleLabels(reading: path, offset: options.calibration?.labelOffset ?? 0)
      try read.check(samples)
      labels = read
    }
    self.labels = labels
    exact = try Calibration(graph, watching: [], options: options, progress: progress)
    few = samples.thinned(to: min(Self.mostOfFew, max(2, Int(Self.mostWork / max(graph.multiplications * Double(max(layers, 1)), 1)))))
    if let labels { try judge(labels) }
  }

  /// Finds out what fp32 has right.
  private func judge(_ labels: SampleLabels) throws(CompileError) {
    for position in 0..<samples.count {
      progress("run fp32", position, of: samples.count)
      let output = try reference(position, try samples.tensors(position)).first ?? Tensor(zeros: .f32, [])
      guard let found = try labels.rightRows(output, of: position, in: samples) else {
        throw CompileError(.badInput, "the model's first output has no classes to compare labels with", stage: .run)
      }
      classes = output.dimensions.last { $0 != 1 } ?? 0
      rows += found.count
      exactCorrect += found.count { $0 }
    }
    if options.quantization?.maximumAccuracyDrop != nil, exactCorrect == 0 {
      throw CompileError(
        .badInput, "fp32 is right for none of \(rows) samples, so there is nothing to lose: the labels in `\(options.calibration?.labels ?? "")` are not those of `\(samples.path)`", stage: .run,
        hint: "--label-offset is added to every class, such as 1 for models whose class 0 is the background")
    }
  }

  /// What fp32 gives for a sample.
  private func reference(_ position: Int, _ tensors: [Tensor]) throws(CompileError) -> [Tensor] {
    if let results = known[position] { return results }
    let results = try exact.run(tensors)
    let bytes = results.reduce(0) { $0 + $1.byteCount }
    if knownBytes + bytes <= Self.mostKnownBytes {
      known[position] = results
      knownBytes += bytes
    }
    return results
  }

  /// A compiled model to be compared.
  func model(_ graph: Graph) throws(CompileError) -> Calibration { try Calibration(graph, watching: [], options: options, progress: progress) }

  /// Compares a model with fp32, one sample after the other.
  ///
  /// - Parameter extra: Inputs behind those of the samples.
  func score(_ model: Calibration, extra: [Tensor] = []) throws(CompileError) -> Score {
    var noise = SignalToNoise()
    var score = Score(decibels: 0)
    for position in 0..<samples.count {
      progress("compare with fp32", position, of: samples.count)
      let tensors = try samples.tensors(position)
      let results = try model.run(tensors + extra)
      noise.add(results, reference: try reference(position, tensors))
      guard let labels, let first = results.first, let right = try labels.rightRows(first, of: position, in: samples) else { continue }
      score.correct += right.count { $0 }
    }
    score.decibels = try decibels(noise)
    return score
  }

  /// Signal over noise of one model with each of several extra inputs, on few samples.
  ///
  /// - Parameter layer: What progress counts.
  func decibels(_ model: Calibration, extra: [Tensor]) throws(CompileError) -> [Double] {
    var noises = extra.map { _ in SignalToNoise() }
    for position in 0..<few.count {
      let tensors = try few.tensors(position)
      let exact = try exact.run(tensors)
      for (number, own) in extra.enumerated() {
        progress("measure layer", position * extra.count + number, of: few.count * extra.count)
        noises[number].add(try model.run(tensors + [own]), reference: exact)
      }
    }
    var found: [Double] = []
    for noise in noises { found.append(try decibels(noise)) }
    return found
  }

  private func decibels(_ noise: SignalToNoise) throws(CompileError) -> Double {
    if noise.hasNumbers { return noise.decibels }
    throw CompileError(
      .badInput, "fp32 gives no finite number for any of the samples in `\(samples.path)`: there is nothing to compare with", stage: .run,
      hint: "look at the model's own weights, or calibrate with data like that which it is for")
  }

  /// Puts into a report how a model compares.
  func check(_ graph: Graph, _ report: inout QuantizationReport) throws(CompileError) { note(try score(try model(graph)), &report) }

  func note(_ score: Score, _ report: inout QuantizationReport) {
    report.decibels = score.decibels
    guard labels != nil else { return }
    report.accuracy = (exactCorrect, score.correct, rows)
    if isHardlyRight {
      report.notes.append(
        "fp32 itself is right for only \(exactCorrect) of \(rows) samples: the labels are hardly theirs. --label-offset is added to every class; labels without names are in the order of the files' names")
    }
  }

  /// True if fp32 is hardly ever right, or no more often than a guess would be.
  private var isHardlyRight: Bool { exactCorrect * 20 < rows || Double(exactCorrect) <= 1.1 * Double(rows) / Double(max(classes, 1)) }

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
