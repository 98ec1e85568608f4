import GraphIR
import KernelIR

/// Two initialisers with the same contents, or one that is packed alike for two layers.
///
/// Numerics: none.
public let shareConstants = Pass<KernelProgram>(
  "share-constants", "Stores constants with the same bytes once."
) { program, _ throws(CompileError) in
  program.shareConstants()
}

/// Lays out the arena.
///
/// Numerics: none.
public let planMemory = Pass<KernelProgram>(
  "plan-memory", "Gives buffers that are never alive together the same bytes of one arena."
) { program, _ throws(CompileError) in
  guard let planned = program.planningMemory() else {
    throw CompileError(.unsupported, "a run would need more than 2^56 bytes for what lies between its kernels", stage: .lower)
  }
  program = planned
  return true
}

extension KernelProgram: PassSubject {
  public var size: Int { calls.count }
  public var constantBytes: Int { constants.reduce(0) { $0 + $1.tensor.byteCount } }
  public var printed: String { text }

  /// Checks every kernel and every step.
  public func verify(stage: CompileError.Stage) throws(CompileError) {
    do throws(KernelError) { try check() } catch { throw CompileError(.badInput, "\(error)", stage: stage) }
  }
}
