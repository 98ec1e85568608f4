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
    gate.end.store(Int(ingot_nanoseconds()) + Int(min(max(seconds, 0), 1e6) * 1e9), ordering: .releasing)
    for handle in handles { pthread_join(handle, nil) }
    for client in all { if let failure = client.failure { throw failure } }
    // Each by its own time: what it had begun when time was up is done and counted, which is much where runs are long.
    let rates = all.map { $0.seconds > 0 ? Double($0.runs) / $0.seconds : 0 }
    let total = rates.reduce(0, +)
    return Result(runsPerSecond: total, fairness: total > 0 ? (rates.min() ?? 0) * Double(rates.count) / total : 0)
  }

  private final class Gate: Sendable {
    /// When clients stop, on the clock of `ingot_nanoseconds`; 0 while they wait for each other. They watch the clock themselves: a
    /// thread that told them might find no processor, where all have the same real-time priority.
    let end = Atomic(0)
  }

  /// `@unchecked Sendable`: only its own thread touches it until that thread is joined.
  private final class Client: @unchecked Sendable {
    private let session: Session
    private let gate: Gate
    private static let shortestBatchNanoseconds = 20_000
    private(set) var runs = 0
    private(set) var seconds = 0.0
    private(set) var failure: RunError?

    init(_ session: Session, _ gate: Gate) { (self.session, self.gate) = (session, gate) }

    func work() {
      var end = 0
      while end == 0 {
        sched_yield()
        end = gate.end.load(ordering: .acquiring)
      }
      let begin = Int(ingot_nanoseconds())
      var (now, batch) = (begin, 1)
      do throws(RunError) {
        repeat {
          for _ in 0..<batch { try session.invoke() }
          runs += batch
          let last = now
          now = Int(ingot_nanoseconds())
          // A look at the clock takes as long as a run of the smallest models.
          if now - last < Self.shortestBatchNanoseconds { batch *= 2 }
        } while now < end
        seconds = Double(now - begin) / 1e9
      } catch { failure = error }
    }
  }
}
