import Synchronization

/// What the server counts. Labels are route patterns and status classes, never text from a client, so the number
/// of time series is fixed.
package final class Metrics: Sendable {
  /// Why a request got no answer from the model though it was valid.
  package enum Refusal: String, CaseIterable, Sendable {
    case queueFull = "queue_full", deadline, cancelled, memory, connections
  }

  private struct Counters: Sendable {
    /// Requests by route (the last row is "other") and status class 1xx…5xx.
    var requests: [[Int]]
    var latency: [Histogram]
    var inference = Histogram()
    var waiting = Histogram()
    var examples = 0
    var refusals = [Int](repeating: 0, count: Refusal.allCases.count)
    var bytesReceived = 0
    var bytesSent = 0
  }

  private let routes: [String]
  private let modelLabels: String
  private let startedAt: WallTime
  private let counters: Mutex<Counters>
  package let inFlight = Atomic<Int>(0)
  package let connections = Atomic<Int>(0)
  package let queueDepth = Atomic<Int>(0)

  init(routes: [String], signature: ModelSignature, facts: [(name: String, value: String)], startedAt: WallTime) {
    self.routes = routes + ["other"]
    self.startedAt = startedAt
    let labels = [("name", signature.name), ("version", signature.version)] + facts.map { ($0.name, $0.value) }
    modelLabels = labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",")
    counters = Mutex(
      Counters(
        requests: Array(repeating: Array(repeating: 0, count: 5), count: self.routes.count),
        latency: Array(repeating: Histogram(), count: self.routes.count)))
  }

  // MARK: Counting

  /// - Parameter route: Position of the route; nil for a request that found none.
  func recordRequest(route: Int?, status: Int, seconds: Double, received: Int, sent: Int) {
    let row = route.flatMap { $0 < routes.count - 1 ? $0 : nil } ?? routes.count - 1
    let column = min(max(status / 100 - 1, 0), 4)
    counters.withLock {
      $0.requests[row][column] += 1
      $0.latency[row].record(seconds: seconds)
      $0.bytesReceived &+= received
      $0.bytesSent &+= sent
    }
  }

  func recordInference(seconds: Double, waited: Double, examples: Int) {
    counters.withLock {
      $0.inference.record(seconds: seconds)
      $0.waiting.record(seconds: waited)
      $0.examples &+= examples
    }
  }

  func recordRefusal(_ refusal: Refusal) {
    guard let index = Refusal.allCases.firstIndex(of: refusal) else { return }
    counters.withLock { $0.refusals[index] += 1 }
  }

  // MARK: Text

  /// Everything in the Prometheus text format, version 0.0.4.
  package func text(readiness: Readiness.State) -> String {
    let counters = self.counters.withLock { $0 }
    var text = ""
    func family(_ name: String, _ type: String, _ help: String) { text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n" }
    func single(_ name: String, _ type: String, _ help: String, _ value: String) {
      family(name, type, help)
      text += "\(name) \(value)\n"
    }

    family("ingot_http_requests_total", "counter", "Requests answered, by route and status class.")
    for (route, row) in zip(routes, counters.requests) {
      for (index, count) in row.enumerated() where count > 0 {
        text += "ingot_http_requests_total{route=\"\(Self.escaped(route))\",status=\"\(index + 1)xx\"} \(count)\n"
      }
    }
    family("ingot_http_request_duration_seconds", "histogram", "Time from the complete request head to the reply, by route.")
    for (route, histogram) in zip(routes, counters.latency) where histogram.count > 0 {
      histogram.write("ingot_http_request_duration_seconds", labels: "route=\"\(Self.escaped(route))\"", to: &text)
    }
    family("ingot_inference_duration_seconds", "histogram", "Time the model ran.")
    counters.inference.write("ingot_inference_duration_seconds", labels: "", to: &text)
    family("ingot_inference_queue_duration_seconds", "histogram", "Time a request waited for the model.")
    counters.waiting.write("ingot_inference_queue_duration_seconds", labels: "", to: &text)
    single("ingot_inference_examples_total", "counter", "Examples computed: the first extent of the first input.", "\(counters.examples)")
    family("ingot_requests_refused_total", "counter", "Valid requests that the model did not see, by reason.")
    for (refusal, count) in zip(Refusal.allCases, counters.refusals) {
      text += "ingot_requests_refused_total{reason=\"\(refusal.rawValue)\"} \(count)\n"
    }
    single("ingot_http_requests_in_flight", "gauge", "Requests being read or answered.", "\(inFlight.load(ordering: .relaxed))")
    single("ingot_http_connections", "gauge", "Open connections.", "\(connections.load(ordering: .relaxed))")
    single("ingot_inference_queue_depth", "gauge", "Requests waiting for the model.", "\(queueDepth.load(ordering: .relaxed))")
    single("ingot_http_received_bytes_total", "counter", "Bytes of request bodies.", "\(counters.bytesReceived)")
    single("ingot_http_sent_bytes_total", "counter", "Bytes of response bodies.", "\(counters.bytesSent)")
    single("ingot_ready", "gauge", "1 if the server wants traffic.", readiness == .ready ? "1" : "0")
    family("ingot_model_info", "gauge", "The served model.")
    text += "ingot_model_info{\(modelLabels)} 1\n"
    single("process_start_time_seconds", "gauge", "Start of the process since the Unix epoch.", "\(startedAt.seconds)")
    if let usage = ProcessUsage.current {
      single("process_resident_memory_bytes", "gauge", "Resident memory.", "\(usage.residentBytes)")
      single("process_cpu_seconds_total", "counter", "User and system CPU time.", "\(usage.cpuSeconds)")
      single("process_open_fds", "gauge", "Open file descriptors.", "\(usage.openFiles)")
    }
    return text
  }

  private static func escaped(_ value: String) -> String {
    var text = ""
    for character in value {
      switch character {
      case "\\": text += "\\\\"
      case "\"": text += "\\\""
      case "\n": text += "\\n"
      default: text.append(character)
      }
    }
    return text
  }
}
