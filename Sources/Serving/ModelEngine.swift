package import Runtime
import TensorTypes

/// A compiled model as an inference engine.
package struct ModelEngine: InferenceEngine {
  package let signature: ModelSignature
  package let facts: [(name: String, value: String)]
  private let model: Model
  private let threads: Int?
  private let maximumBytes: Int?

  /// - Parameters:
  ///   - name: What the model is called in URLs; nil means as the manifest says.
  ///   - threads: Threads per run; nil means what the manifest says, or else all.
  ///   - maximumBytes: The most memory of one run; nil means half of what the process may use.
  package init(_ model: Model, name: String? = nil, threads: Int? = nil, maximumBytes: Int? = nil) throws(ServerError) {
    let manifest = model.manifest
    let name = name ?? ModelSignature.servable(manifest.modelName)
    guard ModelSignature.isServable(name) else {
      throw ServerError("\(name.quoted) cannot be a model name: use 1 to 128 letters, digits, '.', '_' or '-' (--name)")
    }
    self.model = model
    self.threads = threads
    self.maximumBytes = maximumBytes
    var signature = ModelSignature(name: name, version: manifest.modelVersion, inputs: manifest.inputs, outputs: manifest.outputs)
    signature.serverVersion = manifest.toolVersion
    self.signature = signature
    facts = [("target", manifest.target.name), ("source_digest", manifest.sourceDigest), ("tool_version", manifest.toolVersion)]
  }

  package func makeSession() throws(RequestError) -> any InferenceSession {
    do throws(RunError) { return ModelSession(try model.makeSession(threads: threads, maximumBytes: maximumBytes)) } catch { throw RequestError(error) }
  }
}

private final class ModelSession: InferenceSession {
  private let session: Session

  init(_ session: Session) { self.session = session }

  var stop: @Sendable () -> Void { { [sign = session.stopSign] in sign.stop() } }

  func run(_ inputs: [Tensor]) throws(RequestError) -> [Tensor] {
    do throws(RunError) { return try session.run(inputs) } catch { throw RequestError(error) }
  }
}

extension RequestError {
  /// Whether the client's numbers or this process are to blame.
  init(_ error: RunError) {
    switch error {
    case .inputCount, .elementType, .undetermined, .failed, .text: self = .invalid("\(error)")
    case .shape, .fixedInput, .conflict, .extent, .outputExtent, .tooLarge, .condition: self = .shape("\(error)")
    case .stopped: self.init(.gatewayTimeout, code: "deadline", "the run was stopped: it took longer than --request-timeout allows")
    case .outOfMemory: self = .busy("there is not enough memory for a request of this size now")
    case .inconsistentResult, .notPrepared, .cannotLoadCode:
      self.init(.internalServerError, code: "internal", "the model failed: \(error)")
    }
  }
}

extension ModelSignature {
  /// A model name made fit for URLs: what is not allowed there becomes '-'.
  static func servable(_ name: String) -> String {
    let plain = String(name.prefix(128).map { isServable(String($0)) ? $0 : "-" })
    return plain.isEmpty ? "model" : plain
  }
}
