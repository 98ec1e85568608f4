import Glibc

/// A blocking TCP client on 127.0.0.1 that sends bytes as they are and reads until it has what it wants.
///
/// One thread uses it at a time.
final class Client {
  private let descriptor: Int32
  private var buffer: [UInt8] = []

  init?(port: Int) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(truncatingIfNeeded: port).bigEndian)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var timeout = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    if status != 0 { return nil }
  }

  deinit { close(descriptor) }

  @discardableResult func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  @discardableResult func send(_ bytes: [UInt8]) -> Bool {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  /// False at the end of the stream, on a reset and after 20 s.
  private func readMore() -> Bool {
    var piece = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &piece, piece.count, 0)
    guard count > 0 else { return false }
    buffer += piece.prefix(count)
    return true
  }

  struct Reply {
    var status: Int
    var head: String
    var body: String
    var closes: Bool { head.lowercased().contains("connection: close") }
  }

  /// Reads one response; nil if the connection ends before it is complete.
  func reply(toHead: Bool = false) -> Reply? {
    let blank = Array("\r\n\r\n".utf8)
    var headEnd: Int?
    while headEnd == nil {
      headEnd = buffer.indices.first { buffer[$0...].starts(with: blank) }
      if headEnd == nil, !readMore() { return nil }
    }
    guard let headEnd else { return nil }
    let head = String(decoding: buffer[..<headEnd], as: UTF8.self)
    let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    let lengthLine = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
    let length = toHead ? 0 : lengthLine.flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
    while buffer.count < headEnd + 4 + length { if !readMore() { return nil } }
    let body = String(decoding: buffer[(headEnd + 4)..<(headEnd + 4 + length)], as: UTF8.self)
    buffer.removeFirst(headEnd + 4 + length)
    return Reply(status: status, head: head, body: body)
  }

  /// True if the server has ended the connection.
  var isClosed: Bool { buffer.isEmpty && !readMore() }

  func post(_ path: String, _ body: String) -> Reply? {
    guard send("POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)") else { return nil }
    return reply()
  }

  func get(_ path: String) -> Reply? {
    guard send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n") else { return nil }
    return reply()
  }
}

/// A thread of its own for a blocking body; tests wait for it without blocking the cooperative pool.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
  await withCheckedContinuation { continuation in
    var thread = pthread_t()
    let start = Unmanaged.passRetained(ThreadStart { continuation.resume(returning: body()) })
    pthread_create(&thread, nil, { argument in
      if let argument { Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().body() }
      return nil
    }, start.toOpaque())
    pthread_detach(thread)
  }
}

private final class ThreadStart: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
