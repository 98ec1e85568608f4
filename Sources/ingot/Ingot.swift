import Artifact
import ArgumentParser
import Compiler
import Foundation
import GraphIR
import Runtime

/// The command line tool: a compiler driver for models.
@main struct Ingot: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ingot",
    abstract: "Compiles a trained model into one executable that serves it.",
    discussion: """
      A model is an .onnx file, or an .ingot file (the text form of Ingot's own graph).

      To begin with:
        ingot inspect model.onnx                     what it takes, gives and costs
        ingot run model.onnx --input image=cat.jpg --preset imagenet
        ingot compile model.onnx -o model            one executable
        ./model serve                                ... that answers over HTTP

      Exit status: 0 done, 1 bad input or a failed run, 2 wrong usage, 3 the model needs something that is not supported yet.
      """,
    version: "ingot \(ingotVersion)",
    subcommands: [CompileCommand.self, RunCommand.self, VerifyCommand.self, BenchCommand.self, InspectCommand.self, TuneCommand.self, PassesCommand.self])

  static func main() {
    do {
      var command = try parseAsRoot(CommandWords.expanded(Array(CommandLine.arguments.dropFirst()), verbs: 1))
      try command.run()
    } catch {
      ProgressLine.clear()
      end(error)
    }
  }

  /// Prints what happened and ends with the status that says what kind of failure it was.
  private static func end(_ error: any Error) -> Never {
    switch error {
    case let error as CompileError:
      Terminal.note(error.description)
      Foundation.exit(error.exitCode)
    case is TensorFileError, is RunError, is ArtifactError:
      Terminal.note("error: \(error)")
      Foundation.exit(1)
    default:
      let status = exitCode(for: error)
      let text = fullMessage(for: error)
      if status == .success {
        print(text)
      } else if !text.isEmpty {
        Terminal.note(text.hasPrefix("Error: ") ? "error: " + text.dropFirst(7) : text)
      }
      // ArgumentParser's own status for a wrong command line is 64 (EX_USAGE).
      Foundation.exit(status == .validationFailure ? 2 : status.rawValue)
    }
  }
}
