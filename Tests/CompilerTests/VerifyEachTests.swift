import Compiler
import Foundation
import GraphIR
import Passes
import Testing

/// `--verify-each`: right passes pass, and a fault in one of them is named.
@Suite("verify each pass") struct VerifyEachTests {
  static let iris = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    + "/examples/iris/iris.onnx"

  @Test(arguments: ModelCase.all) func rightPassesPass(_ model: ModelCase) throws {
    var options = CompileOptions()
    options.passes.verifiesEach = true
    _ = try Compiler(options: options).plan(model.path)
  }

  @Test func rightPassesPassOnAnONNXFile() throws {
    var options = CompileOptions()
    options.passes.verifiesEach = true
    _ = try Compiler(options: options).plan(Self.iris)
  }

  /// Plants a fault into one pass of the standard pipeline after the other: whatever the pass did, it now also swaps a sum for a difference.
  @Test(arguments: Pipeline<Graph>.tuned.passes.map(\.name).filter { $0 != "form-fusion-groups" && $0 != "chain-convolutions" }) func aFaultIsNamed(_ faulty: String) throws {
    let graph = try Compiler().load(ModelCase.named("residual-block").path)
    var options = PassOptions()
    options.verifiesEach = true
    let check = try NumericCheck(reference: graph)
    var runner = PassRunner<Graph>(options: options, check: { graph, stage throws(CompileError) in try check(graph, stage) }, write: { _ in })
    var subject = graph
    let error = #expect(throws: CompileError.self) { try runner.run(Pipeline.tuned.replacing(faulty) { Self.withFault($0) }, on: &subject) }
    #expect(error?.stage == .pass(faulty))
    #expect(error?.message.contains("differs from the model's by up to") == true, "\(error.map { "\($0)" } ?? "")")
    #expect(error.map { "\($0)" }?.contains("pass \(faulty)") == true)
  }

  private static let subtract = rewrite("subtract", "Subtracts where it should add.", Binary.self) { match, rewriter throws(TypeError) in
    guard match.operation.function == .add else { return .unchanged }
    return .replaced(with: try rewriter.insert(Binary(.subtract), match[0], match[1]))
  }

  private static func withFault(_ pass: Pass<Graph>) -> Pass<Graph> {
    Pass(pass.name, pass.summary) { (graph, context) throws(CompileError) in
      let hasChanged = try pass.run(&graph, &context)
      return try subtract.run(&graph, &context) || hasChanged
    }
  }
}

extension Pipeline<Graph> {
  /// The pipeline with another pass in the place of one.
  func replacing(_ name: String, with other: @escaping (Pass<Graph>) -> Pass<Graph>) -> Pipeline {
    func replaced(_ steps: [Step]) -> [Step] {
      steps.map { step in
        switch step {
        case .pass(let pass): .pass(pass.name == name ? other(pass) : pass)
        case .fixpoint(let rounds, let steps): .fixpoint(atMost: rounds, replaced(steps))
        case .pipeline(let pipeline): .pipeline(pipeline.replacing(name, with: other))
        }
      }
    }
    return Pipeline(self.name) { for step in replaced(steps) { step } }
  }
}
