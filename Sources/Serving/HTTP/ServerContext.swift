import NIOCore
import NIOPosix
import Synchronization

/// What all connections of a server share.
final class ServerContext: Sendable {
  let service: Service
  let queue: InferenceQueue
  let options: ServerOptions
  /// Reads large requests and writes large replies, so that an event loop is never held for milliseconds.
  let codecPool: NIOThreadPool
  /// Bytes of request bodies held now.
  private let heldBytes = Atomic<Int>(0)

  init(service: Service, queue: InferenceQueue, options: ServerOptions, codecPool: NIOThreadPool) {
    self.service = service
    self.queue = queue
    self.options = options
    self.codecPool = codecPool
  }

  /// Above this size, in bytes of JSON or of tensors, coding leaves the event loop: about half a millisecond of work.
  static let largestInlineBytes = 128 << 10

  /// Takes from the memory for bodies; false if there is not enough.
  func hold(_ bytes: Int) -> Bool {
    let held = heldBytes.wrappingAdd(bytes, ordering: .relaxed).newValue
    if held <= options.bodyMemoryBytes { return true }
    release(bytes)
    return false
  }

  func release(_ bytes: Int) { if bytes > 0 { heldBytes.wrappingSubtract(bytes, ordering: .relaxed) } }
}

/// The open connections of one event loop. Used on that loop only.
final class ConnectionRegistry {
  private var connections: [ObjectIdentifier: HTTPConnection] = [:]

  func add(_ connection: HTTPConnection) { connections[ObjectIdentifier(connection)] = connection }
  func remove(_ connection: HTTPConnection) { connections[ObjectIdentifier(connection)] = nil }

  /// Ends what has been waited for too long. One sweep twice a second costs less than a timer per request.
  func closeOverdue(now: NIODeadline) { for connection in Array(connections.values) { connection.closeIfOverdue(now: now) } }

  /// Closes idle connections, and the others when their reply is out.
  func beginClosing() { for connection in Array(connections.values) { connection.beginClosing() } }
}
