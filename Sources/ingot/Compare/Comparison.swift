import Artifact
import Compiler
import Foundation
import GraphIR
import Runtime
import TensorTypes

/// Compiles variants of a model, and finds out what each of them costs and gives.
struct Comparison {
  let path: String
  let inputs: InputArguments
  let baseline: Variant
  /// As the baseline was parsed.
  let arguments: CompileArguments
  /// To measure times for, all variants together; nil for a second each. Compiling comes on top.
  let seconds: Double?
  /// Whether the report has a place for the error of each quantized layer.
  var measuresLayers = true
  /// To state errors and accuracy over; without them that is done with the inputs that times are measured with.
  var samples: LabelledSamples?

  private let folder: ScratchFolder
  private let progress = ProgressLine()

  init(path: String, inputs: InputArguments, baseline: Variant, arguments: CompileArguments, seconds: Double?) throws {
    (self.path, self.inputs, self.baseline, self.arguments, self.seconds) = (path, inputs, baseline, arguments, seconds)
    folder = try ScratchFolder()
  }

  /// To be called when no more is built.
  func end() {
    folder.remove()
    ProgressLine.clear()
  }

  /// The same options in fp32, without what trades precision for speed: what errors are relative to.
  var reference: Variant {
    let exact = OptionTable.compilation.given(in: ["--precision=fp32", "--winograd=off"])
    let base = OptionTable.compilation.given(in: baseline.words).filter { !Self.changesNumbers($0.option) }
    var variant = baseline
    variant.words = Variant.merged(base, exact).map(\.word)
    return variant
  }

  /// Whether an option gives a model other numbers, or another way to the same ones.
  private static func changesNumbers(_ option: OptionTable.Option) -> Bool {
    ["disable", "tune", "tune-cache", "verify-each", "print-after"].contains(option.name) || ["Quantization", "Pruning", "Samples"].contains(option.section)
  }

  func build(_ variant: Variant) throws(VariantBuild.Failure) -> VariantBuild {
    progress.show("compile \(variant.name)", nil, of: nil)
    return try VariantBuild(variant, of: path, measuresLayers: measuresLayers, in: folder)
  }

  /// A variant and what became of building it.
  func candidate(_ variant: Variant) -> Ablation.Candidate {
    do throws(VariantBuild.Failure) { return (variant, .success(try build(variant))) } catch { return (variant, .failure(error)) }
  }

  /// Measures variants that were built, the first of which is the baseline, and gives a result for each in the same order.
  ///
  /// - Throws: If the baseline, or the model in fp32, cannot be compiled or run.
  func measure(_ candidates: [(variant: Variant, build: Result<VariantBuild, VariantBuild.Failure>)]) throws -> Findings {
    guard let first = candidates.first else { return Findings(results: [], tensors: [], threads: 1) }
    let base: VariantBuild
    do { base = try first.build.get() } catch { throw CompileError(.badInput, error.message, stage: .run) }
    let manifest = base.model.manifest
    let tensors = try inputs.tensors(for: manifest, pictures: arguments.pictures, symbols: symbols)
    let expected = try expectedResults(tensors)
    let files = try tensors.enumerated().map { index, tensor in
      let file = folder.file("input-\(index).npy")
      try NumPyFile.write(tensor, to: file)
      return "\(manifest.inputs[index].name)=\(file)"
    }

    // A trial of each: what it gives, and whether it runs at all.
    var trials: [Result<Trial, VariantBuild.Failure>] = []
    for (position, candidate) in candidates.enumerated() {
      progress.show("try", position, of: candidates.count)
      do throws(VariantBuild.Failure) {
        let build = try candidate.build.get()
        defer { build.discardFile() }
        if let known = trials.first(where: { (try? $0.get().build.identity) == build.identity }), var copy = try? known.get() {
          copy.isSameAs = copy.build.variant.name
          copy.build = build
          trials.append(.success(copy))
        } else {
          trials.append(.success(try trial(build, tensors, expected, files, like: manifest)))
        }
      } catch { trials.append(.failure(error)) }
    }
    var lanes: [AlternatingMeasurement.Lane] = []
    var laneOfTrial: [Int: Int] = [:]
    for (index, trial) in trials.enumerated() {
      guard let trial = try? trial.get(), trial.isSameAs == nil else { continue }
      laneOfTrial[index] = lanes.count
      lanes.append(AlternatingMeasurement.Lane { () throws(RunError) in try trial.session.invoke() })
    }
    let budget = seconds ?? Double(lanes.count)
    AlternatingMeasurement.run(&lanes, seconds: budget * 0.75) { done, count in progress.show("measure round", done, of: count) }
    guard let baseLane = laneOfTrial[0].map({ lanes[$0] }), baseLane.failure == nil else {
      throw CompileError(.badInput, trials[0].failure?.message ?? laneOfTrial[0].flatMap { lanes[$0].failure.map { "\($0)" } } ?? "the baseline does not run", stage: .run)
    }

    var results: [VariantResult] = []
    for (index, candidate) in candidates.enumerated() {
      progress.show("throughput", index, of: candidates.count)
      do throws(VariantBuild.Failure) {
        let trial = try trials[index].get()
        if let name = trial.isSameAs, let known = results.first(where: { $0.variant.name == name }) {
          results.append(VariantResult(variant: candidate.variant, outcome: .success(figures(trial, sameAs: name, known: try known.outcome.get()))))
          continue
        }
        guard let lane = laneOfTrial[index].map({ lanes[$0] }) else { throw VariantBuild.Failure(message: "it was not measured") }
        if let failure = lane.failure { throw VariantBuild.Failure(message: "\(failure)") }
        results.append(
          VariantResult(variant: candidate.variant, outcome: .success(try figures(trial, lane, baseLane, tensors, seconds: budget * 0.25 / Double(max(1, lanes.count))))))
      } catch { results.append(VariantResult(variant: candidate.variant, outcome: .failure(error))) }
    }
    ProgressLine.clear()
    return Findings(results: results, tensors: tensors, threads: (try? trials[0].get().session.threads) ?? 1)
  }

