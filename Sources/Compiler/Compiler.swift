public import Artifact
import Foundation
public import GraphIR
public import KernelIR
import LLVMCodegen
import Lowering
import ONNXFrontend
public import Passes
import Runtime
import TensorTypes

/// The way from a model file to machine code, stage by stage.
public struct Compiler: Sendable {
  /// What `progress` is told.
  public struct Progress: Sendable {
    public var stage: String
    /// Done, of how many; nil where that is not known.
    public var done: Int?
    public var of: Int?
  }

  public let options: CompileOptions
  private let progress: @Sendable (Progress) -> Void
  /// Where stages of work report to.
  var report: @Sendable (Progress) -> Void { progress }
  private let print: @Sendable (String) -> Void

  /// - Parameters:
  ///   - progress: Called from the compiling thread, and from workers during code generation.
  ///   - print: Where `--print-after` goes.
  public init(
    options: CompileOptions = CompileOptions(), progress: @escaping @Sendable (Progress) -> Void = { _ in },
    print: @escaping @Sendable (String) -> Void = { Swift.print($0) }
  ) {
    (self.options, self.progress, self.print) = (options, progress, print)
  }

  /// The choice of kernels that leave out zeros, which is switched off like a pass.
  static let sparseProducts = "sparse-products"

  /// Every pass, in the order in which they first run, with one sentence each.
  public static var passes: [(name: String, summary: String)] {
    Pipeline<Graph>.tuned(for: .bf16).passes.map { ($0.name, $0.summary) } + [(sparseProducts, "Leaves out the zeros of constant operands where the cost model expects a gain.")]
      + Pipeline<KernelProgram>.program.passes.map { ($0.name, $0.summary) }
  }

  /// Reads a model: ONNX, or the text form if the name ends in `.ingot`.
  ///
  /// - Returns: A verified graph with `options.dimensions` and `options.shapes` bound.
  public func load(_ path: String) throws(CompileError) -> Graph { try load(path, for: options).graph }

  /// A graph and which of its inputs and outputs are elements of sequences and optionals.
  struct Source {
    var graph: Graph
    var inputs: [Manifest.Structure] = []
    var outputs: [Manifest.Structure] = []
  }

  private func load(_ path: String, for options: CompileOptions) throws(CompileError) -> Source {
    let file = ModelSource(path: path)
    if file.isText { return Source(graph: try file.readText(options)) }
    var model = try loadONNX(path: path, options: importOptions(options))
    model.graph.name = file.name
    try model.graph.verify(stage: .load)
    func structures(_ list: [PortStructure]) -> [Manifest.Structure] {
      list.compactMap { structure in Manifest.Structure.Kind(rawValue: structure.kind.rawValue).map { Manifest.Structure(name: structure.name, kind: $0, ports: structure.ports) } }
    }
    return Source(graph: model.graph, inputs: structures(model.inputStructures), outputs: structures(model.outputStructures))
  }

  private func importOptions(_ options: CompileOptions) -> ImportOptions {
    var wanted = ImportOptions(dimensions: options.dimensions, shapes: options.shapes, values: options.fixed, limits: options.limits.loading)
    (wanted.sequences, wanted.optionals) = (options.sequences, options.optionals)
    wanted.differentiate = { graph, positions throws(CompileError) in try gradient(of: graph, withRespectTo: positions) }
    return wanted
  }

  /// The inputs that `options.fixed` makes constants, for a manifest.
  public func fixedInputs(_ path: String) throws(CompileError) -> [Manifest.FixedInput] {
    if options.fixed.isEmpty { return [] }
    var names: [String] = []
    for input in try ModelSource(path: path).inputs() {
      if let shapes = options.sequences[input.name] { names += shapes.indices.map { "\(input.name).\($0)" } } else if options.optionals[input.name] != .absent { names.append(input.name) }
    }
    return names.enumerated().compactMap { position, name in options.fixed[name].map { Manifest.FixedInput(position: position, name: name, value: $0) } }
  }

  /// Everything in a model that loading it refuses. Empty for the text form, which holds nothing but what there is.
  public func obstacles(_ path: String) throws(CompileError) -> ObstacleReport {
    if ModelSource(path: path).isText { return ObstacleReport(path: path, refusals: [], unexaminedNodes: 0) }
    let found = try findObstacles(path: path, options: importOptions(options))
    return ObstacleReport(path: path, refusals: found.refusals, unexaminedNodes: found.unexaminedNodes)
  }

