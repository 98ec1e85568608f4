#if canImport(Glibc)
import Glibc
#endif

/// Owns one file descriptor.
struct OpenFile: ~Copyable {
  let descriptor: Int32
  let path: String

  deinit { close(descriptor) }

  /// Opens a file for reading.
  init(reading path: String) throws(ArtifactError) {
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw ArtifactError(path, .system(action: "open it", errno: errno)) }
    descriptor = opened
    self.path = path
  }

  /// Creates a file for writing that did not exist, reachable under no link.
  init(creating path: String) throws(ArtifactError) {
    let opened = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o700)
    guard opened >= 0 else { throw ArtifactError(path, .system(action: "create it", errno: errno)) }
    descriptor = opened
    self.path = path
  }

  func failure(_ action: String) -> ArtifactError { ArtifactError(path, .system(action: action, errno: errno)) }

  /// The size of a regular file.
  func byteCount() throws(ArtifactError) -> Int {
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw failure("read its size") }
    guard information.st_mode & S_IFMT == S_IFREG else { throw ArtifactError(path, .holdsNoModel) }
    return Int(information.st_size)
  }

  /// Reads up to `buffer.count` bytes from a position; fewer only at the end of the file.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(ArtifactError) -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure("read it") }
      if count == 0 { break }
      done += count
    }
    return done
  }

  func read(byteCount: Int, at offset: Int) throws(ArtifactError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    let count = try bytes.withUnsafeMutableBufferPointer { buffer throws(ArtifactError) in
      try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
    }
    return count == byteCount ? bytes : Array(bytes.prefix(count))
  }
}
