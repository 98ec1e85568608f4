import KernelIR
import LLVMCodegen
import Testing
import TensorTypes

@Suite("bits set by lanes") struct LaneMaskTests {
  /// The bits of numbers above 0, from bit `first` on, in a word that has its highest bit.
  private func kernel(count: Int, isStatic: Bool, first: Int) -> Kernel {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .f32, .read)
    let y = builder.buffer("y", .u64, .write)
    let words = builder.local("words", .u64, count: 2)
    let highest = Expression.binary(.shiftLeft, .number(1, .u64), .number(63, .u64))
    return builder.kernel(
      "bits",
      [
        .allocate(words), .assign(words, index: .index(1), value: highest),
        builder.loop("i", to: isStatic ? .index(count) : .extent(Extent(symbol: "n")), .vectorized) { _, i in
          let bit = Expression.binary(.shiftLeft, .number(1, .u64), .convert(i + .index(first), .u64))
          return [.accumulate(words, index: .index(1), with: .or, value: .select(.compare(.greater, .load(x, i), .number(0, .f32)), bit, .number(0, .u64)))]
        },
        .store(y, index: .index(0), value: .local(words, .index(1))),
      ])
  }

  @Test(arguments: VectorLoopTests.targets, [true, false]) func bitsOfEveryLane(_ target: String, _ isStatic: Bool) throws {
    for count in [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 60, 63, 64, 70, 100] {
      for first in [0, 3, 40] {
        var values = (0..<count).map { Float(($0 * 7) % 5) - 2 }
        values[count / 2] = .nan
        let result = try run(
          kernel(count: count, isStatic: isStatic, first: first), [values], as: UInt64.self, count: 1, symbols: isStatic ? [] : [count], target: Target(named: target))
        var wanted = UInt64(1) << 63
        for (lane, value) in values.enumerated() where value > 0 && lane + first < 64 { wanted |= 1 << UInt64(lane + first) }
        #expect(result == [wanted], "count \(count) from \(first)")
      }
    }
  }
}
