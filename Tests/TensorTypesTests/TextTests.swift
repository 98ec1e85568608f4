import Testing
import TensorTypes

@Suite("Text") struct TextTests {
  /// One function on some texts; texts as they are, other results as numbers.
  private func apply(_ function: TextFunction, _ columns: [[String]], width: Int = 1) throws -> [String] {
    var strings = StringNumbering()
    let numbers = try columns.map { try $0.map { Int64(try strings.number(Text($0))) } }
    let count = columns[0].count
    var result = [UInt8](repeating: 0, count: count * width * function.result.byteCount + 1)
    try numbers[0].withUnsafeBytes { first in
      try (numbers.count > 1 ? numbers[1] : []).withUnsafeBytes { second in
        try result.withUnsafeMutableBytes { target in
          let addresses = [first.baseAddress, second.baseAddress].compactMap { $0 }
          try function.apply(addresses, try #require(target.baseAddress), count: count, width: width, strings: &strings)
        }
      }
    }
    return result.withUnsafeBytes { bytes in
      (0..<count * width).map { position in
        if function.result == .string { return strings.text(Tensor.integer(bytes, .i64, position)).string }
        return function.result.isFloatingPoint ? "\(Tensor.double(bytes, function.result, position))" : "\(Tensor.integer(bytes, function.result, position))"
      }
    }
  }

  @Test func textsAreComparedByteByByte() throws {
    let (composed, decomposed) = (Text("\u{e9}"), Text("e\u{301}"))
    #expect(composed.string == decomposed.string && composed != decomposed)
    var strings = StringNumbering()
    #expect(try strings.number("") == 0)
    #expect(try strings.number(composed) != strings.number(decomposed))
    #expect(try strings.number(composed) == strings.number("\u{e9}"))
    #expect(Text(validating: [0xff]) == nil)
  }

  @Test func numbersOfARunAreForgotten() throws {
    var strings = StringNumbering(modelStrings: ["", "a", "b"])
    #expect(try strings.number("b") == 2)
    #expect(try strings.number("c") == 3)
    let bytes = strings.byteCount
    for round in 0..<100 {
      strings.truncate(to: 4)
      #expect(try strings.number(Text("round \(round)")) == 4)
    }
    strings.truncate(to: 4)
    #expect(strings.byteCount == bytes && strings.known("c") == 3 && strings.known("round 7") == nil)
    var small = StringNumbering(maximumBytes: 100)
    #expect(throws: TextError.self) { try small.number(Text(String(repeating: "x", count: 200))) }
  }

  @Test func tensorsKeepTheirTexts() throws {
    let tensor = Tensor(texts: ["b", "", "a", "b"], dimensions: [2, 2])
    #expect(tensor.texts == ["b", "", "a", "b"] && tensor.integers == [1, 0, 2, 1])
    #expect(try #require(tensor.reshaped([4])).texts == tensor.texts)
    #expect(Tensor(zeros: .string, [2]).texts == ["", ""])
    let other = Tensor(texts: ["a", "c"])
    let shared = try Tensor.sharingStrings([tensor, other, Tensor([7])])
    #expect(shared.tensors[0].texts == tensor.texts && shared.tensors[1].texts == ["a", "c"] && shared.tensors[1].integers[0] == 2)
    #expect(Tensor(texts: ["x", "y"]).isIdentical(to: Tensor(texts: ["x", "y"])) && !Tensor(texts: ["x"]).isIdentical(to: Tensor(texts: ["y"])))
  }

  @Test(arguments: [
    ("", nil, "  a  b c ", ["a", "b", "c"]), ("", 1, " a b  c ", ["a", "b  c "]), ("", nil, "", []), ("", nil, " \u{2003}\n", []), (",", nil, "a,,b,", ["a", "", "b", ""]),
    (",", 1, "a,b,c", ["a", "b,c"]), ("::", nil, ":::a::", ["", ":a", ""]), ("ä", nil, "xäy", ["x", "y"]), (",", nil, "", [""]), (",", 0, "a,b", ["a,b"]),
  ] as [(String, Int?, String, [String])]) func splitsAsPythonDoes(_ delimiter: String, _ limit: Int?, _ text: String, _ expected: [String]) throws {
    let rule = PieceRule(delimiter: delimiter, limit: limit)
    #expect(try apply(.countPieces(rule), [[text]]) == ["\(expected.count)"])
    #expect(try apply(.pieces(rule), [[text]], width: expected.count + 1) == expected + [""])
  }

  @Test func changesCaseAndJoins() throws {
    #expect(try apply(.uppercase, [["abc", "straße", "", "ÀÉ"]]) == ["ABC", "STRASSE", "", "ÀÉ"])
    #expect(try apply(.lowercase, [["ABC", "ÀÉ", "İ"]]) == ["abc", "àé", "i\u{307}"])
    #expect(try apply(.concatenate, [["a", "", "c"], ["b", "b", ""]]) == ["ab", "b", "c"])
    #expect(try apply(.rank, [["b", "a", "b", "", "é"]]) == ["2", "1", "2", "0", "3"])
  }

  @Test func readsNumbers() throws {
    #expect(try apply(.parse(.f32), [["1", "-2.5e3", "inf", "-INF", " 7 "]]) == ["1.0", "-2500.0", "inf", "-inf", "7.0"])
    #expect(try apply(.parse(.f64), [["NaN"]]) == ["nan"])
    #expect(try apply(.parse(.i64), [["-9223372036854775808", "12.9", "1e3"]]) == ["-9223372036854775808", "12", "1000"])
    #expect(try apply(.parse(.u8), [["255"]]) == ["255"])
    #expect(try apply(.parse(.bool), [["true", "0", "False", "2"]]) == ["1", "0", "0", "1"])
    for text in ["", "x", "1 2", "--1"] { #expect(throws: TextError.self) { try apply(.parse(.f32), [[text]]) } }
  }

  @Test func writesNumbersAsNumPyDoes() throws {
    func format(_ element: ElementType, _ values: [Double]) throws -> [String] {
      var strings = StringNumbering()
      let tensor = Tensor(element, [values.count], values)
      var result = [Int64](repeating: 0, count: values.count)
      try tensor.withBytes { bytes in
        try result.withUnsafeMutableBytes { target in
          try TextFunction.format(element).apply([bytes.baseAddress!], target.baseAddress!, count: values.count, width: 1, strings: &strings)
        }
      }
      return result.map { strings.text(Int($0)).string }
    }
    #expect(
      try format(.f32, [0, -0.0, 1, 0.1, 0.47892547, 1e-4, 1e-5, 12345678, 1e15, 1e16, 1e17, 3.4e38, .infinity, -.infinity, .nan])
        == ["0.0", "-0.0", "1.0", "0.1", "0.47892547", "0.0001", "1e-05", "12345678.0", "1000000000000000.0", "1e+16", "1e+17", "3.4e+38", "INF", "-INF", "NaN"])
    #expect(try format(.f64, [0.1, 123456.789, 5e-324]) == ["0.1", "123456.789", "5e-324"])
    #expect(try format(.i8, [-7]) == ["-7"])
    #expect(try format(.bool, [0, 1]) == ["False", "True"])
  }

  @Test func findsTokens() throws {
    func tokens(_ pattern: String, _ text: String, separators: Bool = false, fewest: Int = 1, marked: Bool = false) throws -> [String] {
      let table = try Pattern(pattern).table
      let rule = TokenRule(matchesSeparators: separators, fewestCharacters: fewest, isMarked: marked, padding: "#")
      var strings = StringNumbering()
      let number = [Int64(try strings.number(Text(text)))]
      var result = [Int64](repeating: 0, count: 8)
      try number.withUnsafeBytes { x in
        try table.withBytes { entries in
          try result.withUnsafeMutableBytes { target in
            try TextFunction.tokens(rule).apply([x.baseAddress!, entries.baseAddress!], target.baseAddress!, count: 1, width: 8, strings: &strings)
          }
        }
      }
      return result.map { strings.text(Int($0)).string }.filter { $0 != "#" }
    }
    #expect(try tokens("[a-zA-Z0-9_]+", "The cat, sat. 42!") == ["The", "cat", "sat", "42"])
    #expect(try tokens(".", "añ b") == ["a", "ñ", " ", "b"])
    #expect(try tokens(#"\b\w\w+\b"#, "a bb ccc") == ["bb", "ccc"])
    #expect(try tokens(" |,", "a b,,c", separators: true) == ["a", "b", "c"])
    #expect(try tokens("[a-z]+", "a bb ccc", fewest: 2, marked: true) == ["\u{2}", "bb", "ccc", "\u{3}"])
    #expect(try tokens("ab|abc", "abcab") == ["abc", "ab"])
  }
}
