#if arch(x86_64)
  import Foundation
  import Runtime
  import TensorTypes
  import Testing

  /// Runs of several models and clients on the one pool of the process.
  @Suite("shared pool", .serialized) struct SharedPoolTests {
    private func model() throws -> Model {
      let n = Extent(symbol: "n")
      return try MachineCode.model(MachineCode.parallelCount, input: TensorType(.i32, [n]), output: TensorType(.i32, [n]))
    }

    /// Every iteration of every run was done once: the code counts them in its output, whose memory stays.
    private func runs(_ session: Session, count: Int, rounds: Int) throws -> Bool {
      try session.prepare([Tensor(.i32, [count], Array(repeating: 0, count: count))])
      for _ in 0..<rounds { try session.invoke() }
      return session.withOutput(0) { bytes in (0..<count).allSatisfy { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) == Int32(rounds) } }
    }

    @Test(arguments: [1, 2, 3, 64]) func aRunDoesEveryIterationOnce(_ threads: Int) throws {
      #expect(try runs(try model().makeSession(threads: threads), count: 1000, rounds: 200))
    }

    @Test func moreClientsThanCoresAllFinish() async throws {
      let models = [try model(), try model(), try model()]
      await withTaskGroup(of: Bool.self) { group in
        for client in 0..<4 * max(2, Allowance.cpus) {
          let model = models[client % models.count]
          group.addTask {
            do { return try runs(try model.makeSession(threads: 8), count: 100 + client, rounds: 2000) } catch { return false }
          }
        }
        for await isRight in group { #expect(isRight) }
      }
      // When the others have gone, a run may use the whole pool again.
      #expect(try runs(try models[0].makeSession(), count: 5000, rounds: 50))
    }

    @Test func modelsShareTheThreadsOfOnePool() throws {
      func workers() -> Int {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        return tasks.filter { (try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8))?.hasPrefix("ingot-") == true }.count
      }
      _ = ThreadPool.shared.threads
      // Other suites have pools of their own while this runs; the shared one does not grow with sessions.
      let sessions = try (0..<8).map { _ in try model().makeSession() }
      #expect(sessions.allSatisfy { $0.threads == sessions[0].threads })
      #expect(sessions[0].threads <= Allowance.cpus)
      #expect(workers() >= Allowance.cpus - 1)
      #expect(ThreadPool.shared.threads == Allowance.cpus)
    }
  }
#endif
