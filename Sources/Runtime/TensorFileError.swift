#if canImport(Glibc)
import Glibc
#endif

/// Why a file of tensor data cannot be read or written.
public struct TensorFileError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Problem: Sendable, Hashable {
    case system(action: String, errno: Int32)
    /// The bytes are not what the format says.
    case malformed(String)
    /// Well-formed, but something that has no tensor here: strings, sparse tensors, external data.
    case unsupported(String)
    /// The data is not what the model takes.
    case mismatch(String)
  }

  /// The file, or what else the data came from.
  public var source: String
  public var problem: Problem

  public init(_ source: String, _ problem: Problem) {
    self.source = source
    self.problem = problem
  }

  public var description: String {
    switch problem {
    case .system(let action, let number): "\(source): cannot \(action): \(String(cString: strerror(number)))"
    case .malformed(let fact), .mismatch(let fact): "\(source): \(fact)"
    case .unsupported(let fact): "\(source): \(fact), which is not supported"
    }
  }
}

/// Whole files and folders, without Foundation.
package enum FileSystem {
  /// The size of a file; 0 for pipes and devices.
  package static func byteCount(_ path: String) throws(TensorFileError) -> Int {
    var information = stat()
    guard stat(path, &information) == 0 else { throw TensorFileError(path, .system(action: "open it", errno: errno)) }
    return Int(information.st_size)
  }

  /// The bytes of a file of at most `maximumBytes`.
  package static func read(_ path: String, maximumBytes: Int = 4 << 30) throws(TensorFileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TensorFileError(path, .system(action: "open it", errno: errno)) }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw TensorFileError(path, .system(action: "read its size", errno: errno)) }
    let size = Int(information.st_size)
    guard size <= maximumBytes else { throw TensorFileError(path, .malformed("\(size) bytes, above the limit of \(maximumBytes)")) }
    // Pipes and devices have no size: those are read in pieces.
    var bytes: [UInt8] = []
    bytes.reserveCapacity(size)
    var piece = [UInt8](repeating: 0, count: min(max(size, 1 << 16), 1 << 24))
    while true {
      let count = piece.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw TensorFileError(path, .system(action: "read it", errno: errno)) }
      if count == 0 { return bytes }
      guard bytes.count + count <= maximumBytes else { throw TensorFileError(path, .malformed("more than \(maximumBytes) bytes")) }
      bytes.append(contentsOf: piece.prefix(count))
    }
  }

  /// Creates or replaces a file.
  package static func write(_ bytes: [UInt8], to path: String) throws(TensorFileError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw TensorFileError(path, .system(action: "create it", errno: errno)) }
    defer { close(descriptor) }
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done) }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw TensorFileError(path, .system(action: "write it", errno: errno)) }
      done += count
    }
  }

  /// The names in a folder, unsorted, without `.` and `..`.
  package static func names(in folder: String) throws(TensorFileError) -> [String] {
    guard let stream = opendir(folder) else { throw TensorFileError(folder, .system(action: "open the folder", errno: errno)) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  package static func isFolder(_ path: String) -> Bool {
    var information = stat()
    return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
  }

  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
