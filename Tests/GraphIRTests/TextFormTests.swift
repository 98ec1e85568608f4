import GraphIR
import TensorTypes
import Testing

/// One graph for each form of every operation; also read by the other tests of the text form.
enum TextCases {
  /// Statements in a graph with inputs %x: f32[n,4,6], %y: f32[2,3], %i: i64[n,4,2], %b: bool[2,3]; the last result is returned.
  static let statements: [String] = [
    "%r = constant dense [1.0, -0.0, 0.1, nan, inf, -inf] : f32[2,3]",
    "%r = constant dense [1.5, -0.0, 1e-300, nan] : f64[4]",
    "%r = constant dense [1.5, -0.0, 65504.0, inf] : f16[2,2]",
    "%r = constant dense [1.5, -0.0, -inf] : bf16[3]",
    "%r = constant dense [-128, 127] : i8[2]",
    "%r = constant dense [9223372036854775807, -9223372036854775808] : i64[2]",
    "%r = constant dense [18446744073709551615] : u64[1]",
    "%r = constant dense [true, false] : bool[2]",
    "%r = constant dense [5] : i32[]",
    "%r = constant dense [] : f32[0,3]",
    "%r = constant bytes \"\(String(repeating: "0001feff", count: 17))\" : u8[68]",
    "%r = extents {values = [n, 2*n + 1, floordiv(n + 1, 2), 3]} : i64[4]",
    "%r = iota {shape = [n, 2], axis = 1, element = i32} : i32[n,2]",
    "%r = broadcast %y {shape = [n, 2, 3]} : f32[n,2,3]",
    "%r = reshape %x {shape = [2*n, 12]} : f32[2*n,12]",
    "%r = transpose %x {permutation = [2, 0, 1]} : f32[6,n,4]",
    "%r = slice %x {starts = [0, 1, 0], sizes = [n, 2, 3], steps = [1, 1, 2]} : f32[n,2,3]",
    "%r = slice %x {starts = [n - 1, 0, 0], sizes = [1, 4, 6], steps = [1, 1, 1]} : f32[1,4,6]",
    "%z = constant dense [0.0] : f32[]\n%r = pad %x, %z {low = [0, 1, n], high = [0, 0, 2]} : f32[n,5,n + 8]",
    "%r = pad %x {low = [0, 1, 2], high = [0, 0, 2], mode = reflect} : f32[n,5,10]",
    "%r = concatenate %x, %x {axis = 0} : f32[2*n,4,6]",
    "%r = reverse %x {axes = [1, 2]} : f32[n,4,6]",
    "%r = gather %y, %i {axis = 1} : f32[2,n,4,2]",
    "%r = gather_elements %x, %i {axis = 2} : f32[n,4,2]",
    "%r = gather_nd %y, %i : f32[n,4]",
    "%u = iota {shape = [n, 4, 2], axis = 0, element = f32} : f32[n,4,2]\n%r = scatter_elements %x, %i, %u {axis = 2, combine = sum} : f32[n,4,6]",
    "%u = iota {shape = [n, 4], axis = 0, element = f32} : f32[n,4]\n%r = scatter_nd %y, %i, %u {combine = max} : f32[2,3]",
    "%q = constant dense [2] : i64[]\n%m = measure %q {symbols = [%Range.1]} : i64[]\n%r = iota {shape = [%Range.1, 2], axis = 1, element = i32} : i32[%Range.1,2]",
    "%r = compact %b {extent = [3]} : i64[3]",
    "%c = iota {shape = [n, 5, 4], axis = 1, element = f32} : f32[n,5,4]\n%s = iota {shape = [n, 2, 5], axis = 2, element = f32} : f32[n,2,5]\n%t = constant dense [0.5] : f32[]\n%r = suppress %c, %s, %t, %t {extent = [3], centered = true} : i64[n,2,3]",
    "%r = reduce %x {with = sum, axes = [0, 2]} : f32[4]",
    "%r = reduce %b {with = and, axes = [1]} : bool[2]",
    "%r = arg_reduce %x {of = min, axis = 2, last = true} : i64[n,4]",
    "%r = cumulative %x {with = sum, axis = 1, exclusive = true, reverse = true} : f32[n,4,6]",
    "%v, %r = top_k %x {k = [2], axis = 2, ascending = true} : f32[n,4,2], i64[n,4,2]",
    "%r = reduce_window %x {with = max, size = [1, 2, 3], strides = [1, 2, 2], pads = [0, 0, 1, 0, 0, 1]} : f32[n,2,3]",
    "%r = reduce_window %x {with = sum, size = [1, 2, 2], strides = [1, 1, 1], pads = [0, 0, 0, 0, 0, 0], dilations = [1, 2, 3]} : f32[n,2,3]",
    "%w = iota {shape = [n, 6, 5], axis = 1, element = f32} : f32[n,6,5]\n%r = dot %x, %w : f32[n,4,5]",
    "%f = iota {shape = [8, 2, 3], axis = 1, element = f32} : f32[8,2,3]\n%r = convolution %x, %f {strides = [2], pads = [1, 1], dilations = [2], input_dilations = [2], groups = 2} : f32[n,8,5]",
    "%f = iota {shape = [3, 6, 8], axis = 1, element = f32} : f32[3,6,8]\n%r = convolution %x, %f {strides = [1], pads = [0, 0], layout = channels_last} : f32[n,2,8]",
    "%u = convert %x {to = u8} : u8[n,4,6]\n%w = iota {shape = [n, 6, 5], axis = 1, element = i8} : i8[n,6,5]\n%r = dot %u, %w {result = i32} : i32[n,4,5]",
    "%u = convert %x {to = u8} : u8[n,4,6]\n%f = iota {shape = [8, 4, 3], axis = 1, element = i8} : i8[8,4,3]\n%r = convolution %u, %f {strides = [1], pads = [0, 0], result = i32} : i32[n,8,4]",
    "%r = select %b, %y, %y : f32[2,3]",
    "%r = convert %y {to = bf16} : bf16[2,3]",
    "%r = compare %y, %y {is = le} : bool[2,3]",
    """
    %h = iota {shape = [6], axis = 0, element = f32} : f32[6]
    %last, %r = scan %h, %x, %y {carried = 1, scanned = 1, extent = [n]} (
      graph @step(%h: f32[6], %x: f32[4,6], %w: f32[2,3]) {
        %s = reduce %x {with = sum, axes = [0]} : f32[6]
        %next = add %h, %s : f32[6]
        return %next, %x
      }
    ) : f32[6], f32[n,4,6]
    """,
    """
    %r = composite %y {name = softmax, axis = 1, epsilon = 1e-05, mode = "two words", sizes = [1, 2], other = [n, 3], exact = true, kind = f16, name2 = "true"} (
      graph @"soft max"(%a: f32[2,3]) {
        %e = exp %a : f32[2,3]
        %inner = composite %e {name = identity} (
          graph @identity(%a: f32[2,3]) {
            return %a
          }
        ) : f32[2,3]
        return %inner
      }
    ) : f32[2,3]
    """,
    """
    %n = constant dense [0, 1, 2, 0, -1, 0, 1, 0, -1, 1, 2, 0] : i32[3,4]
    %t = constant dense [0.5, 0.0, 0.0] : f32[3]
    %s = constant dense [0] : i32[1]
    %c = constant dense [0, 1] : i32[2]
    %w = constant dense [1.5, -2.0] : f32[2]
    %r = tree_ensemble %y, %n, %t, %s, %c, %w {combine = sum, features = 1, results = 2} : f32[2,2]
    """,
    "%r = random {shape = [2, n], seed = 7, stream = 0} : u64[2,n]",
    "%r = text_concat %words, %words : string[2,3]",
    "%r = text_lower %words : string[2,3]",
    "%r = text_upper %words : string[2,3]",
    "%r = text_match %words {pattern = \"[a-z]+\"} : bool[2,3]",
    "%r = text_parse %words {element = f32} : f32[2,3]",
    "%r = text_format %y : string[2,3]",
    "%r = text_rank %words : i64[2,3]",
    "%r = text_piece_count %words {delimiter = \",\"} : i64[2,3]",
    "%r = text_pieces %words {delimiter = \",\", limit = 2, width = [3]} : string[2,3,3]",
    "%r = text_token_count %words {pattern = \"[a-z]\", fewest = 2, padding = \"#\"} : i64[2,3]",
    "%r = text_tokens %words {pattern = \"[a-z]\", separators = true, marked = true, padding = \"#\", width = [4]} : string[2,3,4]",
    "%names = constant dense [\"a\", \"b\"] : string[2]\n%table = constant dense [1.0, 2.0, 0.0] : f32[3]\n%r = text_find %words, %names, %table : f32[2,3]",
    """
    %c = constant dense [true] : bool[]
    %r = if %c, %y (
      graph @then(%y: f32[2,3]) {
        %a = exp %y : f32[2,3]
        return %a
      }
      graph @else(%y: f32[2,3]) {
        return %y
      }
    ) : f32[2,3]
    """,
    """
    %c = constant dense [true] : bool[]
    %r = while %c, %y {carried = 1, round = [%Loop.1], limit = [100]} (
      graph @body(%y: f32[2,3]) {
        %again = constant dense [false] : bool[]
        %next = exp %y : f32[2,3]
        return %again, %next
      }
    ) : f32[2,3]
    """,
    """
    %r = fusion %y {template = loop, reason = "one reader, and cheap"} (
      graph @fused(%a: f32[2,3]) {
        %e = exp %a : f32[2,3]
        %n = neg %e : f32[2,3]
        return %n
      }
    ) : f32[2,3]
    """,
  ]
    + UnaryFunction.allCases.map { $0 == .not ? "%r = not %b : bool[2,3]" : "%r = \($0.mnemonic) %y : \($0.isPredicate ? "bool" : "f32")[2,3]" }
    + BinaryFunction.allCases.map {
      switch $0 {
      case .and, .or, .xor: "%r = \($0.mnemonic) %b, %b : bool[2,3]"
      case .shiftLeft, .shiftRight: "%r = \($0.mnemonic) %i, %i : i64[n,4,2]"
      default: "%r = \($0.mnemonic) %y, %y : f32[2,3]"
      }
    }

