/// What lowering needs to know of the machine.
public struct LoweringTarget: Sendable, Hashable {
  /// Lanes of an f32 vector: 16 with AVX-512, 8 with AVX, 4 otherwise.
  public var lanes: Int
  /// Vector registers: 32 with AVX-512, else 16.
  public var registers: Int
  /// Threads the program should be able to use; 1 means no parallel loops at all.
  public var threads: Int
  public init(lanes: Int, registers: Int, threads: Int) { (self.lanes, self.registers, self.threads) = (lanes, registers, threads) }

  /// Fewer element operations than this are not worth a hand-off to other threads (about 2 µs).
  var parallelThreshold: Int { 16_384 }
}