  struct Findings {
    var results: [VariantResult]
    /// What all ran with.
    var tensors: [Tensor]
    /// Of one run of the baseline.
    var threads: Int
  }

  // MARK: Parts

  private struct Trial {
    var build: VariantBuild
    var session: Session
    var deviations: [Deviation]
    var accuracy: VariantResult.Accuracy?
    var residentBytes: Int?
    var isSameAs: String?
  }

  /// Lengths of symbolic axes of random inputs.
  private var symbols: [String: Int] { arguments.dimensions.reduce(into: [:]) { $0[$1.name] = $1.lengths.first } }

  /// What fp32 gives: for each sample, or for the inputs alone.
  private func expectedResults(_ tensors: [Tensor]) throws -> [[Tensor]] {
    let exact: VariantBuild
    do { exact = try build(reference) } catch { throw CompileError(.badInput, "the model in fp32, to compare with: \(error.message)", stage: .run) }
    defer { exact.discardFile() }
    let session = try exact.model.makeSession(threads: arguments.threads, maximumBytes: arguments.memoryLimit?.bytes)
    guard let samples else { return [try session.run(tensors)] }
    var all: [[Tensor]] = []
    try samples.run(session) { _, results in all.append(results) }
    return all
  }

  private func trial(_ build: VariantBuild, _ tensors: [Tensor], _ expected: [[Tensor]], _ files: [String], like manifest: Manifest) throws(VariantBuild.Failure) -> Trial {
    let own = build.model.manifest
    func interface(_ ports: [Manifest.Port]) -> [String] { ports.map { "\($0.name): \($0.type)" } }
    guard interface(own.inputs) == interface(manifest.inputs) else {
      throw VariantBuild.Failure(message: "it takes other inputs than the baseline: \(interface(own.inputs).joined(separator: ", ")) instead of \(interface(manifest.inputs).joined(separator: ", "))")
    }
    let session: Session
    do throws(RunError) { session = try build.model.makeSession(threads: threads(of: build), maximumBytes: arguments.memoryLimit?.bytes) } catch { throw VariantBuild.Failure(message: "\(error)") }
    let resident = try build.residentBytes(inputs: files, threads: session.threads, in: folder)
    var deviations = own.outputs.map { Deviation(output: $0.name) }
    var accuracy: VariantResult.Accuracy?
    func compare(_ sample: Int, _ results: [Tensor]) {
      guard expected.indices.contains(sample) else { return }
      for (index, pair) in zip(results, expected[sample]).enumerated() where deviations.indices.contains(index) { deviations[index].add(pair.0, reference: pair.1) }
    }
    do {
      if let samples {
        try samples.run(session) { sample, results throws(CompileError) in
          compare(sample, results)
          try samples.judge(results, of: sample, into: &accuracy)
        }
        try session.prepare(tensors)
        try session.invoke()
      } else { compare(0, try session.run(tensors)) }
    } catch { throw VariantBuild.Failure(message: (error as? CompileError)?.message ?? "\(error)") }
    return Trial(build: build, session: session, deviations: deviations, accuracy: accuracy, residentBytes: resident)
  }

