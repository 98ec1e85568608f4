/// The words behind a verb on this process's command line.
enum CommandWords {
  /// With everything that stands for other words replaced by those.
  static func expanded(_ words: [String]) throws -> [String] { CompileArguments.expanded(words) }

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
