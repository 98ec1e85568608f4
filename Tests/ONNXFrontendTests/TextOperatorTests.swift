import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import TestSupport
import Testing

@Suite("operators on strings") struct TextOperatorTests {
  private func texts(_ values: [String], _ dimensions: [Int]? = nil) -> Tensor { Tensor(texts: values.map { Text($0) }, dimensions: dimensions) }
  private func strings(_ tensor: Tensor) -> [String] { tensor.texts.map(\.string) }

  @Test func concatenationBroadcasts() throws {
    let result = try evaluate("StringConcat", [texts(["a", "", "c"], [3, 1]), texts(["x", "y"])], opset: 20)[0]
    #expect(result.dimensions == [3, 2] && strings(result) == ["ax", "ay", "x", "y", "cx", "cy"])
  }

  @Test func splittingFindsItsWidth() throws {
    let result = try evaluate("StringSplit", [texts(["a,b", "", "c,d,e"])], attributes: [("delimiter", .string(","))], outputs: 2, opset: 20)
    #expect(result[0].dimensions == [3, 3] && strings(result[0]) == ["a", "b", "", "", "", "", "c", "d", "e"])
    #expect(result[1].integers == [2, 1, 3])
    let empty = try evaluate("StringSplit", [texts([])], outputs: 2, opset: 20)
    #expect(empty[0].dimensions == [0, 0] && empty[1].dimensions == [0])
  }

  @Test func normalizingLeavesStopwordsOut() throws {
    let stopwords: (String, ONNXFile.Attribute) = ("stopwords", .strings(["monday"]))
    let days = texts(["Monday", "tuesday", "monday"], [1, 3])
    let upper = try evaluate("StringNormalizer", [days], attributes: [("case_change_action", .string("UPPER")), stopwords])[0]
    #expect(upper.dimensions == [1, 1] && strings(upper) == ["TUESDAY"])
    let sensitive = try evaluate("StringNormalizer", [days], attributes: [("is_case_sensitive", .integer(1)), stopwords])[0]
    #expect(strings(sensitive) == ["Monday", "tuesday"])
    let nothing = try evaluate("StringNormalizer", [texts(["monday"])], attributes: [stopwords])[0]
    #expect(nothing.dimensions == [1] && strings(nothing) == [""])
  }

  @Test func tokensArePadded() throws {
    let attributes: [(String, ONNXFile.Attribute)] = [("mark", .integer(0)), ("mincharnum", .integer(2)), ("pad_value", .string("#")), ("tokenexp", .string("[a-z]+"))]
    let result = try evaluate("Tokenizer", [texts(["ab c de", "fg", ""])], attributes: attributes, domain: "com.microsoft")[0]
    #expect(result.dimensions == [3, 2] && strings(result) == ["ab", "de", "fg", "#", "#", "#"])
    let characters = try evaluate(
      "Tokenizer", [texts(["añ"])], attributes: [("mark", .integer(1)), ("mincharnum", .integer(1)), ("pad_value", .string("")), ("separators", .strings([""]))],
      domain: "com.microsoft")[0]
    #expect(strings(characters) == ["\u{2}", "a", "ñ", "\u{3}"])
  }

