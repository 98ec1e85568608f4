import Glibc
import Serving
import Synchronization
import TensorTypes
import Testing

@Suite("drain") struct DrainTests {
  /// Clients that send one request after the other until readiness fails, as a balancer would have it: none may fail.
  @Test func noRequestFailsWhileTheServerDrains() async throws {
    var options = ServerOptions()
    options.port = 0
    options.eventLoops = 2
    let server = try Server(
      engine: EchoEngine([("x", "y", EchoEngine.one.signature.inputs[0].type)], delayMicroseconds: 500), options: options)
    let (sent, failed, drainingSeen) = (Count(), Count(), Count())
    async let clients: Void = withTaskGroup(of: Void.self) { group in
      for _ in 0..<16 {
        group.addTask {
          await onThread {
            var client = Client(port: server.port)
            while true {
              guard let current = client else {
                failed.add()
                return
              }
              sent.add()
              guard let reply = current.post(ConnectionTests.path, ConnectionTests.body), reply.status == 200, reply.body == ConnectionTests.answer else {
                failed.add()
                return
              }
              // A reply that asks to close is how a busy client learns of the drain.
              if reply.closes {
                drainingSeen.add()
                client = Client(port: server.port)
                guard client?.get("/v2/health/ready")?.status == 503 else {
                  failed.add()
                  return
                }
                return
              }
            }
          }
        }
      }
    }
    await onThread { [server] in
      while sent.value < 2000 { usleep(1000) }
      server.beginDraining()
      usleep(300_000)
      server.stopAccepting()
      for _ in 0..<2000 where server.openConnections > 0 { usleep(1000) }
    }
    await clients
    #expect(failed.value == 0 && drainingSeen.value == 16)
    #expect(server.openConnections == 0 && server.requestsInFlight == 0)
    #expect(Client(port: server.port) == nil)
    await onThread { server.shutDown() }
  }

  /// Requests that are already in the queue when the listener closes are answered.
  @Test func queuedRequestsAreFinished() async throws {
    var options = ServerOptions()
    options.port = 0
    let server = try Server(
      engine: EchoEngine([("x", "y", EchoEngine.one.signature.inputs[0].type)], delayMicroseconds: 100_000), options: options)
    let answered = await onThread {
      let clients = (0..<8).compactMap { _ in Client(port: server.port) }
      let idle = Client(port: server.port)
      for client in clients {
        client.send("POST \(ConnectionTests.path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(ConnectionTests.body.utf8.count)\r\n\r\n\(ConnectionTests.body)")
      }
      usleep(150_000)
      server.beginDraining()
      server.stopAccepting()
      let statuses = clients.map { $0.reply()?.status }
      #expect(idle?.isClosed == true)
      server.shutDown()
      return statuses
    }
    #expect(answered == Array(repeating: 200, count: 8))
  }

  /// A run that would never end gets 504, and the worker takes the next request.
  @Test func endlessRunsAreStopped() async throws {
    var options = ServerOptions()
    options.port = 0
    options.requestTimeoutSeconds = 0.2
    let server = try Server(engine: EndlessEngine(), options: options)
    let statuses = await onThread { (0..<2).map { _ in Client(port: server.port)?.post(ConnectionTests.path, ConnectionTests.body)?.status } }
    #expect(statuses == [504, 504])
    await onThread { server.shutDown() }
  }

  /// A run that nobody waits for does not keep the process.
  @Test func abandonedRunsEndWithTheServer() async throws {
    var options = ServerOptions()
    options.port = 0
    let engine = EndlessEngine()
    let server = try Server(engine: engine, options: options)
    await onThread {
      do {
        let client = Client(port: server.port)
        client?.send("POST \(ConnectionTests.path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(ConnectionTests.body.utf8.count)\r\n\r\n\(ConnectionTests.body)")
        while engine.runs.value == 0 { usleep(1000) }
      }
      server.beginDraining()
      server.stopAccepting()
      while server.stopRuns() { usleep(1000) }
      server.shutDown()
    }
  }
}

/// Runs until it is stopped.
private struct EndlessEngine: InferenceEngine {
  let runs = Count()
  var signature: ModelSignature { Self.echo.signature }
  var facts: [(name: String, value: String)] { [] }
  func makeSession() throws(RequestError) -> any InferenceSession { Session(runs) }

  private static let echo = EchoEngine([("x", "y", EchoEngine.one.signature.inputs[0].type)])

  private final class Session: InferenceSession {
    private final class Sign: Sendable { let isUp = Atomic<Bool>(false) }
    private let sign = Sign()
    private let runs: Count

    init(_ runs: Count) { self.runs = runs }

    var stop: @Sendable () -> Void { { [sign] in sign.isUp.store(true, ordering: .relaxed) } }

    func run(_ inputs: [Tensor]) throws(RequestError) -> [Tensor] {
      sign.isUp.store(false, ordering: .relaxed)
      runs.add()
      while !sign.isUp.load(ordering: .relaxed) { usleep(1000) }
      throw RequestError(.gatewayTimeout, code: "deadline", "stopped")
    }
  }
}

final class Count: Sendable {
  private let number = Atomic<Int>(0)
  func add() { number.wrappingAdd(1, ordering: .relaxed) }
  var value: Int { number.load(ordering: .relaxed) }
}
