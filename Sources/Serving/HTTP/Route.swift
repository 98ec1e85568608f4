import NIOHTTP1

/// One verb on one path, and what answers it.
package struct Route: Sendable {
  package var method: HTTPMethod
  package var pattern: PathPattern
  /// Metrics, health and the like go on while the server drains and never wait in the queue.
  var errorStyle: ErrorStyle
  var handle: @Sendable (Exchange) throws(RequestError) -> Answer

  init(
    _ method: HTTPMethod, _ pattern: String, errors errorStyle: ErrorStyle = .sentence,
    _ handle: @escaping @Sendable (Exchange) throws(RequestError) -> Answer
  ) {
    self.method = method
    self.pattern = PathPattern(pattern)
    self.errorStyle = errorStyle
    self.handle = handle
  }

  /// How an error is written.
  enum ErrorStyle: Sendable {
    /// `{"error": "…"}`: Open Inference Protocol, TensorFlow Serving.
    case sentence
    /// `{"error": {"code", "message", "request_id"}}`: the `/predict` alias.
    case detailed
  }
}

/// A request on its way through a route.
struct Exchange: Sendable {
  let service: Service
  let request: Request
  /// Names the request in replies of the `/predict` alias; empty elsewhere.
  let requestID: String

  var signature: ModelSignature { service.signature }
}

/// A request line that found its route.
package struct RouteMatch: Sendable {
  /// Position in `Service.routes`; also the route's row in the metrics.
  package let index: Int
}

/// A request that found none, or may not use it.
package struct Rejection: Error, Sendable {
  /// The route's position, if the path was known.
  package let index: Int?
  package let response: Response
}
