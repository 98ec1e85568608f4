import Compiler
import Foundation
import GraphIR

/// A model as a shared library with a C header: for programs that want to call it and have no use for a server.
///
/// The library is a thin layer of C over the code, made with the system's C compiler. It runs on the calling thread.
struct SharedLibrary {
  private let model: CompiledModel
  private let source: EmbeddingSource

  init(_ model: CompiledModel) {
    self.model = model
    source = EmbeddingSource(model.manifest)
  }

  /// Writes `path` and the header beside it (`libmodel.so` and `libmodel.h`).
  func write(to path: String) throws(CompileError) {
    // Code and weights of one library are addressed with 32 bits.
    guard model.constantsByteCount < 1_900_000_000 else {
      throw CompileError(.unsupported, "a shared library cannot hold \(Quantity.bytes(model.constantsByteCount)) of weights", stage: .write, hint: "use --emit exe")
    }
    guard let compiler = Self.findCompiler() else {
      throw CompileError(
        .badInput, "no C compiler was found to make a shared library with (looked for $CC, cc, gcc, clang)", stage: .write,
        hint: "install one (apt-get install gcc), or link the output of --emit object yourself")
    }
    let header = (path as NSString).deletingPathExtension + ".h"
    let work = FileManager.default.temporaryDirectory.appendingPathComponent("ingot-so-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: work) }
    do { try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: false) } catch {
      throw CompileError(.badInput, "cannot create `\(work)`: \(error.localizedDescription)", stage: .write)
    }
    let headerName = PathParts(header).name
    try RelocatableObject(model, prefix: source.prefix).write(to: work + "/model.o")
    try OutputFile.write(source.header, to: work + "/" + headerName)
    try OutputFile.write(source.implementation(header: headerName), to: work + "/embedding.c")
    try OutputFile.replace(path) { temporary in
      try Self.run(
        compiler,
        [
          "-shared", "-fPIC", "-O2", "-fvisibility=hidden", "-Wl,-z,noexecstack", "-Wl,-Bsymbolic", "-Wl,--exclude-libs,ALL",
          "-Wl,--version-script=" + work + "/exports", "-o", temporary, work + "/embedding.c", work + "/model.o",
        ], work: work, exports: "{ global: \(source.prefix)_run; \(source.prefix)_*_bytes; \(source.prefix)_output_*; \(source.prefix)_error; \(source.prefix)_manifest; local: *; };\n")
    }
    try OutputFile.write(source.header, to: header)
  }

  private static func findCompiler() -> String? {
    let environment = ProcessInfo.processInfo.environment
    let folders = (environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":").map(String.init)
    for name in [environment["CC"] ?? "", "cc", "gcc", "clang"] where !name.isEmpty {
      if name.contains("/"), FileManager.default.isExecutableFile(atPath: name) { return name }
      for folder in folders where FileManager.default.isExecutableFile(atPath: folder + "/" + name) { return folder + "/" + name }
    }
    return nil
  }

  private static func run(_ compiler: String, _ arguments: [String], work: String, exports: String) throws {
    try OutputFile.write(exports, to: work + "/exports")
    _ = FileManager.default.createFile(atPath: work + "/messages", contents: nil)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: compiler)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle(forWritingAtPath: work + "/messages") ?? FileHandle.nullDevice
    do { try process.run() } catch { throw CompileError(.badInput, "cannot run `\(compiler)`: \(error.localizedDescription)", stage: .write) }
    process.waitUntilExit()
    guard process.terminationStatus == 0, process.terminationReason == .exit else {
      let messages = String(decoding: FileManager.default.contents(atPath: work + "/messages") ?? Data(), as: UTF8.self)
      throw CompileError(.badInput, "`\(compiler)` could not make the library:\n\(messages.prefix(2000))", stage: .write)
    }
  }
}
