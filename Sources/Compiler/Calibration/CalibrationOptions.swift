public import Artifact
public import Runtime
public import TensorTypes

/// The samples that a compilation may run the model on, to see what its values are like.
public struct CalibrationOptions: Sendable {
  /// Turns a picture's file into what an input takes.
  public typealias PictureReader = @Sendable (_ path: String, _ port: Manifest.Port) throws(TensorFileError) -> Tensor

  /// A folder of samples, or a file or pipe that holds them; see `CalibrationSamples`.
  public var path: String
  /// What the option that names the samples is called, for messages.
  public var optionName = "--calibrate"
  /// At most so many samples are used, evenly spread over those there are.
  public var maximumSamples = usualSamples
  /// The right classes of the samples, where accuracy is to be measured: a file that `SampleLabels` reads.
  public var labels: String?
  /// Added to every class of `labels`.
  public var labelOffset = 0
  /// Nil: pictures are refused.
  public var picture: PictureReader?

  /// More hardly change a range, and take their time: NNCF's default, too.
  public static let usualSamples = 300

  /// - Parameter path: A folder of samples, or a file of them.
  public init(path: String) { self.path = path }
}
