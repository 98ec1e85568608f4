#if canImport(Glibc)
import Glibc
#endif

/// Runs jobs on a few threads and gives their results in order.
///
/// Plain threads with large stacks: LLVM recurses, and the pool of Swift concurrency must not block.
func onWorkers<Result: Sendable>(
  _ workers: Int, jobs count: Int, _ job: @escaping @Sendable (Int) throws(CodegenError) -> Result
) throws(CodegenError) -> [Result] {
  let queue = JobQueue<Result>(count: count, job: job)
  var threads: [pthread_t] = []
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setstacksize(&attributes, 64 << 20)
  defer { pthread_attr_destroy(&attributes) }
  for _ in 0..<max(1, min(workers, count)) {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(queue as AnyJobQueue)
    let status = pthread_create(
      &thread, &attributes,
      { argument in
        argument.map { Unmanaged<AnyJobQueue>.fromOpaque($0).takeRetainedValue().drain() }
        return nil
      }, argument.toOpaque())
    if status == 0 { threads.append(thread) } else { argument.release() }
  }
  // No thread to be had: this one does the work.
  if threads.isEmpty { queue.drain() }
  for thread in threads { pthread_join(thread, nil) }
  return try queue.results()
}

private class AnyJobQueue { func drain() {} }

/// `@unchecked Sendable`: `next` and `finished` are only touched with the mutex held.
private final class JobQueue<Result: Sendable>: AnyJobQueue, @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let job: @Sendable (Int) throws(CodegenError) -> Result
  private var next = 0
  private var finished: [Swift.Result<Result, CodegenError>?]

  init(count: Int, job: @escaping @Sendable (Int) throws(CodegenError) -> Result) {
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    self.job = job
    finished = Array(repeating: nil, count: count)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  private func locked<Value>(_ body: () -> Value) -> Value {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  override func drain() {
    while true {
      let number = locked { () -> Int? in
        guard next < finished.count else { return nil }
        next += 1
        return next - 1
      }
      guard let number else { return }
      let result: Swift.Result<Result, CodegenError>
      do { result = .success(try job(number)) } catch { result = .failure(error) }
      locked { finished[number] = result }
    }
  }

  func results() throws(CodegenError) -> [Result] {
    var results: [Result] = []
    for result in locked({ finished }) { if let result { results.append(try result.get()) } }
    return results
  }
}
