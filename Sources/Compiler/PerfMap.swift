import Foundation
import LLVMCodegen
import Runtime

/// Names for `perf`: code that was not loaded from a file is anonymous to it unless `/tmp/perf-PID.map` says which function lies where.
enum PerfMap {
  /// Adds the functions of an image at `base`. Several images of a process share the file; what cannot be written is left out.
  static func add(_ functions: [CompiledProgram.Function], at base: UInt) {
    let lines = functions.map { function in
      "\(String(base + UInt(function.offset), radix: 16)) \(String(function.byteCount, radix: 16)) ingot:\(function.name)\n"
    }
    let descriptor = open("/tmp/perf-\(getpid()).map", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let bytes = Array(lines.joined().utf8)
    _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
  }
}
