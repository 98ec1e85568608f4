import Artifact
import Compiler
import GraphIR
import Interpreter
import KernelIR
import Passes
import Runtime
import TensorTypes
import TestSupport
import Testing

/// Code of its own for named lengths of symbolic axes, beside the code for all lengths.
@Suite("variants") struct VariantTests {
  /// Models with one symbol or several, convolutions, products, attention, reductions.
  private static let models = ModelCase.all.filter { model in
    guard let symbols = model.bindings.first, !symbols.isEmpty else { return false }
    return model.bindings.count >= 2 && model.bindings.allSatisfy { !$0.values.contains(0) }
  }

  private func options(_ model: ModelCase) -> CompileOptions {
    var options = CompileOptions()
    for symbol in model.bindings.first?.keys.sorted() ?? [] {
      let lengths = Array(Set(model.bindings.compactMap { $0[symbol] })).sorted()
      // One length stays for the code that serves all.
      options.variants[symbol] = Array(lengths.prefix(2))
    }
    return options
  }

  @Test func thereAreModels() { #expect(Self.models.count >= 5) }

  @Test(arguments: models) func everyLengthGivesTheSameNumbers(_ model: ModelCase) throws {
    var options = options(model)
    guard options.variants.values.reduce(1, { $0 * $1.count }) <= CompileOptions.mostVariants else { return }
    options.threads = 2
    let compiler = Compiler(options: options)
    let source = try compiler.load(model.path)
    let compiled: CompiledModel
    do throws(CompileError) { compiled = try compiler.compile(model.path) } catch {
      // Shape arithmetic of some models decides the interface.
      #expect(error.problem == .unsupported, "\(model.name): \(error)")
      return
    }
    let folder = TemporaryFolder()
    try compiled.writeArtifact(to: folder.file("artifact"))
    let loaded = try compiled.makeModel()
    let shipped = try Runtime.Model(artifact: ArtifactReader(path: folder.file("artifact")))
    let sessions = [try loaded.makeSession(threads: 1), try loaded.makeSession(threads: 2), try shipped.makeSession(threads: 2)]
    for symbols in model.bindings {
      let inputs = try source.randomInputs(seed: 5, symbols: symbols)
      let expected = try Interpreter.evaluate(source, inputs: inputs, symbols: symbols)
      let kernels = try KernelInterpreter.execute(compiled.program, inputs: inputs)
      var first: [Tensor]?
      for (place, session) in sessions.enumerated() {
        let results = try session.run(inputs)
        if let first { #expect(zip(first, results).allSatisfy { $0.isIdentical(to: $1) }, "\(model.name) at \(symbols): session \(place) differs") }
        first = first ?? results
        let isNamed = symbols.allSatisfy { options.variants[$0.key]?.contains($0.value) == true }
        #expect((session.variant != nil) == isNamed)
        #expect(session.variant.map { $0.lengths == symbols } ?? true)
      }
      for (results, what) in [(first ?? [], "code"), (kernels, "kernels")] {
        for (got, want) in zip(results, expected) {
          let comparison = TensorComparison(got, against: want, tolerance: Tolerance(relative: model.tolerance, absolute: model.tolerance))
          #expect(comparison.mismatch == nil && comparison.differingElements == 0, "\(model.name) at \(symbols), \(what): \(comparison)")
        }
      }
    }
  }

  /// Models with little to do get code for the length 1 unasked; others keep the code for all lengths.
  @Test func littleWorkIsServedApart() throws {
    var apart = 0
    for model in Self.models where model.bindings.allSatisfy({ $0.count == 1 }) {
      var options = CompileOptions()
      options.servesOneApart = true
      let compiler = Compiler(options: options)
      let source = try compiler.load(model.path)
      let compiled = try compiler.compile(model.path)
      #expect(compiled.manifest.variants.count <= 1)
      guard let variant = compiled.manifest.variants.first else { continue }
      apart += 1
      #expect(variant.lengths.values.allSatisfy { $0 == 1 })
      let session = try compiled.makeModel().makeSession(threads: 1)
      for symbols in model.bindings + [variant.lengths] {
        let inputs = try source.randomInputs(seed: 6, symbols: symbols)
        let expected = try Interpreter.evaluate(source, inputs: inputs, symbols: symbols)
        let results = try session.run(inputs)
        #expect((session.variant != nil) == (symbols == variant.lengths))
        for (got, want) in zip(results, expected) {
          let comparison = TensorComparison(got, against: want, tolerance: Tolerance(relative: model.tolerance, absolute: model.tolerance))
          #expect(comparison.mismatch == nil && comparison.differingElements == 0, "\(model.name) at \(symbols): \(comparison)")
        }
      }
    }
    #expect(apart > 0)
  }

  private func compile(_ name: String, _ variants: [String: [Int]]) throws(CompileError) -> CompiledModel {
    var options = CompileOptions()
    options.variants = variants
    return try Compiler(options: options).compile(ModelCase.named(name).path)
  }

  @Test func constantsAndKernelsAreStoredOnce() throws {
    let model = ModelCase.named("dense-gelu")
    let symbol = try #require(model.bindings.first?.keys.first)
    let plain = try compile(model.name, [:])
    let varied = try compile(model.name, [symbol: [16, 32]])
    #expect(varied.manifest.variants.count == 2)
    // The packing of 16 and 32 rows is that of many rows.
    #expect(varied.constantsByteCount <= plain.constantsByteCount + plain.constantsByteCount / 2)
    for (position, constant) in varied.program.constants.enumerated() {
      for other in varied.program.constants[..<position] { #expect(!constant.tensor.isIdentical(to: other.tensor)) }
    }
  }

  @Test func theManifestTellsWhichCodeServesWhichLengths() throws {
    let name = "dense-gelu"
    let symbol = try #require(ModelCase.named(name).bindings.first?.keys.first)
    let manifest = try compile(name, [symbol: [8, 1, 8]]).manifest
    #expect(manifest.variants.map(\.lengths) == [[symbol: 1], [symbol: 8]])
    #expect(manifest.variant(for: [symbol: 8])?.label == "\(symbol)=8")
    #expect(manifest.variant(for: [symbol: 9]) == nil)
    let ranges = [manifest.generalSteps] + manifest.variants.map(\.steps)
    #expect(ranges.first?.lowerBound == 0 && ranges.last?.upperBound == manifest.steps.count)
    #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
    #expect(try Manifest(json: JSON(parsing: manifest.json.text())) == manifest)
    for variant in manifest.variants { #expect(variant.arenaBytes.isConstant) }
  }

  @Test func tooManyCombinationsAreRefused() throws {
    let symbol = try #require(ModelCase.named("dense-gelu").bindings.first?.keys.first)
    #expect {
      _ = try compile("dense-gelu", [symbol: Array(1...17)])
    } throws: { error in
      (error as? CompileError).map { $0.problem == .usage && $0.message.contains("17 combinations") } ?? false
    }
    #expect(throws: CompileError.self) { try compile("dense-gelu", ["nothing": [1, 2]]) }
  }

  @Test func aProfileCountsTheStepsOfTheVariantOnly() throws {
    let model = ModelCase.named("dense-gelu")
    let symbol = try #require(model.bindings.first?.keys.first)
    let compiled = try compile(model.name, [symbol: [2, 3]])
    let session = try compiled.makeModel().makeSession(threads: 1)
    for length in [2, 3, 5] {
      session.isProfiling = true
      session.clearProfile()
      _ = try session.run(try compiled.source.randomInputs(seed: 1, symbols: [symbol: length]))
      for (step, cycles) in session.stepCycles.enumerated() { #expect((cycles > 0) == session.steps.contains(step), "step \(step) at \(length)") }
    }
  }
}
