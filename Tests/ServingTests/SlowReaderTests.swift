import Glibc
import Serving
import Testing
import TensorTypes

/// A model whose reply is thousands of times larger than the request.
private struct Amplifier: InferenceEngine {
  static let count = 200_000
  let signature = ModelSignature(
    name: "echo", version: "1", inputs: [.init(name: "x", type: TensorType(.f32, [1]))],
    outputs: [.init(name: "y", type: TensorType(.f32, [Extent(count)]))])
  let facts: [(name: String, value: String)] = []

  func makeSession() throws(RequestError) -> any InferenceSession { Session() }

  private final class Session: InferenceSession {
    func run(_ inputs: [Tensor]) throws(RequestError) -> [Tensor] { [Tensor(zeros: .f32, [Amplifier.count])] }
  }
}

@Suite("slow readers") struct SlowReaderTests {
  /// A client that asks five hundred times without reading would get 400 MB; the server must hold one or two replies.
  @Test func aClientThatDoesNotReadHoldsOneReply() async throws {
    var options = ServerOptions()
    options.port = 0
    options.readTimeoutSeconds = 1
    let server = try Server(engine: Amplifier(), options: options)
    await onThread {
      let body = #"{"inputs":[1]}"#
      let request = "POST /v1/models/echo:predict HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
      let greedy = Client(port: server.port)
      let patient = Client(port: server.port)
      #expect(patient?.post("/v1/models/echo:predict", body)?.body.utf8.count == 4 * Amplifier.count - 1 + #"{"outputs":[]}"#.utf8.count)
      let before = residentBytes(patient)
      greedy?.send(String(repeating: request, count: 500))
      usleep(700_000)
      #expect(residentBytes(patient) - before < 64 << 20)
      // Nobody takes the reply: the connection ends.
      for _ in 0..<400 where server.openConnections > 1 { usleep(10_000) }
      #expect(server.openConnections == 1)
      server.beginDraining()
      server.stopAccepting()
      server.shutDown()
    }
  }
}

private func residentBytes(_ client: Client?) -> Int {
  let text = client?.get("/metrics")?.body ?? ""
  let line = text.split(separator: "\n").first { $0.hasPrefix("process_resident_memory_bytes ") }
  return line.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? 0
}
