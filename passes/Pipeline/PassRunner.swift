import GraphIR

/// What the user asked about the passes of a compilation.
public struct PassOptions: Sendable {
  /// Printed names of passes that are skipped (`--disable`).
  public var disabled: Set<String> = []
  /// Printed names of passes after which the subject is printed (`--print-after`).
  public var printAfter: Set<String> = []
  /// Verifies the IR and compares numbers after each pass (`--verify-each`).
  public var verifiesEach = false
  /// Stops rewriting after so many rewrites, for bisection.
  public var stopAfterRewrites: Int?

  public init() {}

  /// Refuses names that no pass has.
  ///
  /// - Throws: `CompileError` (`.usage`) that lists the names there are.
  public func validate(knownPasses names: [String]) throws(CompileError) {
    let known = Set(names)
    for name in disabled.union(printAfter).sorted() where !known.contains(name) {
      throw CompileError(.usage, "no pass is named `\(name)`", stage: .load, hint: "the passes are " + names.joined(separator: ", "))
    }
  }
}

/// What one run of one pass did, for `--time-passes`.
public struct PassRecord: Sendable {
  public var name: String
  public var seconds: Double
  public var nodesBefore: Int
  public var nodesAfter: Int
  /// Bytes of the constants that the subject holds.
  public var constantBytesBefore = 0
  public var constantBytesAfter = 0
  public var hasChanged: Bool
  /// Whether it was run on the code for particular lengths, beside that for all.
  public var isOfVariant = false

  public init(name: String, seconds: Double, nodesBefore: Int, nodesAfter: Int, hasChanged: Bool) {
    (self.name, self.seconds, self.nodesBefore, self.nodesAfter, self.hasChanged) = (name, seconds, nodesBefore, nodesAfter, hasChanged)
  }
}

/// Runs pipelines, with dumps, timing and checks between the passes.
public struct PassRunner<IR: PassSubject>: Sendable {
  public typealias Check = @Sendable (IR, CompileError.Stage) throws(CompileError) -> Void

  public let options: PassOptions
  public private(set) var records: [PassRecord] = []
  public private(set) var context: PassContext
  /// Of the subject after the last pass.
  private var lastConstantBytes: Int?
  private let check: Check?
  private let write: @Sendable (String) -> Void

  /// - Parameters:
  ///   - check: The numeric comparison that `verifiesEach` asks for after each pass, such as `NumericCheck.callAsFunction`.
  ///   - write: Where `printAfter` goes.
  public init(options: PassOptions = PassOptions(), check: Check? = nil, write: @escaping @Sendable (String) -> Void = { print($0) }) {
    self.options = options
    self.check = check
    self.write = write
    context = PassContext(stopAfterRewrites: options.stopAfterRewrites)
  }

  /// - Throws: what a pass throws; with `verifiesEach` also an error whose stage names the pass that broke the subject.
  public mutating func run(_ pipeline: Pipeline<IR>, on subject: inout IR) throws(CompileError) {
    lastConstantBytes = nil
    _ = try run(pipeline.steps, on: &subject)
  }

  private mutating func run(_ steps: [Pipeline<IR>.Step], on subject: inout IR) throws(CompileError) -> Bool {
    var hasChanged = false
    for step in steps {
      switch step {
      case .pass(let pass): if try run(pass, on: &subject) { hasChanged = true }
      case .pipeline(let pipeline): if try run(pipeline.steps, on: &subject) { hasChanged = true }
      case .fixpoint(let rounds, let steps):
        for _ in 0..<max(rounds, 0) {
          if try !run(steps, on: &subject) { break }
          hasChanged = true
        }
      }
    }
    return hasChanged
  }

  private mutating func run(_ pass: Pass<IR>, on subject: inout IR) throws(CompileError) -> Bool {
    if options.disabled.contains(pass.name) { return false }
    let before = subject.size
    let constantBytes = lastConstantBytes ?? subject.constantBytes
    let clock = ContinuousClock()
    let start = clock.now
    context.forgetRefusals(of: pass.name)
    let hasChanged = try pass.run(&subject, &context)
    let elapsed = clock.now - start
    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
    var record = PassRecord(name: pass.name, seconds: seconds, nodesBefore: before, nodesAfter: hasChanged ? subject.size : before, hasChanged: hasChanged)
    (record.constantBytesBefore, record.constantBytesAfter) = (constantBytes, hasChanged ? subject.constantBytes : constantBytes)
    lastConstantBytes = record.constantBytesAfter
    records.append(record)
    if options.printAfter.contains(pass.name) { write("// after \(pass.name)\n\(subject.printed)") }
    if options.verifiesEach && hasChanged {
      try subject.verify(stage: .pass(pass.name))
      try check?(subject, .pass(pass.name))
    }
    return hasChanged
  }

  /// The table of `--time-passes`: seconds, runs and node counts by pass, slowest first.
  public var timeReport: String {
    var order: [String] = []
    var totals: [String: (seconds: Double, runs: Int, removed: Int)] = [:]
    for record in records {
      if totals[record.name] == nil { order.append(record.name) }
      let old = totals[record.name] ?? (0, 0, 0)
      totals[record.name] = (old.seconds + record.seconds, old.runs + 1, old.removed + record.nodesBefore - record.nodesAfter)
    }
    let rows = order.compactMap { name in totals[name].map { (name, $0) } }.sorted { $0.1.seconds > $1.1.seconds }
    var text = "   seconds  runs  nodes  pass\n"
    for (name, total) in rows {
      let change = total.removed == 0 ? "0" : total.removed > 0 ? "-\(total.removed)" : "+\(-total.removed)"
      text += Self.right(Self.fixed(total.seconds), 10) + Self.right("\(total.runs)", 6) + Self.right(change, 7) + "  \(name)\n"
    }
    text += Self.right(Self.fixed(records.reduce(0) { $0 + $1.seconds }), 10) + "  in all"
    if let first = records.first, let last = records.last { text += ", \(first.nodesBefore) nodes became \(last.nodesAfter)" }
    return text + "\n"
  }

  private static func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }

  /// Seconds with four digits behind the point.
  private static func fixed(_ seconds: Double) -> String {
    let ticks = Int((seconds * 10_000).rounded())
    let digits = "\(ticks % 10_000)"
    return "\(ticks / 10_000)." + String(repeating: "0", count: 4 - digits.count) + digits
  }
}
