import GraphIR
import KernelIR
import TensorTypes

extension ElementEmitter {
  /// Philox 4x32-10 for the element at a row-major position, in 64-bit words whose upper half is zero: a product of two
  /// such words is one instruction on every vector unit, and its halves are a shift and a mask.
  mutating func randomBits(_ operation: RandomBits, step: Expression?, at position: Expression, of count: Extent) -> Expression {
    func word(_ value: UInt32) -> Expression { .number(Double(value), .u64) }
    func low(_ x: Expression) -> Expression { .binary(.and, x, word(.max)) }
    func high(_ x: Expression) -> Expression { .binary(.shiftRight, x, word(32)) }
    let wide = Expression.convert(position, .u64)
    let isShort = count.constant.map { $0 <= Int(UInt32.max) } ?? false
    var counter = [
      isShort ? wide : low(wide), isShort ? word(0) : high(wide), word(UInt32(truncatingIfNeeded: operation.stream)),
      step.map { low(.convert($0, .u64)) } ?? word(0),
    ]
    let seed = UInt64(bitPattern: Int64(operation.seed))
    var key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    for round in 0..<RandomBits.rounds {
      let first = bound(.binary(.multiply, counter[0], word(RandomBits.multipliers.0)))
      let second = bound(.binary(.multiply, counter[2], word(RandomBits.multipliers.1)))
      let left = Expression.binary(.xor, .binary(.xor, high(second), counter[1]), word(key.0))
      let right = Expression.binary(.xor, .binary(.xor, high(first), counter[3]), word(key.1))
      // The words of the last two rounds that nobody reads are not computed.
      counter = [round == RandomBits.rounds - 1 ? left : bound(left), low(second), round < RandomBits.rounds - 1 ? bound(right) : right, low(first)]
      key = (key.0 &+ RandomBits.keyIncrements.0, key.1 &+ RandomBits.keyIncrements.1)
    }
    return .binary(.or, counter[0], .binary(.shiftLeft, counter[1], word(32)))
  }
}
