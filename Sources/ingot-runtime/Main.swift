import Glibc

/// The program that every artifact starts from: it runs, measures, checks and serves the model that it carries.
@main struct Main {
  static let verbs = [ServeVerb.verb, RunVerb.verb, InfoVerb.verb, BenchVerb.verb, VerifyVerb.verb]

  static func main() {
    let words = CommandLine.arguments.dropFirst()
    let path = CommandLine.arguments.first ?? "model"
    let program = path.contains("/") ? "./" + (path.split(separator: "/").last.map(String.init) ?? "model") : path
    guard let name = words.first, name != "--help", name != "-h", name != "help" || words.count > 1 else {
      Console.print(overview(program))
      exit(0)
    }
    let wanted = name == "help" ? words.dropFirst().first ?? "" : name
    guard let verb = verbs.first(where: { $0.name == wanted }) else {
      Console.error("unknown verb '\(wanted)'; there are \(verbs.map(\.name).joined(separator: ", ")) (see \(program) --help)")
      exit(Failure.Kind.usage.rawValue)
    }
    do throws(Failure) {
      let arguments = try Arguments(words.dropFirst(), for: verb)
      guard !arguments.wantsHelp, name != "help" else {
        Console.print(verb.help(program: program))
        exit(0)
      }
      exit(try verb.run(arguments))
    } catch {
      Console.error(error.message + (error.kind == .usage ? "\n  see: \(program) \(verb.name) --help" : ""))
      exit(error.kind.rawValue)
    }
  }

  private static func overview(_ program: String) -> String {
    var text = "A compiled model that runs and serves itself.\n\nusage: \(program) VERB [options]\n\n"
    for verb in verbs { text += "  " + verb.name + String(repeating: " ", count: max(1, 8 - verb.name.count)) + verb.summary + "\n" }
    text += "\n\(program) VERB --help tells more. To begin with:\n  \(program) info\n  \(program) run --input NAME=random\n  \(program) serve"
    return text
  }
}
