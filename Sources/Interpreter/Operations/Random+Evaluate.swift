import GraphIR
import TensorTypes

extension RandomBits: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let result = results[0]
    let step = operands.first?.integers.first ?? 0
    return [
      Tensor(.u64, result.dimensions) { bytes in
        for position in 0..<result.count {
          let block = block(at: UInt64(position), step: UInt32(truncatingIfNeeded: step))
          bytes.storeBytes(of: UInt64(block.0) | UInt64(block.1) << 32, toByteOffset: position * 8, as: UInt64.self)
        }
      }
    ]
  }

  /// The four words of one block.
  func block(at position: UInt64, step: UInt32) -> (UInt32, UInt32, UInt32, UInt32) {
    var counter = (UInt32(truncatingIfNeeded: position), UInt32(position >> 32), UInt32(truncatingIfNeeded: stream), step)
    let seed = UInt64(bitPattern: Int64(seed))
    var key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    for _ in 0..<Self.rounds {
      let first = Self.multipliers.0.multipliedFullWidth(by: counter.0)
      let second = Self.multipliers.1.multipliedFullWidth(by: counter.2)
      counter = (second.high ^ counter.1 ^ key.0, second.low, first.high ^ counter.3 ^ key.1, first.low)
      key = (key.0 &+ Self.keyIncrements.0, key.1 &+ Self.keyIncrements.1)
    }
    return counter
  }
}
