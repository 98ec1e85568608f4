import GraphIR
import GraphTestSupport
import Interpreter
import Passes
import TensorTypes
import Testing

@Suite("number-strings") struct NumberStringsTests {
  private let model = """
    graph @main(%x: string[4]) {
      %names = constant dense ["b", "a", "b"] : string[3]
      %table = constant dense [1, 2, 3, 9] : i64[4]
      %i = text_find %x, %names, %table
      %c = constant dense ["z", "a", "", "b"] : string[4]
      %e = compare %x, %c {is = eq}
      return %i as "i", %e as "e", %c as "c"
    }
    """

  @Test func tablesGetAnEntryForEveryString() throws {
    var graph = try Graph(text: model, file: "")
    let inputs = [Tensor(texts: ["a", "b", "", "new"])]
    let before = try Interpreter.evaluate(graph, inputs: inputs)
    #expect(before[0].integers == [2, 1, 9, 9])
    var context = PassContext()
    #expect(try numberStrings.run(&graph, &context))
    let after = try Interpreter.evaluate(graph, inputs: inputs)
    #expect(zip(before, after).allSatisfy { $0.isIdentical(to: $1) })
    #expect(graph.text().contains(#"dense ["", "b", "a", "z"] : string[4]"#))
    #expect(graph.text().contains("dense [9, 1, 2, 9, 9] : i64[5]"))
  }

  @Test func numbersAreLeftAlone() throws { try expectUnchanged(numberStrings, "graph @main(%x: f32[2]) {\n  %y = exp %x\n  return %y\n}") }
}
