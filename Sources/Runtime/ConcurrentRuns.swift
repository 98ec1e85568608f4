internal import CRuntime
#if canImport(Glibc)
import Glibc
#endif
import Synchronization
public import TensorTypes

/// Measures several clients in one process: each has a session and a thread of its own and asks again as soon as it is answered.
public struct ConcurrentRuns: Sendable {
  public var clients: Int
  public var seconds: Double
  /// Threads per run; nil means what the model says.
  public var threads: Int?
  /// The most memory of one run; nil means half of what the process may use, shared by the clients.
  public var maximumBytes: Int?

  public init(clients: Int, seconds: Double, threads: Int? = nil, maximumBytes: Int? = nil) {
    self.clients = max(1, clients)
    self.seconds = seconds
    self.threads = threads
    self.maximumBytes = maximumBytes
  }

  public struct Result: Sendable, Hashable {
    public var runsPerSecond: Double
    /// Of the client that got the fewest runs, relative to the mean: 1 is fair.
    public var fairness: Double
  }

  /// - Parameter inputs: What every client asks.
  public func measure(_ model: Model, _ inputs: [Tensor]) throws(RunError) -> Result {
    let gate = Gate()
    var all: [Client] = []
    for _ in 0..<clients {
      let session = try model.makeSession(threads: threads, maximumBytes: maximumBytes ?? Allowance.memoryBytes / 2 / clients)
      try session.prepare(inputs)
      try session.invoke()
      all.append(Client(session, gate))
    }
    var handles: [pthread_t] = []
    for client in all {
      var handle = pthread_t()
      let argument = Unmanaged.passRetained(client)
      let status = pthread_create(
        &handle, nil,
        { argument in
          argument.map { Unmanaged<Client>.fromOpaque($0).takeRetainedValue().work() }
          return nil
        }, argument.toOpaque())
      if status == 0 { handles.append(handle) } else { argument.release() }
    }
    let begin = ingot_nanoseconds()
    gate.state.store(Gate.open, ordering: .releasing)
    usleep(UInt32(clamping: Int(seconds * 1e6)))
    gate.state.store(Gate.closed, ordering: .releasing)
    let elapsed = Double(ingot_nanoseconds() - begin) / 1e9
    for handle in handles { pthread_join(handle, nil) }
    for client in all { if let failure = client.failure { throw failure } }
    let counts = all.map { Double($0.runs) }
    let total = counts.reduce(0, +)
    return Result(runsPerSecond: total / elapsed, fairness: total > 0 ? (counts.min() ?? 0) * Double(counts.count) / total : 0)
  }

  private final class Gate: Sendable {
    static let waiting = 0, open = 1, closed = 2
    let state = Atomic(Gate.waiting)
  }

  /// `@unchecked Sendable`: only its own thread touches it until that thread is joined.
  private final class Client: @unchecked Sendable {
    private let session: Session
    private let gate: Gate
    private(set) var runs = 0
    private(set) var failure: RunError?

    init(_ session: Session, _ gate: Gate) { (self.session, self.gate) = (session, gate) }

    func work() {
      while gate.state.load(ordering: .acquiring) == Gate.waiting { sched_yield() }
      do throws(RunError) {
        while gate.state.load(ordering: .relaxed) == Gate.open {
          try session.invoke()
          runs += 1
        }
      } catch { failure = error }
    }
  }
}
