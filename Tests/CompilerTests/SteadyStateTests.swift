import CSteadyState
import Compiler
import Interpreter
import Runtime
import TensorTypes
import Testing

/// Once its inputs are bound a session runs without allocating and, on one thread, without a system call.
@Suite("steady state") struct SteadyStateTests {
  private final class Runs {
    let session: Session
    var failures = 0
    init(_ session: Session) { self.session = session }
  }

  /// What 1000 runs of a prepared session ask for.
  private func watch(_ session: Session, rounds: Int = 1000) throws -> (allocations: Int, systemCalls: Int)? {
    let runs = Runs(session)
    var allocations: Int64 = 0, systemCalls: Int64 = 0
    let status = steady_watch(
      { argument in
        guard let argument else { return }
        let runs = Unmanaged<Runs>.fromOpaque(argument).takeUnretainedValue()
        do { try runs.session.invoke() } catch { runs.failures += 1 }
      }, Unmanaged.passUnretained(runs).toOpaque(), Int64(rounds), &allocations, &systemCalls)
    #expect(runs.failures == 0)
    return status == 0 ? (Int(allocations), Int(systemCalls)) : nil
  }

  @Test func theCountersCount() {
    let before = steady_allocations()
    withExtendedLifetime([Int](repeating: 1, count: Int.random(in: 1000...1001))) {}
    #expect(steady_allocations() > before)
  }

  @Test(arguments: ["attention", "residual-block", "pooling", "layer-norm", "scan", "dense-gelu", "gather", "order"])
  func runsAskForNothing(_ name: String) throws {
    let model = ModelCase.named(name)
    let compiler = Compiler()
    let source = try compiler.load(model.path)
    let inputs = try source.randomInputs(seed: 3, symbols: model.bindings.last ?? [:])
    let loaded = try compiler.compile(model.path).makeModel()
    let session = try loaded.makeSession(threads: 1)
    try session.prepare(inputs)
    guard let counts = try watch(session) else { return }
    #expect(counts.allocations == 0, "\(name)")
    #expect(counts.systemCalls == 0, "\(name)")
  }

  @Test func theVariantThatServesARunAsksForNothing() throws {
    let model = ModelCase.named("dense-gelu")
    let symbol = try #require(model.bindings.first?.keys.first)
    var options = CompileOptions()
    options.variants = [symbol: [2, 3]]
    let compiled = try Compiler(options: options).compile(model.path)
    let session = try compiled.makeModel().makeSession(threads: 1)
    try session.prepare(try compiled.source.randomInputs(seed: 3, symbols: [symbol: 3]))
    guard let counts = try watch(session) else { return }
    #expect(counts.allocations == 0 && counts.systemCalls == 0)
  }
}
