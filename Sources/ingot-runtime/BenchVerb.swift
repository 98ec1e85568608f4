import Artifact
import Runtime
import TensorTypes

/// `bench`: how long a run takes.
enum BenchVerb {
  static let verb = Verb(
    name: "bench", summary: "Measures how long a run takes: median, spread, and where the time goes.", operands: nil,
    options: [
      Option(name: "--threads", value: "N", help: "kernel threads (all cores this process may use)"),
      Option.memoryLimit,
      Option(name: "--seconds", value: "S", help: "how long to measure, after 0.3 s of warming up (2)"),
      InputArguments.option, InputArguments.dimension,
      Option(name: "--json", value: "FILE", help: "write the result as JSON; - means standard output"),
      Option(name: "--profile", help: "add the time of every kernel"),
      Option(name: "--clients", value: "N", help: "runs per second of 1, 2, 4 ... N clients at the same time, each with memory of its own"),
      Option(name: "--slices", help: "measure on request: every line of standard input holds seconds,\nits answer is a line of JSON (to alternate with another program)"),
    ],
    examples: ["bench --threads 1", "bench --profile --seconds 5", "bench --dim batch=8 --clients 8"], run: run)

  private static func run(_ arguments: Arguments) throws(Failure) -> Int32 {
    let seconds = try arguments.seconds("--seconds") ?? 2
    let threads = try arguments.integer("--threads", in: 1...4096)
    for other in ["--json", "--profile", "--slices"] where arguments.has("--clients") && arguments.has(other) {
      throw .usage("--clients and \(other) are different measurements: give one of them")
    }
    let limit = try arguments.bytes(Option.memoryLimit.name)
    let model = try OwnModel.load()
    let manifest = model.manifest
    let inputs = try InputArguments(arguments, for: manifest).tensors(for: manifest)
    let result: Benchmark.Result
    let session: Session
    var profile: [(step: Manifest.Step, seconds: Double)] = []
    do throws(RunError) {
      session = try model.makeSession(threads: threads, maximumBytes: limit)
      try session.prepare(inputs)
    } catch { throw .failed("\(error)") }
    if let clients = try arguments.integer("--clients", in: 1...256) {
      return try measureClients(model, inputs, most: clients, threads: threads, limit: limit, seconds: seconds)
    }
    if arguments.has("--slices") {
      try BenchSlices.run(session)
      return 0
    }
    do throws(RunError) {
      result = try Benchmark(length: .seconds(seconds)).run { () throws(RunError) in try session.invoke() }
      if arguments.has("--profile") { profile = try self.profile(session, manifest) }
    } catch { throw .failed("\(error)") }

    let json = report(manifest, session, result, profile)
    switch arguments.text("--json") {
    case "-": Console.print(json.text())
    case let path?:
      do throws(TensorFileError) { try FileSystem.write(Array((json.text() + "\n").utf8), to: path) } catch { throw .failed("\(error)") }
      fallthrough
    case nil: Console.print(text(manifest, session, result, profile))
    }
    return 0
  }

  /// Throughput by the number of clients: more of them than cores should not lower it.
  private static func measureClients(_ model: Model, _ inputs: [Tensor], most: Int, threads: Int?, limit: Int?, seconds: Double) throws(Failure) -> Int32 {
    var clients = 1
    while true {
      let result: ConcurrentRuns.Result
      do throws(RunError) { result = try ConcurrentRuns(clients: clients, seconds: seconds, threads: threads, maximumBytes: limit).measure(model, inputs) } catch { throw .failed("\(error)") }
      Console.print(
        "\(clients) client\(clients == 1 ? "" : "s"): \((result.runsPerSecond * 10).rounded() / 10) runs/s, the slowest client got \(percent(result.fairness)) of the mean")
      if clients >= most { return 0 }
      clients = min(clients * 2, most)
    }
  }

  /// Seconds per run of every step, slowest first. Measured apart from the timing, which counting cycles would disturb.
  private static func profile(_ session: Session, _ manifest: Manifest) throws(RunError) -> [(step: Manifest.Step, seconds: Double)] {
    let runs = 20
    session.isProfiling = true
    session.clearProfile()
    for _ in 0..<runs { try session.invoke() }
    session.isProfiling = false
    let scale = 1 / (Double(runs) * MachineLimits.cyclesPerSecond)
    let cycles = session.stepCycles
    return session.steps.map { (manifest.steps[$0], Double(cycles[$0]) * scale) }.sorted { $0.seconds > $1.seconds }
  }

  private static func report(
    _ manifest: Manifest, _ session: Session, _ result: Benchmark.Result, _ profile: [(step: Manifest.Step, seconds: Double)]
  ) -> JSON {
    var members: [JSON.Member] = [
      .init("model", .string(manifest.modelName)), .init("threads", .integer(session.threads)), .init("median_seconds", .number(result.median)),
      .init("minimum_seconds", .number(result.minimum)), .init("mean_seconds", .number(result.mean)), .init("p99_seconds", .number(result.p99)),
      .init("spread", .number(result.spread)), .init("samples", .integer(result.samples.count)), .init("runs_per_sample", .integer(result.runsPerSample)),
    ]
    if !manifest.variants.isEmpty { members.append(.init("variant", session.variant.map { .string($0.label) } ?? .null)) }
    if !profile.isEmpty {
      members.append(
        .init(
          "steps",
          .array(
            profile.map { entry in
              .object([
                .init("name", .string(entry.step.name)), .init("origin", .string(entry.step.origin)), .init("seconds", .number(entry.seconds)),
                .init("flops", entry.step.flops.constant.map { .integer($0) } ?? .null),
              ])
            })))
    }
    return .object(members)
  }

  private static func text(
    _ manifest: Manifest, _ session: Session, _ result: Benchmark.Result, _ profile: [(step: Manifest.Step, seconds: Double)]
  ) -> String {
    var text = "\(manifest.modelName): median \(time(result.median)), fastest \(time(result.minimum)), p99 \(time(result.p99)) "
    text += "on \(session.threads) thread\(session.threads == 1 ? "" : "s") (\(result.samples.count * result.runsPerSample) runs)"
    if !manifest.variants.isEmpty { text += "\n  code for \(session.variant?.label ?? "all lengths")" }
    if result.spread > 0.05 { text += "\n  the middle half of the runs differs by \(percent(result.spread)): this machine is not quiet" }
    let total = profile.reduce(0) { $0 + $1.seconds }
    for (step, seconds) in profile.prefix(40) {
      let speed = step.flops.constant.map { seconds > 0 ? "  \(Int(clamping: Double($0) / seconds / 1e9)) GFLOP/s" : "" } ?? ""
      text += "\n  \(percent(total > 0 ? seconds / total : 0))  \(time(seconds))\(speed)  \(step.name)  \(step.origin)"
    }
    return text
  }

  private static func percent(_ ratio: Double) -> String { "\((ratio * 1000).rounded() / 10)%" }

  private static func time(_ seconds: Double) -> String {
    let (value, unit) = seconds >= 1 ? (seconds, "s") : seconds >= 1e-3 ? (seconds * 1e3, "ms") : seconds >= 1e-6 ? (seconds * 1e6, "µs") : (seconds * 1e9, "ns")
    return "\((value * 1000).rounded() / 1000) \(unit)"
  }
}
