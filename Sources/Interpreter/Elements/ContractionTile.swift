import TensorTypes

/// A lane type that products are summed in: `Double`, or `Int64` for all integers (64 wrapping bits hold the right low bits of any width).
protocol ContractionScalar: LaneScalar {
  static func multiplyAdd(_ sum: SIMD8<Self>, _ x: Self, _ weights: SIMD8<Self>) -> SIMD8<Self>
}

extension Double: ContractionScalar {
  @inline(__always) static func multiplyAdd(_ sum: SIMD8<Double>, _ x: Double, _ weights: SIMD8<Double>) -> SIMD8<Double> { sum + x * weights }
}

extension Int64: ContractionScalar {
  @inline(__always) static func multiplyAdd(_ sum: SIMD8<Int64>, _ x: Int64, _ weights: SIMD8<Int64>) -> SIMD8<Int64> {
    sum &+ SIMD8(repeating: x) &* weights
  }
}

/// Sums of products for two rows and eight columns, the inner loop of `dot` and `convolution`.
///
/// Sixteen sums stay in registers, so that the interpreter reaches about two multiply-adds a cycle even in f64
/// for the baseline x86-64; ResNet-50 takes about two seconds.
struct ContractionTile<Scalar: ContractionScalar> {
  var first = SIMD8<Scalar>(repeating: .zero)
  var second = SIMD8<Scalar>(repeating: .zero)

  init() {}

  /// Adds `count` products: x and y are rows, `weights` holds eight columns for each element of a row.
  @inline(__always) mutating func add(_ x: UnsafePointer<Scalar>, _ y: UnsafePointer<Scalar>, _ weights: UnsafePointer<SIMD8<Scalar>>, count: Int) {
    var (a, b) = (first, second)
    for index in 0..<count {
      let w = weights[index]
      a = Scalar.multiplyAdd(a, x[index], w)
      b = Scalar.multiplyAdd(b, y[index], w)
    }
    (first, second) = (a, b)
  }

  /// Writes up to eight columns of both rows; the second row may be absent.
  @inline(__always) func store(_ x: UnsafeMutablePointer<Scalar>, _ y: UnsafeMutablePointer<Scalar>?, columns: Int) {
    for column in 0..<columns {
      x[column] = first[column]
      y?[column] = second[column]
    }
  }
}

/// Number of groups of eight columns.
func columnBlocks(_ columns: Int) -> Int { (columns - 1) / 8 + 1 }
