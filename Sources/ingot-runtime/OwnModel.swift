import Artifact
import Runtime

/// The model that this executable carries.
enum OwnModel {
  static func load() throws(Failure) -> Model {
    do throws(ArtifactError) { return try Model(artifact: try reader()) } catch { throw failure(error) }
  }

  /// What the executable says about its model, on any machine.
  static func manifest() throws(Failure) -> Manifest {
    do throws(ArtifactError) { return try reader().manifest } catch { throw failure(error) }
  }

  private static func reader() throws(ArtifactError) -> ArtifactReader { try ArtifactReader.ownExecutable() }

  private static func failure(_ error: ArtifactError) -> Failure {
    if case .holdsNoModel = error.problem {
      return .failed("this is the bare runtime and carries no model; `ingot compile MODEL -o OUT` makes an executable that does")
    }
    return .failed("\(error)")
  }
}
