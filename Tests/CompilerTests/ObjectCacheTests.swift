import Compiler
import Foundation
import TestSupport
import Testing

/// Object code by content: what a compilation takes from an earlier one is what it would have made itself.
@Suite("object cache") struct ObjectCacheTests {
  private let model = ModelCase.named("residual-block").path

  private func compile(_ folder: String?) throws -> CompiledModel {
    var options = CompileOptions()
    options.threads = 1
    options.cacheFolder = folder
    return try Compiler(options: options).compile(model)
  }

  /// A folder in a folder: entries of a temporary folder are files.
  private func withCache(_ body: (String, TemporaryFolder) throws -> Void) throws {
    let folder = TemporaryFolder()
    chmod(folder.path, 0o700)
    try body(folder.path, folder)
  }

  @Test func aSecondCompilationTakesTheSameCode() throws {
    try withCache { path, folder in
      let plain = try compile(nil), first = try compile(path)
      #expect(first.cachedObjects == 0 && first.compiledObjects > 0)
      #expect(folder.names.count == first.compiledObjects)
      let second = try compile(path)
      #expect(second.cachedObjects == first.compiledObjects && second.compiledObjects == 0)
      #expect(first.code.image == plain.code.image)
      #expect(second.code.image == plain.code.image)
      #expect(second.code.functions == plain.code.functions)
    }
  }

  @Test func damagedEntriesAreMadeAgain() throws {
    try withCache { path, folder in
      let first = try compile(path)
      for (number, name) in folder.names.enumerated() {
        var bytes = folder.read(name)
        switch number % 3 {
        case 0: bytes.removeLast(5)
        case 1: bytes[bytes.count - 100] ^= 0x40
        default: bytes = []
        }
        folder.write(bytes, to: name)
      }
      let second = try compile(path)
      #expect(second.cachedObjects == 0)
      #expect(second.code.image == first.code.image)
      #expect(try compile(path).compiledObjects == 0, "the entries are whole again")
    }
  }

  @Test func aFolderThatOthersWriteToIsLeftAlone() throws {
    let folder = TemporaryFolder()
    chmod(folder.path, 0o777)
    #expect(try compile(folder.path).cachedObjects == 0)
    #expect(folder.names.isEmpty)
    let file = folder.write([1], to: "file")
    _ = try compile(file)
    _ = try compile("/proc/none/here")
  }

  @Test func severalAtOnce() throws {
    try withCache { path, folder in
      let results = try concurrently(4) { try compile(path).code.image }
      #expect(Set(results).count == 1)
      #expect(folder.names.allSatisfy { !$0.hasPrefix(".") })
    }
  }

  private func concurrently(_ count: Int, _ body: @escaping @Sendable () throws -> [UInt8]) throws -> [[UInt8]] {
    let results = ResultBox()
    DispatchQueue.concurrentPerform(iterations: count) { _ in results.add(Result { try body() }) }
    return try results.all.map { try $0.get() }
  }

  /// `@unchecked Sendable`: `results` is only touched with the lock held.
  private final class ResultBox: @unchecked Sendable {
    private let lock = NSLock()
    private var results: [Result<[UInt8], any Error>] = []
    func add(_ result: Result<[UInt8], any Error>) { lock.withLock { results.append(result) } }
    var all: [Result<[UInt8], any Error>] { lock.withLock { results } }
  }
}
