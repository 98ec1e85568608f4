import Glibc
import TensorTypes

/// Strides of dense row-major dimensions, in elements. Wrapping: of a tensor without elements they are not used.
func rowMajorStrides(_ dimensions: [Int]) -> [Int] {
  var strides = [Int](repeating: 1, count: dimensions.count)
  for axis in stride(from: dimensions.count - 2, through: 0, by: -1) { strides[axis] = strides[axis + 1] &* dimensions[axis + 1] }
  return strides
}

/// A walk over all positions of some axes, in row-major order, that keeps offsets into two arrays.
struct Odometer {
  private let dimensions: [Int]
  private let strides: [(Int, Int)]
  private var index: [Int]
  private(set) var first: Int
  private(set) var second: Int

  init(_ dimensions: [Int], _ firstStrides: [Int], from first: Int = 0, _ secondStrides: [Int], from second: Int = 0) {
    self.dimensions = dimensions
    strides = Array(zip(firstStrides, secondStrides))
    index = [Int](repeating: 0, count: dimensions.count)
    (self.first, self.second) = (first, second)
  }

  /// Moves on; false after the last position.
  @inline(__always) mutating func advance() -> Bool {
    var axis = dimensions.count - 1
    while axis >= 0 {
      index[axis] += 1
      first += strides[axis].0
      second += strides[axis].1
      if index[axis] < dimensions[axis] { return true }
      first -= strides[axis].0 * dimensions[axis]
      second -= strides[axis].1 * dimensions[axis]
      index[axis] = 0
      axis -= 1
    }
    return false
  }
}

/// Copies a box of elements between two strided layouts. Strides and offsets are in elements and may be 0 or negative.
struct StridedCopy {
  private var dimensions: [Int] = []
  private var from: [Int] = []
  private var to: [Int] = []
  private let isEmpty: Bool

  init(_ dimensions: [Int], from: [Int], to: [Int]) {
    isEmpty = dimensions.contains(0)
    if isEmpty { return }
    // Axes of extent 1 vanish; neighbours that are one run in both layouts become one axis.
    for axis in dimensions.indices where dimensions[axis] != 1 {
      if let last = self.dimensions.indices.last, self.from[last] == from[axis] * dimensions[axis], self.to[last] == to[axis] * dimensions[axis] {
        self.dimensions[last] *= dimensions[axis]
        (self.from[last], self.to[last]) = (from[axis], to[axis])
      } else {
        self.dimensions.append(dimensions[axis])
        self.from.append(from[axis])
        self.to.append(to[axis])
      }
    }
  }

  func run(
    _ element: ElementType, _ source: UnsafeRawBufferPointer, from sourceStart: Int = 0, _ target: UnsafeMutableRawBufferPointer, to targetStart: Int = 0
  ) {
    guard !isEmpty, let source = source.baseAddress, let target = target.baseAddress else { return }
    switch element.byteCount {
    case 1: copy(UInt8.self, source, sourceStart, target, targetStart)
    case 2: copy(UInt16.self, source, sourceStart, target, targetStart)
    case 4: copy(UInt32.self, source, sourceStart, target, targetStart)
    default: copy(UInt64.self, source, sourceStart, target, targetStart)
    }
  }

  private func copy<Word: FixedWidthInteger & BitwiseCopyable>(
    _ word: Word.Type, _ source: UnsafeRawPointer, _ sourceStart: Int, _ target: UnsafeMutableRawPointer, _ targetStart: Int
  ) {
    let size = MemoryLayout<Word>.size
    let count = dimensions.last ?? 1
    let (step, stride) = ((from.last ?? 1) &* size, (to.last ?? 1) &* size)
    var outer = Odometer(
      Array(dimensions.dropLast()), Array(from.dropLast()), from: sourceStart, Array(to.dropLast()), from: targetStart)
    repeat {
      let (x, y) = (source + outer.first &* size, target + outer.second &* size)
      if step == size && stride == size {
        memcpy(y, x, count &* size)
      } else {
        for i in 0..<count { y.storeBytes(of: x.loadUnaligned(fromByteOffset: i &* step, as: Word.self), toByteOffset: i &* stride, as: Word.self) }
      }
    } while outer.advance()
  }
}

extension Tensor {
  /// A dense tensor whose element at an index is found with strides; all positions lie within this one.
  func strided(_ strides: [Int], from start: Int = 0, as result: ConcreteType) -> Tensor {
    Tensor(result.element, result.dimensions) { target in
      withBytes { source in
        StridedCopy(result.dimensions, from: strides, to: rowMajorStrides(result.dimensions)).run(result.element, source, from: start, target)
      }
    }
  }
}
