import GraphIR
import Interpreter
import TensorTypes
import Testing

@Suite("Whole graphs") struct GraphEvaluationTests {
  private let dense = """
    graph @dense(%x: f32[batch,2], %s: f32[2*batch]) {
      %w = constant dense [[1, 2, 3], [4, 5, 6]] : f32[2,3]
      %y = dot %x, %w : f32[batch,3]
      %n = extents {values = [batch, 3*batch]} : i64[2]
      %flat = reshape %y {shape = [3*batch]} : f32[3*batch]
      return %flat as "flat", %n as "sizes"
    }
    """

  @Test(arguments: [0, 1, 4]) func symbolsFollowFromTheInputs(_ batch: Int) throws {
    let graph = try Graph(text: dense)
    let x = Tensor(.f32, [batch, 2], [Double](repeating: 1, count: 2 * batch))
    let results = try Interpreter.evaluate(graph, inputs: [x, Tensor(zeros: .f32, [2 * batch])])
    #expect(results[0].doubles == (0..<batch).flatMap { _ in [5.0, 7, 9] })
    #expect(results[1].integers == [batch, 3 * batch])
  }

  private func message(_ graph: Graph, _ inputs: [Tensor], symbols: [String: Int]? = nil, limits: EvaluationLimits = EvaluationLimits()) -> String {
    do {
      _ = try Interpreter.evaluate(graph, inputs: inputs, symbols: symbols, limits: limits)
      return "none"
    } catch { return error.description }
  }

  @Test func wrongInputsAreRefused() throws {
    let graph = try Graph(text: dense)
    let x = Tensor(zeros: .f32, [3, 2])
    #expect(message(graph, [x]).contains("takes 2 inputs but is given 1"))
    #expect(message(graph, [x, Tensor(zeros: .f32, [5])]).contains("input `s` is f32[5] but the model takes f32[2*batch] with batch = 3"))
    #expect(message(graph, [Tensor(zeros: .f64, [3, 2]), x]).contains("input `x` is f64[3,2]"))
    #expect(message(graph, [Tensor(zeros: .f32, [3]), x]).contains("input `x` is f32[3]"))
    let product = try Graph(text: "graph @g(%x: f32[n*m]) { return %x }")
    #expect(message(product, [Tensor(zeros: .f32, [6])]).contains("give values for m, n"))
    #expect(message(product, [Tensor(zeros: .f32, [6])], symbols: ["n": 2, "m": 3]) == "none")
    #expect(message(product, [Tensor(zeros: .f32, [6])], symbols: ["n": 2, "m": 4]).contains("but the model takes f32[m*n] with m = 4, n = 2"))
    let free = try Graph(text: "graph @g() { %x = iota {shape = [n], axis = 0, element = f32}\n return %x }")
    #expect(message(free, []).contains("give values for n"))
    #expect(message(free, [], symbols: ["n": 2]) == "none")
  }

  @Test func whatDoesNotFitOnceSymbolsAreBoundIsRefused() throws {
    let text = """
      graph @g(%x: f32[n]) {
        %y = slice %x {starts = [2], sizes = [n - 2]}
        %z = reshape %y {shape = [2, floordiv(n, 2) - 1]}
        return %z
      }
      """
    let graph = try Graph(text: text, file: "g.ingot")
    #expect(message(graph, [Tensor(zeros: .f32, [6])]) == "none")
    #expect(message(graph, [Tensor(zeros: .f32, [1])]).contains("negative extent"))
    #expect(message(graph, [Tensor(zeros: .f32, [5])]).contains("node    z (reshape) in g.ingot:3, during the run"))
  }

  @Test func scansCarryAndStack() throws {
    let results = try evaluate(
      """
      %h = constant dense [1, 1] : f32[2]
      %x = constant dense [1, 2, 3, 4, 5, 6] : f32[3,2]
      %w = constant dense [10, 100] : f32[2]
      %last, %all = scan %h, %x, %w {carried = 1, scanned = 1, extent = [3]} (
        graph @step(%h: f32[2], %x: f32[2], %w: f32[2]) {
          %next = add %h, %x
          %y = mul %next, %w
          return %next, %y
        }
      )
      """, returning: "%last, %all")
    #expect(results[0].doubles == [10, 13])
    #expect(results[1].doubles == [20, 300, 50, 700, 100, 1300])
  }

