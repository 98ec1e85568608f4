import GraphIR

/// Words of command lines: of this process, and of variants.
enum CommandWords {
  /// With everything that stands for other words replaced by those: recipes by their options, where the words say nothing else.
  ///
  /// - Parameter verbs: How many words are not options but say what to do; options go behind them.
  static func expanded(_ words: [String], verbs: Int = 0) throws(CompileError) -> [String] {
    var own: [String] = []
    var recipes: [String] = []
    var rest = CompileArguments.expanded(words)[...]
    while let word = rest.popFirst() {
      if word == "--recipe", let path = rest.popFirst() { recipes.append(path) } else if word.hasPrefix("--recipe=") { recipes.append(String(word.dropFirst("--recipe=".count))) } else {
        own.append(word)
        // A whole line of options is the value of this one.
        if word == "--compare", let line = rest.popFirst() { own.append(line) }
      }
    }
    if recipes.isEmpty { return own }
    var given: [OptionTable.Given] = []
    for path in recipes { given = Variant.merged(given, try RecipeFile(reading: path).given) }
    let later = OptionTable.compilation.given(in: own)
    let kept = given.filter { option in !later.contains { option.isReplaced(by: $0) } }
    return own.prefix(verbs) + kept.map(\.word) + own.dropFirst(verbs)
  }

  /// Of this process, as they were typed.
  static var typed: [String] { Array(CommandLine.arguments.dropFirst(2)) }

  /// As a shell would have to be told, to get the same words.
  static func quoted(_ words: [String]) -> String {
    words.map { word in
      let isPlain = !word.isEmpty && word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_=./,:+@%".contains($0)) }
      return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }.joined(separator: " ")
  }

  /// A line cut into words as a shell does it: at blanks, except between quotes and behind a backslash.
  ///
  /// - Returns: Nil if a quote is not closed.
  static func split(_ line: String) -> [String]? {
    var words: [String] = []
    var word: String?
    var quote: Character?
    var isEscaped = false
    for letter in line {
      if isEscaped {
        word = (word ?? "") + String(letter)
        isEscaped = false
      } else if letter == "\\", quote != "'" {
        isEscaped = true
      } else if letter == quote {
        quote = nil
      } else if quote == nil, letter == "'" || letter == "\"" {
        quote = letter
        word = word ?? ""
      } else if quote == nil, letter.isWhitespace {
        if let ready = word { words.append(ready) }
        word = nil
      } else {
        word = (word ?? "") + String(letter)
      }
    }
    guard quote == nil, !isEscaped else { return nil }
    if let word { words.append(word) }
    return words
  }
}
