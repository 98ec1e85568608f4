import Runtime
import Synchronization
import Testing

/// One counter per iteration: each must be hit exactly once.
final class Hits: Sendable {
  private let counts: Mutex<[Int]>
  init(_ count: Int) { counts = Mutex(Array(repeating: 0, count: count)) }
  func add(_ range: Range<Int>) { counts.withLock { counts in for position in range { counts[position] += 1 } } }
  var areAllOne: Bool { counts.withLock { $0.allSatisfy { $0 == 1 } } }
}

@Suite("thread pool") struct ThreadPoolTests {
  @Test(arguments: [1, 2, 3, 8], [0, 1, 2, 3, 7, 8, 9, 31, 33, 1000])
  func doesEveryIterationOnce(_ threads: Int, _ count: Int) {
    let pool = ThreadPool(threads: threads)
    for _ in 0..<50 {
      let hits = Hits(count)
      pool.parallel(count: count) { hits.add($0) }
      #expect(hits.areAllOne)
    }
  }

  @Test func countsOfSixtyThreeBitsAreCutRight() {
    let pool = ThreadPool(threads: 4)
    let total = Mutex(0)
    pool.parallel(count: .max) { range in total.withLock { $0 += range.count } }
    #expect(total.withLock { $0 } == .max)
  }

  @Test func nestedLoopsRunOnTheirCaller() {
    let pool = ThreadPool(threads: 3)
    let hits = Hits(64)
    pool.parallel(count: 8) { outer in
      for row in outer { pool.parallel(count: 8) { inner in hits.add(row * 8 + inner.lowerBound..<row * 8 + inner.upperBound) } }
    }
    #expect(hits.areAllOne)
  }

  @Test func concurrentCallersAllFinish() async {
    let pool = ThreadPool(threads: 4)
    await withTaskGroup(of: Bool.self) { group in
      for caller in 0..<6 {
        group.addTask {
          for round in 0..<3000 {
            let count = 1 + (round * 7 + caller) % 40
            let sum = Atomic(0)
            pool.parallel(count: count) { range in sum.add(range.reduce(0, +) + range.count, ordering: .relaxed) }
            if sum.load(ordering: .relaxed) != count * (count - 1) / 2 + count { return false }
          }
          return true
        }
      }
      for await isRight in group { #expect(isRight) }
    }
  }

  @Test func workersWakeUpAfterSleeping() async throws {
    let pool = ThreadPool(threads: 2)
    for _ in 0..<20 {
      try await Task.sleep(for: .milliseconds(2))
      let hits = Hits(10)
      pool.parallel(count: 10) { hits.add($0) }
      #expect(hits.areAllOne)
    }
  }

  @Test func fewerThreadsThanMembersMayTakePart() {
    let pool = ThreadPool(threads: 4)
    for threads in 1...5 {
      let hits = Hits(100)
      pool.parallel(threads: threads, count: 100) { hits.add($0) }
      #expect(hits.areAllOne)
    }
  }
}

@Suite("allowance") struct AllowanceTests {
  @Test func readsControlGroupsOfBothVersions() {
    let files = [
      "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "/sys/fs/cgroup/a/cpu.max": "250000 100000\n", "/sys/fs/cgroup/a/memory.max": "1048576\n",
      "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000\n", "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "4096\n",
    ]
    let second = ControlGroup(membership: "0::/a/b\n") { files[$0] }
    #expect(second.cpuQuota == 2.5 && second.memoryBytes == 1 << 20)
    let first = ControlGroup(membership: "4:cpu,cpuacct:/x\n3:memory:/x\n") { files[$0] }
    #expect(first.cpuQuota == 0.5 && first.memoryBytes == 4096)
    let none = ControlGroup(membership: "rubbish\n0::/../../etc\n") { _ in nil }
    #expect(none.cpuQuota == nil && none.memoryBytes == nil)
  }

  @Test func isAtLeastOne() {
    #expect(Allowance.cpus >= 1 && Allowance.memoryBytes > 1 << 20)
    #expect(ThreadPool.shared.threads == Allowance.cpus)
  }
}