  /// Reads a model and simplifies it as far as every machine agrees: what `--emit graph` prints and `.ingot` files hold.
  public func portable(_ path: String) throws(CompileError) -> Graph {
    try options.passes.validate(knownPasses: Self.passes.map(\.name))
    progress(Progress(stage: "load"))
    var graph = try load(path)
    progress(Progress(stage: "passes"))
    if options.changesModel { graph = try revise(graph, fixed: try fixedInputs(path)).graph }
    var runner = PassRunner<Graph>(options: options.passes, write: print)
    try runner.run(.portable.replacing(constantFolding(within: options.limits.folding)), on: &graph)
    return graph
  }

  /// A model as kernels: everything before code generation.
  public struct Plan: Sendable {
    /// As loaded.
    public var source: Graph
    /// After the last graph pass: fusions.
    public var graph: Graph
    public var program: KernelProgram
    public var target: Target
    public var records: [PassRecord]
    /// What passes and templates might have done and did not; of the code for all lengths.
    public var refusals: [Refusal] = []
    /// What `--tune` did; nil without it.
    public var tuning: TuningReport?
    /// The model with its numbers changed; nil where nobody asked for that.
    public var revision: Revision?
    var clock: StageClock
    /// Which inputs and outputs are elements of sequences and optionals.
    var structures: (inputs: [Manifest.Structure], outputs: [Manifest.Structure]) = ([], [])
    /// Bytes of constants that only the variants read.
    public var variantConstantBytes = 0
  }

  /// Reads a model, runs the passes and lowers it to kernels for `options.target`.
  ///
  /// - Throws: `CompileError`: `.usage` for an unknown target or pass, `.unsupported` for what has no kernel, else `.badInput`.
  public func plan(_ path: String) throws(CompileError) -> Plan {
    var clock = StageClock()
    try options.passes.validate(knownPasses: Self.passes.map(\.name))
    let target = try self.target()
    try options.precision.check(target)
    var combinations = try options.combinations()
    var plan = try plan(path, for: options, target, packings: [:], clock: &clock)
    var packings: [String: String] = [:]
    for choice in plan.program.calls.compactMap(\.choice) { packings[choice.node] = choice.packing }
    let ownBytes = plan.program.constants.reduce(0) { $0 + $1.tensor.byteCount }
    let isOwnChoice = combinations.isEmpty
    if isOwnChoice, options.servesOneApart, let symbol = Self.symbolServedApart(of: plan.program) { combinations = [[symbol: 1]] }
    for combination in combinations {
      var bound = options
      bound.variants = [:]
      bound.dimensions.merge(combination) { $1 }
      let variant: Plan
      do throws(CompileError) { variant = try self.plan(path, for: bound, target, known: plan.revision, packings: packings, clock: &clock) } catch {
        // The code for all lengths serves this one too.
        if isOwnChoice { continue }
        throw error
      }
      if isOwnChoice, (try? Self.checkInterface(of: variant.program, for: SymbolLengths(combination), against: plan.program, path)) == nil { continue }
      let lengths = SymbolLengths(combination)
      for symbol in combination.keys.sorted() where !plan.program.symbols.contains(symbol) {
        throw CompileError(.usage, "the model has no symbolic axis `\(symbol)` left to tell lengths by", stage: .load, origin: NodeOrigin(file: path))
      }
      try Self.checkInterface(of: variant.program, for: lengths, against: plan.program, path)
      plan.program.add(variant: variant.program, for: lengths)
      plan.records += variant.records.map { record in
        var record = record
        record.isOfVariant = true
        return record
      }
    }
    plan.variantConstantBytes = plan.program.constants.reduce(0) { $0 + $1.tensor.byteCount } - ownBytes
    try plan.program.verify(stage: .lower)
    plan.clock = clock
    return plan
  }

  /// Floating-point operations of a call that takes hardly longer than its loops over symbolic axes take to start.
  private static let mostWorkOfOne = 50_000

  /// The symbol of a program that has only one, and little to do where it is 1.
  private static func symbolServedApart(of program: KernelProgram) -> String? {
    guard !program.steps.isEmpty, program.symbols.count == 1, let symbol = program.symbols.first, program.computedSymbols.isEmpty else { return nil }
    var work = 0
    for step in program.steps {
      guard case .call(let call) = step, let flops = call.flops.substituting([symbol: 1]).constant else { return nil }
      work += max(0, min(flops, mostWorkOfOne + 1))
      if work > mostWorkOfOne { return nil }
    }
    return symbol
  }

