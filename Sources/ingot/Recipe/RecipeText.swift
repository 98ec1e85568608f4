import Compiler
import Foundation
import GraphIR
import Yams

/// The recipe that repeats a compilation.
struct RecipeText {
  let text: String

  /// - Parameters:
  ///   - given: The compile options that were used.
  ///   - model: What they were used for; said in a comment.
  ///   - path: Where the recipe will lie: paths below its folder are written relative to it.
  init(_ given: [OptionTable.Given], target: String, threads: Int, model: String, path: String) throws(CompileError) {
    var names: [String] = []
    var values: [String: [String]] = [:]
    for option in given where !OptionTable.isRecipe(option.option) {
      if values[option.option.name] == nil { names.append(option.option.name) }
      values[option.option.name, default: []].append(Self.relative(option.value ?? "", option.option, to: path))
    }
    // What this machine chose: another one might choose otherwise.
    for (name, value) in [("target", target), ("threads", "\(threads)")] where values[name] == nil || values[name] == ["native"] {
      if values[name] == nil { names.append(name) }
      values[name] = [value]
    }
    var pairs: [(YAMLNode, YAMLNode)] = []
    for name in names {
      guard let option = OptionTable.compilation.option(named: name), let texts = values[name] else { continue }
      pairs.append((YAMLNode(name), Self.node(option, texts)))
    }
    do {
      text = """
        # Options that `ingot compile`, `bench`, `verify`, `run` and `inspect` take with --recipe FILE; others on the command line win over them.
        # Written by ingot \(ingotVersion) for \(model.filter { !$0.isNewline }).

        """ + (try Yams.serialize(node: YAMLNode(pairs), allowUnicode: true))
    } catch { throw CompileError(.badInput, "cannot write the recipe: \(error)", stage: .write) }
  }

  private static func node(_ option: OptionTable.Option, _ texts: [String]) -> YAMLNode {
    if option.isFlag { return YAMLNode("true") }
    let keyed = texts.map { $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init) }
    if option.isKeyed, keyed.allSatisfy({ $0.count == 2 }), Set(keyed.map { $0[0] }).count == keyed.count {
      return YAMLNode(keyed.map { (YAMLNode($0[0]), scalar($0[1])) })
    }
    return option.isRepeating ? YAMLNode(texts.map(scalar), .implicit, .flow) : scalar(texts.last ?? "")
  }

  /// An empty word has to be quoted, or it would be nothing.
  private static func scalar(_ text: String) -> YAMLNode { YAMLNode(text, .implicit, text.isEmpty || YAMLNode(text).null != nil ? .doubleQuoted : .any) }

  /// Absolute, unless the file lies below the recipe's folder.
  private static func relative(_ text: String, _ option: OptionTable.Option, to recipe: String) -> String {
    guard option.takesPath else { return text }
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let isKeyed = option.isKeyed && parts.count == 2
    let file = isKeyed ? parts[1] : text
    if ["none", "-", ""].contains(file) { return text }
    let folder = URL(fileURLWithPath: recipe).standardizedFileURL.deletingLastPathComponent().path
    let whole = URL(fileURLWithPath: file).standardizedFileURL.path
    let own = whole.hasPrefix(folder + "/") ? String(whole.dropFirst(folder.count + 1)) : whole
    return (isKeyed ? parts[0] + "=" : "") + own
  }
}
