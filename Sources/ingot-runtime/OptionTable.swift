/// One option of a verb.
struct Option: Sendable {
  /// With its dashes.
  var name: String
  /// What stands for the value in the help; nil for a flag.
  var value: String?
  var help: String
  /// Given more than once, the values add up.
  var repeats = false

  /// For verbs that run the model.
  static let memoryLimit = Option(
    name: "--memory-limit", value: "BYTES", help: "most memory of one run, such as 512M or 4G\n(half of what this process may use)")
}

/// One verb of the command line: its options, its help, and what it does.
struct Verb: Sendable {
  var name: String
  /// One line.
  var summary: String
  /// What may follow the options, such as `DATASET_DIR...`; nil means nothing.
  var operands: String?
  var options: [Option]
  /// Command lines to try.
  var examples: [String]
  /// Returns the exit status.
  var run: @Sendable (Arguments) throws(Failure) -> Int32
}

/// Why the process ends, and with which status.
struct Failure: Error {
  enum Kind: Int32 {
    /// Bad input or a failed run.
    case failed = 1
    /// The command line does not say what to do.
    case usage = 2
  }
  var kind: Kind
  var message: String

  static func failed(_ message: String) -> Failure { Failure(kind: .failed, message: message) }
  static func usage(_ message: String) -> Failure { Failure(kind: .usage, message: message) }
}

/// The words behind a verb, sorted by option. Verbs turn them into typed values at once.
struct Arguments {
  private var values: [String: [String]] = [:]
  private(set) var operands: [String] = []
  var wantsHelp = false

  init(_ words: some Sequence<String>, for verb: Verb) throws(Failure) {
    var rest = words.makeIterator()
    var onlyOperands = false
    while let word = rest.next() {
      if onlyOperands || !word.hasPrefix("-") || word == "-" {
        guard verb.operands != nil else { throw .usage("unexpected argument '\(word)'") }
        operands.append(word)
        continue
      }
      if word == "--" {
        onlyOperands = true
        continue
      }
      if word == "--help" || word == "-h" {
        wantsHelp = true
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard let option = verb.options.first(where: { $0.name == name }) else {
        throw .usage("unknown option '\(name)'\(Self.suggestion(name, verb))")
      }
      guard option.value != nil else {
        guard parts.count == 1 else { throw .usage("option '\(name)' takes no value") }
        values[name] = [""]
        continue
      }
      guard let value = parts.count == 2 ? String(parts[1]) : rest.next() else { throw .usage("option '\(name)' needs a value: \(name) \(option.value ?? "")") }
      guard option.repeats || values[name] == nil else { throw .usage("option '\(name)' is given twice") }
      values[name, default: []].append(value)
    }
  }

  private static func suggestion(_ name: String, _ verb: Verb) -> String {
    let near = verb.options.first { $0.name.hasPrefix(name) || name.hasPrefix($0.name) }
    return near.map { "; did you mean '\($0.name)'?" } ?? ""
  }

  func has(_ name: String) -> Bool { values[name] != nil }
  func text(_ name: String) -> String? { values[name]?.first }
  func texts(_ name: String) -> [String] { values[name] ?? [] }

  func integer(_ name: String, in range: ClosedRange<Int>) throws(Failure) -> Int? {
    guard let text = text(name) else { return nil }
    guard let value = Int(text), range.contains(value) else {
      throw .usage("option '\(name)' takes a whole number from \(range.lowerBound)\(range.upperBound == .max ? " up" : " to \(range.upperBound)"), got '\(text)'")
    }
    return value
  }

  func seconds(_ name: String) throws(Failure) -> Double? {
    guard let text = text(name) else { return nil }
    guard let value = Double(text), value >= 0, value <= 1e6 else { throw .usage("option '\(name)' takes seconds, such as 2 or 0.5, got '\(text)'") }
    return value
  }

  /// A number of bytes: plain, or with the suffix K, M or G (powers of 1024).
  func bytes(_ name: String) throws(Failure) -> Int? {
    guard let text = text(name) else { return nil }
    let units: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    let unit = text.last.flatMap { units[Character($0.uppercased())] }
    let digits = unit == nil ? Substring(text) : text.dropLast()
    guard let value = Int(digits), value >= 0, case let (bytes, false) = value.multipliedReportingOverflow(by: unit ?? 1) else {
      throw .usage("option '\(name)' takes bytes, such as 1048576, 512K or 64M, got '\(text)'")
    }
    return bytes
  }
}

extension Verb {
  /// What `--help` prints.
  func help(program: String) -> String {
    var text = "\(summary)\n\nusage: \(program) \(name)\(options.isEmpty ? "" : " [options]")\(operands.map { " " + $0 } ?? "")\n"
    if !options.isEmpty {
      text += "\noptions:\n"
      let heads = options.map { $0.name + ($0.value.map { " " + $0 } ?? "") }
      let width = heads.map(\.count).max() ?? 0
      for (head, option) in zip(heads, options) {
        let lines = option.help.split(separator: "\n")
        for (index, line) in lines.enumerated() {
          let left = index == 0 ? head : ""
          text += "  " + left + String(repeating: " ", count: width - left.count + 2) + line + "\n"
        }
      }
    }
    if !examples.isEmpty { text += "\nexamples:\n" + examples.map { "  \(program) \($0)\n" }.joined() }
    return text
  }
}
