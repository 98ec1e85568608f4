import Glibc

/// What the system says about this process.
struct ProcessUsage {
  var residentBytes: Int
  var cpuSeconds: Double
  var openFiles: Int

  /// nil if `/proc` is not readable.
  static var current: ProcessUsage? {
    guard let resident = residentBytes else { return nil }
    var usage = rusage()
    guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return nil }
    let seconds = { (time: timeval) in Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return ProcessUsage(
      residentBytes: resident, cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime), openFiles: countOpenFiles())
  }

  /// The second number of `/proc/self/statm` counts pages.
  private static var residentBytes: Int? {
    let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let text = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { buffer in
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
    let numbers = text.split(separator: " ")
    guard numbers.count > 1, let pages = Int(numbers[1]) else { return nil }
    return pages &* sysconf(Int32(_SC_PAGESIZE))
  }

  private static func countOpenFiles() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count = -3  // ".", ".." and the directory itself
    while readdir(directory) != nil { count += 1 }
    return max(0, count)
  }
}

/// Seconds since the Unix epoch.
package struct WallTime: Sendable {
  package let seconds: Double

  package static var now: WallTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(seconds: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9)
  }
}
