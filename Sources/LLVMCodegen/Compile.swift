internal import CLLVM
import KernelIR

/// A program as machine code: the same bytes for the JIT and for an artifact.
public struct CompiledProgram: Sendable {
  /// A function of the image, for profilers.
  public struct Function: Sendable, Hashable {
    public var name: String
    public var offset: Int
    public var byteCount: Int
  }

  /// Position independent, imports nothing, is never written to. Starts at a 64-byte aligned address.
  public var image: [UInt8]
  /// Where `ingot_entry` is in the image.
  public var entryOffset: Int
  /// For each constant of the program, where its bytes lie in the block that the entry point is given.
  public var constantOffsets: [Int]
  public var constantsByteCount: Int
  public var functions: [Function]
}

/// Compiles a program to machine code.
///
/// - Parameters:
///   - program: Memory is planned; kernels are verified here.
///   - workers: Threads that compile. The result does not depend on it.
///   - store: Objects of earlier compilations. The result does not depend on it.
///   - progress: Called with the number of modules compiled and their total, from any thread.
/// - Throws: `CodegenError`; anything but `.stack`, `.divergentControl` and `.unknownTarget` is a fault of this compiler.
public func compile(
  _ program: KernelProgram, for target: Target, workers: Int = 2, store: (any ObjectStore)? = nil, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
) throws(CodegenError) -> CompiledProgram {
  let units = try Units(program, for: target)
  let image = try ImageLinker.link(emitObjects(units, workers: workers, store: store, progress: progress), names: (0..<units.count).map { units.linkName($0) })
  guard let entry = image.offset(of: EntryEmitter.symbolName) else { throw CodegenError(.link("the image has no entry point")) }
  return CompiledProgram(
    image: image.bytes, entryOffset: entry, constantOffsets: units.constants.offsets, constantsByteCount: units.constants.byteCount,
    functions: image.functions.map { CompiledProgram.Function(name: $0.name, offset: $0.offset, byteCount: $0.byteCount) })
}

/// Compiles several small programs, each on one thread.
package func compile(_ programs: [KernelProgram], for target: Target, workers: Int, store: (any ObjectStore)? = nil) throws(CodegenError) -> [CompiledProgram] {
  try onWorkers(workers, jobs: programs.count) { number throws(CodegenError) in try compile(programs[number], for: target, workers: 1, store: store) }
}

private func emitObjects(_ units: Units, workers: Int, store: (any ObjectStore)?, progress: (@Sendable (Int, Int) -> Void)?) throws(CodegenError) -> [[UInt8]] {
  let counter = ProgressCounter(total: units.count, report: progress)
  return try onWorkers(workers, jobs: units.count) { number throws(CodegenError) in
    let object = try units.object(number, store: store)
    counter.advance()
    return object
  }
}

/// The ELF objects that the image is linked from, the entry's first.
package func emitObjects(_ program: KernelProgram, for target: Target, workers: Int = 1) throws(CodegenError) -> [[UInt8]] {
  let units = try Units(program, for: target)
  return try onWorkers(workers, jobs: units.count) { number throws(CodegenError) in
    try units.withModule(number) { module, machine throws(CodegenError) in try machine.emit(module) }
  }
}

/// The program as optimized LLVM IR, one module after the other.
public func emitLLVM(_ program: KernelProgram, for target: Target, workers: Int = 2) throws(CodegenError) -> String {
  let units = try Units(program, for: target)
  return try onWorkers(workers, jobs: units.count) { number throws(CodegenError) in
    try units.withModule(number) { module, _ throws(CodegenError) in module.text }
  }.joined(separator: "\n")
}

/// The program as assembly text, one module after the other.
public func emitAssembly(_ program: KernelProgram, for target: Target, workers: Int = 2) throws(CodegenError) -> String {
  let units = try Units(program, for: target)
  return try onWorkers(workers, jobs: units.count) { number throws(CodegenError) in
    try units.withModule(number) { module, machine throws(CodegenError) in String(decoding: try machine.emit(module, asAssembly: true), as: UTF8.self) }
  }.joined(separator: "\n")
}
