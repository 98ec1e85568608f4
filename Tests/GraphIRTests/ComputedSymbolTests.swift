import GraphIR
import TensorTypes
import Testing

@Suite("computed symbols") struct ComputedSymbolTests {
  static let text = """
    graph @main(%mask: bool[8], %x: f32[8]) {
      %ones = convert %mask {to = i64} : i64[8]
      %count = reduce %ones {with = sum, axes = [0]} : i64[]
      %m = measure %count {symbols = [%NonZero.1]} : i64[]
      %i = compact %mask {extent = [%NonZero.1]} : i64[%NonZero.1]
      %y = gather %x, %i {axis = 0} : f32[%NonZero.1]
      return %y
    }
    """

  private func message(_ graph: Graph) -> String {
    do {
      try graph.verify(stage: .load)
      return "none"
    } catch { return error.message }
  }

  @Test func aNodeComesBehindTheDefinerOfItsSymbols() throws {
    let graph = try Graph(text: Self.text)
    #expect(message(graph) == "none")
    #expect(graph.symbols == [])
    #expect(graph.computedSymbols == ["%NonZero.1"])
    let order = graph.topologicalOrder().map { graph.node($0).operation.mnemonic }
    #expect(order.firstIndex(of: "measure") ?? 9 < order.firstIndex(of: "compact") ?? 0)
    var copy = graph
    copy.removeDeadNodes()
    #expect(copy.text() == graph.text())
    #expect(try Graph(text: graph.text()).text() == graph.text())
  }

  @Test func aSymbolHasOneDefiner() throws {
    let twice = "graph @main(%a: i64[]) {\n%m = measure %a {symbols = [s]}\n%k = measure %a {symbols = [s]}\n%y = iota {shape = [s], axis = 0, element = i64}\nreturn %y, %m, %k\n}"
    #expect(message(try Graph(text: twice)).contains("defines the symbol `s`, which is defined elsewhere"))
    let input = "graph @main(%a: i64[], %x: f32[s]) {\n%m = measure %a {symbols = [s]}\nreturn %m, %x\n}"
    #expect(message(try Graph(text: input)).contains("defined elsewhere"))
  }

  @Test func aSymbolDoesNotDependOnItself() throws {
    let text = "graph @main() {\n%i = iota {shape = [s], axis = 0, element = i64}\n%c = reduce %i {with = sum, axes = [0]}\n%m = measure %c {symbols = [s]}\nreturn %i, %m\n}"
    #expect(message(try Graph(text: text)).contains("depends on its own result"))
  }

  @Test func aReplacedSymbolNeedsNoMeasure() throws {
    var graph = try Graph(text: Self.text)
    graph = try graph.substituting(["%NonZero.1": 3])
    graph.removeDeadNodes()
    #expect(!graph.text().contains("measure"))
    #expect(graph.types(of: graph.outputs) == [TensorType(.f32, [3])])
  }
}