  @Test func reversedScansRunFromTheEnd() throws {
    let results = try evaluate(
      """
      %h = constant dense [1, 1] : f32[2]
      %x = constant dense [1, 2, 3, 4, 5, 6] : f32[3,2]
      %last, %all = scan %h, %x {carried = 1, scanned = 1, extent = [3], reversed = true} (
        graph @step(%h: f32[2], %x: f32[2]) {
          %next = add %h, %x
          return %next, %next
        }
      )
      """, returning: "%last, %all")
    #expect(results[0].doubles == [10, 13])
    #expect(results[1].doubles == [10, 13, 9, 11, 6, 7])
  }

  @Test func aScanOfNoStepReturnsItsStart() throws {
    let results = try evaluate(
      """
      %h = constant dense [1] : f32[1]
      %x = constant dense [] : f32[0,2]
      %last, %all = scan %h, %x {carried = 1, scanned = 1, extent = [0]} (graph @step(%h: f32[1], %x: f32[2]) { return %h, %x })
      """, returning: "%last, %all")
    #expect(results[0].doubles == [1])
    #expect(results[1].dimensions == [0, 2])
  }

  @Test func symbolsReachIntoBodies() throws {
    let graph = try Graph(
      text: """
        graph @g(%x: f32[t,n]) {
          %h = constant dense 0 : f32[]
          %b = broadcast %h {shape = [n]}
          %last = scan %b, %x {carried = 1, scanned = 1, extent = [t]} (
            graph @step(%h: f32[n], %x: f32[n]) {
              %next = add %h, %x
              return %next
            }
          )
          %c = composite %last {name = double} (graph @double(%a: f32[n]) {
            %d = add %a, %a
            return %d
          })
          return %c
        }
        """)
    #expect(try Interpreter.evaluate(graph, inputs: [Tensor(.f32, [2, 3], [1, 2, 3, 4, 5, 6])])[0].doubles == [10, 14, 18])
  }

  @Test func aFusionIsItsBody() throws {
    let text = "%x = constant dense [1, -2] : f32[2]\n%r = fusion %x {template = loop} (graph @f(%x: f32[2]) { %a = abs %x\n%n = neg %a\nreturn %n })"
    #expect(try numbers(text) == [-1, -2])
  }

  @Test func faultsInsideBodiesNameThem() throws {
    let text = """
      %x = constant dense [] : f32[0]
      %r = composite %x {name = pick} (graph @pick(%x: f32[0]) {
        %i = constant dense [0] : i64[1]
        %r = gather %x, %i {axis = 0}
        return %r
      })
      """
    do {
      _ = try evaluate(text)
      Issue.record("nothing was thrown")
    } catch let error as CompileError {
      #expect(error.message.contains("`composite`: in `pick`: `gather` from axis 0 of f32[0]"))
      #expect(error.origin.node == "r" && error.stage == .run && error.exitCode == 1)
    }
  }

  @Test func limitsHold() throws {
    let large = "%s = constant dense 0 : f32[]\n%r = broadcast %s {shape = [1000000000000]}"
    #expect(throws: CompileError.self) { try evaluate(large) }
    let limits = EvaluationLimits(resultBytes: 1 << 20, liveBytes: 3 << 20)
    #expect(throws: CompileError.self) { try evaluate("%r = iota {shape = [300000], axis = 0, element = f32}", limits: limits) }
    let chain = (1..<20).map { "%a\($0) = exp %a\($0 - 1)" }.joined(separator: "\n")
    let start = "%a0 = iota {shape = [200000], axis = 0, element = f32}\n"
    // A chain frees what it has read; all twenty at once are too many.
    #expect(try evaluate(start + chain, returning: "%a19", limits: limits).count == 1)
    #expect(throws: CompileError.self) { try evaluate(start + chain, returning: (0..<20).map { "%a\($0)" }.joined(separator: ", "), limits: limits) }
    let endless = """
      %h = constant dense [1] : f32[1]
      %r = scan %h {carried = 1, scanned = 0, extent = [1152921504606846976]} (graph @step(%h: f32[1]) { return %h })
      """
    #expect(throws: CompileError.self) { try evaluate(endless) }
  }

