public import Artifact
import Glibc
import GraphIR
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

  /// What `path` held, if it is a pipe that was read: that can be done once.
  private(set) var arrays: [Tensor]?

  /// - Parameter path: A folder of samples, or a file of them.
  public init(path: String) { self.path = path }

  /// Whether `path` is standard input or another pipe.
  public var isPipe: Bool {
    var status = stat()
    return path == "-" || stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
  }

  /// Takes in the arrays of a pipe, so that all who ask for samples find them.
  ///
  /// - Throws: `CompileError`: `.badInput` for what is no row of arrays.
  mutating func readPipe() throws(CompileError) {
    guard arrays == nil, isPipe else { return }
    do throws(TensorFileError) { arrays = try NumPyFile.readAll(path == "-" ? "/dev/stdin" : path) } catch {
      throw CompileError(.badInput, error.description, stage: .run, hint: "\(optionName) takes from a pipe what a script writes with numpy.save, one array for each input of each sample")
    }
  }
}
