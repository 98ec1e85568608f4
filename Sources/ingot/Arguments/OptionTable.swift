import ArgumentParser
import Artifact

/// The options of a command as its parser knows them, for whoever cuts a command line into them: variants of a comparison, and recipes.
///
/// Read from ArgumentParser's own description, so that whatever becomes an option of compilation is at once an option of variants and
/// a key of recipes.
struct OptionTable: Sendable {
  struct Option: Sendable, Hashable {
    /// Without dashes.
    var name: String
    var isFlag: Bool
    var isRepeating: Bool
    /// What the help calls the value, such as `symbol=n[,n...]`.
    var valueName: String
    /// The heading that it stands under in the help.
    var section: String

    /// Whether values are `NAME=VALUE`.
    var isKeyed: Bool { valueName.contains("=") }
    /// Whether the value, or what stands behind its name, is a path.
    var takesPath: Bool { ["file", "folder", "dir"].contains { valueName.contains($0) } }
  }

  /// An option as it stands on a command line.
  struct Given: Sendable, Hashable {
    var option: Option
    /// Nil for a flag.
    var value: String?

    var word: String { value.map { "--\(option.name)=\($0)" } ?? "--\(option.name)" }
    /// What is before the equals sign of `NAME=VALUE`.
    var key: Substring? { option.isKeyed ? value?.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).first : nil }

    /// Whether a later option takes the place of this one: the same one, or one that says something else of the same name.
    func isReplaced(by later: Given) -> Bool { option == later.option && (!option.isRepeating || key != nil && key == later.key) }
  }

  /// In the order of the help.
  let options: [Option]
  private let byWord: [String: Option]

  /// Of every verb that compiles.
  static let compilation = OptionTable(CompileArguments.self)

  init(_ type: any ParsableArguments.Type) {
    var options: [Option] = []
    var byWord: [String: Option] = [:]
    for argument in (try? JSON(parsing: type._dumpHelp()))?["command"]?["arguments"]?.array ?? [] {
      guard let kind = argument["kind"]?.string, kind != "positional", let names = argument["names"]?.array,
        let name = names.first(where: { $0["kind"]?.string == "long" })?["name"]?.string, name != "help", name != "version"
      else { continue }
      let option = Option(
        name: name, isFlag: kind == "flag", isRepeating: argument["isRepeating"]?.bool ?? false, valueName: argument["valueName"]?.string ?? "",
        section: argument["sectionTitle"]?.string ?? "")
      options.append(option)
      for name in names { if let text = name["name"]?.string { byWord[(name["kind"]?.string == "short" ? "-" : "--") + text] = option } }
    }
    (self.options, self.byWord) = (options, byWord)
  }

  func option(named name: String) -> Option? { byWord["--" + name] }

  /// The options among the words of a command line; other words are left out.
  func given(in words: [String]) -> [Given] {
    var given: [Given] = []
    var rest = words[...]
    while let word = rest.popFirst() {
      if word == "--" { break }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let option = byWord[parts[0]] else { continue }
      if option.isFlag { given.append(Given(option: option)) } else if parts.count == 2 { given.append(Given(option: option, value: parts[1])) } else if let value = rest.popFirst() {
        given.append(Given(option: option, value: value))
      }
    }
    return given
  }

  /// The option whose name looks most like a word that is none; nil if none does.
  func suggestion(for word: String) -> String? { Spelling.nearest(to: word, among: options.map(\.name)) }
}

/// What somebody may have meant.
enum Spelling {
  /// The candidate with the fewest changed letters; nil if even that is another word.
  static func nearest(to word: String, among candidates: [String]) -> String? {
    let wanted = word.lowercased().replacing("_", with: "-")
    let ranked = candidates.map { ($0, distance(Array(wanted), Array($0.lowercased()))) }.min { $0.1 < $1.1 }
    guard let (candidate, changes) = ranked else { return nil }
    return changes <= max(1, wanted.count / 3) || candidate.hasPrefix(wanted) && wanted.count >= 3 ? candidate : nil
  }

  /// Levenshtein's distance.
  private static func distance(_ a: [Character], _ b: [Character]) -> Int {
    var row = Array(0...b.count)
    for (i, letter) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, other) in b.enumerated() {
        let above = row[j + 1]
        row[j + 1] = min(above + 1, row[j] + 1, diagonal + (letter == other ? 0 : 1))
        diagonal = above
      }
    }
    return row[b.count]
  }
}