  @Test func observersSeeEveryNodeInOrder() throws {
    let graph = try Graph(text: "graph @g(%x: f32[2]) {\n%a = exp %x\n%unused = neg %x\n%b = neg %a\nreturn %b, %x as \"again\", %b as \"twice\" }")
    var seen: [String] = []
    let results = try Interpreter.evaluate(graph, inputs: [Tensor(zeros: .f32, [2])], observing: { node, results in
      seen.append("\(node.operation.mnemonic) \(results[0].doubles)")
    })
    #expect(seen == ["exp [1.0, 1.0]", "neg [-1.0, -1.0]"])
    #expect(results.map(\.doubles) == [[-1, -1], [0, 0], [-1, -1]])
  }

  @Test func oneOperationAlone() throws {
    #expect(try Interpreter.evaluate(Binary(.add), [Tensor([1]), Tensor([2])])[0].integers == [3])
    #expect(throws: EvaluationError.self) { try Interpreter.evaluate(Binary(.add), [Tensor([1])]) }
    #expect(throws: EvaluationError.self) { try Interpreter.evaluate(Broadcast(to: [Extent(symbol: "n")]), [Tensor([1])]) }
    #expect(throws: EvaluationError.self) { try Interpreter.evaluate(ExtentVector([Extent(symbol: "n")]), []) }
    #expect(throws: EvaluationError.self) { try Interpreter.evaluate(Slice(starts: [Extent(symbol: "n")], sizes: [1], steps: [1]), [Tensor([1])]) }
  }

  /// Whatever shapes and types inputs have, an operation answers or throws.
  @Test func anyOperandsAnswerOrThrow() {
    let operations: [any Operation] = [
      Transpose([1, 0]), Slice(starts: [0, 1], sizes: [1, 1], steps: [3, 1]), Reverse(axes: [0]), Concatenate(axis: 0), Gather(axis: 0), GatherElements(axis: 1),
      GatherND(), GatherND(batchAxes: 1), ScatterElements(axis: 0, combine: .sum), ScatterND(combine: .minimum), Reduce(.sum, axes: [0]), Reduce(.and, axes: [1]),
      Reduce(.maximum, axes: [0, 1]), ArgReduce(.max, axis: 1), Cumulative(.product, axis: 0), TopK(k: 1, axis: 0), Dot(), Select(), Convert(to: .u64),
      ReduceWindow(.maximum, size: [1, 2], window: Window(strides: [1, 2], padsLow: [0, 1], padsHigh: [1, 0], dilations: [1, 1])),
      Pad(low: [1, 0], high: [0, 1], mode: .edge), Pad(low: [1, 0], high: [0, 1], mode: .wrap), Pad(low: [0, 1], high: [0, 1], mode: .reflect),
      Pad(low: [1, 1], high: [0, 0]), Convolution(window: Window(rank: 1)), Reshape(to: [0]), Broadcast(to: [2, 2, 3]),
    ] + UnaryFunction.allCases.map { Unary($0) } + BinaryFunction.allCases.map { Binary($0) } + Comparison.allCases.map { Compare($0) }
    let shapes = [[], [2], [2, 3], [0, 3], [2, 0], [1, 2, 3], [1, 0, 2]]
    let values: [Double] = [-1, 0, 1, 3, 1e30, -1e30]
    var answered = 0
    for operation in operations {
      for element in ElementType.allCases {
        for first in shapes {
          let a = Tensor(element, first, (0..<first.reduce(1, *)).map { values[$0 % values.count] })
          for second in shapes {
            for other in [element, .i64, .bool] {
              let b = Tensor(other, second, (0..<second.reduce(1, *)).map { values[$0 % values.count] })
              for operands in [[a], [a, b], [b, a, a], [a, b, a]] where (try? Interpreter.evaluate(operation, operands)) != nil { answered += 1 }
            }
          }
        }
      }
    }
    #expect(answered > 1000)
  }
}
