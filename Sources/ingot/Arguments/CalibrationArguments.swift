import ArgumentParser
import Compiler
import Runtime

/// The samples that a compilation may learn from.
struct CalibrationArguments: ParsableArguments {
  /// The heading in the help.
  static let title = "Samples"

  @Option(
    help: ArgumentHelp(
      "Samples of the inputs, for what learns from them: a folder with a .npy, .pb, .json, .jpg or .png file for each sample, or with a folder for each (input_0.pb, ... or NAME.npy for each input); or a file or pipe of .npy arrays one behind the other, - for standard input.",
      valueName: "folder|file"))
  var calibrate: String?

  @Option(help: ArgumentHelp("Use at most so many samples, evenly spread (\(CalibrationOptions.usualSamples)).", valueName: "n"))
  var calibrationSamples: Int?

  @Option(
    help: ArgumentHelp(
      "The right classes of the samples, to measure accuracy with: a number a line in the order of the samples, or a table whose header names `file` and `class_index`.",
      valueName: "file"))
  var calibrationLabels: String?

  @Option(help: ArgumentHelp("Add this to every class of --calibration-labels, such as 1 for models with a background class.", valueName: "n"))
  var labelOffset = 0

  func validate() throws {
    if let calibrationSamples, calibrationSamples < 1 { throw ValidationError("--calibration-samples takes a number of at least 1, got \(calibrationSamples)") }
    if calibrate == "" { throw ValidationError("--calibrate takes a folder or a file") }
    if calibrate == nil, calibrationLabels != nil { throw ValidationError("--calibration-labels are for the samples of --calibrate") }
  }

  /// What is wrong with giving samples, or labels, to a compilation that has no use for them; nil if it has.
  func idleOption(for scheme: QuantizationOptions.Scheme?, prunes: Bool, reconstructs: Bool) -> String? {
    if calibrate == nil { return calibrationSamples == nil ? nil : "--calibration-samples says how many of the samples of --calibrate are used: name them with it" }
    if scheme == nil, !reconstructs {
      return prunes
        ? "--calibrate has nothing to do: add --reconstruct, which fits the weights that --prune leaves to what the layers compute on the samples"
        : "--calibrate has nothing to do: it is for --quantize, and for --prune with --reconstruct"
    }
    if scheme == nil, calibrationLabels != nil { return "--calibration-labels is for --quantize" }
    return nil
  }

  func options(_ pictures: PictureArguments) -> CalibrationOptions? {
    guard let calibrate else { return nil }
    var options = CalibrationOptions(path: calibrate)
    if let calibrationSamples { options.maximumSamples = calibrationSamples }
    (options.labels, options.labelOffset) = (calibrationLabels, labelOffset)
    let preparation = pictures.preparation
    options.picture = { path, port throws(TensorFileError) in try preparation.tensor(from: try Image.read(path), for: port, source: path) }
    return options
  }
}
