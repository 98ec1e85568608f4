import NIOHTTP1
import Synchronization

/// The protocols over one model, apart from sockets and threads: requests in, answers out.
///
/// Everything here is a function of the request, so that tests call it directly.
package final class Service: Sendable {
  package let signature: ModelSignature
  package let metrics: Metrics
  package let readiness = Readiness()
  package let routes: [Route]
  let startedAt: WallTime
  private let requestPrefix: String
  private let requestCounter = Atomic<UInt64>(0)

  package init(engine: any InferenceEngine) {
    signature = engine.signature
    routes = OpenInferenceProtocol.routes + TensorFlowServing.routes + PredictAlias.routes + MetricsEndpoint.routes
    startedAt = .now
    metrics = Metrics(
      routes: routes.map(\.pattern.text), signature: engine.signature, facts: engine.facts, startedAt: startedAt)
    requestPrefix = String(UInt32.random(in: 0 ... .max), radix: 16)
  }

  /// Finds the route of a request line.
  ///
  /// - Returns: The match, or the reply to send: 404 with the list of routes, 405 with `Allow`, 404 for another model's name.
  package func match(_ method: HTTPMethod, _ target: String) -> Result<RouteMatch, Rejection> {
    let path: [String]
    do { path = try PathPattern.segments(of: target) } catch { return .failure(Rejection(index: nil, response: .error(error))) }
    var allowed: [String] = []
    var known: Int?
    for (index, route) in routes.enumerated() {
      guard let parameters = route.pattern.match(path) else { continue }
      known = known ?? index
      guard route.method == method || (route.method == .GET && method == .HEAD) else {
        allowed += route.method == .GET ? ["GET", "HEAD"] : [route.method.rawValue]
        continue
      }
      if let model = parameters[.model], model != signature.name {
        return reject(index, .notFound("unknown model \(model.quoted); this server has \(signature.name.quoted)"))
      }
      if let version = parameters[.version], version != signature.version {
        return reject(
          index, .notFound("unknown version \(version.quoted) of model \(signature.name.quoted); this server has \(signature.version.quoted)"))
      }
      return .success(RouteMatch(index: index))
    }
    if let known {
      let message = "\(method.rawValue.quoted) is not allowed here; use \(allowed.joined(separator: ", "))"
      return reject(
        known, RequestError(.methodNotAllowed, code: "method_not_allowed", message, headers: [("Allow", allowed.joined(separator: ", "))]))
    }
    let list = routes.map { "\($0.method.rawValue) \($0.pattern.text)" }.joined(separator: "; ")
    return .failure(Rejection(index: nil, response: .error(.notFound("unknown path; this server has: \(list)"))))
  }

  private func reject(_ index: Int, _ error: RequestError) -> Result<RouteMatch, Rejection> {
    .failure(Rejection(index: index, response: failure(error, index, requestID: routes[index].errorStyle == .detailed ? nextRequestID() : "")))
  }

  /// What the route makes of a complete request. Errors come back as responses.
  package func answer(_ match: RouteMatch, _ request: Request) -> Answer {
    guard routes.indices.contains(match.index) else { return .response(.error(.notFound("unknown path"))) }
    let route = routes[match.index]
    let id = route.errorStyle == .detailed ? requestID(of: request) : ""
    do {
      switch try route.handle(Exchange(service: self, request: request, requestID: id)) {
      case .response(let response): return .response(response)
      case .inference(var inference):
        let reply = inference.reply
        inference.reply = { [self] outputs in
          do throws(RequestError) { return try reply(outputs) } catch { return failure(error, match.index, requestID: id) }
        }
        return .inference(inference)
      }
    } catch {
      return .response(failure(error, match.index, requestID: id))
    }
  }

  /// An error in the form that the route's protocol wants.
  package func failure(_ error: RequestError, _ index: Int?, requestID: String) -> Response {
    guard let index, routes.indices.contains(index), routes[index].errorStyle == .detailed else { return .error(error) }
    return PredictAlias.failure(error, requestID: requestID.isEmpty ? nextRequestID() : requestID)
  }

  /// The whole way of a request, on the calling thread.
  package func respond(to request: Request, with session: any InferenceSession) -> Response {
    switch match(request.method, request.target) {
    case .failure(let rejection): return rejection.response
    case .success(let match):
      switch answer(match, request) {
      case .response(let response): return response
      case .inference(let inference):
        do { return try inference.reply(try session.run(inference.inputs)) } catch { return failure(error, match.index, requestID: "") }
      }
    }
  }

  // MARK: Request names

  /// The client's `X-Request-Id` if it is short and plain, else a name of our own.
  private func requestID(of request: Request) -> String {
    if let sent = request.headers.first(name: "x-request-id"), ModelSignature.isServable(sent) { return sent }
    return nextRequestID()
  }

  private func nextRequestID() -> String {
    let number = requestCounter.wrappingAdd(1, ordering: .relaxed).newValue
    return requestPrefix + "-" + String(number)
  }
}

/// Whether the server should get traffic. It starts, gets ready, and drains; there is no way back.
package final class Readiness: Sendable {
  package enum State: UInt8, Sendable { case starting, ready, draining }
  private let raw = Atomic<UInt8>(State.starting.rawValue)

  package var state: State { State(rawValue: raw.load(ordering: .acquiring)) ?? .draining }
  package var isReady: Bool { state == .ready }
  package var isDraining: Bool { state == .draining }

  package func becomeReady() {
    _ = raw.compareExchange(
      expected: State.starting.rawValue, desired: State.ready.rawValue, ordering: .acquiringAndReleasing)
  }

  package func beginDraining() { raw.store(State.draining.rawValue, ordering: .releasing) }
}
