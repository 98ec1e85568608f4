import Glibc

/// Lines to the terminal, written at once: a pipe's reader waits for them.
enum Console {
  static func print(_ line: String) { write(line, to: STDOUT_FILENO) }
  static func error(_ line: String) { write("error: " + line, to: STDERR_FILENO) }
  static func note(_ line: String) { write(line, to: STDERR_FILENO) }

  private static func write(_ line: String, to descriptor: Int32) {
    var text = line + "\n"
    text.withUTF8 { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = Glibc.write(descriptor, UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: rest)).baseAddress, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
      }
    }
  }
}
