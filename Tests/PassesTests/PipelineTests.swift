import GraphIR
import GraphTestSupport
import Passes
import TensorTypes
import Testing

@Suite("pipeline") struct PipelineTests {
  static let model = """
    graph @main(%x: f32[2,3]) {
      %one = constant dense [1] : f32[]
      %ones = broadcast %one {shape = [2, 3]} : f32[2,3]
      %a = mul %x, %ones : f32[2,3]
      %b = exp %a : f32[2,3]
      return %b
    }
    """

  /// Turns every `exp` into a `tanh`: types hold, numbers do not.
  static let breakNumbers = rewrite("break-numbers", "Breaks the model.", Unary.self) { match, rewriter throws(TypeError) in
    guard match.operation.function == .exponential else { return .unchanged }
    return .replaced(with: try rewriter.insert(Unary(.hyperbolicTangent), match[0]))
  }

  @Test func listsPassesOnceAndInOrder() {
    let pipeline = Pipeline<Graph>("test") {
      foldConstants
      fixpoint(atMost: 3) {
        removeIdentities
        foldConstants
      }
      Pipeline<Graph>("inner") { simplifyMovement }
    }
    #expect(pipeline.passes.map(\.name) == ["fold-constants", "remove-identities", "simplify-movement"])
    #expect(pipeline.passes.allSatisfy { $0.summary.hasSuffix(".") })
  }

  @Test func namesOfStandardPassesAreVerbPhrasesWithASentence() {
    let passes = Pipeline<Graph>.portable.passes + Pipeline<Graph>.layout.passes
    for pass in passes {
      #expect(pass.name.allSatisfy { $0.isLowercase || $0 == "-" })
      #expect(pass.summary.hasSuffix(".") && pass.summary.count > 20)
    }
  }

  @Test func verifyEachNamesThePassThatBrokeTheNumbers() throws {
    var graph = try parseGraph(Self.model)
    var options = PassOptions()
    options.verifiesEach = true
    let check = try NumericCheck(reference: graph)
    var runner = PassRunner<Graph>(options: options, check: { graph, stage throws(CompileError) in try check(graph, stage) })
    let pipeline = Pipeline<Graph>("test") {
      removeIdentities
      Self.breakNumbers
      eliminateDeadNodes
    }
    let error = #expect(throws: CompileError.self) { try runner.run(pipeline, on: &graph) }
    #expect(error?.stage == .pass("break-numbers"))
    #expect(error?.message.contains("differs from the model's by up to") == true)
  }

  @Test func verifyEachNamesThePassThatBrokeTheTypes() throws {
    let breakTypes = Pass<Graph>("break-types", "Returns nothing.") { graph, _ throws(CompileError) in
      graph.setOutputs([])
      return true
    }
    var graph = try parseGraph(Self.model)
    var options = PassOptions()
    options.verifiesEach = true
    var runner = PassRunner<Graph>(options: options)
    let error = #expect(throws: CompileError.self) {
      try runner.run(
        Pipeline("test") {
          removeIdentities
          breakTypes
        }, on: &graph)
    }
    #expect(error?.stage == .pass("break-types"))
  }

  @Test func aRewriteThatChangesATypeIsRefused() throws {
    let pass = rewrite("change-type", "Changes a type.", Unary.self) { match, rewriter throws(TypeError) in
      .replaced(with: try rewriter.insert(Convert(to: .f64), match[0]))
    }
    var graph = try parseGraph(Self.model)
    var context = PassContext()
    let error = #expect(throws: CompileError.self) { _ = try pass.run(&graph, &context) }
    #expect(error?.stage == .pass("change-type"))
  }

  @Test func disabledPassesDoNotRun() throws {
    var graph = try parseGraph(Self.model)
    var options = PassOptions()
    options.disabled = ["remove-identities"]
    var runner = PassRunner<Graph>(options: options)
    try runner.run(Pipeline("test") { removeIdentities }, on: &graph)
    #expect(graph.size == 4)
    #expect(runner.records.isEmpty)
  }

  @Test func unknownNamesAreAUsageErrorThatListsThePasses() {
    var options = PassOptions()
    options.disabled = ["fold-banknotes"]
    let error = #expect(throws: CompileError.self) { try options.validate(knownPasses: ["fold-constants", "fold-padding"]) }
    #expect(error?.exitCode == 2)
    #expect(error?.hint?.contains("fold-constants, fold-padding") == true)
  }

  @Test func recordsTimeAndNodes() throws {
    var graph = try parseGraph(Self.model)
    var runner = PassRunner<Graph>()
    try runner.run(Pipeline("test") { removeIdentities }, on: &graph)
    #expect(runner.records.map(\.name) == ["remove-identities"])
    #expect(runner.records[0].nodesBefore == 4 && runner.records[0].nodesAfter == 1)
    #expect(runner.timeReport.contains("4 nodes became 1"))
  }

  @Test func stopsAfterSoManyRewrites() throws {
    let text = """
      graph @main(%x: f32[2]) {
        %a = neg %x : f32[2]
        %b = neg %a : f32[2]
        %c = neg %b : f32[2]
        %d = neg %c : f32[2]
        return %d
      }
      """
    for (limit, nodes) in [(0, 4), (1, 2), (2, 0)] {
      var graph = try parseGraph(text)
      var options = PassOptions()
      options.stopAfterRewrites = limit
      var runner = PassRunner<Graph>(options: options)
      try runner.run(Pipeline("test") { removeIdentities }, on: &graph)
      #expect(graph.size == nodes)
      #expect(runner.context.rewriteCount == limit)
    }
  }

  @Test func rulesThatUndoEachOtherAreStoppedAndNamed() throws {
    let pingPong = rewrite("ping-pong", "Never rests.", Unary.self) { match, rewriter throws(TypeError) in
      .replaced(with: try rewriter.insert(Unary(match.operation.function == .sine ? .cosine : .sine), match[0]))
    }
    var graph = try parseGraph(Self.model)
    var context = PassContext()
    _ = try pingPong.run(&graph, &context)
    #expect(context.runawayPass == "ping-pong")
  }
}