  /// A variant takes the same tensors and gives the same ones: the run time reads their shapes from the program's interface.
  private static func checkInterface(
    of variant: KernelProgram, for lengths: SymbolLengths, against program: KernelProgram, _ path: String
  ) throws(CompileError) {
    let values = lengths.values.mapValues { Extent($0) }
    func agrees(_ a: KernelProgram.Port, _ b: KernelProgram.Port) -> Bool {
      guard a.name == b.name, a.type.element == b.type.element, a.type.rank == b.type.rank else { return false }
      return zip(a.type.shape, b.type.shape).allSatisfy { own, general in
        let bound = general.substituting(values)
        // Extents that still name symbols may be equal without being written alike.
        return own == bound || !(own.isConstant && bound.isConstant)
      }
    }
    let computed = Set(program.computedSymbols)
    func reads(_ own: KernelProgram) -> Set<String> { computed.intersection(own.outputs.flatMap { $0.type.shape.flatMap(\.symbols) }) }
    let isSame = reads(variant) == reads(program) && variant.computedSymbols.allSatisfy(computed.contains) && variant.inputs.count == program.inputs.count && variant.outputs.count == program.outputs.count
      && zip(variant.inputs + variant.outputs, program.inputs + program.outputs).allSatisfy(agrees) && variant.symbols.allSatisfy(program.symbols.contains)
      && variant.strings?.texts == program.strings?.texts
    guard isSame else {
      throw CompileError(
        .unsupported, "with \(lengths) the model has another interface than without", stage: .lower, origin: NodeOrigin(file: path),
        hint: "compile it for these lengths alone")
    }
  }

  /// One form of the model: the general one, or that for some lengths.
  ///
  /// - Parameters:
  ///   - known: The general form's numbers, where they were changed.
  ///   - packings: The packing that other forms of the model have chosen for each node's weights.
  private func plan(
    _ path: String, for options: CompileOptions, _ target: Target, known: Revision? = nil, packings: [String: String], clock: inout StageClock
  ) throws(CompileError) -> Plan {
    progress(Progress(stage: "load"))
    var loaded = try load(path, for: options)
    clock.finish("load")
    guard options.changesModel else { return try plan(loaded, path, for: options, target, packings: packings, clock: &clock) }
    // What was learned once holds for all lengths.
    let revision = if let known { known } else { try revise(loaded.graph, fixed: try fixedInputs(path)) }
    loaded.graph = known == nil ? revision.graph : try revision.graph.substituting(options.dimensions.mapValues { Extent($0) })
    clock.finish("quantize")
    if known == nil, revision.measuringSeconds > 0 { clock.split("quantize", into: "measure layers", seconds: revision.measuringSeconds) }
    var plan = try plan(loaded, path, for: options, target, packings: packings, clock: &clock)
    plan.revision = revision
    // What was learned once holds for all lengths.
    if known == nil { plan.records = revision.records + plan.records }
    plan.revision?.pruning = revision.pruning?.naming(kernelsOf: plan.program)
    return plan
  }

