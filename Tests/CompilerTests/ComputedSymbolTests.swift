import Compiler
import Glibc
import GraphIR
import Interpreter
import KernelIR
import Passes
import Runtime
import Synchronization
import TensorTypes
import TestSupport
import Testing

/// Programs that find their sizes while they run: planned, compiled, and attacked.
@Suite("computed symbols") struct ComputedSymbolTests {
  private func integers(_ values: [Int]) -> Tensor { Tensor(.i64, [values.count], values.map(Double.init)) }

  private func exact(_ values: [Int64]) -> Tensor {
    Tensor(.i64, [values.count]) { bytes in for (position, value) in values.enumerated() { bytes.storeBytes(of: value, toByteOffset: 8 * position, as: Int64.self) } }
  }

  @Test func oneArtifactForAllSizes() throws {
    let table = OpenProgram.table()
    let session = try table.model().makeSession(threads: 1, maximumBytes: 1 << 24)
    for count in [3, 0, 1, 700, 5] {
      let result = try table.results([integers([count])], in: session)[0]
      #expect(result.dimensions == [count, count])
      let squares: [Double] = (0..<count).map { number in Double(4 * number * number) }
      #expect(Array(result.doubles.prefix(count)) == squares)
      #expect(session.symbolValues["%count"] == count)
    }
  }

  /// Found by fuzzing: a length inside of a loop that nothing gives a value stopped the compiler.
  @Test(arguments: ["%Unbound + 1", "batch + 1"]) func lengthsThatNothingBindsAreRefused(_ length: String) throws {
    let folder = TemporaryFolder()
    let text = """
      graph @growing(%x: f32[n,3], %go: bool[]) {
        %first = reduce %x {with = sum, axes = [0]}
        %rows = while %go, %first {carried = 1, round = [%Loop.1], lengths = [%Loop.2]} (
          graph @body(%v: f32[%Loop.2]) {
            %r = extents {values = [\(length)]} : i64[1]
            %again = constant dense [false] : bool[]
            %t = convert %r {to = f32} : f32[1]
            %next = concatenate %v, %t {axis = 0}
            return %again, %next
          }
        ) : f32[%Loop.2]
        return %rows
      }
      """
    let path = folder.write(Array(text.utf8), to: "growing.ingot")
    let error = #expect(throws: CompileError.self) { _ = try Compiler().compile(path) }
    #expect(error?.message.contains(length.hasPrefix("%") ? "%Unbound" : "batch") == true, "\(error.map { "\($0)" } ?? "")")
  }

  /// Negative lengths, lengths beyond 63 bits, lengths whose products wrap or leave the arena: an error each, never a wrong address.
  @Test(arguments: [
    -1, -4096, .min, .max, 1 << 62, 1 << 40, (1 << 40) + 1, 1 << 32, (1 << 32) + 1, 1 << 31, 3_037_000_500, 100_001,
  ] as [Int64])
  func hostileLengthsFailTheRun(_ value: Int64) throws {
    for isBounded in [true, false] {
      let table = OpenProgram.table(isBounded: isBounded)
      let session = try table.model().makeSession(threads: 1, maximumBytes: 1 << 24)
      let error = #expect(throws: RunError.self) { try session.run([exact([value])]) }
      let message = error?.description ?? ""
      #expect(message.contains("%count is ") || !isBounded && message.contains("limit"), "\(message)")
      #expect(throws: KernelError.self) { try KernelInterpreter.execute(table.planned(), inputs: [exact([value])]) }
      // The session is as good as before.
      #expect(try session.run([integers([2])])[0].doubles == [0, 4, 0, 4])
    }
  }

  @Test func memoryIsLimited() throws {
    let session = try OpenProgram.table().model().makeSession(threads: 1, maximumBytes: 1 << 20)
    #expect(try session.run([integers([300])])[0].dimensions == [300, 300])
    let error = #expect(throws: RunError.self) { try session.run([integers([400])]) }
    #expect(error?.description.contains("limit") ?? false)
    #expect(try session.run([integers([10])])[0].dimensions == [10, 10])
  }

