import Artifact
import Testing

@Suite("JSON") struct JSONTests {
  @Test(arguments: [
    "null", "true", "false", "0", "-1", "9223372036854775807", "1.5", "1e-05", "\"\"", "\"a\\\"b\\\\c\\n\"", "[]", "{}", "[1,[2,[]]]",
    "{\"a\":1,\"b\":[null,{}]}", "\"ü€😀\"",
  ])
  func printsWhatItReads(_ text: String) throws {
    #expect(try JSON(parsing: text).text() == text)
  }

  @Test func readsEscapesAndBlanks() throws {
    #expect(try JSON(parsing: " [ \"\\u00fc\\ud83d\\ude00\\/\\b\\f\" ,\t2.50E+1 ]\r\n") == ["ü😀/\u{8}\u{c}", 25.0])
    #expect(try JSON(parsing: "-0") == .number(-0.0))
    #expect(try JSON(parsing: "18446744073709551615") == .number(18446744073709551616))
  }

  @Test(arguments: [
    "", " ", "nul", "[1,]", "{\"a\":1,}", "[1 2]", "{a:1}", "{\"a\" 1}", "01", "-", "+1", ".5", "1.", "1e", "1e+", "\"", "\"\\x\"", "\"\\u12\"",
    "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\ud800\\u0041\"", "\"\n\"", "1 2", "[", "{", "NaN", "Infinity", "-Infinity", "'a'", "// x\n1", "1e999",
    "{\"a\":1,\"a\":2}",
  ])
  func refuses(_ text: String) {
    #expect(throws: JSONError.self) { try JSON(parsing: text) }
  }

  @Test func refusesBrokenUTF8() {
    for bytes: [UInt8] in [[0x22, 0xff, 0x22], [0x22, 0xc3, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22]] {
      #expect(throws: JSONError.self) { try JSON(parsing: bytes) }
    }
  }

  @Test func namesTheByte() {
    #expect(throws: JSONError(byteOffset: 3, problem: "expected `,` or `]`")) { try JSON(parsing: "[1 ;") }
  }

  @Test func limitsDepthAndSize() throws {
    let nested = { (depth: Int) in String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
    _ = try JSON(parsing: nested(65))
    #expect(throws: JSONError.self) { try JSON(parsing: nested(66)) }
    #expect(throws: JSONError.self) { try JSON(parsing: nested(1_000_000)) }
    #expect(throws: JSONError.self) { try JSON(parsing: "[1,2,3]", options: .init(maximumBytes: 6)) }
  }

  @Test func acceptsNonFiniteNumbersOnRequest() throws {
    let value = try JSON(parsing: "[NaN,Infinity,-Infinity,-1]", options: .init(allowsNonFiniteNumbers: true))
    #expect(value.array?.first?.double?.isNaN == true)
    #expect(value.array?[1] == .number(.infinity) && value.array?[2] == .number(-.infinity) && value.array?[3] == -1)
    #expect(value.text(nonFiniteNumbers: true) == "[NaN,Infinity,-Infinity,-1]")
    #expect(value.text() == "[null,null,null,-1]")
  }
}
