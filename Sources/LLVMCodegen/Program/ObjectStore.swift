internal import CLLVM

/// Keeps objects from one compilation to the next.
///
/// `content` says everything that an object depends on: the module before it is optimized, the target, LLVM's version, how it is optimized. Equal
/// contents give equal objects, so an answer may replace a compilation, and the image comes out the same either way.
public protocol ObjectStore: Sendable {
  func object(for content: [UInt8]) -> [UInt8]?
  func keep(_ object: [UInt8], for content: [UInt8])
}

extension LLVMModule {
  /// What the module's object depends on.
  func content() -> [UInt8] {
    var (major, minor, patch): (UInt32, UInt32, UInt32) = (0, 0, 0)
    LLVMGetVersion(&major, &minor, &patch)
    let header = "llvm \(major).\(minor).\(patch)\n\(TargetMachine.settings)\n\(target.level) \(target.featureString)\n\(Self.pipeline)\n"
    guard let buffer = LLVMWriteBitcodeToMemoryBuffer(reference.module) else { return [] }
    defer { LLVMDisposeMemoryBuffer(buffer) }
    let start = UnsafeRawPointer(LLVMGetBufferStart(buffer))
    return Array(header.utf8) + UnsafeRawBufferPointer(start: start, count: LLVMGetBufferSize(buffer))
  }
}