  static func graph(_ statements: String) -> String {
    let lines = statements.split(separator: "\n").map { "  \($0)\n" }.joined()
    return "graph @main(%x: f32[n,4,6], %y: f32[2,3], %i: i64[n,4,2], %b: bool[2,3], %words: string[2,3]) {\n\(lines)  return %r as \"r\"\n}\n"
  }
}

@Suite("Text form") struct TextFormTests {
  @Test(arguments: TextCases.statements) func readsBackWhatItPrints(_ statements: String) throws {
    let text = TextCases.graph(statements)
    let graph = try Graph(text: text, file: "case.ingot")
    try graph.verify(stage: .load)
    #expect(graph.text() == text)
    let again = try Graph(text: graph.text(origins: true), file: "other.ingot")
    #expect(again.text(origins: true) == graph.text(origins: true))
    let nodes = graph.topologicalOrder().map { graph.node($0) }, copies = again.topologicalOrder().map { again.node($0) }
    #expect(zip(nodes, copies).allSatisfy { $0.operation.isEqual(to: $1.operation) && $0.origin == $1.origin })
  }

  @Test func everyOperationHasACase() {
    let text = TextCases.statements.joined(separator: "\n")
    for mnemonic in OperationRegistry.types.flatMap({ $0.mnemonics }) { #expect(text.contains("= \(mnemonic) "), "\(mnemonic)") }
  }

  @Test func typesOrdersAndNamesAreFree() throws {
    let graph = try Graph(
      text: """
        // a comment
        graph @"my model"(%"input/0": f32[2, 2],
                          %s: f32) {   // another
          %w = constant dense [[1, 2],
                               [3, 4]] : f32[2,2]
          %ones = constant dense 1 : f32[2,2]
          %a = dot %"input/0",
                   %w
          %t = broadcast %s {
            shape = [2, 2]
          }
          %b = add %a, %t
          %unused = exp %b
          return %b, %ones as "ones"
        }
        """, file: "hand.ingot")
    #expect(graph.name == "my model")
    #expect(graph.outputNames == ["b", "ones"])
    #expect(graph.inputs.map { graph.value($0).name } == ["input/0", "s"])
    let add = try #require(graph.producer(of: graph.outputs[0]))
    #expect(add.origin == NodeOrigin(file: "hand.ingot:12", node: "b", operatorName: "add"))
    #expect(graph.constant(graph.outputs[1])?.doubles == [1, 1, 1, 1])
    #expect(graph.topologicalOrder().count == 5)
  }

  @Test func elidedConstantsDoNotReadBack() throws {
    let graph = try Graph(text: "graph @g() {\n %c = constant dense [1, 2, 3] : i8[3]\n return %c }")
    #expect(graph.text(elidingAbove: 2).contains("constant elided : i8[3]"))
    expectError(graph.text(elidingAbove: 2), "left out the numbers", "line 2, column 17")
  }

  @Test func wordsThatLookLikeOtherValuesAreQuoted() throws {
    for word in ["true", "f32", "1x1", "inf", "nan", "two words", "", "a\"b\\c\nd"] {
      var details = Attributes()
      details.set("w", .word(word))
      details.set("e", .extents([2, 3]))
      var body = Graph(name: "b")
      body.setOutputs([("", body.addInput("a", TensorType(.f32, [1])))])
      var graph = Graph()
      let x = graph.addInput("x", TensorType(.f32, [1]))
      graph.setOutputs([("y", try graph.insert(Composite("c", details: details, body: body), x))])
      let again = try Graph(text: graph.text())
      #expect(again.producer(of: again.outputs[0], as: Composite.self)?.operation.details == details, "\(word)")
    }
  }
}

/// Checks that a text is refused with a message, at a place.
func expectError(_ text: String, _ message: String, _ place: String, hint: String? = nil, sourceLocation: SourceLocation = #_sourceLocation) {
  do {
    _ = try Graph(text: text)
    Issue.record("the text was read", sourceLocation: sourceLocation)
  } catch {
    #expect(error.message.contains(message), "\(error.message)", sourceLocation: sourceLocation)
    #expect(error.origin.file == place, sourceLocation: sourceLocation)
    if let hint { #expect(error.hint?.contains(hint) == true, "\(error.hint ?? "no hint")", sourceLocation: sourceLocation) }
    #expect(error.exitCode == 1 && error.stage == .load, sourceLocation: sourceLocation)
  }
}
