/// The most memory that this process ever had in use, mapped files included.
///
/// Not what `getrusage` says, which counts the memory of the process that started it.
public enum PeakMemory {
  /// - Returns: nil if the system does not say.
  public static var bytes: Int? {
    guard let status = try? FileSystem.read("/proc/self/status", maximumBytes: 1 << 20) else { return nil }
    guard let line = String(decoding: status, as: UTF8.self).split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }) else { return nil }
    return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 &* 1024 }
  }
}
