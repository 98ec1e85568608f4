internal import CRuntime
#if canImport(Glibc)
import Glibc
#endif

/// How much of the machine this process may use: the affinity mask, the control group and its resource limits, not what is built in.
public enum Allowance {
  /// CPUs that this process may keep busy; at least 1.
  ///
  /// A quota of 2.5 CPUs counts as 2: a fork-join loop on three threads would wait each period for the throttled one.
  public static var cpus: Int {
    let allowed = Int(ingot_affinity_count())
    let online = allowed > 0 ? allowed : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    guard let quota = ControlGroup.own.cpuQuota else { return online }
    return max(1, min(online, Int(clamping: Int64(quota))))
  }

  /// Memory that this process may use, in bytes.
  public static var memoryBytes: Int {
    let pages = sysconf(Int32(_SC_PHYS_PAGES))
    let physical = pages > 0 ? pages.multipliedReportingOverflow(by: sysconf(Int32(_SC_PAGESIZE))).partialValue : 1 << 32
    return min(physical, ControlGroup.own.memoryBytes ?? physical, addressSpaceBytes ?? physical)
  }

  /// What `ulimit -v` leaves; nil if it is unlimited.
  private static var addressSpaceBytes: Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, let bytes = Int(exactly: limit.rlim_cur) else { return nil }
    return bytes
  }
}

/// The limits of the control group that the process is in, version 2 or 1.
package struct ControlGroup {
  /// CPUs per period; nil means no limit.
  package var cpuQuota: Double?
  package var memoryBytes: Int?

  static let own = ControlGroup(membership: readSmallFile("/proc/self/cgroup") ?? "", read: readSmallFile)

  /// - Parameters:
  ///   - membership: The text of `/proc/self/cgroup`.
  ///   - read: Gives the text of a file, or nil.
  package init(membership: String, read: (String) -> String?) {
    for line in membership.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let controllers = fields[1].split(separator: ",")
      for folder in Self.ancestors(of: String(fields[2])) {
        if fields[1].isEmpty {
          limitCPUs(Self.ratio(read("/sys/fs/cgroup\(folder)/cpu.max")))
          limitMemory(Self.integer(read("/sys/fs/cgroup\(folder)/memory.max")))
        } else if controllers.contains("cpu") {
          let quota = Self.integer(read("/sys/fs/cgroup/cpu\(folder)/cpu.cfs_quota_us"))
          let period = Self.integer(read("/sys/fs/cgroup/cpu\(folder)/cpu.cfs_period_us"))
          if let quota, let period, quota > 0, period > 0 { limitCPUs(Double(quota) / Double(period)) }
        } else if controllers.contains("memory") {
          limitMemory(Self.integer(read("/sys/fs/cgroup/memory\(folder)/memory.limit_in_bytes")))
        }
      }
    }
  }

  private mutating func limitCPUs(_ quota: Double?) { if let quota { cpuQuota = min(cpuQuota ?? quota, quota) } }
  private mutating func limitMemory(_ bytes: Int?) { if let bytes, bytes > 0 { memoryBytes = min(memoryBytes ?? bytes, bytes) } }

  /// The group and all groups around it; inside a container the path often names a folder that only the host sees.
  private static func ancestors(of path: String) -> [String] {
    var parts = path.split(separator: "/").filter { $0 != ".." }
    var folders: [String] = []
    while !parts.isEmpty {
      folders.append("/" + parts.joined(separator: "/"))
      parts.removeLast()
    }
    return folders + [""]
  }

  private static func integer(_ text: String?) -> Int? { text.flatMap { Int($0.prefix { $0 != "\n" }) } }

  /// `quota period` of cpu.max; nil for `max`.
  private static func ratio(_ text: String?) -> Double? {
    let fields = (text ?? "").split { $0 == " " || $0 == "\n" }
    guard fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]), quota > 0, period > 0 else { return nil }
    return quota / period
  }

  private static func readSmallFile(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 16384)
    let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    return count >= 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
  }
}
