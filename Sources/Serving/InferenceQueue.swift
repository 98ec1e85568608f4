import Glibc
import NIOCore
import Synchronization
import TensorTypes

/// Runs the model on threads of its own, fed by a bounded queue: kernels never run on an event loop.
///
/// Each worker has one session. A job whose deadline has passed, or whose client has gone, is not run; one that runs for longer than it
/// might have waited is asked to stop.
///
/// `@unchecked Sendable`: `jobs`, `running` and `isStopping` are touched only under `lock`.
package final class InferenceQueue: @unchecked Sendable {
  /// One request on its way to the model.
  final class Job: Sendable {
    let inputs: [Tensor]
    let submitted: NIODeadline
    let deadline: NIODeadline
    private let isCancelledFlag = Atomic<Bool>(false)
    /// Called once on a worker thread, unless the job is cancelled first.
    let completion: @Sendable (Result<[Tensor], RequestError>) -> Void

    init(
      _ inputs: [Tensor], submitted: NIODeadline, deadline: NIODeadline,
      completion: @escaping @Sendable (Result<[Tensor], RequestError>) -> Void
    ) {
      self.inputs = inputs
      self.submitted = submitted
      self.deadline = deadline
      self.completion = completion
    }

    /// How long it may wait, and then how long it may run.
    var allowed: TimeAmount { deadline - submitted }

    /// Its result is no longer wanted.
    func cancel() { isCancelledFlag.store(true, ordering: .relaxed) }
    var isCancelled: Bool { isCancelledFlag.load(ordering: .relaxed) }
  }

  private let engine: any InferenceEngine
  private let metrics: Metrics
  private let capacity: Int
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let wakeup: UnsafeMutablePointer<pthread_cond_t>
  private var jobs = CircularBuffer<Job>()
  private var running: [Run?]
  private var isStopping = false
  private var threads: [pthread_t] = []

  /// - Parameters:
  ///   - capacity: Jobs that may wait; further ones are refused.
  ///   - whenReady: Called once, when every worker has its session, or with the reason why one has none.
  package init(
    engine: any InferenceEngine, metrics: Metrics, workers: Int, capacity: Int,
    whenReady: @escaping @Sendable (Result<Void, RequestError>) -> Void
  ) throws(ServerError) {
    self.engine = engine
    self.metrics = metrics
    self.capacity = capacity
    running = Array(repeating: nil, count: workers)
    lock = .allocate(capacity: 1)
    wakeup = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wakeup, nil)
    let starting = StartCount(workers, whenReady)
    for worker in 0..<workers { try spawn { [self] in work(worker, starting) } }
  }

  deinit {
    pthread_cond_destroy(wakeup)
    pthread_mutex_destroy(lock)
    wakeup.deallocate()
    lock.deallocate()
  }

  /// Hands a job to the workers.
  ///
  /// - Returns: False if the queue is full or stopping.
  func submit(_ job: Job) -> Bool {
    pthread_mutex_lock(lock)
    let accepted = !isStopping && jobs.count < capacity
    if accepted { jobs.append(job) }
    pthread_mutex_unlock(lock)
    guard accepted else {
      metrics.recordRefusal(.queueFull)
      return false
    }
    metrics.queueDepth.wrappingAdd(1, ordering: .relaxed)
    pthread_cond_signal(wakeup)
    return true
  }

  /// Ends the workers after the jobs that wait, and returns when they have ended.
  package func stop() {
    pthread_mutex_lock(lock)
    isStopping = true
    let ending = threads
    threads = []
    pthread_mutex_unlock(lock)
    pthread_cond_broadcast(wakeup)
    for thread in ending { pthread_join(thread, nil) }
  }

  // MARK: Runs under way

  private struct Run {
    var job: Job
    var started: NIODeadline
    var stop: @Sendable () -> Void
  }

  /// Asks runs that have taken too long, or whose clients have gone, to end. A run that begins just now may miss it: call it again and again.
  func stopOverdue(now: NIODeadline) { stopRuns { $0.job.isCancelled || now >= $0.started + $0.job.allowed } }

  /// Asks all runs to end.
  func stopRuns() { stopRuns { _ in true } }

  private func stopRuns(where isOverdue: (Run) -> Bool) {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    for case let run? in running where isOverdue(run) { run.stop() }
  }

  /// True if a job waits or runs.
  var isBusy: Bool {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return !jobs.isEmpty || running.contains { $0 != nil }
  }

  // MARK: Workers

  private func work(_ worker: Int, _ starting: StartCount) {
    let session: any InferenceSession
    do {
      session = try engine.makeSession()
      starting.workerStarted(.success(()))
    } catch {
      return starting.workerStarted(.failure(error))
    }
    let stop = session.stop
    while let job = nextJob(for: worker, stop) {
      metrics.queueDepth.wrappingSubtract(1, ordering: .relaxed)
      if job.isCancelled {
        metrics.recordRefusal(.cancelled)
        continue
      }
      let started = NIODeadline.now()
      guard started < job.deadline else {
        metrics.recordRefusal(.deadline)
        job.completion(.failure(RequestError(.gatewayTimeout, code: "deadline", "the request waited for the model longer than --request-timeout allows")))
        continue
      }
      let result: Result<[Tensor], RequestError>
      do { result = .success(try session.run(job.inputs)) } catch {
        result = .failure(error)
        if error.status == .gatewayTimeout { metrics.recordRefusal(.deadline) }
      }
      metrics.recordInference(
        seconds: (NIODeadline.now() - started).seconds, waited: (started - job.submitted).seconds,
        examples: job.inputs.first?.dimensions.first ?? 1)
      job.completion(result)
    }
  }

  /// Waits for a job; nil when the queue has stopped and is empty.
  private func nextJob(for worker: Int, _ stop: @escaping @Sendable () -> Void) -> Job? {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    running[worker] = nil
    while jobs.isEmpty {
      if isStopping { return nil }
      pthread_cond_wait(wakeup, lock)
    }
    guard let job = jobs.popFirst() else { return nil }
    running[worker] = Run(job: job, started: .now(), stop: stop)
    return job
  }

  private func spawn(_ body: @escaping @Sendable () -> Void) throws(ServerError) {
    final class Start: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(body))
    let status = pthread_create(&thread, nil, { argument in
      guard let argument else { return nil }
      Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
      return nil
    }, start.toOpaque())
    guard status == 0 else {
      start.release()
      throw ServerError("the system refuses to start a thread (\(String(cString: strerror(status))))")
    }
    threads.append(thread)
  }

  /// Tells when the last worker has started.
  private final class StartCount: Sendable {
    private let remaining: Mutex<Int>
    private let whenReady: @Sendable (Result<Void, RequestError>) -> Void

    init(_ count: Int, _ whenReady: @escaping @Sendable (Result<Void, RequestError>) -> Void) {
      remaining = Mutex(count)
      self.whenReady = whenReady
    }

    func workerStarted(_ result: Result<Void, RequestError>) {
      let isLast = remaining.withLock { count in
        if case .failure = result { count = -1 } else { count -= 1 }
        return count == 0
      }
      if case .failure = result { whenReady(result) } else if isLast { whenReady(result) }
    }
  }
}

extension TimeAmount {
  var seconds: Double { Double(nanoseconds) / 1e9 }
}
