import GraphIR
import TensorTypes

#if canImport(Glibc)
import Glibc
#endif

/// Discrete Fourier transforms of the last axis, in double precision: sums that cancel must come out as nearly zero.
///
/// A short transform is a product with a constant matrix. A long one of n = a * b elements is b transforms of length a, a product with
/// constant factors, and a transforms of length b.
/// - Source: Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965.
struct FourierTransform {
  /// Real and imaginary parts, f64; a real signal has no imaginary part.
  typealias Signal = (real: ValueID, imaginary: ValueID?)

  var isInverse = false
  /// The longest product with one matrix where the length has factors.
  private static let longestProduct = 64
  /// The longest length that is a prime number.
  private static let longestPrime = 1 << 12
  static let longest = 1 << 20

  /// The transform of [..., length], without the division by the length that an inverse ends with.
  func apply(_ x: Signal, length: Int, _ b: inout GraphBuilder) throws(CompileError) -> Signal {
    guard length > Self.longestProduct, let first = Self.factor(of: length) else {
      guard length <= Self.longestPrime else {
        throw b.unsupported("a Fourier transform of \(length) elements", operands: [x.real], hint: "lengths up to \(Self.longestPrime), and longer ones with small factors, are supported")
      }
      return try multiplied(x, matrix(rows: length, columns: length, of: length, &b), &b)
    }
    // Element b * i + j; the result k + a * l. First along i, for each j.
    let (a, c) = (first, length / first)
    let outer = Array(b.shape(x.real).extents.dropLast())
    let rank = outer.count
    let exchanged = Array(0..<rank) + [rank + 1, rank]
    func split(_ value: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      try b.transpose(b.reshape(value, to: Shape(outer + [Extent(a), Extent(c)])), exchanged)
    }
    var parts: Signal = (try split(x.real, &b), try x.imaginary.map { value throws(CompileError) in try split(value, &b) })
    parts = try apply(parts, length: a, &b)
    let twiddles = try matrix(rows: c, columns: a, of: length, &b)
    parts = try Self.product(parts, twiddles, &b)
    func turned(_ value: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID { try b.transpose(value, exchanged) }
    parts = (try turned(parts.real, &b), try parts.imaginary.map { value throws(CompileError) in try turned(value, &b) })
    parts = try apply(parts, length: c, &b)
    func joined(_ value: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      try b.reshape(b.transpose(value, exchanged), to: Shape(outer + [Extent(length)]))
    }
    return (try joined(parts.real, &b), try parts.imaginary.map { value throws(CompileError) in try joined(value, &b) })
  }

  /// The largest factor up to `longestProduct`, if there is one.
  private static func factor(of length: Int) -> Int? { (2...longestProduct).reversed().first { length % $0 == 0 } }

  /// e^(-2 pi i n k / length), row n, column k; conjugate for the inverse.
  private func matrix(rows: Int, columns: Int, of length: Int, _ b: inout GraphBuilder) throws(CompileError) -> (real: ValueID, imaginary: ValueID) {
    var (cosines, sines): ([Double], [Double]) = ([], [])
    cosines.reserveCapacity(rows * columns)
    sines.reserveCapacity(rows * columns)
    for n in 0..<rows {
      for k in 0..<columns {
        let angle = 2 * Double.pi * Double((n * k) % length) / Double(length)
        cosines.append(cos(angle))
        sines.append(isInverse ? sin(angle) : -sin(angle))
      }
    }
    return (try b.constant(Tensor(.f64, [rows, columns], cosines)), try b.constant(Tensor(.f64, [rows, columns], sines)))
  }

  private func multiplied(_ x: Signal, _ matrix: (real: ValueID, imaginary: ValueID), _ b: inout GraphBuilder) throws(CompileError) -> Signal {
    var real = try MatrixOperators.product(x.real, matrix.real, &b)
    var imaginary = try MatrixOperators.product(x.real, matrix.imaginary, &b)
    if let part = x.imaginary {
      real = try b.binary(.subtract, real, MatrixOperators.product(part, matrix.imaginary, &b))
      imaginary = try b.binary(.add, imaginary, MatrixOperators.product(part, matrix.real, &b))
    }
    return (real, imaginary)
  }

  /// The product of corresponding complex elements.
  private static func product(_ x: Signal, _ y: (real: ValueID, imaginary: ValueID), _ b: inout GraphBuilder) throws(CompileError) -> Signal {
    var real = try b.binary(.multiply, x.real, y.real)
    var imaginary = try b.binary(.multiply, x.real, y.imaginary)
    if let part = x.imaginary {
      real = try b.binary(.subtract, real, b.binary(.multiply, part, y.imaginary))
      imaginary = try b.binary(.add, imaginary, b.binary(.multiply, part, y.real))
    }
    return (real, imaginary)
  }
}
