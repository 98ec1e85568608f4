internal import CRuntime

/// The threads that run parallel loops. A process needs one; `ThreadPool.c` says how it works.
///
/// `@unchecked Sendable`: the C side is made to be called from several threads at once.
public final class ThreadPool: @unchecked Sendable {
  /// Nil if the system gave no memory; loops then run on their caller.
  let raw: OpaquePointer?

  /// How long an idle member spins before it sleeps. Waking a sleeper costs about 50 microseconds on a virtual
  /// machine, so spinning for less would pay that price between the layers of every model.
  public static let spinMicroseconds = 50

  /// As many threads as the process may use.
  public static let shared = ThreadPool(threads: Allowance.cpus)

  /// - Parameter threads: Members, the caller of a loop included; at least 1.
  public init(threads: Int) { raw = ingot_pool_create(Int64(max(threads, 1)), Int64(Self.spinMicroseconds) * 1000) }

  deinit { ingot_pool_destroy(raw) }

  /// Members, the caller of a loop included.
  public var threads: Int { Int(ingot_pool_threads(raw)) }
}
