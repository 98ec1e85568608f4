import Glibc

/// The bytes that libFuzzer tries as a file, for readers that map what they read.
enum InputFile {
  private static let descriptor: Int32 = {
    var name = Array("/dev/shm/ingot-fuzz-XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    precondition(descriptor >= 0, "no file in /dev/shm")
    // It has no name of its own, so nothing is left of it.
    unlink(name)
    return descriptor
  }()

  /// A path behind which the bytes lie until the next call.
  static func path(_ bytes: UnsafeRawBufferPointer) -> String {
    // What an earlier input mapped may still be there: it must not change below it, so the file is cut to nothing first.
    ftruncate(descriptor, 0)
    var done = 0
    while done < bytes.count, let base = bytes.baseAddress {
      let count = pwrite(descriptor, base + done, bytes.count - done, off_t(done))
      precondition(count > 0, "cannot write the memory file")
      done += count
    }
    return "/proc/self/fd/\(descriptor)"
  }
}
