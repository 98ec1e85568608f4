import Foundation

/// Lines that a text must contain, in the manner of LLVM's FileCheck.
///
///     // CHECK: %[[Y:.*]] = add %x
///     // CHECK-NEXT: return %[[Y]]
///     // CHECK-NOT: mul
///
/// Blanks between words match any number of blanks. `[[NAME:regex]]` captures, `[[NAME]]` repeats, `{{regex}}` matches. `CHECK-NOT` holds for
/// the text between the checks around it.
public struct TextExpectation: Sendable {
  public struct Mismatch: Error, CustomStringConvertible {
    public let description: String
  }
  private enum Kind { case check, next, not }
  private struct Check {
    let kind: Kind
    let pattern: String
  }
  private let checks: [Check]

  public init(_ text: String) {
    checks = text.split(separator: "\n").compactMap { line in
      for (marker, kind) in [("// CHECK-NEXT:", Kind.next), ("// CHECK-NOT:", .not), ("// CHECK:", .check)] {
        if let range = line.range(of: marker) { return Check(kind: kind, pattern: line[range.upperBound...].trimmingCharacters(in: .whitespaces)) }
      }
      return nil
    }
  }

  /// - Throws: `Mismatch` that says which line was not found.
  public func verify(_ text: String) throws {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var position = 0
    var captured: [String: String] = [:]
    var forbidden: [String] = []
    for check in checks {
      if check.kind == .not {
        forbidden.append(check.pattern)
        continue
      }
      let candidates = check.kind == .next ? position..<min(position + 1, lines.count) : position..<lines.count
      guard let found = try candidates.first(where: { try match(check.pattern, lines[$0], &captured) }) else {
        throw Mismatch(description: "no line for `\(check.pattern)` behind line \(position) of\n\(text)")
      }
      try refuse(forbidden, lines[position..<found], text)
      forbidden = []
      position = found + 1
    }
    try refuse(forbidden, lines[position...], text)
  }

  private func refuse(_ patterns: [String], _ lines: ArraySlice<String>, _ text: String) throws {
    for pattern in patterns {
      var ignored: [String: String] = [:]
      for line in lines where try match(pattern, line, &ignored) { throw Mismatch(description: "`\(pattern)` is in the line `\(line)` of\n\(text)") }
    }
  }

  private func match(_ pattern: String, _ line: String, _ captured: inout [String: String]) throws -> Bool {
    var regex = ""
    var names: [String] = []
    var rest = Substring(pattern)
    while !rest.isEmpty {
      if rest.hasPrefix("[["), let end = rest.range(of: "]]") {
        let inside = rest[rest.index(rest.startIndex, offsetBy: 2)..<end.lowerBound]
        rest = rest[end.upperBound...]
        if let colon = inside.firstIndex(of: ":") {
          names.append(String(inside[..<colon]))
          regex += "(" + inside[inside.index(after: colon)...] + ")"
        } else {
          regex += NSRegularExpression.escapedPattern(for: captured[String(inside)] ?? "undefined")
        }
      } else if rest.hasPrefix("{{"), let end = rest.range(of: "}}") {
        regex += "(?:" + rest[rest.index(rest.startIndex, offsetBy: 2)..<end.lowerBound] + ")"
        rest = rest[end.upperBound...]
      } else {
        let next = rest.removeFirst()
        regex += next == " " ? "\\s+" : NSRegularExpression.escapedPattern(for: String(next))
      }
    }
    let expression = try NSRegularExpression(pattern: regex)
    guard let found = expression.firstMatch(in: line, range: NSRange(line.startIndex..., in: line)) else { return false }
    for (number, name) in names.enumerated() {
      if let range = Range(found.range(at: number + 1), in: line) { captured[name] = String(line[range]) }
    }
    return true
  }
}
