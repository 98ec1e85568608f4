import ArgumentParser
import Compiler

/// `tune`: what can be done with tuning files. Measuring itself is part of compiling: `ingot compile --tune`.
struct TuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune", abstract: "Works on tuning files: the measured choices of kernels that --tune keeps beside a model.",
    subcommands: [TuneMerge.self, TuneShow.self])
}

/// `tune merge`: several files become one.
struct TuneMerge: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge", abstract: "Merges tuning files, of one machine or of several.",
    discussion: """
      Where two files have an answer for the same kernel on the same kind of machine, the one named later wins.

      Example:
        ingot tune merge laptop.tuning.json server.tuning.json -o model.tuning.json
      """)

  @Argument(help: ArgumentHelp("Tuning files.", valueName: "file"))
  var paths: [String]

  @Option(name: .shortAndLong, help: ArgumentHelp("Where to write.", valueName: "file"))
  var output: String

  func run() throws {
    var merged = TuningFile()
    for path in paths { merged.merge(try TuningFile(reading: path)) }
    try merged.write(to: output)
    print("\(output): \(merged.count) kernel\(merged.count == 1 ? "" : "s") on \(merged.entries.count) kind\(merged.entries.count == 1 ? "" : "s") of machine")
  }
}

/// `tune show`: a file as a table.
struct TuneShow: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "show", abstract: "Prints a tuning file as a table.")

  @Argument(help: ArgumentHelp("A tuning file.", valueName: "file"))
  var path: String

  func run() throws {
    let file = try TuningFile(reading: path)
    for machine in file.entries.keys.sorted() {
      print("\(machine.cpu) (\(machine.features.joined(separator: ", ")))")
      var table = TextTable(leftAlignedFrom: 2)
      table.rows.append(["time", "before next", "candidate", "kernel"])
      let kernels = (file.entries[machine] ?? [:]).sorted { ($1.value.best.nanoseconds, $0.key) < ($0.value.best.nanoseconds, $1.key) }
      for (problem, entry) in kernels {
        let next = entry.others.first.map { Double($0.nanoseconds) / Double(max(1, entry.best.nanoseconds)) - 1 }
        table.rows.append([Quantity.time(Double(entry.best.nanoseconds) * 1e-9), next.map { Quantity.percent($0) } ?? "", entry.best.candidate, problem])
      }
      print(table.text)
    }
  }
}
