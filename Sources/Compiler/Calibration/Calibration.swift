import Artifact
public import GraphIR
import Passes
import Runtime
public import TensorTypes

/// Runs a model on samples and shows values inside of it.
///
///     let calibration = try Calibration(graph, watching: values, options: options)
///     try calibration.run(samples) { sample, value, tensor in ranges[value]?.observe(tensor) }
///
/// The graph is compiled like any other, with the watched values as outputs beside its own; so what is seen is what the fp32 model
/// computes. Many values are seen in several runs of a sample, so that their memory stays bounded.
public struct Calibration {
  /// What a visitor is shown: which sample, which value of the graph, and what it is. The tensor is the visitor's to keep.
  public typealias Visitor = (_ sample: Int, _ value: ValueID, _ tensor: Tensor) throws(CompileError) -> Void

  /// A compiled form of the graph that gives some of the watched values.
  private struct Probe {
    var session: Session
    /// By output behind those of the graph.
    var values: [ValueID]
  }

  private let graph: Graph
  private let probes: [Probe]
  /// Watched values that are inputs of the graph: position and value.
  private let inputs: [(position: Int, value: ValueID)]
  private let progress: @Sendable (Compiler.Progress) -> Void

  /// The most bytes of values that one run gives, where their lengths are known.
  private static let bytesPerRun = 1 << 30

  /// Compiles the graph, in fp32 and for this machine whatever `options` name.
  ///
  /// - Parameters:
  ///   - graph: In the portable form.
  ///   - values: Of the graph itself, not of graphs inside of it. Constants are left out: they are known.
  public init(
    _ graph: Graph, watching values: [ValueID], options: CompileOptions, progress: @escaping @Sendable (Compiler.Progress) -> Void = { _ in }
  ) throws(CompileError) {
    self.graph = graph
    self.progress = progress
    let watched = Set(values)
    inputs = graph.inputs.enumerated().filter { watched.contains($0.element) }.map { ($0.offset, $0.element) }
    var groups: [[ValueID]] = [[]]
    var bytes = 0
    for value in watched.sorted(by: { $0.index < $1.index }) where graph.producer(of: value) != nil && graph.constant(value) == nil {
      let own = graph.type(of: value).byteCount.constant ?? 0
      if bytes + own > Self.bytesPerRun, groups.last?.isEmpty == false {
        groups.append([])
        bytes = 0
      }
      groups[groups.count - 1].append(value)
      bytes += own
    }
    var probes: [Probe] = []
    for group in groups {
      var probe = graph
      probe.setOutputs(zip(graph.outputNames, graph.outputs).map { ($0, $1) } + group.map { ("calibration.\($0.index)", $0) })
      let model = try Compiler(options: options.forCalibration, progress: progress).executable(probe)
      do throws(RunError) { probes.append(Probe(session: try model.makeSession(threads: options.threads), values: group)) } catch { throw CompileError(.badInput, "\(error)", stage: .run) }
    }
    self.probes = probes
  }

  /// Runs one sample.
  ///
  /// - Parameter tensors: One for each input of the graph.
  /// - Returns: What the graph gives.
  ///
  /// Not inlined: where the results are not used, the optimizer of Swift 6.2 takes the array apart and releases the other outputs twice.
  @inline(never) @discardableResult
  public func run(_ tensors: [Tensor], visit: (ValueID, Tensor) throws(CompileError) -> Void = { _, _ in }) throws(CompileError) -> [Tensor] {
    for input in inputs where tensors.indices.contains(input.position) { try visit(input.value, tensors[input.position]) }
    var results: [Tensor] = []
    for probe in probes {
      let outputs: [Tensor]
      do throws(RunError) { outputs = try probe.session.run(tensors) } catch { throw CompileError(.badInput, "\(error)", stage: .run) }
      results = outputs
      results.removeLast(probe.values.count)
      for (value, tensor) in zip(probe.values, outputs.dropFirst(graph.outputs.count)) { try visit(value, tensor) }
    }
    return results
  }

  /// Runs all samples in their order.
  ///
  /// - Parameter stage: What progress is called.
  /// - Throws: `CompileError` that names the sample that does not fit, fails, or has numbers that are NaN; and if all numbers of all samples are one.
  public func run(_ samples: CalibrationSamples, stage: String = "calibrate", visit: Visitor) throws(CompileError) {
    var numbers = SampleNumbers(samples.ports)
    for position in 0..<samples.count {
      progress(Compiler.Progress(stage: stage, done: position, of: samples.count))
      let tensors = try samples.tensors(position)
      try numbers.add(tensors, sample: samples.name(position))
      do throws(CompileError) { try run(tensors) { value, tensor throws(CompileError) in try visit(position, value, tensor) } } catch {
        throw CompileError(error.problem, "\(samples.name(position)): \(error.message)", stage: error.stage, origin: error.origin, hint: error.hint)
      }
    }
    try numbers.check(samples.count, path: samples.path)
    progress(Compiler.Progress(stage: stage, done: samples.count, of: samples.count))
  }
}

extension CompileOptions {
  /// What the model as it is computes on this machine.
  var forCalibration: CompileOptions {
    var options = exact
    options.target = "native"
    options.tuning = TuningOptions()
    options.tuning.place = .none
    options.variants = [:]
    options.passes = PassOptions()
    return options
  }
}
