import GraphIR
import Glibc
import TensorTypes

/// A mapped model file and the folder that its external data lives in.
final class ModelFile {
  /// The file's name without its folder, for messages.
  let name: String
  let storage: TensorStorage
  private let folder: String
  private var external: [String: TensorStorage] = [:]

  init(path: String) throws(CompileError) {
    let parts = path.split(separator: "/", omittingEmptySubsequences: true)
    name = parts.last.map(String.init) ?? path
    folder = parts.count > 1 || path.hasPrefix("/") ? (path.hasPrefix("/") ? "/" : "") + parts.dropLast().joined(separator: "/") : "."
    storage = try Self.map(path: path, name: name)
  }

  private static func map(path: String, name: String) throws(CompileError) -> TensorStorage {
    let origin = NodeOrigin(file: name)
    guard !path.utf8.contains(0) else { throw CompileError(.badInput, "the path of the model holds a NUL byte", stage: .load) }
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw CompileError(.badInput, "cannot open `\(path)`: \(String(cString: strerror(errno)))", stage: .load, origin: origin)
    }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
      let kind = information.st_mode & S_IFMT == S_IFDIR ? "a folder" : "a device or a pipe"
      throw CompileError(.badInput, "`\(path)` is \(kind), not a model file", stage: .load, origin: origin)
    }
    guard information.st_size > 0 else { throw CompileError(.badInput, "`\(path)` is empty", stage: .load, origin: origin) }
    guard let storage = TensorStorage.mapping(descriptor: descriptor) else {
      throw CompileError(.badInput, "cannot map `\(path)`: \(String(cString: strerror(errno)))", stage: .load, origin: origin)
    }
    return storage
  }

  /// A file that a tensor keeps its data in; mapped once, however many tensors it holds.
  func externalData(_ location: String, origin: NodeOrigin) throws(CompileError) -> TensorStorage {
    if let known = external[location] { return known }
    let storage = try ExternalData.map(location, below: folder, origin: origin)
    external[location] = storage
    return storage
  }
}

/// The one place where a path from inside a model file meets the file system.
enum ExternalData {
  /// Maps a file strictly below a folder.
  ///
  /// A model is data from elsewhere: it must not make us read a file that its author chose. So the location is
  /// relative, has no `..` and no NUL, and every component is opened by itself without following symbolic links.
  static func map(_ location: String, below folder: String, origin: NodeOrigin) throws(CompileError) -> TensorStorage {
    func refuse(_ reason: String) -> CompileError {
      CompileError(
        .badInput, "external data `\(printable(location))` \(reason)", stage: .load, origin: origin,
        hint: "external data must be a regular file below the model's own folder")
    }
    guard !location.isEmpty else { throw refuse("has no location") }
    guard !location.utf8.contains(0), location.utf8.count <= 4096 else { throw refuse("has an impossible location") }
    guard !location.hasPrefix("/"), !location.utf8.contains(UInt8(ascii: "\\")) else { throw refuse("is not a relative path") }
    let components = location.split(separator: "/", omittingEmptySubsequences: true).filter { $0 != "." }
    guard !components.isEmpty, !components.contains("..") else { throw refuse("leaves the model's folder") }

    var current = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard current >= 0 else { throw refuse("cannot be read: \(String(cString: strerror(errno)))") }
    defer { close(current) }
    for (position, component) in components.enumerated() {
      let isLast = position == components.count - 1
      let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (isLast ? O_NONBLOCK : O_DIRECTORY)
      let next = openat(current, String(component), flags)
      guard next >= 0 else {
        let reason = errno
        throw refuse(reason == ELOOP || (reason == ENOTDIR && !isLast) ? "is reached through a symbolic link or a file" : "cannot be opened: \(String(cString: strerror(reason)))")
      }
      close(current)
      current = next
    }
    var information = stat()
    guard fstat(current, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { throw refuse("is not a regular file") }
    guard let storage = TensorStorage.mapping(descriptor: current) else { throw refuse("cannot be mapped: \(String(cString: strerror(errno)))") }
    return storage
  }
}

/// Text from a file without control characters and of bounded length, for messages.
func printable(_ text: String) -> String {
  let shown = String(text.unicodeScalars.prefix(200).map { $0.value < 32 || $0.value == 127 ? "?" : Character($0) })
  return text.unicodeScalars.count > 200 ? shown + "..." : shown
}
