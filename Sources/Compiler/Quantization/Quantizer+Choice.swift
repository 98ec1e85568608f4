import GraphIR
import Passes

extension Quantizer {
  /// Which layers stay in floating point for the sake of the outputs, and what is known of each.
  struct LayerChoice {
    /// By layer: why it is kept.
    fileprivate(set) var kept: [Int: String] = [:]
    /// By layer: what is left if it alone is quantised; empty where that was not measured.
    fileprivate(set) var decibelsAlone: [Double] = []
    fileprivate var score: QuantizationTrial.Score?
    fileprivate var trial: QuantizationTrial?
    fileprivate var measuringSeconds = 0.0

    /// Puts into a report how the model that will be shipped compares with fp32, if that can be known.
    func check(_ shipped: Graph, _ report: inout QuantizationReport) throws(CompileError) {
      report.measuringSeconds = measuringSeconds
      guard let trial else { return }
      if let score { trial.note(score, &report) } else { try trial.check(shipped, &report) }
    }
  }

  /// Finds out what each layer does to the outputs, if a target or a report asks for it, and keeps as few as the target needs.
  ///
  /// - Parameters:
  ///   - source: The model as it came.
  ///   - samples: Nil without any, which only a target needs.
  ///   - compares: Whether the result is compared with fp32 where nothing asks for it.
  ///   - names: Of the layers.
  ///   - switched: The graph with each layer both ways, and the input of this name.
  ///   - build: The graph to be shipped, with some layers in floating point.
  func choose(
    _ source: Graph, _ samples: CalibrationSamples?, compares: Bool, names: [String],
    switched: (String) throws(CompileError) -> Graph, build: (Set<Int>) throws(CompileError) -> Graph
  ) throws(CompileError) -> LayerChoice {
    var choice = LayerChoice()
    guard let samples else {
      if wanted.hasTarget {
        throw CompileError(.usage, "a target needs samples to be measured with, and none are given", stage: .run, hint: "--calibrate FOLDER names them")
      }
      return choice
    }
    let chooses = wanted.hasTarget || wanted.measuresLayers && !names.isEmpty
    guard chooses || compares || options.calibration?.labels != nil else { return choice }
    let trial = try QuantizationTrial(source, samples, layers: names.count, options: options, progress: progress)
    choice.trial = trial
    guard chooses else { return choice }
    let start = ContinuousClock.now
    let switches = SwitchedLayers(count: names.count)
    let found = try MixedPrecision(wanted, trial, switches).choose(try switched(switches.name), build: build, name: { names[$0] })
    (choice.kept, choice.decibelsAlone, choice.score) = (found.kept, found.decibelsAlone, found.score)
    if !wanted.hasTarget { choice.measuringSeconds = (ContinuousClock.now - start) / .seconds(1) }
    return choice
  }
}
