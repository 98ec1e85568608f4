import GraphIR
import TensorTypes
import Testing

@Suite("Text form errors") struct TextErrorTests {
  private func inGraph(_ statement: String) -> String { "graph @g(%x: f32[2,3]) {\n  \(statement)\n  return %y\n}" }

  @Test func messagesNamePlaceAndCure() {
    expectError("", "expected `graph`, found the end of the text", "line 1, column 1")
    expectError("graph g() {}", "expected `@`", "line 1, column 7")
    expectError("graph @g(%x: f33[2]) { return %x }", "expected a type, found `f33`", "line 1, column 14", hint: "bf16")
    expectError("graph @g(%x: f32[2) { return %x }", "expected", "line 1, column 18")
    expectError("graph @g(%x: f32[2], %x: f32[2]) { return %x }", "two inputs are named `x`", "line 1, column 22")
    expectError("graph @g(%x: f32[-2]) { return %x }", "impossible type", "line 1, column 10")
    expectError(inGraph("%y = ad %x, %x"), "there is no operation `ad`", "line 2, column 8", hint: "`add`")
    expectError(inGraph("%y = add %x, %xx"), "`%xx` is not defined above", "line 2, column 16", hint: "`%x`")
    expectError(inGraph("%y = add %x"), "`add` takes 2 operands but has 1", "line 2, column 8")
    expectError(inGraph("%y = dot %x, %x"), "`dot` of f32[2,3] and f32[2,3]", "line 2, column 8", hint: "[batch..., M, K]")
    expectError(inGraph("%y = exp %x : f32[3,2]"), "`exp` gives f32[2,3], not f32[3,2]", "line 2, column 8", hint: "left out")
    expectError(inGraph("%y, %z = exp %x"), "`exp` has 1 results but 2 are named", "line 2, column 3")
    expectError(inGraph("%x = exp %x"), "`%x` is defined twice", "line 2, column 3")
    expectError(inGraph("%y = exp %x %x"), "expected the end of the line", "line 2, column 15")
    expectError(inGraph("%y = reduce %x {with = sum, axis = [0]}"), "attribute `axes`", "line 2, column 8")
    expectError(inGraph("%y = reduce %x {with = sum, axes = [0], keepdim = true}"), "`reduce` has no attribute `keepdim`", "line 2, column 18")
    expectError(inGraph("%y = reduce %x {with = mean, axes = [0]}"), "must be one of sum, product", "line 2, column 8")
    expectError(inGraph("%y = reduce %x {with = sum, with = sum}"), "given twice", "line 2, column 31")
    expectError(inGraph("%y = reduce %x {with = sum, axes = [0 1]}"), "expected an extent", "line 2, column 39")
    expectError(inGraph("%y = exp %x}"), "expected a node or `return`, found `}`", "line 2, column 14")
    expectError("graph @g(%x: f32[2]) { return %x }\ngraph", "nothing behind the graph", "line 2, column 1")
    expectError("graph @g(%x: f32[2]) { return %x, %x }", "two outputs are named `x`", "line 1, column 35")
    expectError("graph @g(%ä: f32[2]) { return %x }", "expected the name of a value, found `ä`", "line 1, column 11")
    expectError("graph @g(%\"ä\": f32[2]) { return %x }", "`%x` is not defined", "line 1, column 33")
  }

  @Test func constantsAreChecked() {
    expectError(inGraph("%y = constant dense [1, 2] : f32[3]"), "2 elements for 3", "line 2, column 23")
    expectError(inGraph("%y = constant dense [1, 2, 3, 4] : f32[3]"), "more elements than its type", "line 2, column 33")
    expectError(inGraph("%y = constant dense [[1, 2], [3]] : f32[2,2]"), "1 entries for axis 1", "line 2, column 32")
    expectError(inGraph("%y = constant dense [[1, 2, 3, 4]] : f32[2,2]"), "entries for axis", "line 2, column 24")
    expectError(inGraph("%y = constant dense [[1, 2]] : f32[2]"), "not nested as", "line 2, column 23")
    expectError(inGraph("%y = constant dense [1, [2]] : f32[2]"), "expected a number", "line 2, column 27")
    expectError(inGraph("%y = constant dense [1, x] : f32[2]"), "`x` is no f32", "line 2, column 27")
    expectError(inGraph("%y = constant dense [128] : i8[1]"), "`128` is no i8", "line 2, column 24")
    expectError(inGraph("%y = constant dense [1.5] : i8[1]"), "`1.5` is no i8", "line 2, column 24")
    expectError(inGraph("%y = constant dense [1"), "does not end", "line 2, column 23")
    expectError(inGraph("%y = constant dense [1]"), "expected `:` and a type behind a constant", "line 2, column 26")
    expectError(inGraph("%y = constant dense [1] : f32[n]"), "cannot have the type f32[n]", "line 2, column 29")
    expectError(inGraph("%y = constant dense 1 : f32[1099511627776]"), "too large", "line 2, column 23", hint: "broadcast")
    expectError(inGraph("%y = constant dense [1] : f32[1099511627776]"), "fewer than", "line 2, column 23")
    expectError(inGraph("%y = constant bytes \"00f\" : u8[2]"), "3 hexadecimal digits for 2 bytes", "line 2, column 23")
    expectError(inGraph("%y = constant bytes \"00fg\" : u8[2]"), "hexadecimal digits only", "line 2, column 23")
    expectError(inGraph("%y = constant"), "expected `dense` or `bytes`, found the end of the line", "line 2, column 16")
  }

  @Test func hostileTextEndsInAnError() {
    let deep = (0..<200).map { _ in "graph @g() { %a = composite {name = c} (" }.joined()
    #expect(throws: CompileError.self) { try Graph(text: deep) }
    #expect(throws: CompileError.self) { try Graph(text: "graph @g(%x: f32[" + String(repeating: "1,", count: 1_000_000) + "1]) { return %x }") }
    #expect(throws: CompileError.self) { try Graph(text: "graph @g() { %x = constant dense " + String(repeating: "[", count: 1_000_000)) }
    #expect(throws: CompileError.self) {
      try Graph(text: "graph @g() { %x = constant dense " + String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000) + " : f32[1] }")
    }
    let product = (0..<100).map { "(a\($0) + 1)" }.joined(separator: "*")
    #expect(throws: CompileError.self) { try Graph(text: "graph @g(%x: f32[\(product)]) { return %x }") }
    #expect(throws: CompileError.self) { try Graph(text: "graph @g(%x: f32[9223372036854775807,2]) { return %x }") }
    #expect(throws: CompileError.self) {
      try Graph(text: "graph @g(%x: f32[2]) {\n%y = scan %x {carried = 9223372036854775807, scanned = 9223372036854775807, extent = [1]} (graph @b(%a: f32[2]) { return %a })\nreturn %y }")
    }
  }

  /// Any cut and any changed byte gives a graph or an error.
  @Test func damagedTextNeverTraps() {
    for statements in TextCases.statements {
      let bytes = Array(TextCases.graph(statements).utf8)
      var state: UInt64 = UInt64(bytes.count)
      for _ in 0..<60 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        var damaged = bytes
        let position = Int(state >> 33) % bytes.count
        if state & 0x100 == 0 { damaged.removeSubrange(position...) } else { damaged[position] = UInt8(truncatingIfNeeded: state >> 20) }
        if let graph = try? Graph(text: String(decoding: damaged, as: UTF8.self)) { try? graph.verify(stage: .load) }
      }
    }
  }
}
