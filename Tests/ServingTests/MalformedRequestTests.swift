import Serving
import TensorTypes
import Testing

@Suite("malformed requests") struct MalformedRequestTests {
  struct Case: CustomStringConvertible, Sendable {
    let description: String
    let path: String
    let body: [UInt8]
    var headers: [(String, String)] = []
    /// What the message must say.
    let says: String
    var isTwo = false

    init(_ description: String, _ path: String, _ body: String, says: String, two: Bool = false, headers: [(String, String)] = []) {
      self.init(description, path, bytes: Array(body.utf8), says: says, two: two, headers: headers)
    }

    init(_ description: String, _ path: String, bytes: [UInt8], says: String, two: Bool = false, headers: [(String, String)] = []) {
      self.description = description
      self.path = path
      body = bytes
      self.says = says
      isTwo = two
      self.headers = headers
    }
  }

  private static let infer = "/v2/models/echo/infer"
  private static let predict = "/v1/models/echo:predict"
  private static let header = "Inference-Header-Content-Length"

  private static func input(_ members: String) -> String { #"{"inputs":[{\#(members)}]}"# }
  private static let good = #""name":"x","shape":[1,4],"datatype":"FP32""#

  static let cases: [Case] = [
    Case("no body", infer, "", says: "no body"),
    Case("only blanks", infer, "  \n", says: "byte 3"),
    Case("not JSON", infer, "hello", says: "expected an object"),
    Case("an array", infer, "[]", says: "expected an object"),
    Case("cut off in a number", infer, #"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,"#, says: "the body ends here"),
    Case("cut off in a string", infer, #"{"inp"#, says: "unterminated string"),
    Case("cut off in an escape", infer, #"{"inp\"#, says: "unknown escape"),
    Case("text behind the document", infer, "{" + String(input(good + #","data":[1,2,3,4]"#).dropFirst()) + "x", says: "unexpected text"),
    Case("no inputs", infer, "{}", says: #"missing field "inputs""#),
    Case("inputs is a number", infer, #"{"inputs":5}"#, says: "expected an array"),
    Case("inputs twice", infer, #"{"inputs":[],"inputs":[]}"#, says: "appears twice"),
    Case("input missing", infer, #"{"inputs":[]}"#, says: #"missing input "x" (FP32 [batch,4])"#),
    Case("second input missing", infer, #"{"inputs":[{"name":"ids","shape":[1,2],"datatype":"INT64","data":[1,2]}]}"#, says: #"missing input "mask""#, two: true),
    Case("input unknown", infer, input(#""name":"z","shape":[1],"datatype":"FP32","data":[1]"#), says: #"unknown input "z"; the model has "x""#),
    Case("input twice", infer, #"{"inputs":[{\#(good),"data":[1,2,3,4]},{\#(good),"data":[1,2,3,4]}]}"#, says: "appears twice"),
    Case("name twice", infer, input(#""name":"x","name":"x""#), says: "appears twice"),
    Case("data twice", infer, input(good + #","data":[1,2,3,4],"data":[1]"#), says: "appears twice"),
    Case("name missing", infer, input(#""shape":[1,4],"datatype":"FP32","data":[1,2,3,4]"#), says: #"has no "name""#),
    Case("shape missing", infer, input(#""name":"x","datatype":"FP32","data":[1,2,3,4]"#), says: #"has no "shape""#),
    Case("datatype missing", infer, input(#""name":"x","shape":[1,4],"data":[1,2,3,4]"#), says: #"has no "datatype""#),
    Case("data missing", infer, input(good), says: #"has no "data""#),
    Case("datatype differs", infer, input(#""name":"x","shape":[1,4],"datatype":"INT64","data":[1,2,3,4]"#), says: "expected datatype FP32, got"),
    Case("datatype is a number", infer, input(#""name":"x","shape":[1,4],"datatype":4"#), says: "expected a string"),
    Case("too few elements", infer, input(good + #","data":[1,2,3]"#), says: #""data" has 3 elements"#),
    Case("too many elements", infer, input(good + #","data":[1,2,3,4,5]"#), says: #""data" has 5 elements"#),
    Case("shape differs", infer, input(#""name":"x","shape":[1,5],"datatype":"FP32","data":[1,2,3,4,5]"#), says: "axis 1 must be 4, got 5"),
    Case("rank differs", infer, input(#""name":"x","shape":[4],"datatype":"FP32","data":[1,2,3,4]"#), says: "expected 2 axes, got 1"),
    Case("shape of no elements", infer, input(#""name":"x","shape":[0,4],"datatype":"FP32","data":[]"#), says: "must be at least 1"),
    Case("negative dimension", infer, input(#""name":"x","shape":[-1,4],"datatype":"FP32","data":[1,2,3,4]"#), says: "whole number"),
    Case("fractional dimension", infer, input(#""name":"x","shape":[1.5,4],"datatype":"FP32","data":[1,2,3,4]"#), says: "whole number"),
    Case("shape overflows", infer, input(#""name":"x","shape":[4611686018427387904,4],"datatype":"FP32","data":[1,2,3,4]"#), says: "has 4 elements"),
    Case("huge shape", infer, input(#""name":"x","shape":[99999999999999999999,4],"datatype":"FP32","data":[1]"#), says: "whole number"),
    Case("too many axes", infer, input(#""name":"x","shape":[\#(Array(repeating: "1", count: 99).joined(separator: ","))]"#), says: "more than 16 axes"),
    Case("nested unlike the shape", infer, input(good + #","data":[[1,2],[3,4]]"#), says: "nested as [2,2]"),
    Case("ragged data", infer, input(good + #","data":[[1,2,3],[4]]"#), says: "ragged"),
    Case("mixed data", infer, input(good + #","data":[1,[2,3,4]]"#), says: "ragged"),
    Case("string in data", infer, input(good + #","data":["1",2,3,4]"#), says: "element 0: expected a number (FP32), got a string"),
    Case("null in data", infer, input(good + #","data":[1,null,3,4]"#), says: "element 1: expected a number (FP32), got null"),
    Case("number out of range", infer, input(good + #","data":[1,1e999,3,4]"#), says: "element 1: 1e999 is not a value of FP32"),
    Case("integer out of range", infer, #"{"inputs":[{"name":"ids","shape":[1,2],"datatype":"INT64","data":[1,9223372036854775808]}]}"#, says: "not a value of INT64", two: true),
    Case("fraction for an integer", infer, #"{"inputs":[{"name":"ids","shape":[1,2],"datatype":"INT64","data":[1,0.5]}]}"#, says: "0.5 is not a value of INT64", two: true),
    Case("symbols disagree", infer, #"{"inputs":[{"name":"ids","shape":[1,2],"datatype":"INT64","data":[1,2]},{"name":"mask","shape":[2],"datatype":"BOOL","data":[true,true]}]}"#, says: "batch = 1", two: true),
    Case("deep arrays in data", infer, input(good + #","data":\#(String(repeating: "[", count: 100_000))"#), says: "nested deeper than 16"),
    Case("deep objects elsewhere", infer, #"{"a":\#(String(repeating: #"{"a":"#, count: 100_000))"#, says: "nested deeper than 64"),
    Case("deep arrays elsewhere", infer, #"{"a":\#(String(repeating: "[", count: 100_000))"#, says: "nested deeper than 64"),
    Case("output unknown", infer, #"{"inputs":[{\#(good),"data":[1,2,3,4]}],"outputs":[{"name":"q"}]}"#, says: #"unknown output "q""#),
    Case("output twice", infer, #"{"inputs":[{\#(good),"data":[1,2,3,4]}],"outputs":[{"name":"y"},{"name":"y"}]}"#, says: "asked for twice"),
    Case("output without name", infer, #"{"inputs":[],"outputs":[{}]}"#, says: #"outputs[0] has no "name""#),
    Case("bad UTF-8 in a name", infer, bytes: Array(#"{"inputs":[{"name":""#.utf8) + [0xff, 0xfe] + Array(#""}]}"#.utf8), says: "UTF-8"),
    Case("overlong UTF-8 in a key", infer, bytes: [0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d], says: "UTF-8"),
    Case("NUL in a string", infer, bytes: Array(#"{"id":"a"#.utf8) + [0] + Array(#"b"}"#.utf8), says: "control character"),
    Case("lone surrogate", infer, #"{"id":"\ud800"}"#, says: "lone surrogate"),
    Case("unknown escape", infer, #"{"id":"\x41"}"#, says: "unknown escape"),
    Case("shared memory", infer, input(good + #","parameters":{"shared_memory_region":"a"}"#), says: "shared memory is not offered"),
    Case("header is no number", infer, "{}", says: "one whole number", headers: [(header, "abc")]),
    Case("header is negative", infer, "{}", says: "one whole number", headers: [(header, "-1")]),
    Case("header twice", infer, "{}", says: "one whole number", headers: [(header, "2"), (header, "2")]),
    Case("header overflows", infer, "{}", says: "one whole number", headers: [(header, "99999999999999999999")]),
    Case("header beyond the body", infer, "{}", says: "has only 2 bytes", headers: [(header, "3")]),
    Case("binary size beyond the body", infer, input(good + #","parameters":{"binary_data_size":16}"#), says: "0 bytes are left"),
    Case("binary size against shape", infer, input(good + #","parameters":{"binary_data_size":0}"#), says: "do not hold FP32 [1,4]"),
    Case("data and binary size", infer, input(good + #","data":[1,2,3,4],"parameters":{"binary_data_size":0}"#), says: "both"),
    Case("bytes left over", infer, input(good + #","data":[1,2,3,4]"#) + "xy", says: "2 bytes of the body belong to no input", headers: [(header, "\(input(good + #","data":[1,2,3,4]"#).utf8.count)")]),
    Case("raw body of odd size", infer, "12345", says: "5 bytes do not hold", headers: [(header, "0")]),
    Case("raw body, two inputs", infer, "12345", says: "one input", two: true, headers: [(header, "0")]),
    Case("neither form", predict, "{}", says: "missing field"),
    Case("both forms", predict, #"{"instances":[[1,2,3,4]],"inputs":[[1,2,3,4]]}"#, says: "once"),
    Case("instances is an object", predict, #"{"instances":{"x":[1]}}"#, says: "must be a list"),
    Case("instances is empty", predict, #"{"instances":[]}"#, says: "expected shape [batch,4]"),
    Case("ragged instances", predict, #"{"instances":[[1,2,3,4],[1,2,3]]}"#, says: "ragged"),
    Case("ragged objects", predict, #"{"instances":[{"x":[1,2,3,4]},{"x":[1,2]}]}"#, says: "ragged"),
    Case("scalar after empty row", predict, #"{"instances":[{"x":[]},{"x":5}]}"#, says: "ragged"),
    Case("example without an input", predict, #"{"instances":[{"ids":[1,2]}]}"#, says: #"example 0: missing input "mask""#, two: true),
    Case("example with an input twice", predict, #"{"instances":[{"mask":true,"mask":true,"ids":[1,2]}]}"#, says: "appears twice", two: true),
    Case("example with an unknown input", predict, #"{"instances":[{"q":1}]}"#, says: "unknown input"),
    Case("bare value, two inputs", predict, #"{"instances":[[1,2]]}"#, says: "must be an object", two: true),
    Case("bare column, two inputs", predict, #"{"inputs":[[1,2]]}"#, says: "send an object", two: true),
    Case("column twice", predict, #"{"inputs":{"x":[[1,2,3,4]],"x":[[1,2,3,4]]}}"#, says: "appears twice"),
    Case("unknown signature", predict, #"{"signature_name":"other","instances":[[1,2,3,4]]}"#, says: "unknown signature"),
    Case("base64", predict, #"{"instances":[[{"b64":"AAAA"}]]}"#, says: "got an object"),
    Case("alias without field", "/predict", #"{"data":[1]}"#, says: #"missing field \"input_data\""#),
    Case("alias with null", "/predict", #"{"input_data":null}"#, says: "must be a list"),
    Case("alias of wrong rank", "/predict", #"{"input_data":[[[1,2,3,4]]]}"#, says: "expected 2 axes, got 3"),
    Case("alias twice", "/predict", #"{"input_data":[1,2,3,4],"input_data":[1,2,3,4]}"#, says: "appears twice"),
  ]

  @Test(arguments: cases) func isRefusedWithASentence(_ sent: Case) {
    let bench = Bench(sent.isTwo ? .two : .one)
    let reply = bench.send(.POST, sent.path, sent.body, headers: sent.headers)
    #expect(reply.status == 400 || reply.status == 501, "\(reply.text)")
    let says = reply.text.replacing("\\\"", with: "\"")
    #expect(says.contains(sent.says.replacing("\\\"", with: "\"")), "\(reply.text)")
    #expect(reply.text.hasPrefix(sent.path == "/predict" ? #"{"error":{"code":"# : #"{"error":""#))
    #expect(reply.text.utf8.count < 600)
  }

  @Test(arguments: [
    "/", "//", "/v2/models", "/v2/models/", "/v2/models/echo/versions", "/v2/models/../v2", "/v2/models/echo%2Finfer", "/v2/models/%00", "/%zz", "/%e",
    "/v1/models/echo:classify", "/v1/models/echo:predict:predict", "/v1/models/:predict", "*", "", "http://", "/v2/models/echo/versions/2", "/%ff%fe",
    "/v1/models/echo/labels/stable", "/v1/models/echo/versions/9:predict",
  ])
  func strangePathsAreNotFound(_ path: String) {
    let reply = Bench(.one).get(path)
    #expect([400, 404, 405].contains(reply.status), "\(reply.status)")
  }

  @Test func longPathsAreRefused() {
    #expect(Bench(.one).get("/" + String(repeating: "a", count: 4096)).status == 414)
    #expect(Bench(.one).get("/v2?" + String(repeating: "a", count: 4000)).status == 200)
    #expect(Bench(.one).get("http://example.com/v2/health/live").status == 200)
  }

  @Test func anEmptyCacheIsNoMistake() {
    let bench = Bench(EchoEngine([("past", "present", TensorType(.f32, [Extent(symbol: "batch"), Extent(symbol: "length"), 2]))]))
    func status(_ shape: String) -> UInt {
      bench.post("/v2/models/echo/infer", #"{"inputs":[{"name":"past","shape":\#(shape),"datatype":"FP32","data":[]}]}"#).status
    }
    #expect(status("[1,0,2]") == 200)
    #expect(status("[0,1,2]") == 400)
  }
}
