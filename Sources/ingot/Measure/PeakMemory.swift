import Foundation

/// The most memory that a process ever had in use.
enum PeakMemory {
  /// - Parameter process: Its number, or `self`.
  /// - Returns: 0 if it has ended. `getrusage` would say more than is true: it counts the memory of the process that started it.
  static func bytes(ofProcess process: String) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8), let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }) else { return 0 }
    return (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
  }
}
