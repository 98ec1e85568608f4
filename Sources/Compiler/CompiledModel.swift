import Artifact
import Foundation
public import GraphIR
public import KernelIR
public import LLVMCodegen
public import Passes
public import Runtime
import TensorTypes

/// A compiled model: everything between the file and the code, and ways to run or ship it.
public struct CompiledModel: Sendable {
  /// As loaded.
  public let source: Graph
  /// The model with its numbers changed, in the portable form; nil where nobody asked for that.
  public let revision: Revision?
  /// After the last graph pass: fusions.
  public let graph: Graph
  public let program: KernelProgram
  public let code: CompiledProgram
  public let target: Target
  public let manifest: Manifest
  public let records: [PassRecord]
  /// What passes and templates might have done and did not.
  public let refusals: [Refusal]
  /// What `--tune` did; nil without it.
  public let tuning: TuningReport?
  /// Bytes of constants that only variants read: those whose packing differs from that of the code for all lengths.
  public let variantConstantBytes: Int
  public let stageSeconds: [(name: String, seconds: Double)]
  /// Modules whose object code came from the cache, and those that were compiled although there is one.
  public let cachedObjects: Int
  public let compiledObjects: Int

  /// Bytes of constants, as stored.
  public var constantsByteCount: Int { code.constantsByteCount }

  /// The constants and where the code expects them.
  package var chunks: [ConstantChunk] {
    zip(code.constantOffsets, program.constants).map { ConstantChunk(byteOffset: $0, tensor: $1.tensor) }
  }

  /// Loads the code into this process. With `INGOT_PERF_MAP=1` in the environment `perf` is told the names of the kernels.
  public func makeModel() throws(CompileError) -> Runtime.Model {
    do throws(RunError) {
      let constants = try ConstantImage(copying: chunks, byteCount: code.constantsByteCount)
      let image = try CodeImage(copying: code.image, entryOffset: code.entryOffset)
      if ProcessInfo.processInfo.environment["INGOT_PERF_MAP"] == "1" { PerfMap.add(code.functions, at: UInt(bitPattern: image.address(at: 0))) }
      return Runtime.Model(code: image, constants: constants, manifest: manifest)
    } catch { throw CompileError(.badInput, "\(error)", stage: .run) }
  }

  /// Writes the executable that serves the model.
  ///
  /// - Parameter runtime: The `ingot-runtime` to start from; nil means `INGOT_RUNTIME`, or the one beside this executable.
  public func writeArtifact(to path: String, runtime: String? = nil) throws(CompileError) {
    let runtimePath = if let runtime { runtime } else { try Self.findRuntime() }
    do throws(ArtifactError) {
      try ArtifactWriter(runtimePath: runtimePath).write(
        code: code.image, constants: chunks, constantsByteCount: code.constantsByteCount, manifest: manifest, to: path)
    } catch { throw CompileError(.badInput, "\(error)", stage: .write) }
  }

  static func findRuntime() throws(CompileError) -> String {
    let name = "ingot-runtime"
    if let named = ProcessInfo.processInfo.environment["INGOT_RUNTIME"] { return named }
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    let beside = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
    guard FileManager.default.isReadableFile(atPath: beside) else {
      throw CompileError(.usage, "`\(name)` is not beside `\(own)`", stage: .write, hint: "build it with `swift build -c release`, or set INGOT_RUNTIME to its path")
    }
    return beside
  }
}