@Suite("rewriter") struct RewriterTests {
  @Test func isLinearOnTenThousandNodes() throws {
    var graph = Graph()
    var value = graph.addInput("x", TensorType(.f32, [4]))
    for _ in 0..<5000 {
      value = try graph.insert(Unary(.negate), value)
      value = try graph.insert(Unary(.exponential), value)
    }
    graph.setOutputs([("y", value)])
    let clock = ContinuousClock()
    var context = PassContext()
    let negateTwice = rewrite("negate-twice", "Doubles negations.", Unary.self) { match, rewriter throws(TypeError) in
      guard match.operation.function == .exponential, let (node, inner) = rewriter.producer(of: match[0], as: Unary.self), inner.function == .negate
      else { return .unchanged }
      let reciprocal = try rewriter.insert(Unary(.logistic), node.operands[0])
      return .replaced(with: try rewriter.insert(Unary(.reciprocal), reciprocal))
    }
    let elapsed = try clock.measure { _ = try negateTwice.run(&graph, &context) }
    #expect(context.rewriteCount == 5000)
    #expect(graph.size == 10000)
    #expect(elapsed < .seconds(2))
  }

  @Test func keepsOriginsAndNames() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [4]))
    let origin = NodeOrigin(file: "model.onnx", node: "/layer/pow", operatorName: "Pow", opset: 13)
    let two = try graph.insert(Constant(Tensor(scalar: 2, .f32)))
    let exponent = try graph.insert(Broadcast(to: [4]), two)
    let y = try graph.insert(Binary(.power), x, exponent, origin: origin, name: "y")
    graph.setOutputs([("y", y)])
    var context = PassContext()
    _ = try simplifyAlgebra.run(&graph, &context)
    let node = try #require(graph.producer(of: graph.outputs[0]))
    #expect(node.origin == origin)
    #expect(graph.value(graph.outputs[0]).name == "y")
  }

  @Test func usesOfDeadNodesDoNotCount() throws {
    // %a has two readers until the identity goes; then `hasOneUse` must hold for the scale to fold.
    try expectRewrite(
      foldScaleAndShift,
      """
      graph @main(%x: f32[2,3], %c_w: f32[3,4]) {
        %d = dot %x, %c_w : f32[2,4]
        %s = constant dense [2, 3, 4, 5] : f32[4]
        %b = broadcast %s {shape = [2, 4]} : f32[2,4]
        %unused = exp %d : f32[2,4]
        %y = mul %d, %b : f32[2,4]
        return %y
      }
      """, becomes: "// CHECK-NOT: mul")
  }

  @Test func rewritesBodiesOfScans() throws {
    try expectRewrite(
      removeIdentities,
      """
      graph @main(%h: f32[2], %xs: f32[5,2]) {
        %last, %all = scan %h, %xs {carried = 1, scanned = 1, extent = [5]} (
          graph @step(%state: f32[2], %x: f32[2]) {
            %n = neg %x : f32[2]
            %m = neg %n : f32[2]
            %next = add %state, %m : f32[2]
            return %next, %next
          }
        ) : f32[2], f32[5,2]
        return %last, %all
      }
      """, becomes: "// CHECK-NOT: neg")
  }
}
