import Foundation
import Synchronization

/// Lines for the person in front of the machine; results go to standard output by `print`.
enum Terminal {
  static func note(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }

  /// Whether standard error is a terminal: only there progress is drawn.
  static let isInteractive = isatty(STDERR_FILENO) == 1
}

/// One line at the bottom of a terminal that says how far long work has come. Nothing is drawn in a pipe.
final class ProgressLine: Sendable {
  private struct State {
    var lastDrawn = ContinuousClock.now - .seconds(1)
    var stage = ""
  }
  private let state = Mutex(State())

  /// Shows a stage; may be called from any thread, often.
  func show(_ stage: String, _ done: Int?, of count: Int?) {
    guard Terminal.isInteractive else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      guard stage != state.stage || now - state.lastDrawn > .milliseconds(50) else { return }
      state.stage = stage
      state.lastDrawn = now
      var line = stage
      if let done, let count { line += " \(done) of \(count)" }
      FileHandle.standardError.write(Data("\r\u{1b}[K\(line)".utf8))
    }
  }

  static func clear() {
    if Terminal.isInteractive { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
  }
}

/// Numbers as people read them.
enum Quantity {
  /// Such as `13.9 ms`.
  static func time(_ seconds: Double) -> String {
    let (value, unit) = seconds >= 1 ? (seconds, "s") : seconds >= 1e-3 ? (seconds * 1e3, "ms") : seconds >= 1e-6 ? (seconds * 1e6, "µs") : (seconds * 1e9, "ns")
    return "\(significant(value)) \(unit)"
  }

  /// Such as `44.7 MB` (decimal).
  static func bytes(_ count: Int) -> String { scaled(Double(count), ["B", "kB", "MB", "GB", "TB"]) }

  /// Such as `4.1 G`.
  static func count(_ value: Int) -> String { scaled(Double(value), ["", "k", "M", "G", "T", "P"]) }

  static func percent(_ ratio: Double) -> String { String(format: "%.1f%%", ratio * 100) }

  /// Three significant digits.
  static func significant(_ value: Double) -> String {
    let size = abs(value)
    return String(format: size >= 100 || size == size.rounded() && size < 1000 ? "%.0f" : size >= 10 ? "%.1f" : "%.2f", value)
  }

  private static func scaled(_ value: Double, _ units: [String]) -> String {
    var (value, position) = (value, 0)
    while value >= 1000, position + 1 < units.count {
      value /= 1000
      position += 1
    }
    return "\(significant(value)) \(units[position])".trimmingCharacters(in: .whitespaces)
  }
}

/// Columns of text, aligned: the first ones to the right, the last one to the left.
struct TextTable {
  var rows: [[String]] = []
  /// Columns from this one on are aligned to the left.
  var leftAlignedFrom: Int

  var text: String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let blanks = String(repeating: " ", count: widths[column] - cell.count)
        return column >= leftAlignedFrom ? cell + blanks : blanks + cell
      }
      return "  " + cells.joined(separator: "  ").trimmingTrailingBlanks
    }.joined(separator: "\n")
  }
}

extension String {
  fileprivate var trimmingTrailingBlanks: String {
    var text = self[...]
    while text.last == " " { text = text.dropLast() }
    return String(text)
  }
}
