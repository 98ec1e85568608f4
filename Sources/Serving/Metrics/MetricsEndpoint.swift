/// `GET /metrics` in the Prometheus text format.
enum MetricsEndpoint {
  static let routes = [Route(.GET, "/metrics", metrics)]

  private static func metrics(_ exchange: Exchange) -> Answer {
    let text = exchange.service.metrics.text(readiness: exchange.service.readiness.state)
    return .response(Response(status: .ok, contentType: "text/plain; version=0.0.4; charset=utf-8", body: Array(text.utf8)))
  }
}
