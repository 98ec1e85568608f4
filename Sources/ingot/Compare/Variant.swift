import ArgumentParser
import Compiler

/// One way to compile the model of a comparison: a line of compile options, added to those of the command.
struct Variant: Sendable {
  /// What the variant is there for.
  enum Role: Sendable, Hashable {
    /// The command's own options.
    case baseline
    /// Named by `--compare`.
    case named
    /// The baseline with a pass left out.
    case without(String)
    /// The least that compiles, and what was added to it up to this pass.
    case added(String)
    /// The least that compiles.
    case least
    /// The baseline with another choice made: Winograd's method, a precision.
    case choice(String)
  }

  var role: Role
  var name: String
  /// The options that it adds, as given.
  var line: String
  /// All its compile options, as words of a command line.
  var words: [String]

  /// - Parameter given: The compile options on the command's own line.
  init(baseline given: [OptionTable.Given]) {
    (role, name, line, words) = (.baseline, "baseline", "", Self.withoutIdleSamples(given))
  }

  /// - Parameters:
  ///   - line: `NAME: OPTIONS`, or only the options.
  ///   - base: The compile options of the command, which hold where the variant says nothing else.
  init(_ line: String, base: [OptionTable.Given]) throws(ValidationError) {
    var (name, options) = (line, line)
    if !line.hasPrefix("-"), let colon = line.firstIndex(of: ":"), line[colon...].dropFirst().first?.isWhitespace ?? true {
      name = String(line[..<colon])
      options = String(line[colon...].dropFirst())
    }
    guard let parts = CommandWords.split(options) else { throw ValidationError("variant '\(name)': a quote is not closed in \(options)") }
    if parts.isEmpty { throw ValidationError("--compare takes compile options, a recipe file (.yaml) or the word baseline, got '\(line)'") }
    var words: [String]
    do { words = try CommandWords.expanded(Self.namingRecipes(parts.filter { $0 != "baseline" })) } catch {
      throw ValidationError("variant '\(name)': \(error.message)" + (error.hint.map { " (\($0))" } ?? ""))
    }
    if let word = words.first, !word.hasPrefix("-") {
      throw ValidationError("variant '\(name)': '\(word)' is no option, no recipe file (.yaml) and not `baseline`" + Self.advice(word))
    }
    let own = OptionTable.compilation.given(in: words)
    let all = Self.merged(base, own)
    do { _ = try CompileArguments.parse(words) } catch {
      // What it lacks, such as samples, the command may say for all variants.
      let shared = base.filter { given in !own.contains { given.isReplaced(by: $0) } }.map(\.word)
      if (try? CompileArguments.parse(shared + words)) == nil { throw ValidationError("variant '\(name)': \(CompileArguments.message(for: error))") }
    }
    words = Self.withoutIdleSamples(all)
    do {
      _ = try CompileArguments.parse(words)
      if own.contains(where: { $0.option.section == CalibrationArguments.title }) { try CompileArguments.parse(all.map(\.word)).checkSamples() }
    } catch { throw ValidationError("variant '\(name)', together with the command's own options: \(CompileArguments.message(for: error))") }
    (self.role, self.name, self.words) = (.named, name.isEmpty ? "unnamed" : name, words)
    self.line = parts.joined(separator: " ")
  }

  /// The baseline changed by some options.
  init(_ role: Role, _ name: String, adding line: [String], to base: [OptionTable.Given]) {
    (self.role, self.name, self.line) = (role, name, line.joined(separator: " "))
    words = Self.withoutIdleSamples(Self.merged(base, OptionTable.compilation.given(in: line)))
  }

  /// Options of a line behind those of another, which they replace where both speak of the same.
  static func merged(_ base: [OptionTable.Given], _ own: [OptionTable.Given]) -> [OptionTable.Given] {
    base.filter { given in !own.contains { given.isReplaced(by: $0) } } + own
  }

  /// As words, without samples that the variant has no use for: they are there for others.
  private static func withoutIdleSamples(_ given: [OptionTable.Given]) -> [String] {
    let words = given.map(\.word)
    guard let parsed = try? CompileArguments.parse(words), (try? parsed.checkSamples()) == nil else { return words }
    return given.filter { $0.option.section != CalibrationArguments.title }.map(\.word)
  }

  /// With a number behind every name that came before.
  static func distinct(_ variants: [Variant]) -> [Variant] {
    var seen: Set<String> = ["baseline"]
    return variants.map { variant in
      var (variant, number) = (variant, 2)
      let name = variant.name
      while !seen.insert(variant.name).inserted {
        variant.name = "\(name) (\(number))"
        number += 1
      }
      return variant
    }
  }

  /// A recipe may stand for itself, without `--recipe`.
  private static func namingRecipes(_ words: [String]) -> [String] {
    words.indices.map { isRecipe(words[$0]) && ($0 == 0 || words[$0 - 1] != "--recipe") ? "--recipe=\(words[$0])" : words[$0] }
  }

  static func isRecipe(_ word: String) -> Bool { !word.hasPrefix("-") && (word.hasSuffix(".yaml") || word.hasSuffix(".yml")) }

  /// Words without dashes: a pass, or an option whose dashes were forgotten.
  private static func advice(_ word: String) -> String {
    if Compiler.passes.contains(where: { $0.name == word }) { return "; `--disable \(word)` leaves that pass out" }
    return OptionTable.compilation.option(named: word) != nil ? "; did you mean `--\(word)`?" : ""
  }
}
