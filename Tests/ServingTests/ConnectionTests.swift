import Glibc
import Serving
import Testing

/// Real sockets on 127.0.0.1, each test with a server of its own.
@Suite("connections") struct ConnectionTests {
  static let body = #"{"instances":[[1,2,3,4]]}"#
  static let answer = #"{"predictions":[[1.0,2.0,3.0,4.0]]}"#
  static let path = "/v1/models/echo:predict"

  /// Runs a test against a server and shuts it down.
  private func withServer<Result: Sendable>(
    _ engine: EchoEngine = .one, _ adjust: (inout ServerOptions) -> Void = { _ in }, _ body: @escaping @Sendable (Server) -> Result
  ) async throws -> Result {
    var options = ServerOptions()
    options.port = 0
    adjust(&options)
    let server = try Server(engine: engine, options: options)
    return await onThread {
      while !server.service.readiness.isReady { usleep(1000) }
      let result = body(server)
      server.beginDraining()
      server.stopAccepting()
      server.shutDown()
      return result
    }
  }

  @Test func keepsConnectionsAndAnswersPipelinedRequestsInOrder() async throws {
    try await withServer { server in
      guard let client = Client(port: server.port) else { return #expect(Bool(false)) }
      for _ in 0..<3 { #expect(client.post(Self.path, Self.body)?.body == Self.answer) }
      let request = "POST \(Self.path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.body.utf8.count)\r\n\r\n\(Self.body)"
      client.send(request + "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n" + request + "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect([client.reply()?.status, client.reply()?.status, client.reply()?.status, client.reply()?.status] == [200, 200, 200, 404])
    }
  }

  /// Both were found by damaging requests at random: a reply lost to what came behind it, and a request counted for ever.
  @Test func whatFollowsTheLastReplyDoesNoHarm() async throws {
    try await withServer { server in
      let request = "POST \(Self.path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.body.utf8.count)\r\n\r\n\(Self.body)"
      guard let damaged = Client(port: server.port), let refused = Client(port: server.port) else { return #expect(Bool(false)) }
      damaged.send(request + "HEAD /v2/health/ready HTTP/1.0\r\n\r\nHEAD /\u{1} HTT.0\r\n\r\n")
      #expect(damaged.reply()?.body == Self.answer)
      #expect(damaged.reply(toHead: true)?.closes == true)
      refused.send(request.replacing(":predict", with: ":nothing") + request + request)
      #expect(refused.reply()?.closes == true)
      #expect(refused.isClosed && damaged.isClosed)
      for _ in 0..<1000 where server.requestsInFlight > 0 { usleep(1000) }
      #expect(server.requestsInFlight == 0)
    }
  }

  @Test func chunkedBodiesAndContinue() async throws {
    try await withServer { server in
      guard let client = Client(port: server.port) else { return #expect(Bool(false)) }
      client.send("POST \(Self.path) HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
      for byte in Self.body.utf8 { client.send("1\r\n" + String(UnicodeScalar(byte)) + "\r\n") }
      client.send("0\r\n\r\n")
      #expect(client.reply()?.body == Self.answer)
      client.send("POST \(Self.path) HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: \(Self.body.utf8.count)\r\n\r\n")
      #expect(client.reply()?.status == 100)
      client.send(Self.body)
      #expect(client.reply()?.body == Self.answer)
    }
  }

  @Test func oldClientsAndHead() async throws {
    try await withServer { server in
      guard let client = Client(port: server.port) else { return #expect(Bool(false)) }
      client.send("HEAD /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
      let head = client.reply(toHead: true)
      #expect(head?.status == 200 && head?.head.contains("Content-Length: 13") == true)
      #expect(client.get("/v2/health/live")?.body == #"{"live":true}"#)
      guard let old = Client(port: server.port) else { return #expect(Bool(false)) }
      old.send("GET /v2/health/live HTTP/1.0\r\n\r\n")
      #expect(old.reply()?.closes == true)
      #expect(old.isClosed)
    }
  }

  /// Exactly the limit passes, one byte more does not, declared or chunked.
  @Test func bodyLimit() async throws {
    try await withServer(.one) { $0.bodyLimitBytes = 1000 } _: { server in
      for (length, status) in [(1000, 200), (1001, 413)] {
        let body = Self.body + String(repeating: " ", count: length - Self.body.utf8.count)
        #expect(Client(port: server.port)?.post(Self.path, body)?.status == status)
        guard let client = Client(port: server.port) else { return #expect(Bool(false)) }
        client.send("POST \(Self.path) HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(String(length, radix: 16))\r\n\(body)\r\n0\r\n\r\n")
        let reply = client.reply()
        #expect(reply?.status == status)
        if status == 413 { #expect(reply?.closes == true && client.isClosed) }
      }
      // The limit holds whatever the declared length.
      guard let client = Client(port: server.port) else { return #expect(Bool(false)) }
      client.send("POST \(Self.path) HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n{")
      #expect(client.reply()?.status == 413)
    }
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\n\r\n", 400, "no host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "two hosts"),
    ("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345", 400, "two lengths"),
    ("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "length and chunks"),
    ("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "negative length"),
    ("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "length overflows"),
    ("POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400, "chunk size is no number"),
    ("POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", 400, "chunk size overflows"),
    ("POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "unknown transfer encoding"),
    ("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 415, "gzip"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, "NUL in a header"),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "blank before the colon"),
    ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, "folded header"),
    ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "control character in the path"),
    ("GET / HTTP/7.7\r\nHost: a\r\n\r\n", 400, "unknown version"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP/2 preface"),
    ("hello\r\n\r\n", 400, "not HTTP"),
    ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}", 400, "TLS hello"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 20_000))\r\n\r\n", 431, "long header"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "X: y\r\n", count: 200))\r\n", 431, "many headers"),
    ("GET /\(String(repeating: "x", count: 5000)) HTTP/1.1\r\nHost: a\r\n\r\n", 414, "long path"),
    ("BREW /predict HTTP/1.1\r\nHost: a\r\n\r\n", 400, "unknown verb"),
    ("OPTIONS /predict HTTP/1.1\r\nHost: a\r\n\r\n", 405, "wrong verb"),
    ("DELETE /predict HTTP/1.1\r\nHost: a\r\n\r\n", 405, "another wrong verb"),
  ])
  func headersThatAreNotRight(_ bytes: String, _ status: Int, _ what: String) async throws {
    try await withServer { server in
      guard let client = Client(port: server.port) else { return #expect(Bool(false)) }
      client.send(bytes)
      let reply = client.reply()
      #expect(reply?.status == status, "\(what): \(reply?.body ?? "no reply")")
      #expect(reply?.body.hasPrefix("{\"error\":") == true, "\(what)")
      // The server lives.
      #expect(Client(port: server.port)?.get("/v2/health/live")?.status == 200)
    }
  }

  @Test func slowClientsAreCutOff() async throws {
    try await withServer(.one) {
      $0.readTimeoutSeconds = 0.5
      $0.idleTimeoutSeconds = 0.7
    } _: { server in
      guard let idle = Client(port: server.port), let head = Client(port: server.port), let body = Client(port: server.port) else { return #expect(Bool(false)) }
      head.send("GET / HT")
      body.send("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
      #expect(body.reply()?.status == 408)
      #expect(body.isClosed && head.isClosed && idle.isClosed)
    }
  }

  @Test func fullQueueIsToldAtOnceAndDeadlinesHold() async throws {
    try await withServer(EchoEngine([("x", "y", EchoEngine.one.signature.inputs[0].type)], delayMicroseconds: 1_500_000)) {
      $0.queueCapacity = 1
      $0.requestTimeoutSeconds = 0.1
    } _: { server in
      let clients = (0..<3).compactMap { _ in Client(port: server.port) }
      let request = "POST \(Self.path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.body.utf8.count)\r\n\r\n\(Self.body)"
      for (number, client) in clients.enumerated() {
        client.send(request)
        // The third is never in flight.
        while number < 2 && server.requestsInFlight <= number { usleep(1000) }
        usleep(10_000)
      }
      let refused = clients.last?.reply()
      #expect(refused?.status == 503 && refused?.head.contains("Retry-After: 1") == true)
      #expect(clients.first?.reply()?.status == 200)
      #expect(clients.dropFirst().first?.reply()?.status == 504)
    }
  }

  @Test func aClientThatLeavesCancelsItsWork() async throws {
    try await withServer(EchoEngine([("x", "y", EchoEngine.one.signature.inputs[0].type)], delayMicroseconds: 200_000)) { server in
      let request = "POST \(Self.path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.body.utf8.count)\r\n\r\n\(Self.body)"
      let first = Client(port: server.port)
      first?.send(request)
      usleep(20_000)
      var leaving = Client(port: server.port)
      leaving?.send(request)
      usleep(50_000)
      leaving = nil
      #expect(first?.reply()?.status == 200)
      usleep(100_000)
      #expect(Client(port: server.port)?.get("/metrics")?.body.contains("ingot_requests_refused_total{reason=\"cancelled\"} 1\n") == true)
      #expect(server.requestsInFlight == 0)
    }
  }

  @Test func largeRequestsAndRepliesAreWhole() async throws {
    try await withServer { server in
      let row = "[0.123456,1.5,-2.25,3e-7]"
      let rows = 40_000
      let body = #"{"instances":["# + Array(repeating: row, count: rows).joined(separator: ",") + "]}"
      let reply = Client(port: server.port)?.post(Self.path, body)
      #expect(reply?.status == 200)
      #expect(reply?.body == #"{"predictions":["# + Array(repeating: "[0.123456,1.5,-2.25,3e-07]", count: rows).joined(separator: ",") + "]}")
    }
  }

  @Test func addressesThatOthersReachNeedTheFlag() throws {
    for host in ["0.0.0.0", "::", "10.0.0.1"] {
      var options = ServerOptions()
      options.host = host
      options.port = 0
      #expect(throws: ServerError.self) { try Server(engine: EchoEngine.one, options: options) }
    }
    var options = ServerOptions()
    options.host = "example.com"
    #expect(throws: ServerError.self) { try Server(engine: EchoEngine.one, options: options) }
  }
}
