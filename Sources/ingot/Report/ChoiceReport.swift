import Artifact
import KernelIR

/// Which candidate a kernel was written as, and why: for `inspect`, `bench --profile` and `compile --report`.
enum ChoiceReport {
  /// For a column of a table: the template's note, and the reason.
  static func text(_ call: KernelProgram.Call) -> String {
    guard let choice = call.choice else { return call.note }
    return "\(call.note) [\(choice.explanation)]"
  }

  static func json(_ choice: KernelChoice?) -> JSON {
    guard let choice else { return .null }
    var members: [JSON.Member] = [.init("kernel", .string(choice.problem)), .init("taken", .string(choice.taken))]
    switch choice.reason {
    case .estimate: members.append(.init("reason", "estimate"))
    case .measured(let nanoseconds): members += [.init("reason", "measured"), .init("nanoseconds", .integer(nanoseconds))]
    }
    members.append(
      .init(
        "candidates",
        .array(choice.candidates.map { .object([.init("name", .string($0.name)), .init("cycles", .number($0.cycles.rounded())), .init("parts", .string($0.parts))]) })))
    return .object(members)
  }

  /// Kernels that could have been written in several ways, each once.
  static func table(_ calls: [KernelProgram.Call]) -> String {
    var table = TextTable(leftAlignedFrom: 1)
    var rows: [(choice: KernelChoice, note: String, count: Int)] = []
    var places: [String: Int] = [:]
    for call in calls {
      guard let choice = call.choice else { continue }
      if let place = places[choice.problem] { rows[place].count += 1 } else {
        places[choice.problem] = rows.count
        rows.append((choice, call.note, 1))
      }
    }
    for row in rows { table.rows.append(["\(row.count)x", row.choice.problem, row.note, row.choice.explanation]) }
    return table.text
  }
}
