import ArgumentParser
import Compiler
import Passes

/// `--quantize` and what belongs to it.
struct QuantizationArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Compute with integers: int8 (weights and activations, ranges learned from --calibrate), dynamic-int8 (ranges measured in each run), weights-int8 or weights-int4 (weights alone).",
      valueName: "int8|dynamic-int8|weights-int8|weights-int4"))
  var quantize: QuantizationOptions.Scheme?

  @Option(
    help: ArgumentHelp(
      "Which range a value gets (mse): " + ObserverKind.allCases.map { "\($0.rawValue) (\($0.summary))" }.joined(separator: ", ") + ".",
      valueName: ObserverKind.allCases.map(\.rawValue).joined(separator: "|")))
  var observer: ObserverKind?

  @Option(help: ArgumentHelp("Weights along a sum that share a scale, from 8, with weights-int4 (32) and weights-int8 (all of a column).", valueName: "n"))
  var groupSize: Int?

  @Option(
    help: ArgumentHelp(
      "What products with narrow weights may round their other operand to: nothing, or 8 bits with a scale for each row and group, which is faster (weights-int4: int8, weights-int8: float).",
      valueName: "float|int8"))
  var activations: WeightActivations?

  @Flag(help: "Even out the weights of neighbouring layers before they are quantized (cross-layer equalization).")
  var equalize = false

  @Flag(help: "Make up for what rounded weights do to the average of each output: int8 does so unless told otherwise.")
  var biasCorrection = false

  @Flag(help: "Leave the average of each output as rounded weights make it.")
  var noBiasCorrection = false

  @Option(
    help: ArgumentHelp(
      "Move outliers of activations into the weights of matrix products (SmoothQuant): a strength from 0 to 1 for all, auto (the best for each input, by the samples; what int8 does unless told otherwise), or off.",
      valueName: "alpha|auto|off"))
  var smooth: SmoothingArgument?

  @Option(help: ArgumentHelp("Keep the layers that hurt most in floating point, until the outputs have so many decibels of signal over noise.", valueName: "dB"))
  var minSqnr: Double?

  @Option(
    help: ArgumentHelp(
      "Keep the layers that hurt most in floating point, until no more than so many percent of the samples are lost; needs --calibration-labels.", valueName: "percent"))
  var maxAccuracyDrop: Double?

  @Option(name: .customLong("keep-float"), help: ArgumentHelp("Keep a node in floating point, by its name. May be repeated.", valueName: "node"))
  var floatNodes: [String] = []

  func validate() throws {
    // Smaller groups have more scales than numbers are saved.
    if let groupSize, !(8...1 << 20).contains(groupSize) { throw ValidationError("--group-size takes a number from 8 to \(1 << 20), got \(groupSize)") }
    if let minSqnr, !minSqnr.isFinite { throw ValidationError("--min-sqnr takes decibels, got \(minSqnr)") }
    if let maxAccuracyDrop, !(0...100).contains(maxAccuracyDrop) { throw ValidationError("--max-accuracy-drop takes percent from 0 to 100, got \(maxAccuracyDrop)") }
    if groupSize != nil, quantize?.isWeightsOnly != true { throw ValidationError("--group-size belongs to --quantize weights-int8 and weights-int4: products of bytes have a scale for each output") }
    if quantize != .int8 {
      if observer != nil { throw ValidationError("--observer belongs to --quantize int8, which learns ranges from samples" + (quantize == .dynamicInt8 ? ": dynamic-int8 measures them in each run" : "")) }
      let refining: [(String, Bool)] = [
        ("--equalize", equalize), ("--bias-correction", biasCorrection), ("--no-bias-correction", noBiasCorrection), ("--smooth", smooth != nil),
      ]
      if let (name, _) = refining.first(where: { $0.1 }) { throw ValidationError("\(name) belongs to --quantize int8") }
    }
    if biasCorrection, noBiasCorrection { throw ValidationError("--bias-correction and --no-bias-correction say opposite things") }
    if quantize?.isWeightsOnly != true, activations != nil { throw ValidationError("--activations belongs to --quantize weights-int8 and weights-int4") }
    if quantize == nil, let (name, _) = [("--min-sqnr", minSqnr != nil), ("--max-accuracy-drop", maxAccuracyDrop != nil)].first(where: { $0.1 }) {
      throw ValidationError("\(name) belongs to --quantize")
    }
    if quantize == nil, !floatNodes.isEmpty { throw ValidationError("--keep-float belongs to --quantize") }
  }

  var options: QuantizationOptions? {
    guard let quantize else { return nil }
    var options = QuantizationOptions(quantize)
    if let observer { options.observer = observer }
    options.groupSize = groupSize
    options.activations = activations
    (options.equalizes, options.correctsBias) = (equalize, !noBiasCorrection)
    if let smooth { options.smoothing = smooth.smoothing }
    (options.minimumDecibels, options.maximumAccuracyDrop) = (minSqnr, maxAccuracyDrop)
    options.floatNodes = floatNodes
    return options
  }
}

/// `--smooth`: a number from 0 to 1, `auto` or `off`.
struct SmoothingArgument: ExpressibleByArgument {
  let smoothing: Smoothing?

  init?(argument: String) {
    if argument == "off" { smoothing = nil } else if argument == "auto" { smoothing = .measured } else {
      guard let strength = Double(argument), (0...1).contains(strength) else { return nil }
      smoothing = .strength(strength)
    }
  }

  var defaultValueDescription: String { "auto" }
}

extension QuantizationOptions.Scheme: ExpressibleByArgument {}
extension ObserverKind: ExpressibleByArgument {}
extension WeightActivations: ExpressibleByArgument {}
