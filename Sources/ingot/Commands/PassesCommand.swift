import ArgumentParser
import Compiler

/// `passes`: what the compiler does to a model, in order.
struct PassesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "passes", abstract: "Lists every pass, in order, with one sentence each.",
    discussion: """
      Each can be left out with --disable NAME, and --print-after NAME shows the model behind it.

      Examples:
        ingot passes
        ingot compile model.onnx --emit graph --print-after fold-constants
      """)

  func run() {
    var table = TextTable(leftAlignedFrom: 1)
    for (position, pass) in Compiler.passes.enumerated() { table.rows.append(["\(position + 1)", pass.name, pass.summary]) }
    print(table.text)
  }
}
