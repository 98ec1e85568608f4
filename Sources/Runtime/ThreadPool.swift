internal import CRuntime

/// The threads that run parallel loops. A process needs one; `ThreadPool.c` says how it works.
///
/// `@unchecked Sendable`: the C side is made to be called from several threads at once.
public final class ThreadPool: @unchecked Sendable {
  /// Nil if the system gave no memory; loops then run on their caller.
  let raw: OpaquePointer?

  /// How long an idle member spins before it sleeps: longer than the serial parts between the layers of a model, short enough not to
  /// keep a core from others. Measured on a two-core Zen 4 virtual machine: an empty loop on two threads costs 0.4 microseconds
  /// while the other member spins, and 3.5 (p99 28) when it has to be woken.
  public static let spinMicroseconds = 50

  /// As many threads as the process may use.
  public static let shared = ThreadPool(threads: Allowance.cpus)

  /// - Parameter threads: Members, the caller of a loop included; at least 1.
  public init(threads: Int) { raw = ingot_pool_create(Int64(max(threads, 1)), Int64(Self.spinMicroseconds) * 1000) }

  deinit { ingot_pool_destroy(raw) }

  /// Members, the caller of a loop included.
  public var threads: Int { Int(ingot_pool_threads(raw)) }

  /// Runs a loop over 0 ..< count in contiguous ranges; returns when all of it is done. A caller that finds the
  /// pool busy runs the loop itself.
  ///
  /// - Parameter threads: The most members that take part; nil means all.
  public func parallel(threads: Int? = nil, count: Int, _ body: @Sendable (Range<Int>) -> Void) {
    // The closure travels through C as the address of this copy, which outlives the loop.
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: LoopBody(run: body)) { closure in
        var context = ingot_context(
          parallel: ingot_parallel, pool: raw.map { UnsafeMutableRawPointer($0) }, threads: Int64(threads ?? self.threads), profile: nil, arena_bytes: 0, arena_used: nil, text: nil, text_state: nil, stop: nil)
        ingot_parallel(
          &context, { closure, begin, end in closure?.assumingMemoryBound(to: LoopBody.self).pointee.run(Int(begin)..<Int(end)) }, closure,
          Int64(count))
      }
    }
  }
}

private struct LoopBody {
  let run: @Sendable (Range<Int>) -> Void
}