  private func plan(
    _ loaded: Source, _ path: String, for options: CompileOptions, _ target: Target, packings: [String: String], clock: inout StageClock
  ) throws(CompileError) -> Plan {
    let source = loaded.graph
    var check: PassRunner<Graph>.Check?
    if options.passes.verifiesEach {
      let numbers = try NumericCheck(reference: source)
      let isNarrow = options.precision == .bf16
      check = { graph, stage throws(CompileError) in
        var numbers = numbers
        // Rounding to 8 bits is what the pass is asked for, and stays behind it; a fault of its own is larger.
        if case .pass(let name) = stage, isNarrow, name == narrowToBF16.name || name == chainConvolutions.name { numbers.tolerance = 0.1 }
        try numbers(graph, stage)
      }
    }
    var runner = PassRunner<Graph>(options: options.passes, check: check, write: print)
    progress(Progress(stage: "passes"))
    var graph = source
    try runner.run(.tuned(for: options.precision).replacing(constantFolding(within: options.limits.folding)), on: &graph)
    // What the passes have read of the file need not stay in memory beside their results.
    source.releaseMappedWeights()
    clock.finish("passes")

    let threads = max(1, options.threads ?? Allowance.cpus)
    let lanes = target.vectorBytes / 4
    var machine = LoweringTarget(lanes: lanes, registers: target.registerCount, threads: threads, winograd: options.winograd, maximumRounds: options.maximumTrips)
    machine.usesSparseProducts = !options.passes.disabled.contains(Self.sparseProducts)
    var (answers, tuning) = try self.answers(path, graph, target, machine)
    answers.packings = packings
    if tuning != nil { clock.finish("tune") }
    let conditions = graph.computedSymbols.isEmpty ? [] : source.conditions()
    var program = try lower(graph, for: machine, answers: answers, conditions: conditions) { done, count in
      progress(Progress(stage: "lower", done: done, of: count))
    }
    var programRunner = PassRunner<KernelProgram>(options: options.passes, write: print)
    try programRunner.run(.program, on: &program)
    // The kernels have packed copies of the weights by now.
    graph = graph.withoutWeights()
    source.releaseMappedWeights()
    clock.finish("lower")
    var plan = Plan(source: source, graph: graph, program: program, target: target, records: runner.records + programRunner.records, tuning: tuning, clock: clock)
    plan.structures = (loaded.inputs, loaded.outputs)
    let file = loaded.graph.name
    plan.refusals = runner.context.refusals + plan.program.refusals.map { refusal in
      Refusal(pass: refusal.way, origin: NodeOrigin(file: file, node: refusal.node, operatorName: refusal.operatorName), reason: refusal.reason)
    }
    return plan
  }

  /// What the tuning file says for the target, measured before if that is asked for.
  private func answers(_ path: String, _ graph: Graph, _ target: Target, _ machine: LoweringTarget) throws(CompileError) -> (KernelAnswers, TuningReport?) {
    var file = TuningFile()
    let place = options.tuning.path(for: path)
    if let place {
      let isThere = access(place, F_OK) == 0
      if isThere { file = try TuningFile(reading: place) } else if case .file = options.tuning.place, options.tuning.seconds == nil {
        throw CompileError(.usage, "there is no tuning file `\(place)`", stage: .load, hint: "make it with --tune")
      }
    }
    var report: TuningReport?
    if let seconds = options.tuning.seconds {
      report = try Tuner(target: target, lowering: machine, seconds: seconds, store: options.cacheFolder.flatMap { ObjectCache(folder: $0) }) { done, count in
        progress(Progress(stage: "tune", done: done, of: count))
      }.run(graph, &file)
      if let place { try file.write(to: place) }
    }
    return (file.answers(for: target), report)
  }

  /// Compiles a model for `options.target`.
  ///
  /// - Throws: What `plan` throws; `.unsupported` for a kernel that no code can be generated for.
  public func compile(_ path: String) throws(CompileError) -> CompiledModel { try compile(try plan(path), path) }

  /// Compiles a graph for running it in this process: no file, no variants.
  func executable(_ graph: Graph) throws(CompileError) -> Runtime.Model {
    var clock = StageClock()
    let target = try self.target()
    try options.precision.check(target)
    let plan = try plan(Source(graph: graph), graph.name, for: options, target, packings: [:], clock: &clock)
    return try compile(plan, nil).makeModel()
  }

  /// - Parameter path: Of the model's file; nil for a graph that is in none.
  private func compile(_ finished: Plan, _ path: String?) throws(CompileError) -> CompiledModel {
    var plan = finished
    let code: CompiledProgram
    let cache = options.cacheFolder.flatMap { ObjectCache(folder: $0) }
    do throws(CodegenError) {
      code = try LLVMCodegen.compile(plan.program, for: plan.target, workers: Allowance.cpus, store: cache) { done, count in
        progress(Progress(stage: "generate", done: done, of: count))
      }
    } catch { throw CompileError(.unsupported, "\(error)", stage: .emit, origin: NodeOrigin(file: path ?? plan.source.name)) }
    cache?.prune()
    plan.clock.finish("generate")
    return CompiledModel(
      source: plan.source, revision: plan.revision, graph: plan.graph, program: plan.program, code: code, target: plan.target,
      manifest: try manifest(path, plan, plan.source.conditions() + plan.graph.requirements, code), records: plan.records, refusals: plan.refusals, tuning: plan.tuning,
      variantConstantBytes: plan.variantConstantBytes, stageSeconds: plan.clock.stages, cachedObjects: cache?.statistics.hits ?? 0,
      compiledObjects: cache?.statistics.misses ?? 0)
  }

