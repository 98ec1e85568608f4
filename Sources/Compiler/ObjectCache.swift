import Artifact
import Foundation
import LLVMCodegen
import Synchronization

/// Objects of earlier compilations in a folder, shared by all processes of a user.
///
/// An entry is named after the digest of what its object depends on, and holds that content whole, so that a collision or a damaged file is
/// noticed and costs a compilation, never a wrong answer. Entries appear whole, by a rename. Nothing that goes wrong here stops a compilation.
final class ObjectCache: ObjectStore {
  struct Statistics: Sendable, Hashable {
    var hits = 0
    var misses = 0
  }
  private let folder: String
  private let mostBytes: Int
  private let counts = Mutex(Statistics())

  static let usualBytes = 256 << 20
  private static let heading = Array("ingot object 1\n".utf8)

  var statistics: Statistics { counts.withLock { $0 } }

  /// - Returns: Nil if the folder cannot be made, or if others may write to it: they could plant code there.
  init?(folder: String, mostBytes: Int = ObjectCache.usualBytes) {
    (self.folder, self.mostBytes) = (folder, mostBytes)
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    var status = stat()
    guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else { return nil }
  }

  /// `INGOT_CACHE`, or `ingot` in `XDG_CACHE_HOME` or `~/.cache`; nil if `INGOT_CACHE` is `off`, or nobody is at home.
  static func usualFolder(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> String? {
    if let named = environment["INGOT_CACHE"], !named.isEmpty { return named == "off" ? nil : named + "/objects" }
    if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") { return cache + "/ingot/objects" }
    return environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 + "/.cache/ingot/objects" : nil }
  }

  func object(for content: [UInt8]) -> [UInt8]? {
    let path = path(of: content)
    let object = FileManager.default.contents(atPath: path).flatMap { Self.object(in: Array($0), for: content) }
    counts.withLock { if object == nil { $0.misses += 1 } else { $0.hits += 1 } }
    // What was read last is thrown away last.
    if object != nil { utimes(path, nil) }
    return object
  }

  func keep(_ object: [UInt8], for content: [UInt8]) {
    let path = path(of: content)
    let temporary = "\(folder)/.\(getpid()).\(UInt64.random(in: 0 ... .max))"
    guard FileManager.default.createFile(atPath: temporary, contents: Data(Self.entry(object, for: content)), attributes: [.posixPermissions: 0o600]) else { return }
    if rename(temporary, path) != 0 { unlink(temporary) }
  }

  /// Removes the entries that were not used for longest, and what dead processes left, if the folder holds more than it may.
  func prune() {
    guard counts.withLock({ $0.misses }) > 0, let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else { return }
    var entries: [(path: String, bytes: Int, used: Int)] = []
    for name in names {
      var status = stat()
      let path = folder + "/" + name
      guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
      if name.hasPrefix("."), status.st_mtim.tv_sec + 3600 < time(nil) { unlink(path) } else { entries.append((path, status.st_size, status.st_mtim.tv_sec)) }
    }
    var total = entries.reduce(0) { $0 + $1.bytes }
    guard total > mostBytes else { return }
    for entry in entries.sorted(by: { ($0.used, $0.path) < ($1.used, $1.path) }) where total > mostBytes / 4 * 3 {
      unlink(entry.path)
      total -= entry.bytes
    }
  }

  private func path(of content: [UInt8]) -> String { "\(folder)/\(Digest(of: content))" }

  // MARK: Entries

  /// Heading, length of the content, content, object, digest of all before.
  private static func entry(_ object: [UInt8], for content: [UInt8]) -> [UInt8] {
    var bytes = heading
    bytes.reserveCapacity(content.count + object.count + 64)
    withUnsafeBytes(of: UInt64(content.count).littleEndian) { bytes.append(contentsOf: $0) }
    bytes += content
    bytes += object
    return bytes + Array(Digest(of: bytes).description.utf8)
  }

  private static func object(in bytes: [UInt8], for content: [UInt8]) -> [UInt8]? {
    let start = heading.count + 8, digits = 32
    guard bytes.count >= start + content.count + digits, bytes.starts(with: heading) else { return nil }
    let count = bytes[heading.count..<start].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard count == UInt64(content.count), bytes[start..<start + content.count].elementsEqual(content) else { return nil }
    let end = bytes.count - digits
    let digest = bytes.withUnsafeBytes { Digest(of: UnsafeRawBufferPointer(rebasing: $0[..<end])) }
    guard bytes[end...].elementsEqual(digest.description.utf8) else { return nil }
    return Array(bytes[(start + content.count)..<end])
  }
}
