import GraphIR
import LLVMCodegen
import Lowering
import Runtime

/// Measures the best few candidates of each kernel of a model on this machine.
struct Tuner {
  let target: Target
  let lowering: LoweringTarget
  let seconds: Double
  let store: ObjectCache?
  let progress: (_ done: Int, _ of: Int) -> Void

  /// Candidates of one kernel that are measured, at most; fewer if their constants are large.
  private static let mostFinalists = 8
  private static let mostConstantBytes = 1 << 30
  /// A candidate that is not faster by more than this does not replace the one with the least estimate.
  private static let noise = 1.02

  /// Adds the answers for the kernels of `graph` to `file`; what it holds already is not measured again.
  ///
  /// - Throws: `.usage` if this machine cannot run code for the target.
  func run(_ graph: Graph, _ file: inout TuningFile) throws(CompileError) -> TuningReport {
    try checkMachine()
    let clock = ContinuousClock()
    let start = clock.now
    func elapsed() -> Double { (clock.now - start) / .seconds(1) }
    let machine = TuningFile.Machine(target)
    var report = TuningReport()
    let (problems, symbolic) = try TuningProblem.all(in: graph, for: lowering)
    (report.kernels, report.symbolic) = (problems.count, symbolic)
    let open = problems.filter { problem in
      guard let entry = file[machine, problem.choice.problem] else { return true }
      return !problem.choice.candidates.contains { $0.name == entry.best.candidate }
    }
    report.known = problems.count - open.count
    var weight = open.reduce(0) { $0 + $1.weight }
    for (number, problem) in open.enumerated() {
      progress(number, open.count)
      let left = seconds - elapsed()
      guard left > 0 else { break }
      // The most expensive kernels come first and may use up the time in proportion, those at the end get a little each.
      let share = max(left * problem.weight / max(weight, 1), left / Double(open.count - number) * 0.25)
      weight -= problem.weight
      guard let entry = try measure(problem, seconds: share, &report) else { continue }
      file[machine, problem.choice.problem] = entry
      report.measured += 1
    }
    progress(open.count, open.count)
    // An answer that names no candidate any more would stop every later compilation.
    for problem in open {
      guard let entry = file[machine, problem.choice.problem] else { continue }
      if !problem.choice.candidates.contains(where: { $0.name == entry.best.candidate }) { file[machine, problem.choice.problem] = nil }
    }
    store?.prune()
    report.seconds = elapsed()
    return report
  }

  private func measure(_ problem: TuningProblem, seconds: Double, _ report: inout TuningReport) throws(CompileError) -> TuningFile.Entry? {
    guard let estimated = problem.choice.candidates.first?.name else { return nil }
    let first = try problem.program(estimated, for: lowering)
    let constantBytes = first.constants.reduce(0) { $0 + $1.tensor.byteCount }
    let names = problem.finalists(most: min(Self.mostFinalists, max(2, Self.mostConstantBytes / max(1, constantBytes))))
    guard names.count > 1 else { return nil }
    var programs = [first]
    for name in names.dropFirst() { programs.append(try problem.program(name, for: lowering)) }
    let times = try CandidateRace(programs, for: target, threads: lowering.threads, store: store).run(seconds: seconds)
    var measurements = zip(names, times).compactMap { name, time in time.map { TuningFile.Measurement(candidate: name, nanoseconds: $0) } }
    guard let fastest = measurements.min(by: { ($0.nanoseconds, $0.candidate) < ($1.nanoseconds, $1.candidate) }) else { return nil }
    let own = measurements.first { $0.candidate == estimated }
    var best = fastest
    if let own, Double(own.nanoseconds) <= Double(fastest.nanoseconds) * Self.noise { best = own }
    measurements.removeAll { $0.candidate == best.candidate }
    if best.candidate != estimated { report.changed += 1 }
    report.fastestSeconds += Double(best.nanoseconds) * 1e-9 * Double(problem.count)
    // One that fell out early was at least this much slower.
    report.estimatedSeconds += (own.map { Double($0.nanoseconds) } ?? Double(best.nanoseconds) * 1.05) * 1e-9 * Double(problem.count)
    return TuningFile.Entry(best: best, others: measurements.sorted { ($0.nanoseconds, $0.candidate) < ($1.nanoseconds, $1.candidate) })
  }

  private func checkMachine() throws(CompileError) {
    let host: Target
    do throws(CodegenError) { host = try Target.host() } catch { throw CompileError(.usage, "\(error)", stage: .emit) }
    let missing = target.features.filter { !host.has($0) }
    guard missing.isEmpty else {
      throw CompileError(
        .usage, "this machine cannot measure code for `\(target.cpu)`: it lacks \(missing.joined(separator: ", "))", stage: .emit,
        hint: "tune on such a machine and bring the file here, or merge it with `ingot tune merge`")
    }
  }
}
