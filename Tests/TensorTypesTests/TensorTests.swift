import Testing
import TensorTypes

@Suite("Tensor") struct TensorTests {
  @Test(arguments: ElementType.allCases) func numbersReadBack(_ element: ElementType) {
    let values: [Double] =
      switch element {
      case .bool, .u2: [0, 1, 1]
      case .i2: [-2, 0, 1]
      case .f8e8m0: [0.25, 1, 64]
      case _ where element.bitCount <= 8 && element.isFloatingPoint: [-3, 0, 6]
      case .i4: [-3, 0, 7]
      case .u4: [0, 1, 15]
      default: element.isUnsignedInteger ? [0, 1, 100] : [-3, 0, 100]
      }
    #expect(Tensor(element, [3], values).doubles == values)
    #expect(Tensor(element, [3], values).byteCount == 3 * element.byteCount)
    #expect(ElementType(name: element.name) == element)
  }

  @Test func storingRoundsAndClamps() {
    #expect(Tensor(.i8, [4], [300, -300, 1.9, .nan]).integers == [127, -128, 1, 0])
    #expect(Tensor(.u8, [3], [300, -5, 254.9]).integers == [255, 0, 254])
    #expect(Tensor(.u64, [1], [1e30]).integers == [-1])
    #expect(Tensor(.i64, [2], [1e30, -1e30]).integers == [.max, .min])
    // Halves to even: 1 + 2^-8 lies between two bfloat16.
    #expect(Tensor(.bf16, [3], [1.00390625, 1.01171875, .infinity]).doubles == [1, 1.015625, .infinity])
    #expect(Tensor(.bf16, [1], [.nan]).doubles[0].isNaN)
    #expect(Tensor(.f16, [2], [65520, 1e-8]).doubles == [.infinity, 0])
  }

  @Test func viewsAreChecked() throws {
    let tensor = Tensor([1, 2, 3, 4])
    let tail = try #require(Tensor(.i64, [2], storage: tensor.storage, byteOffset: 16))
    #expect(tail.integers == [3, 4])
    #expect(Tensor(.i64, [3], storage: tensor.storage, byteOffset: 16) == nil)
    #expect(Tensor(.i64, [1], storage: tensor.storage, byteOffset: -8) == nil)
    #expect(Tensor(.i64, [1], storage: tensor.storage, byteOffset: .max) == nil)
    #expect(Tensor(.i64, [1 << 61], storage: tensor.storage, byteOffset: 0) == nil)
    #expect(tensor.reshaped([2, 2])?.dimensions == [2, 2])
    #expect(tensor.reshaped([3]) == nil)
    #expect(tensor.isIdentical(to: Tensor([1, 2, 3, 4])))
    #expect(!tensor.isIdentical(to: Tensor([1, 2, 3, 5])))
  }
}
