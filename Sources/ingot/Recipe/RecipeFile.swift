import ArgumentParser
import Compiler
import Foundation
import GraphIR
import Yams

/// A graph has nodes too.
typealias YAMLNode = Yams.Node

/// Compile options kept in a YAML file, so that a result can be repeated.
///
///     # What is served in the shop.
///     dim: {batch: 1}
///     precision: bf16
///     disable: [fuse-attention]
///     fix: {axes: axes.npy}
///     no-cache: true
///
/// Keys are the names of the options. Options of the form NAME=VALUE take a mapping, those that may be repeated a list, flags true or false.
/// Relative paths are relative to the folder of the file.
struct RecipeFile {
  /// As words of a command line would give them, in the order of the file.
  private(set) var given: [OptionTable.Given] = []
  private let path: String
  /// Values and bytes that may still be read.
  private var allowance: Int
  /// The line of each option.
  private var lines: [Int] = []

  private static let mostBytes = 1 << 20

  /// - Throws: `CompileError` (`.usage`) that names file, line, and what was meant perhaps.
  init(reading path: String) throws(CompileError) {
    (self.path, allowance) = (path, 0)
    guard let data = FileManager.default.contents(atPath: path) else { throw CompileError(.badInput, "cannot read the recipe `\(path)`", stage: .load) }
    guard data.count <= Self.mostBytes, let text = String(data: data, encoding: .utf8) else {
      throw CompileError(.badInput, "the recipe `\(path)` is no text, or has more than \(Self.mostBytes) bytes", stage: .load)
    }
    allowance = 4 * data.count + 16
    let root: YAMLNode?
    do { root = try Yams.compose(yaml: text) } catch { throw Self.refusal(error, path) }
    guard let root else { return }
    if case .scalar(let scalar) = root, scalar.string.isEmpty { return }
    guard case .mapping(let mapping) = root else { throw refusal(root, "a recipe is a mapping of options, such as `precision: bf16`") }
    for (key, value) in mapping { try take(key, value) }
    try check()
  }

  // MARK: Reading

  private mutating func take(_ key: YAMLNode, _ value: YAMLNode) throws(CompileError) {
    guard case .scalar(let scalar) = key else { throw refusal(key, "the name of an option is a word") }
    let name = scalar.string
    guard let option = OptionTable.compilation.option(named: name), !OptionTable.isRecipe(option) else {
      if name == "recipe" { throw refusal(key, "a recipe cannot name another one") }
      let guess = OptionTable.compilation.suggestion(for: name)
      throw refusal(key, "unknown option `\(name)`", hint: guess.map { "did you mean `\($0)`?" } ?? "the options are those that `ingot compile --help` lists under Compilation and below")
    }
    for text in try values(of: option, value) {
      given.append(OptionTable.Given(option: option, value: option.isFlag ? nil : resolved(text, option)))
      lines.append(value.mark?.line ?? key.mark?.line ?? 0)
    }
  }

  /// The values of an option; for a flag one if it is set.
  private mutating func values(of option: OptionTable.Option, _ node: YAMLNode) throws(CompileError) -> [String] {
    try count(node)
    if option.isFlag {
      guard case .scalar = node, let isSet = node.bool else { throw refusal(node, "`\(option.name)` takes true or false") }
      return isSet ? [""] : []
    }
    switch node {
    case .scalar: return [try scalar(node, of: option)]
    case .sequence(let items):
      guard option.isRepeating else { throw refusal(node, "`\(option.name)` takes one value, not a list") }
      var texts: [String] = []
      for item in items { texts.append(try scalar(item, of: option)) }
      return texts
    case .mapping(let pairs):
      guard option.isKeyed else { throw refusal(node, "`\(option.name)` takes \(option.isRepeating ? "a value or a list of values" : "one value"), not a mapping") }
      var texts: [String] = []
      for (key, value) in pairs {
        let name = try scalar(key, of: option)
        texts.append("\(name)=\(try joined(value, of: option))")
      }
      return texts
    case .alias: throw refusal(node, "a recipe has no aliases")
    }
  }

  /// Aliases may make billions of values of a few lines: what is read may not be much more than what is written.
  private mutating func count(_ node: YAMLNode) throws(CompileError) {
    var size = 1
    if case .scalar(let scalar) = node { size += scalar.string.utf8.count }
    allowance -= size
    if allowance < 0 { throw refusal(node, "aliases make more of this recipe than is read", hint: "write the values where they are needed") }
  }

  private mutating func scalar(_ node: YAMLNode, of option: OptionTable.Option) throws(CompileError) -> String {
    try count(node)
    guard case .scalar(let scalar) = node else { throw refusal(node, "`\(option.name)` takes a word or a number here") }
    if node.null != nil { throw refusal(node, "`\(option.name)` has no value") }
    return scalar.string
  }

  /// What stands behind the name in NAME=VALUE: numbers of a shape are joined as the option writes them.
  private mutating func joined(_ node: YAMLNode, of option: OptionTable.Option) throws(CompileError) -> String {
    try count(node)
    guard case .sequence(let items) = node else { return try scalar(node, of: option) }
    var parts: [String] = []
    var areNumbers = true
    for item in items {
      if case .sequence = item { areNumbers = false } else if item.int == nil { areNumbers = false }
      parts.append(try joined(item, of: option))
    }
    let isShape = areNumbers && option.valueName.contains { $0.isNumber } && option.valueName.contains("x")
    return parts.joined(separator: isShape ? "x" : ",")
  }

  /// Paths are relative to the recipe's own folder.
  private func resolved(_ text: String, _ option: OptionTable.Option) -> String {
    guard option.takesPath else { return text }
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let isKeyed = option.isKeyed && parts.count == 2
    let file = isKeyed ? parts[1] : text
    let folder = PathParts(path).folder
    if file.hasPrefix("/") || folder.isEmpty || ["none", "-", ""].contains(file) { return text }
    return (isKeyed ? parts[0] + "=" : "") + folder + file
  }

  // MARK: Checking

  /// Lets the parser of the command line say what is wrong with a value, and finds out in which line it is.
  private func check() throws(CompileError) {
    let whole: String
    do {
      _ = try CompileArguments.parse(given.map(\.word))
      return
    } catch { whole = CompileArguments.message(for: error) }
    for (option, line) in zip(given, lines) {
      do { _ = try CompileArguments.parse([option.word]) } catch {
        let message = CompileArguments.message(for: error)
        // What an option needs beside it may stand elsewhere in the file.
        if whole.contains(message) || message.contains(option.value ?? option.option.name) { throw CompileError(.usage, "\(path):\(line): \(message)", stage: .load) }
      }
    }
    throw CompileError(.usage, "\(path): \(whole)", stage: .load)
  }

  private func refusal(_ node: YAMLNode, _ message: String, hint: String? = nil) -> CompileError {
    CompileError(.usage, "\(path):\(node.mark?.line ?? 1): \(message)", stage: .load, hint: hint)
  }

  private static func refusal(_ error: any Error, _ path: String) -> CompileError {
    switch error {
    case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _), YamlError.composer(_, let problem, let mark, _):
      CompileError(.usage, "\(path):\(mark.line): \(problem)", stage: .load)
    case YamlError.duplicatedKeysInMapping(let names, let context):
      CompileError(.usage, "\(path):\(context.mark.line): given twice: \(names.joined(separator: ", "))", stage: .load)
    default: CompileError(.usage, "\(path): not YAML: \(error)", stage: .load)
    }
  }
}

extension OptionTable {
  static func isRecipe(_ option: Option) -> Bool { option.name == "recipe" }
}