  /// A variant may say its own number.
  private func threads(of build: VariantBuild) -> Int? {
    (try? CompileArguments.parse(build.variant.words))?.threads ?? arguments.threads
  }

  private func figures(_ trial: Trial, sameAs name: String, known: VariantResult.Figures) -> VariantResult.Figures {
    var figures = known
    figures.isSameAs = name
    (figures.compileSeconds, figures.compilePeakBytes, figures.stages, figures.passes) = (trial.build.compileSeconds, trial.build.compilePeakBytes, trial.build.stages, trial.build.passes)
    (figures.layers, figures.prunedLayers, figures.remarks) = (trial.build.layers, trial.build.prunedLayers, trial.build.remarks)
    return figures
  }

  private func figures(
    _ trial: Trial, _ lane: AlternatingMeasurement.Lane, _ base: AlternatingMeasurement.Lane, _ tensors: [Tensor], seconds: Double
  ) throws(VariantBuild.Failure) -> VariantResult.Figures {
    let (build, session) = (trial.build, trial.session)
    let result = lane.result
    let clients = max(1, Allowance.cpus / session.threads)
    do throws(RunError) {
      var perSecond = result.mean > 0 ? 1 / result.mean : 0
      if clients > 1 {
        let measurement = ConcurrentRuns(clients: clients, seconds: min(max(seconds, 0.05), 10), threads: session.threads, maximumBytes: arguments.memoryLimit?.bytes)
        perSecond = try measurement.measure(build.model, tensors).runsPerSecond
      }
      return VariantResult.Figures(
        latency: result, gain: AlternatingMeasurement.Ratio(base.slices, over: lane.slices) ?? .one, slices: lane.slices, runsPerSecond: perSecond, clients: clients, threads: session.threads,
        artifactBytes: build.artifactBytes, weightsBytes: build.weightsBytes, codeBytes: build.codeBytes, arenaBytes: session.arenaBytes,
        residentBytes: trial.residentBytes, compileSeconds: build.compileSeconds, compilePeakBytes: build.compilePeakBytes, stages: build.stages,
        kernelCalls: session.steps.count, deviations: trial.deviations, accuracy: trial.accuracy, kernels: try profile(build, session), passes: build.passes,
        layers: build.layers, prunedLayers: build.prunedLayers, remarks: build.remarks, isSameAs: nil)
    } catch { throw VariantBuild.Failure(message: "\(error)") }
  }

  /// The median of several runs for each step. Measured apart from the timing, which counting cycles would disturb.
  private func profile(_ build: VariantBuild, _ session: Session) throws(RunError) -> [VariantResult.KernelTime] {
    let runs = 9
    var cycles: [[Int]] = []
    session.isProfiling = true
    defer { session.isProfiling = false }
    for _ in 0..<runs {
      session.clearProfile()
      try session.invoke()
      cycles.append(session.stepCycles)
    }
    let work = KernelWork.perStep(build.model.manifest, nil, symbols: session.symbolValues)
    return session.steps.enumerated().map { index, step in
      let entry = build.model.manifest.steps[step]
      let seconds = Double(cycles.map { $0[step] }.sorted()[runs / 2]) / MachineLimits.cyclesPerSecond
      let own = work.indices.contains(index) ? work[index] : KernelWork()
      return VariantResult.KernelTime(
        name: entry.name, origin: entry.origin, seconds: seconds, flops: own.flops, bytes: own.bytes, note: build.notes.indices.contains(step) ? build.notes[step] : "")
    }
  }
}

extension Result {
  fileprivate var failure: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}
