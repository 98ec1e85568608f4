import GraphIR
import TensorTypes

/// Windows and Fourier transforms of lengths that are only known when the model runs: their coefficients are computed, in f64.
enum ComputedSignals {
  /// A sum of cosines with alternating signs.
  static func window(
    _ length: Length, _ coefficients: [Double], isPeriodic: Bool, _ element: ElementType, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let count = try b.measured(length)
    let position = try b.add(Iota(.f64, [count], axis: 0))
    let size = try b.materialize(scalar: count, .f64)
    let period = try isPeriodic ? size : b.binary(.maximum, b.binary(.subtract, size, 1), 1)
    let turns = try b.binary(.divide, b.binary(.multiply, position, 2 * Double.pi), period)
    var sum = try b.scalar(coefficients[0], like: position)
    for (order, coefficient) in coefficients.enumerated().dropFirst() {
      let wave = try b.unary(.cosine, b.binary(.multiply, turns, Double(order)))
      sum = try b.binary(.add, sum, b.binary(.multiply, wave, order % 2 == 0 ? coefficient : -coefficient))
    }
    return try b.convert(sum, to: element)
  }

  /// How a Fourier transform maps its axis.
  struct Transform {
    /// Elements read and elements produced.
    var taken: Extent
    var produced: Extent
    var length: Extent
    var isInverse: Bool
    /// Each element but the first and the middle one stands for itself and its conjugate.
    var mirrors: Bool

    /// - Parameter isGiven: True if the model gives the length; otherwise it is that of the axis.
    init(_ length: Length, isGiven: Bool, isInverse: Bool, isOneSided: Bool, _ b: inout GraphBuilder) throws(CompileError) {
      (self.isInverse, mirrors) = (isInverse, isInverse && isOneSided)
      var whole = try b.measured(length)
      if mirrors && !isGiven { whole = (whole - 1) * 2 }
      let half = whole.floorDivided(by: 2) + 1
      (self.length, taken, produced) = (whole, mirrors ? half : whole, isOneSided && !isInverse ? half : whole)
    }
  }

  /// One axis of a signal [..., 1 or 2], by products with matrices.
  static func fourierTransform(_ x: ValueID, axis: Int, _ transform: Transform, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let last = b.rank(x) - 1
    let signal = try fitted(b.convert(x, to: .f64), axis: axis, length: transform.taken, &b)
    // [..., n, parts] with the axis moved behind the others.
    let others = (0..<last).filter { $0 != axis }
    let moved = try b.transpose(signal, others + [axis, last])
    let (c, s) = try matrices(transform, &b)
    let real = try b.select(moved, axis: last, at: 0)
    var outReal = try MatrixOperators.product(real, c, &b), outImaginary = try MatrixOperators.product(real, s, &b)
    if b.shape(x)[last] == 2 {
      let imaginary = try b.select(moved, axis: last, at: 1)
      outReal = try b.binary(.subtract, outReal, MatrixOperators.product(imaginary, s, &b))
      outImaginary = try b.binary(.add, outImaginary, MatrixOperators.product(imaginary, c, &b))
    }
    var parts = [try b.unsqueeze(outReal, axis: last)]
    if !transform.mirrors { parts.append(try b.unsqueeze(outImaginary, axis: last)) }
    let back = Array(0..<axis) + [last - 1] + Array(axis..<last - 1) + [last]
    return try b.convert(b.transpose(b.concatenate(parts, axis: last), back), to: b.element(x))
  }

  /// The axis cut or padded with zeros to a length.
  static func fitted(_ x: ValueID, axis: Int, length: Extent, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let extent = b.shape(x)[axis]
    if extent == length { return x }
    let position = try b.add(Iota(.i64, [length], axis: 0))
    let isThere = try b.compare(.less, position, b.materialize(scalar: extent, .i64))
    return try b.select(b.alignedVector(isThere, axis: axis, rank: b.rank(x)), b.add(Gather(axis: axis), x, position), b.scalar(0, b.element(x)))
  }

  /// e^(-2 pi i n k / length), row n, column k; conjugate and divided by the length for the inverse.
  static func matrices(_ transform: Transform, _ b: inout GraphBuilder) throws(CompileError) -> (cosines: ValueID, sines: ValueID) {
    let shape: Shape = [transform.taken, transform.produced]
    let length = try b.materialize(scalar: transform.length, .i64)
    let row = try b.add(Iota(.i64, shape, axis: 0))
    let steps = try b.binary(.remainder, b.binary(.multiply, row, b.add(Iota(.i64, shape, axis: 1))), length)
    let angle = try b.binary(.divide, b.binary(.multiply, b.convert(steps, to: .f64), 2 * Double.pi), b.convert(length, to: .f64))
    var cosines = try b.unary(.cosine, angle), sines = try b.unary(.sine, angle)
    guard transform.isInverse else { return (cosines, try b.unary(.negate, sines)) }
    var weight = try b.binary(.divide, b.scalar(1, .f64), b.convert(length, to: .f64))
    if transform.mirrors {
      let isAlone = try b.binary(.or, b.compare(.equal, row, 0), b.compare(.equal, b.binary(.multiply, row, 2), length))
      weight = try b.binary(.multiply, b.select(isAlone, b.scalar(1, .f64), b.scalar(2, .f64)), weight)
    }
    (cosines, sines) = (try b.binary(.multiply, cosines, weight), try b.binary(.multiply, sines, weight))
    return (cosines, sines)
  }
}
