import Glibc

/// How a model is served. The defaults suit one model on one machine, reached from that machine only.
package struct ServerOptions: Sendable {
  /// An IP address or `localhost`; nothing is looked up.
  package var host = "127.0.0.1"
  /// 0 takes any free port.
  package var port = 8080
  /// Allows addresses that other machines can reach.
  package var allowsRemote = false
  /// Threads that run the model, each with a session of its own. One is right while a session uses all kernel threads.
  package var workers = 1
  /// Requests that may wait for the model; further ones get 503 at once.
  package var queueCapacity = 256
  /// Threads that read and write sockets.
  package var eventLoops = 1
  package var bodyLimitBytes = 64 << 20
  /// Bytes of request bodies held at one time, over all connections; further requests get 503.
  package var bodyMemoryBytes = 512 << 20
  package var connectionLimit = 4096
  /// For a request to arrive, counted from its head, and for a reply to be taken by the client.
  package var readTimeoutSeconds = 60.0
  /// For the next request on a connection, head included.
  package var idleTimeoutSeconds = 75.0
  /// For a request to wait for the model; one that waited longer is answered 504 and never run. Then for its run, if that can be
  /// stopped: it has loops whose end its data decides.
  package var requestTimeoutSeconds = 30.0
  /// How long requests are still accepted after SIGTERM while readiness fails, so that balancers can go elsewhere.
  package var graceSeconds = 1.0
  /// How long everything may take from SIGTERM to the end, grace included. Kubernetes kills after 30.
  package var drainSeconds = 25.0

  package init() {}

  /// Checks the address.
  func checkedHost() throws(ServerError) -> String {
    let host = self.host == "localhost" ? "127.0.0.1" : self.host
    var v4 = in_addr()
    var v6 = in6_addr()
    let isLoopback: Bool
    if inet_pton(AF_INET, host, &v4) == 1 {
      isLoopback = UInt32(bigEndian: v4.s_addr) >> 24 == 127
    } else if inet_pton(AF_INET6, host, &v6) == 1 {
      isLoopback = host == "::1"
    } else {
      throw ServerError("\(host.quoted) is not an IP address; --host takes one, such as 127.0.0.1 or ::1")
    }
    guard isLoopback || allowsRemote else {
      throw ServerError(
        """
        --host \(host) would let other machines reach this server, which has no password and no encryption.
          If that is what you want (inside a container, or behind a proxy), add --allow-remote.
        """)
    }
    return host
  }
}

/// Why the server did not start.
package struct ServerError: Error, Sendable {
  package let message: String
  package init(_ message: String) { self.message = message }
}
