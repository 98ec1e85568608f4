import CRuntime
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// An HTTP server for one model: sockets, event loops, workers, and the way they end.
package final class Server: Sendable {
  private let context: ServerContext
  private let group: MultiThreadedEventLoopGroup
  private let registries: [(loop: any EventLoop, registry: NIOLoopBound<ConnectionRegistry>)]
  private let listener: any Channel
  package let host: String
  package let port: Int

  /// Listens, and starts the workers. Readiness follows when every worker has its session.
  ///
  /// - Parameter whenFailed: Called if a worker cannot start, with the reason.
  package init(
    engine: any InferenceEngine, options: ServerOptions, whenFailed: @escaping @Sendable (String) -> Void = { _ in }
  ) throws(ServerError) {
    // A client that goes away while it is written to must not end the process.
    signal(SIGPIPE, SIG_IGN)
    let host = try options.checkedHost()
    let files = Self.raiseFileLimit()
    var options = options
    options.connectionLimit = min(options.connectionLimit, max(16, files - 64))
    let service = Service(engine: engine)
    let queue = try InferenceQueue(
      engine: engine, metrics: service.metrics, workers: max(1, options.workers), capacity: max(1, options.queueCapacity)
    ) { result in
      switch result {
      case .success: service.readiness.becomeReady()
      case .failure(let error): whenFailed(error.message)
      }
    }
    let codecPool = NIOThreadPool(numberOfThreads: 2)
    codecPool.start()
    let context = ServerContext(service: service, queue: queue, options: options, codecPool: codecPool)
    self.context = context
    group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, options.eventLoops))
    do {
      var registries: [(any EventLoop, NIOLoopBound<ConnectionRegistry>)] = []
      for loop in group.makeIterator() {
        registries.append((loop, try loop.submit { NIOLoopBound(ConnectionRegistry(), eventLoop: loop) }.wait()))
      }
      self.registries = registries.map { (loop: $0.0, registry: $0.1) }
      let byLoop = Dictionary(uniqueKeysWithValues: registries.map { (ObjectIdentifier($0.0), $0.1) })
      let limits = Self.headLimits
      listener = try ServerBootstrap(group: group)
        .serverChannelOption(.backlog, value: 1024)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        // NIO takes 4 connections per tick unless told otherwise, and a burst then waits for seconds.
        .serverChannelOption(.maxMessagesPerRead, value: 256)
        .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        .childChannelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 4096, maximum: 1 << 20))
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            guard let registry = byLoop[ObjectIdentifier(channel.eventLoop)]?.value,
              service.metrics.connections.load(ordering: .relaxed) < context.options.connectionLimit
            else {
              service.metrics.recordRefusal(.connections)
              throw ServerError("too many connections")
            }
            try Self.addHandlers(to: channel, limits, HTTPConnection(context, registry))
          }
        }
        .bind(to: SocketAddress(ipAddress: host, port: options.port)).wait()
    } catch {
      try? group.syncShutdownGracefully()
      queue.stop()
      throw ServerError("cannot listen on \(host):\(options.port): \(Self.reason(error))")
    }
    self.host = host
    port = listener.localAddress?.port ?? options.port
    for (loop, registry) in registries {
      loop.scheduleRepeatedTask(initialDelay: .milliseconds(500), delay: .milliseconds(500)) { _ in
        registry.value.closeOverdue(now: .now())
        queue.stopOverdue(now: .now())
      }
    }
  }

  private static func addHandlers(to channel: any Channel, _ limits: NIOHTTPDecoderLimitConfiguration, _ connection: HTTPConnection) throws {
    try channel.pipeline.syncOperations.configureHTTPServerPipeline(
      withPipeliningAssistance: true, withErrorHandling: false, withEncoderConfiguration: .init(), withDecoderLimitConfiguration: limits)
    try channel.pipeline.syncOperations.addHandler(connection)
  }

  /// No client of these protocols needs more than a few hundred bytes of headers.
  private static var headLimits: NIOHTTPDecoderLimitConfiguration {
    var limits = NIOHTTPDecoderLimitConfiguration()
    limits.maxHeaderFieldSize = 16 << 10
    limits.maxHeaderListSize = 64 << 10
    limits.maxHeaderFieldCount = 128
    return limits
  }

  /// Raises the limit of open files to what the system grants, and returns it.
  private static func raiseFileLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    let wanted = min(limit.rlim_max, 65_536)
    if limit.rlim_cur < wanted {
      limit.rlim_cur = wanted
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
    return Int(clamping: limit.rlim_cur)
  }

  private static func reason(_ error: any Error) -> String {
    guard let system = error as? IOError else { return "\(error)" }
    return system.errnoCode == EADDRINUSE ? "another program uses this port (--port 0 takes a free one)" : String(cString: strerror(system.errnoCode))
  }

  package var service: Service { context.service }

  // MARK: The end

  /// Stage one: readiness fails and every reply asks the client to close, but requests are still accepted.
  package func beginDraining() { context.service.readiness.beginDraining() }

  /// Stage two: nothing new is accepted; idle connections end, the others when their reply is out.
  ///
  /// A client whose connection waits in the listener's queue believes it is connected; closing the listener would reset
  /// it. So handshakes stop first, then the queue is emptied, then the listener closes.
  package func stopAccepting() {
    if let socket = listener as? any SocketOptionProvider {
      // The struct holds a pointer to a constant; as two words it may cross to the event loop.
      let filter = unsafeBitCast(ingot_drop_packets(), to: SIMD2<UInt64>.self)
      let drop = socket.unsafeSetSocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: SO_ATTACH_FILTER), value: filter)
      if (try? drop.wait()) != nil {
        for _ in 0..<5 { try? listener.eventLoop.scheduleTask(in: .milliseconds(10)) {}.futureResult.wait() }
      }
    }
    try? listener.close().wait()
    for (loop, registry) in registries { loop.execute { registry.value.beginClosing() } }
  }

  package var openConnections: Int { context.service.metrics.connections.load(ordering: .relaxed) }
  package var requestsInFlight: Int { context.service.metrics.inFlight.load(ordering: .relaxed) }

  /// Asks all runs to end, and says whether one is still under way.
  package func stopRuns() -> Bool {
    context.queue.stopRuns()
    return context.queue.isBusy
  }

  /// Stage three: ends all threads. Connections that are still open are cut off.
  package func shutDown() {
    context.queue.stop()
    try? group.syncShutdownGracefully()
    context.codecPool.shutdownGracefully { _ in }
  }
}