  @Test func patternsAreAskedOnce() throws {
    let result = try evaluate("RegexFullMatch", [texts(["a1", "b"])], attributes: [("pattern", .string(#"[a-z]\d"#))], opset: 20)[0]
    #expect(result.integers == [1, 0])
    #expect(throws: CompileError.self) { try evaluate("RegexFullMatch", [texts(["a"])], attributes: [("pattern", .string("(?=a)"))], opset: 20) }
  }

  @Test func castsBothWays() throws {
    #expect(try evaluate("Cast", [texts(["1.5", "-2", "1e3"])], attributes: [("to", .integer(1))])[0].doubles == [1.5, -2, 1000])
    #expect(strings(try evaluate("Cast", [Tensor([1, -2])], attributes: [("to", .integer(8))])[0]) == ["1", "-2"])
    #expect(throws: CompileError.self) { try evaluate("Cast", [texts(["x"])], attributes: [("to", .integer(1))]) }
  }

  @Test func labelsAreEncoded() throws {
    func encode(_ x: Tensor, _ attributes: [(String, ONNXFile.Attribute)]) throws -> Tensor { try evaluate("LabelEncoder", [x], attributes: attributes, domain: "ai.onnx.ml")[0] }
    #expect(
      try encode(texts(["b", "x", "a"]), [("keys_strings", .strings(["a", "b"])), ("values_int64s", .integers([10, 20])), ("default_int64", .integer(7))]).integers == [20, 7, 10])
    #expect(strings(try encode(Tensor([5, 6, 1 << 40]), [("keys_int64s", .integers([1 << 40, 5])), ("values_strings", .strings(["far", "five"]))])) == ["five", "_Unused", "far"])
    let numbers = Tensor(.f32, [4], [.nan, 1.5, 2, -1])
    #expect(try encode(numbers, [("keys_floats", .floats([1.5, .nan, -1])), ("values_floats", .floats([1, 2, 3])), ("default_float", .float(9))]).doubles == [2, 1, 9, 3])
    #expect(strings(try encode(texts(["a", "q"]), [("keys_strings", .strings(["a"])), ("values_strings", .strings(["b"])), ("default_string", .string("-"))])) == ["b", "-"])
  }

  /// Keys that lie far apart are found by bisection.
  @Test func everyKeyIsFound() throws {
    for count in [1, 2, 3, 7, 8, 100] {
      let keys = (0..<count).map { $0 * 1_000_003 - 5_000_000 }
      let asked = keys + keys.map { $0 + 1 } + [.min, .max]
      let result = try evaluate(
        "LabelEncoder", [Tensor(asked)], attributes: [("keys_int64s", .integers(keys)), ("values_int64s", .integers(Array(0..<count)))], domain: "ai.onnx.ml")[0]
      #expect(result.integers == Array(0..<count) + Array(repeating: -1, count: count + 2), "\(count) keys")
    }
  }

  @Test func categoriesAreMappedAndSpread() throws {
    let pairs: [(String, ONNXFile.Attribute)] = [("cats_strings", .strings(["x", "y"])), ("cats_int64s", .integers([3, 4]))]
    #expect(try evaluate("CategoryMapper", [texts(["y", "z"])], attributes: pairs, domain: "ai.onnx.ml")[0].integers == [4, -1])
    #expect(strings(try evaluate("CategoryMapper", [Tensor([3, 9])], attributes: pairs, domain: "ai.onnx.ml")[0]) == ["x", "_Unused"])
    let spread = try evaluate("OneHotEncoder", [texts(["y", "z", "x"], [3, 1])], attributes: [("cats_strings", .strings(["x", "y"]))], domain: "ai.onnx.ml")[0]
    #expect(spread.dimensions == [3, 1, 2] && spread.doubles == [0, 1, 0, 0, 1, 0])
  }

  /// The examples of the standard.
  @Test(arguments: [
    (0, "TF", [0, 0, 0, 0, 0, 0, 0]), (5, "TF", [0, 0, 0, 0, 1, 1, 1]), (5, "IDF", [0, 0, 0, 0, 1, 1, 1]),
  ] as [(Int, String, [Double])]) func ngramsAreCounted(_ skips: Int, _ mode: String, _ wanted: [Double]) throws {
    let attributes: [(String, ONNXFile.Attribute)] = [
      ("mode", .string(mode)), ("min_gram_length", .integer(2)), ("max_gram_length", .integer(2)), ("max_skip_count", .integer(skips)),
      ("ngram_counts", .integers([0, 4])), ("ngram_indexes", .integers([0, 1, 2, 3, 4, 5, 6])), ("pool_int64s", .integers([2, 3, 5, 4, 5, 6, 7, 8, 6, 7])),
    ]
    let first = try evaluate("TfIdfVectorizer", [Tensor([1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8])], attributes: attributes)[0]
    let expected: [Double] = skips == 0 ? [0, 0, 0, 0, 1, 1, 1] : mode == "TF" ? [0, 0, 0, 0, 1, 3, 1] : wanted
    #expect(first.doubles == expected)
    let rows = try evaluate("TfIdfVectorizer", [Tensor([1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8], dimensions: [2, 6])], attributes: attributes)[0]
    #expect(rows.dimensions == [2, 7])
  }

  @Test func ngramsOfStringsAreWeighted() throws {
    let result = try evaluate(
      "TfIdfVectorizer", [texts(["a", "b", "a", "b", "q"])],
      attributes: [
        ("mode", .string("TFIDF")), ("min_gram_length", .integer(1)), ("max_gram_length", .integer(2)), ("max_skip_count", .integer(0)), ("ngram_counts", .integers([0, 2])),
        ("ngram_indexes", .integers([0, 1, 3, 2])), ("pool_strings", .strings(["a", "b", "a", "b", "b", "a"])), ("weights", .floats([1, 2, 0.5, 4])),
      ])[0]
    #expect(result.doubles == [2, 4, 4, 1])
  }

  @Test func zipMapKeepsItsKeys() throws {
    let folder = TemporaryFolder()
    var file = ONNXFile()
    file.input("x", ["n", "2"])
    file.node("ZipMap", ["x"], ["maps"], [("classlabels_strings", .strings(["yes", "no"]))], domain: "ai.onnx.ml")
    var map = ProtoMessage(), sequence = ProtoMessage(), element = ProtoMessage(), type = ProtoMessage(), info = ProtoMessage()
    map.integer(1, 8)
    element.message(5, map)
    sequence.message(1, element)
    type.message(4, sequence)
    info.string(1, "maps")
    info.message(2, type)
    file.graph.message(12, info)
    let graph = try loadONNX(path: file.write(to: folder)).graph
    #expect(graph.outputKeys == ["maps": .strings(["no", "yes"])])
    #expect(try Graph(text: graph.text(), file: "").outputKeys == graph.outputKeys)
    #expect(try Interpreter.evaluate(graph, inputs: [Tensor(.f32, [1, 2], [0.25, 0.75])])[0].doubles == [0.75, 0.25])
  }
}
