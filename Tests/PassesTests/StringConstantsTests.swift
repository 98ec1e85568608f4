import GraphIR
import Interpreter
import Passes
import TensorTypes
import Testing

@Suite("constants of strings") struct StringConstantsTests {
  /// Both constants hold the numbers 1 and 2, each of its own table.
  @Test func equalNumbersAreNotEqualTexts() throws {
    var graph = try Graph(
      text: """
        graph @main(%x: string[2]) {
          %a = constant dense ["a", "b"] : string[2]
          %c = constant dense ["c", "d"] : string[2]
          %t = constant dense [["p", "q"], ["r", "s"]] : string[2,2]
          %u = transpose %t {permutation = [1, 0]}
          %e = compare %x, %a {is = eq}
          %f = compare %x, %c {is = eq}
          return %e, %f, %u
        }
        """, file: "")
    let inputs = [Tensor(texts: ["a", "d"])]
    let before = try Interpreter.evaluate(graph, inputs: inputs)
    var runner = PassRunner<Graph>()
    try runner.run(.portable, on: &graph)
    let after = try Interpreter.evaluate(graph, inputs: inputs)
    #expect(zip(before, after).allSatisfy { $0.isIdentical(to: $1) })
    #expect(after[0].integers == [1, 0] && after[1].integers == [0, 1] && after[2].texts == ["p", "r", "q", "s"])
  }
}
