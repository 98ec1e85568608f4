import NIOCore
import NIOHTTP1
import Synchronization
import TensorTypes

/// One HTTP/1.1 connection: collects a request, has it answered, writes the reply, and guards time and memory.
///
/// Knows nothing of the protocols. The pipeline handler before it lets one request through at a time.
final class HTTPConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private enum Phase {
    case waitingForHead
    case readingBody
    /// The request is being decoded, waits for the model, runs, or is being encoded.
    case working
    /// The reply is larger than the system takes at once. Its end waits until the body is out, and with it the next
    /// request: a client that asks without reading holds one reply in memory, not all of them.
    case replying
    /// The reply went out before the request was complete; the rest of it is thrown away.
    case discardingBody
    /// The last reply is on its way or the connection is gone; what still arrives is not looked at.
    case ended
  }

  /// The request at hand.
  private struct Current {
    var head: HTTPRequestHead
    var route: RouteMatch?
    /// Row of the metrics; nil for "other".
    var routeIndex: Int?
    var started: NIODeadline
    var body: ByteBuffer?
    /// What `Content-Length` says, within the limit.
    var declaredBytes = 0
    var heldBytes = 0
    var job: InferenceQueue.Job?
  }

  private let context: ServerContext
  private let registry: ConnectionRegistry
  private var phase = Phase.waitingForHead
  private var hasHadRequest = false
  private var current: Current?
  /// Replies that late results belong to have this number.
  private var serial = 0
  /// Replies that the system has not taken completely.
  private var pendingWrites = 0
  private var closesAfterReply = false
  private var deadline: NIODeadline

  init(_ context: ServerContext, _ registry: ConnectionRegistry) {
    self.context = context
    self.registry = registry
    deadline = .now() + .of(seconds: context.options.idleTimeoutSeconds)
  }

  private var metrics: Metrics { context.service.metrics }

  // MARK: The life of the connection

  func handlerAdded(context channel: ChannelHandlerContext) {
    self.channel = channel
    registry.add(self)
    metrics.connections.wrappingAdd(1, ordering: .relaxed)
  }

  /// Valid from `handlerAdded` to `handlerRemoved`, on the event loop.
  private var channel: ChannelHandlerContext?

  func handlerRemoved(context channel: ChannelHandlerContext) {
    phase = .ended
    dropCurrent()
    registry.remove(self)
    metrics.connections.wrappingSubtract(1, ordering: .relaxed)
    self.channel = nil
  }

  func channelInactive(context channel: ChannelHandlerContext) {
    // The client is gone: what it asked for need not be computed.
    phase = .ended
    dropCurrent()
    channel.fireChannelInactive()
  }

  private func dropCurrent() {
    serial &+= 1
    guard let dropped = current else { return }
    dropped.job?.cancel()
    context.release(dropped.heldBytes)
    metrics.inFlight.wrappingSubtract(1, ordering: .relaxed)
    current = nil
  }

  /// Idle too long, a request too slow to arrive, or a reply that nobody takes.
  func closeIfOverdue(now: NIODeadline) {
    guard now >= deadline, let channel else { return }
    switch phase {
    case .working where pendingWrites == 0: return  // the queue keeps its own deadline
    case .readingBody:
      reply(.error(RequestError(.requestTimeout, code: "read_timeout", "the request took too long to arrive")), closing: true)
      deadline = now + .seconds(2)
    case .waitingForHead, .working, .replying, .discardingBody, .ended: channel.close(promise: nil)
    }
  }

  /// Called when the server drains and no longer waits for new requests.
  func beginClosing() {
    closesAfterReply = true
    guard phase == .waitingForHead, pendingWrites == 0 else { return }
    // The first request of a new connection may be on its way; closing now would reset it.
    if hasHadRequest { channel?.close(promise: nil) } else { deadline = min(deadline, .now() + .milliseconds(500)) }
  }

  func errorCaught(context channel: ChannelHandlerContext, error: any Error) {
    guard let problem = error as? HTTPParserError else { return channel.close(promise: nil) }
    guard phase == .waitingForHead || phase == .readingBody else {
      closesAfterReply = true
      phase = .ended
      return closeIfDone()
    }
    if current == nil {
      begin(HTTPRequestHead(version: .http1_1, method: .GET, uri: ""))
    }
    let status: HTTPResponseStatus = problem == .headerOverflow ? .requestHeaderFieldsTooLarge : .badRequest
    reply(.error(RequestError(status, code: "malformed_http", "the request is not valid HTTP/1.1 (\(problem))")), closing: true)
    deadline = .now() + .seconds(2)
  }

  // MARK: Reading

  func channelRead(context channel: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      hasHadRequest = true
      if phase == .waitingForHead { receive(head) }
    case .body(let part): receive(part)
    case .end: receiveEnd()
    }
  }

  private func begin(_ head: HTTPRequestHead) {
    serial &+= 1
    phase = .readingBody
    let now = NIODeadline.now()
    deadline = now + .of(seconds: context.options.readTimeoutSeconds)
    current = Current(head: head, started: now)
    metrics.inFlight.wrappingAdd(1, ordering: .relaxed)
  }

  private func receive(_ head: HTTPRequestHead) {
    begin(head)
    if head.version == .http1_1, head.headers[canonicalForm: "host"].count != 1 {
      return refuse(.malformed("the request must have exactly one Host header"))
    }
    switch context.service.match(head.method, head.uri) {
    case .failure(let rejection):
      current?.routeIndex = rejection.index
      return refuse(rejection.response)
    case .success(let match):
      current?.route = match
      current?.routeIndex = match.index
    }
    if let encoding = head.headers.first(name: "content-encoding"), encoding.lowercased() != "identity" {
      return refuse(RequestError(.unsupportedMediaType, code: "unsupported", "Content-Encoding \(encoding.quoted) is not supported; send the body as it is"))
    }
    let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
    if length > context.options.bodyLimitBytes { return refuse(.bodyTooLarge(limitBytes: context.options.bodyLimitBytes)) }
    current?.declaredBytes = length
    if head.headers.first(name: "expect")?.lowercased() == "100-continue", let channel {
      channel.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
    }
  }

  private func receive(_ part: ByteBuffer) {
    guard phase == .readingBody, current != nil else { return }
    let count = part.readableBytes
    let soFar = current?.body?.readableBytes ?? 0
    guard count <= context.options.bodyLimitBytes - soFar else { return refuse(.bodyTooLarge(limitBytes: context.options.bodyLimitBytes)) }
    guard context.hold(count) else {
      metrics.recordRefusal(.memory)
      return refuse(.busy("the server holds as many request bodies as it may; try again"))
    }
    current?.heldBytes += count
    // The first part is kept as it is: most requests have no second one.
    if var body = current?.body {
      current?.body = nil
      // Memory that is reserved and never written costs nothing, so the declared length need not be true.
      if body.writableBytes < count { body.reserveCapacity(max(current?.declaredBytes ?? 0, soFar + count)) }
      var part = part
      body.writeBuffer(&part)
      current?.body = body
    } else {
      current?.body = part
    }
  }

  private func receiveEnd() {
    switch phase {
    case .readingBody: answer()
    case .discardingBody:
      phase = closesAfterReply ? .ended : .waitingForHead
      closeIfDone()
    case .waitingForHead, .working, .replying, .ended: break
    }
  }

  // MARK: Answering

  private func answer() {
    guard let exchange = current, let route = exchange.route, let channel else { return }
    phase = .working
    let request = Request(
      method: exchange.head.method, target: exchange.head.uri, headers: exchange.head.headers, body: exchange.body ?? ByteBuffer())
    let service = context.service
    current?.body = nil
    guard request.body.readableBytes > ServerContext.largestInlineBytes else { return proceed(service.answer(route, request)) }
    offLoop(channel) { service.answer(route, request) } then: { $0.proceed($1) }
  }

  private func proceed(_ answer: Answer) {
    switch answer {
    case .response(let response): reply(response, closing: false)
    case .inference(let inference): run(inference)
    }
  }

  private func run(_ inference: Inference) {
    guard let channel else { return }
    let (serial, loop, this) = (serial, channel.eventLoop, NIOLoopBound(self, eventLoop: channel.eventLoop))
    let now = NIODeadline.now()
    let job = InferenceQueue.Job(
      inference.inputs, submitted: now, deadline: now + .of(seconds: context.options.requestTimeoutSeconds)
    ) { result in
      // The worker may be the last to know this closure; what it holds is released on the loop.
      loop.execute { this.value.finish(inference, result, serial) }
    }
    current?.job = job
    guard context.queue.submit(job) else { return fail(.busy("the queue of the model is full; try again")) }
  }

  private func finish(_ inference: Inference, _ result: Result<[Tensor], RequestError>, _ serial: Int) {
    guard serial == self.serial, phase == .working, let channel else { return }
    switch result {
    case .failure(let error): fail(error)
    case .success(let outputs):
      let encode = { @Sendable () -> Result<Response, RequestError> in
        do throws(RequestError) { return .success(try inference.reply(outputs)) } catch { return .failure(error) }
      }
      let send = { (connection: HTTPConnection, response: Result<Response, RequestError>) in
        switch response {
        case .success(let response): connection.reply(response, closing: false)
        case .failure(let error): connection.fail(error)
        }
      }
      guard outputs.reduce(0, { $0 + $1.byteCount }) > ServerContext.largestInlineBytes else { return send(self, encode()) }
      offLoop(channel, encode, then: send)
    }
  }

  /// Does work on the codec pool and goes on with its result on the event loop, if the request still matters.
  private func offLoop<Result: Sendable>(
    _ channel: ChannelHandlerContext, _ work: @escaping @Sendable () -> Result,
    then: @escaping (HTTPConnection, Result) -> Void
  ) {
    let loop = channel.eventLoop
    let continuation = NIOLoopBound((connection: self, serial: serial, then: then), eventLoop: loop)
    context.codecPool.submit { state in
      guard state == .active else { return }
      let result = work()
      loop.execute {
        let (connection, serial, then) = continuation.value
        guard serial == connection.serial, connection.phase == .working else { return }
        then(connection, result)
      }
    }
  }

  // MARK: Writing

  private func fail(_ error: RequestError) {
    reply(context.service.failure(error, current?.routeIndex, requestID: ""), closing: false)
  }

  private func refuse(_ error: RequestError) { refuse(context.service.failure(error, current?.routeIndex, requestID: "")) }

  /// Replies before the request is complete. If a body is on its way, it is read and thrown away for a while, so
  /// that the client gets to read the reply (closing at once would reset the connection); then the connection ends.
  private func refuse(_ response: Response) {
    let headers = current?.head.headers ?? HTTPHeaders()
    let hasBody = headers.contains(name: "transfer-encoding") || (headers.first(name: "content-length") ?? "0") != "0"
    reply(response, closing: hasBody)
    deadline = .now() + .seconds(2)
  }

  private func reply(_ response: Response, closing: Bool) {
    guard let exchange = current, let channel else { return }
    let isComplete = phase == .working
    let keepsAlive = exchange.head.isKeepAlive && !closing && !closesAfterReply && !context.service.readiness.isDraining
    if !keepsAlive { closesAfterReply = true }

    var headers = HTTPHeaders()
    headers.reserveCapacity(4 + response.headers.count)
    headers.add(name: "Content-Type", value: response.contentType)
    headers.add(name: "Content-Length", value: "\(response.body.count)")
    for (name, value) in response.headers { headers.add(name: name, value: value) }
    if !keepsAlive {
      headers.add(name: "Connection", value: "close")
    } else if exchange.head.version == .http1_0 {
      headers.add(name: "Connection", value: "keep-alive")
    }
    let head = HTTPResponseHead(version: exchange.head.version, status: response.status, headers: headers)

    metrics.recordRequest(
      route: exchange.routeIndex, status: Int(response.status.code), seconds: (.now() - exchange.started).seconds,
      received: exchange.heldBytes, sent: response.body.count)
    dropCurrent()
    let next = !isComplete ? Phase.discardingBody : keepsAlive ? .waitingForHead : .ended
    channel.write(wrapOutboundOut(.head(head)), promise: nil)
    guard exchange.head.method != .HEAD, !response.body.isEmpty else { return endReply(next) }
    let body = wrapOutboundOut(.body(.byteBuffer(channel.channel.allocator.buffer(bytes: response.body))))
    guard isComplete, response.body.count > Self.largestUnawaitedBody || !channel.channel.isWritable else {
      channel.write(body, promise: nil)
      return endReply(next)
    }
    phase = .replying
    deadline = .now() + .of(seconds: context.options.readTimeoutSeconds)
    let taken = channel.eventLoop.makePromise(of: Void.self)
    taken.futureResult.assumeIsolated().whenSuccess { if self.phase == .replying { self.endReply(next) } }
    channel.writeAndFlush(body, promise: taken)
  }

  private static let largestUnawaitedBody = 8 << 10

  /// Ends the reply and lets the next request in.
  private func endReply(_ next: Phase) {
    guard let channel else { return }
    // Before the write: with pipelining the next request arrives inside it.
    phase = next
    deadline = .now() + .of(seconds: pendingWrites == 0 ? context.options.idleTimeoutSeconds : context.options.readTimeoutSeconds)
    pendingWrites += 1
    let written = channel.eventLoop.makePromise(of: Void.self)
    written.futureResult.assumeIsolated().whenComplete { _ in
      self.pendingWrites -= 1
      self.closeIfDone()
    }
    channel.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
  }

  private func closeIfDone() {
    guard closesAfterReply, phase == .waitingForHead || phase == .ended, pendingWrites == 0 else { return }
    channel?.close(promise: nil)
  }
}

extension TimeAmount {
  static func of(seconds: Double) -> TimeAmount { .nanoseconds(Int64(min(max(seconds, 0), 1e9) * 1e9)) }
}