  /// A loop that never ends is ended by another thread, and the session is as good as before.
  @Test func anotherThreadStopsARun() throws {
    let session = try OpenProgram.endless().model().makeSession(threads: 1, maximumBytes: 1 << 20)
    let condition = { (value: Double) in Tensor(.bool, [1], [value]) }
    for isMeasured in [false, true] {
      session.isProfiling = isMeasured
      #expect(try session.run([condition(0)])[0].doubles == [7])
      let stopper = try Stopper(session.stopSign)
      #expect(throws: RunError.stopped) { try session.run([condition(1)]) }
      stopper.end()
      #expect(try session.run([condition(0)])[0].doubles == [7])
    }
  }

  /// A thread that asks a session to stop, again and again.
  private final class Stopper: Sendable {
    private final class Request: Sendable {
      let sign: StopSign
      let isDone = Atomic<Bool>(false)
      init(_ sign: StopSign) { self.sign = sign }
    }

    private let request: Request
    private let thread: pthread_t

    init(_ sign: StopSign) throws {
      let request = Request(sign)
      var thread = pthread_t()
      let argument = Unmanaged.passRetained(request)
      let status = pthread_create(&thread, nil, { argument in
        guard let argument else { return nil }
        let request = Unmanaged<Request>.fromOpaque(argument).takeRetainedValue()
        while !request.isDone.load(ordering: .relaxed) {
          request.sign.stop()
          usleep(1000)
        }
        return nil
      }, argument.toOpaque())
      try #require(status == 0)
      (self.request, self.thread) = (request, thread)
    }

    func end() {
      request.isDone.store(true, ordering: .relaxed)
      pthread_join(thread, nil)
    }
  }

  @Test func carriesValuesWhoseSizesChange() throws {
    let doubling = OpenProgram.doubling()
    let session = try doubling.model().makeSession(threads: 1, maximumBytes: 1 << 24)
    for rounds in [0, 1, 2, 3, 10, 4] {
      var (a, b) = ([1.0], [2.0])
      for _ in 0..<rounds { (a, b) = (b + a, a + a) }
      let results = try doubling.results([integers([rounds])], in: session)
      #expect(results[0].doubles == a && results[1].doubles == b, "\(rounds)")
      #expect(session.symbolValues["%round"] == rounds && session.symbolValues["%size"] == 1 << rounds)
    }
    let error = #expect(throws: RunError.self) { try session.run([integers([30])]) }
    #expect(error?.description.contains("limit") ?? error?.description.contains("%size") ?? false, "\(error?.description ?? "")")
    #expect(try session.run([integers([1])])[0].doubles == [2, 1])
  }

  @Test func bothArmsOfABranchBindASize() throws {
    let choosing = OpenProgram.choosing()
    let session = try choosing.model().makeSession(threads: 1, maximumBytes: 1 << 20)
    for (condition, length) in [(true, 9), (false, 3), (true, 0), (true, 100), (false, 100)] {
      let inputs = [Tensor(.bool, [1], [condition ? 1 : 0]), integers([length, 4])]
      let results = try choosing.results(inputs, in: session)
      let even: [Double] = (0..<length).map { number in Double(2 * number + 2) }
      #expect(results[0].doubles == (condition ? even : [0, 1, 2, 3, 4]))
      #expect(results[1].doubles == [0, 7, 14, 21])
    }
    // What the other arm would refuse is not looked at.
    #expect(try session.run([Tensor(.bool, [1], [0]), exact([-5, 1])])[0].count == 5)
    #expect(throws: RunError.self) { try session.run([Tensor(.bool, [1], [1]), exact([-5, 1])]) }
    #expect(throws: RunError.self) { try session.run([Tensor(.bool, [1], [0]), exact([1, -1])]) }
  }

  @Test func whatIsUsedBeforeItIsBoundIsRefused() throws {
    var table = OpenProgram.table()
    table.program.steps.remove(at: 0)
    #expect(throws: KernelError.self) { try table.program.check() }
    var doubling = OpenProgram.doubling()
    doubling.program.steps.remove(at: 1)
    #expect(throws: KernelError.self) { try doubling.program.check() }
    #expect(OpenProgram.doubling().program.text.contains("advance %size to %next"))
  }
}
