import GraphIR
import TensorTypes
import Testing

@Suite("Verifier") struct VerifierTests {
  private func message(_ graph: Graph) -> String {
    do {
      try graph.verify(stage: .pass("test"))
      return "none"
    } catch { return error.message }
  }

  @Test func acceptsAWellFormedGraph() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [Extent(symbol: "n"), 4]))
    graph.setOutputs([("y", try graph.insert(Unary(.exponential), x))])
    #expect(message(graph) == "none")
    #expect(graph.symbols == ["n"])
  }

  @Test func refusesWhatReturnsNothing() {
    var graph = Graph(name: "empty")
    graph.addInput("x", TensorType(.f32, [2]))
    #expect(message(graph) == "the graph `empty` returns nothing")
  }

  @Test func refusesImpossibleInputs() {
    for shape in [Shape([-1]), Shape([Extent.overflow]), Shape([1 << 62, 4])] {
      var graph = Graph()
      graph.setOutputs([("y", graph.addInput("x", TensorType(.f32, shape)))])
      #expect(message(graph).contains("input `x` has an impossible shape"))
    }
  }

  @Test func findsACycle() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [2]))
    let a = try graph.insert(Unary(.exponential), x)
    let b = try graph.insert(Unary(.negate), a)
    graph.setOutputs([("y", b)])
    graph.replaceAllUses(of: x, with: b)
    #expect(message(graph).contains("depends on its own result"))
  }

  @Test func findsAFaultInsideABody() throws {
    var body = Graph(name: "body")
    let a = body.addInput("a", TensorType(.f32, [2]))
    let e = try body.insert(Unary(.exponential), a)
    let n = try body.insert(Unary(.negate), e)
    body.setOutputs([("", n)])
    body.replaceAllUses(of: a, with: n)
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [2]))
    graph.setOutputs([("y", try graph.insert(Composite("c", body: body), x))])
    #expect(message(graph).contains("depends on its own result"))
  }

  @Test func nodesThatDoNotFitAreNotAdded() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [2, 3]))
    let i = graph.addInput("i", TensorType(.i64, [2, 3]))
    let b = graph.addInput("b", TensorType(.bool, [2, 3]))
    let cases: [(any Operation, [ValueID], String)] = [
      (Binary(.add), [x], "takes 2 operands but has 1"),
      (Binary(.add), [x, i], "one element type"),
      (Binary(.add), [b, b], "does not take bool"),
      (Binary(.shiftLeft), [x, x], "does not take f32"),
      (Unary(.exponential), [i], "does not take i64"),
      (Select(), [x, x, x], "not bool"),
      (Broadcast(to: [2, 4]), [x], "axis 1 is 3"),
      (Reshape(to: [7]), [x], "6 elements"),
      (Transpose([0, 0]), [x], "no permutation"),
      (Slice(starts: [0, 2], sizes: [2, 2], steps: [1, 1]), [x], "reaches element 3 of axis 1"),
      (Slice(starts: [0, 0], sizes: [2, 2], steps: [1, 0]), [x], "has step 0"),
      (Pad(low: [-1, 0], high: [0, 0], mode: .edge), [x], "negative amount"),
      (Pad(low: [2, 0], high: [0, 0], mode: .reflect), [x], "more elements"),
      (Concatenate(axis: 2), [x, x], "names axis 2"),
      (Reverse(axes: [0, 0]), [x], "an axis twice"),
      (Gather(axis: 0), [x, x], "not i32 or i64"),
      (Reduce(.and, axes: [0]), [x], "does not take f32"),
      (ScatterElements(axis: 0, combine: .or), [x, i, x], "with or does not take f32"),
      (Cumulative(.and, axis: 0), [x], "with and does not take f32"),
      (TopK(k: 4, axis: 1), [x], "takes 4 elements"),
      (ReduceWindow(.maximum, size: [3, 1], window: Window(rank: 2)), [x], "does not fit"),
      (Dot(), [x, x], "`dot` of"),
      (Convolution(window: Window(rank: 1)), [x, x], "`convolution` of"),
      (GatherND(batchAxes: Int.max), [x, i], "batch axes"),
    ]
    for (operation, operands, wanted) in cases {
      do throws(TypeError) {
        try graph.add(operation, operands)
        Issue.record("`\(operation.mnemonic)` was added")
      } catch { #expect(error.message.contains(wanted), "\(error.message)") }
    }
  }

  @Test func anErrorPrintsWhatIsKnown() throws {
    let error = CompileError(
      .unsupported, "`Foo` is not known", stage: .load, origin: NodeOrigin(file: "m.onnx", node: "/a/b", operatorName: "Foo", opset: 13),
      operands: [TensorType(.f32, [1, Extent(symbol: "n")])], hint: "export it otherwise")
    #expect(
      error.description == """
        error: `Foo` is not known
          node    /a/b (Foo, opset 13) in m.onnx, during load
          inputs  f32[1,n]
          hint    export it otherwise
        """)
    #expect(error.exitCode == 3)
  }

  /// Bytes of either sign are summed up in i32; anything else has one type.
  @Test func contractionsOfBytesGiveI32() throws {
    func type(_ a: ElementType, _ b: ElementType, _ result: ElementType?) throws -> TensorType {
      var graph = Graph()
      let x = graph.addInput("x", TensorType(a, [2, 3])), w = graph.addInput("w", TensorType(b, [3, 4]))
      let sum = try graph.insert(Dot(result: result), x, w)
      return graph.type(of: sum)
    }
    for (a, b) in [(ElementType.u8, ElementType.i8), (.i8, .i8), (.i8, .u8), (.u8, .u8)] { #expect(try type(a, b, .i32) == TensorType(.i32, [2, 4])) }
    #expect(throws: TypeError.self) { try type(.u8, .i8, nil) }
    #expect(throws: TypeError.self) { try type(.u8, .i8, .f32) }
    #expect(throws: TypeError.self) { try type(.u8, .i32, .i32) }
    #expect(throws: TypeError.self) { try type(.i16, .i16, .i32) }
  }
}
