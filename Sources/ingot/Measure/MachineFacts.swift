import Foundation
import LLVMCodegen
import Runtime

/// The machine that figures were measured on, and what it reached at most in the same run.
struct MachineFacts {
  /// As the system calls the processor.
  var processor: String
  /// As LLVM calls it.
  var cpu: String
  /// Those that this process may use.
  var processors: Int
  var memoryBytes: Int
  /// Threads that the limits below were measured with.
  var threads: Int
  var peak: MachinePeak
  var date: String

  static func measure(threads: Int) throws -> MachineFacts {
    let target = try Target.host()
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    let name = line?.split(separator: ":", maxSplits: 1).last.map { $0.trimmingCharacters(in: .whitespaces) }
    let format = ISO8601DateFormatter()
    return MachineFacts(
      processor: name ?? "unknown", cpu: target.cpu, processors: Allowance.cpus, memoryBytes: Allowance.memoryBytes, threads: threads,
      peak: try MachinePeak.measure(target: target, threads: threads), date: format.string(from: Date()))
  }
}