  func target() throws(CompileError) -> Target {
    do throws(CodegenError) { return try Target(named: options.target) } catch { throw CompileError(.usage, "\(error)", stage: .emit) }
  }

  private func manifest(
    _ path: String?, _ plan: Plan, _ conditions: [ShapeCondition], _ code: CompiledProgram
  ) throws(CompileError) -> Manifest {
    let (program, target) = (plan.program, plan.target)
    func ports(_ ports: [KernelProgram.Port]) -> [Manifest.Port] { ports.map { Manifest.Port(name: $0.name, type: $0.type) } }
    let source = path.map { ModelSource(path: $0) }
    var manifest = Manifest(
      modelName: options.modelName ?? source?.name ?? plan.source.name, inputs: ports(program.inputs), outputs: ports(program.outputs),
      target: Manifest.Target(name: target.cpu, requiredFeatures: target.features))
    for position in manifest.outputs.indices { manifest.outputs[position].keys = plan.source.outputKeys[manifest.outputs[position].name] }
    manifest.strings = program.strings?.texts.map(\.string) ?? []
    manifest.textFunctions = program.textFunctions
    manifest.modelVersion = options.modelVersion
    manifest.symbols = program.symbols + program.computedSymbols
    manifest.computedSymbols = program.computedSymbols
    manifest.failures = program.failures
    if let path { manifest.fixedInputs = try fixedInputs(path) }
    (manifest.inputStructures, manifest.outputStructures) = plan.structures
    manifest.arenaBytes = program.arenaBytes
    var stated: Set<String> = []
    manifest.conditions = conditions.compactMap { condition in
      guard stated.insert("\(condition.kind) \(condition.extent)").inserted else { return nil }
      // A symbol that no kernel reads is not bound at run time; nothing then depends on it. Conditions on computed ones are steps of the program.
      guard condition.extent.symbols.allSatisfy(program.symbols.contains) else { return nil }
      return Manifest.Condition(condition.kind == .zero ? .zero : .nonNegative, condition.extent, violation: condition.violation)
    }
    manifest.entryOffset = code.entryOffset
    var firstStep = KernelProgram.calls(of: program.steps).count
    for variant in program.variants {
      let count = KernelProgram.calls(of: variant.steps).count
      manifest.variants.append(Manifest.Variant(lengths: variant.lengths.values, arenaBytes: variant.arenaBytes, steps: firstStep..<firstStep + count))
      firstStep += count
    }
    let known = Set(manifest.symbols)
    // Work per call does not depend on the loop it is in; its symbols are gone from the manifest.
    func outsideLoops(_ extent: Extent) -> Extent { extent.symbols.allSatisfy(known.contains) ? extent : 0 }
    manifest.steps = program.calls.map {
      Manifest.Step(name: program.kernels[$0.kernel].name, origin: $0.origin, flops: outsideLoops($0.flops), bytes: outsideLoops($0.bytes))
    }
    let disabled = options.passes.disabled.sorted()
    manifest.pipeline = "tuned" + (disabled.isEmpty ? "" : " without " + disabled.joined(separator: ", "))
    manifest.precision = options.precisionText(plan.revision?.quantization)
    if let source { manifest.sourceDigest = try source.digest() }
    manifest.toolVersion = ingotVersion
    manifest.labels = options.labels
    manifest.threads = options.threads
    if let contradiction = manifest.contradiction { throw CompileError(.badInput, "the model's interface has \(contradiction)", stage: .write, origin: NodeOrigin(file: path ?? "")) }
    return manifest
  }
}

/// The version that manifests and `--version` state.
public let ingotVersion = "0.1.0"

/// Wall-clock seconds of each stage, in order.
struct StageClock {
  private let clock = ContinuousClock()
  private var last = ContinuousClock().now
  private(set) var stages: [(name: String, seconds: Double)] = []

  mutating func finish(_ name: String) {
    let now = clock.now
    let elapsed = (now - last).components
    let seconds = Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
    // Variants pass the same stages again.
    if let known = stages.firstIndex(where: { $0.name == name }) { stages[known].seconds += seconds } else { stages.append((name, seconds)) }
    last = now
  }

  /// Counts a part of a stage as a stage of its own.
  mutating func split(_ name: String, into part: String, seconds: Double) {
    guard let place = stages.firstIndex(where: { $0.name == name }) else { return }
    stages[place].seconds -= seconds
    stages.insert((part, seconds), at: place + 1)
  }
}
