import Artifact
import Compiler
import Foundation
import GraphIR
import Interpreter
import KernelIR
import LLVMCodegen
import Passes
import Runtime
import TensorTypes
import TestSupport
import Testing

/// What a model computes at every stage on its way to code, against the interpreter on the model as loaded: the first stage that
/// differs names the culprit (passes, lowering, code generation, artifact).
@Suite("stages") struct StageTests {
  /// A stage as something that runs.
  private struct Stage {
    let name: String
    let run: ([Tensor], [String: Int]) throws -> [Tensor]
  }

  @Test func thereAreCases() { #expect(ModelCase.all.count >= 30) }

  @Test(arguments: ModelCase.all) func everyStageComputesTheSame(_ model: ModelCase) throws {
    let compiler = Compiler(print: { _ in })
    let source = try compiler.load(model.path)
    let portable = try compiler.portable(model.path)
    let printed = try Graph(text: portable.text(), file: model.name)
    var tuned = source
    var runner = PassRunner<Graph>()
    try runner.run(.tuned, on: &tuned)
    let plan = try compiler.plan(model.path)
    var stages = [
      Stage(name: "portable") { inputs, symbols in try Interpreter.evaluate(portable, inputs: inputs, symbols: symbols) },
      Stage(name: "portable, printed and read") { inputs, symbols in try Interpreter.evaluate(printed, inputs: inputs, symbols: symbols) },
      Stage(name: "tuned") { inputs, symbols in try Interpreter.evaluate(tuned, inputs: inputs, symbols: symbols) },
      Stage(name: "kernels") { inputs, _ in try KernelInterpreter.execute(plan.program, inputs: inputs) },
    ]
    let compiled = try compiler.compile(model.path)
    let loaded = try compiled.makeModel()
    let session = try loaded.makeSession(threads: 2), alone = try loaded.makeSession(threads: 1)
    stages.append(Stage(name: "JIT") { inputs, _ in try session.run(inputs) })
    let folder = TemporaryFolder()
    try compiled.writeArtifact(to: folder.file("artifact"))
    let shipped = try Runtime.Model(artifact: ArtifactReader(path: folder.file("artifact"))).makeSession()
    stages.append(Stage(name: "artifact") { inputs, _ in try shipped.run(inputs) })

    for symbols in model.bindings {
      let inputs = try source.randomInputs(seed: 7, symbols: symbols)
      let expected = try Interpreter.evaluate(source, inputs: inputs, symbols: symbols)
      for stage in stages {
        let problem = try difference(stage.name, expected, model, symbols) { try stage.run(inputs, symbols) }
        if let problem {
          Issue.record("\(model.name): \(problem)")
          break
        }
      }
      // The same bits for any number of threads.
      let two = try session.run(inputs), one = try alone.run(inputs)
      #expect(zip(one, two).allSatisfy { $0.isIdentical(to: $1) }, "\(model.name) at \(symbols): one thread and two differ")
    }
  }

  /// Sizes that are bound at compile time take other paths: constant shapes, tails, folded arithmetic.
  @Test(arguments: ModelCase.all.filter { $0.bindings.first?.isEmpty == false }) func boundSizesComputeTheSame(_ model: ModelCase) throws {
    for symbols in model.bindings where !symbols.values.contains(0) {
      var options = CompileOptions()
      options.dimensions = symbols
      let compiler = Compiler(options: options)
      let source = try compiler.load(model.path)
      let inputs = try source.randomInputs(seed: 11, symbols: [:])
      let expected = try Interpreter.evaluate(source, inputs: inputs)
      let problem = try difference("JIT", expected, model, symbols) { try compiler.compile(model.path).makeModel().makeSession().run(inputs) }
      if let problem { Issue.record("\(model.name), bound: \(problem)") }
    }
  }

  /// Leaving a pass out may cost speed, or refuse a model; it never changes what a model computes.
  @Test(arguments: Compiler.passes.map(\.name)) func everyPassCanBeLeftOut(_ pass: String) throws {
    for name in ["residual-block", "depthwise", "attention", "layer-norm", "dense-gelu", "softmax-over-channels"] {
      let model = ModelCase.named(name)
      var options = CompileOptions()
      options.passes.disabled = [pass]
      let compiler = Compiler(options: options)
      let source = try compiler.load(model.path)
      let symbols = try #require(model.bindings.last)
      let inputs = try source.randomInputs(seed: 3, symbols: symbols)
      let expected = try Interpreter.evaluate(source, inputs: inputs, symbols: symbols)
      do throws(CompileError) {
        let loaded = try compiler.compile(model.path).makeModel()
        let problem = difference("JIT", expected, model, symbols) { try loaded.makeSession().run(inputs) }
        if let problem { Issue.record("\(name) without \(pass): \(problem)") }
      } catch {
        #expect(error.problem == .unsupported, "\(name) without \(pass): \(error)")
      }
    }
  }

  /// What is wrong, or nil.
  private func difference(_ stage: String, _ expected: [Tensor], _ model: ModelCase, _ symbols: [String: Int], run: () throws -> [Tensor]) -> String? {
    let place = "\(stage) at \(symbols.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(separator: ", "))"
    let actual: [Tensor]
    do { actual = try run() } catch { return "\(place): \(error)" }
    guard actual.count == expected.count else { return "\(place): \(actual.count) outputs, expected \(expected.count)" }
    for (position, (got, want)) in zip(actual, expected).enumerated() {
      let comparison = TensorComparison(got, against: want, tolerance: Tolerance(relative: model.tolerance, absolute: model.tolerance))
      if let mismatch = comparison.mismatch { return "\(place): output \(position) \(mismatch)" }
      if let first = comparison.first {
        return "\(place): output \(position) \(want.type) at \(first.index) is \(first.got), expected \(first.want); \(comparison.differingElements) elements differ"
      }
    }
    return nil
  }
}
