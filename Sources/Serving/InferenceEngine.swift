import TensorTypes

/// A model that can be run: what the server needs of it, and all that tests must imitate.
package protocol InferenceEngine: Sendable {
  var signature: ModelSignature { get }
  /// Facts about the model for the `ingot_model_info` metric, such as its target and digests.
  var facts: [(name: String, value: String)] { get }
  /// A session for one thread. It may be made on the thread that will use it.
  func makeSession() throws(RequestError) -> any InferenceSession
}

/// Runs a model, one request at a time. A session belongs to one thread.
package protocol InferenceSession: AnyObject {
  /// - Parameter inputs: One tensor per input of the signature, in order; element types and shapes were checked.
  /// - Returns: One tensor per output, in order.
  func run(_ inputs: [Tensor]) throws(RequestError) -> [Tensor]
  /// Asks the run under way to end; called on any thread, perhaps more than once.
  var stop: @Sendable () -> Void { get }
}

extension InferenceSession {
  package var stop: @Sendable () -> Void { {} }
}

/// A request that was understood: the tensors to run the model on, and how to write the reply.
package struct Inference: Sendable {
  package var inputs: [Tensor]
  /// The tensors of all outputs, in the order of the signature, made into a response.
  package var reply: @Sendable ([Tensor]) throws(RequestError) -> Response
}

/// What a route makes of a request.
package enum Answer: Sendable {
  case response(Response)
  case inference(Inference)
}
