import TensorTypes

/// Elementwise functions in chunks that fit the first-level cache: widen, compute, narrow.
enum ElementwiseLoop {
  /// Elements in one chunk.
  static let chunk = 1024

  /// `body(x, y, n)` computes n widened elements from n widened elements.
  @inline(__always) static func map<W: LaneScalar, R: LaneScalar>(
    _ x: Tensor, _ result: ConcreteType, _ body: (UnsafePointer<W>, UnsafeMutablePointer<R>, Int) -> Void
  ) -> Tensor {
    let wide = Scratch<W>(chunk), computed = Scratch<R>(chunk)
    return Tensor(result.element, result.dimensions) { target in
      x.withBytes { source in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        for start in stride(from: 0, to: result.count, by: chunk) {
          let count = min(chunk, result.count - start)
          W.load(x.element, from, at: start, count: count, into: wide.base)
          body(wide.base, computed.base, count)
          R.store(computed.base, result.element, to, at: start, count: count)
        }
      }
    }
  }

  /// `body(a, b, c, n)` computes n widened elements from two times n.
  @inline(__always) static func combine<W: LaneScalar, R: LaneScalar>(
    _ a: Tensor, _ b: Tensor, _ result: ConcreteType, _ body: (UnsafePointer<W>, UnsafePointer<W>, UnsafeMutablePointer<R>, Int) -> Void
  ) -> Tensor {
    let left = Scratch<W>(chunk), right = Scratch<W>(chunk), computed = Scratch<R>(chunk)
    return Tensor(result.element, result.dimensions) { target in
      a.withBytes { aBytes in
        b.withBytes { bBytes in
          guard let x = aBytes.baseAddress, let y = bBytes.baseAddress, let to = target.baseAddress else { return }
          for start in stride(from: 0, to: result.count, by: chunk) {
            let count = min(chunk, result.count - start)
            W.load(a.element, x, at: start, count: count, into: left.base)
            W.load(b.element, y, at: start, count: count, into: right.base)
            body(left.base, right.base, computed.base, count)
            R.store(computed.base, result.element, to, at: start, count: count)
          }
        }
      }
    }
  }

  /// The function on f64 lanes; the common ones in loops that the compiler vectorizes.
  static func apply(_ function: BinaryFunction, _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ c: UnsafeMutablePointer<Double>, _ count: Int) {
    switch function {
    case .add: for i in 0..<count { c[i] = a[i] + b[i] }
    case .subtract: for i in 0..<count { c[i] = a[i] - b[i] }
    case .multiply: for i in 0..<count { c[i] = a[i] * b[i] }
    case .divide: for i in 0..<count { c[i] = a[i] / b[i] }
    case .maximum: for i in 0..<count { c[i] = BinaryFunction.maximum(a[i], b[i]) }
    case .minimum: for i in 0..<count { c[i] = BinaryFunction.minimum(a[i], b[i]) }
    default: for i in 0..<count { c[i] = function(a[i], b[i]) }
    }
  }

  static func apply(
    _ function: BinaryFunction, _ a: UnsafePointer<Int64>, _ b: UnsafePointer<Int64>, _ c: UnsafeMutablePointer<Int64>, _ count: Int, bits: Int
  ) {
    switch function {
    case .add: for i in 0..<count { c[i] = a[i] &+ b[i] }
    case .subtract: for i in 0..<count { c[i] = a[i] &- b[i] }
    case .multiply: for i in 0..<count { c[i] = a[i] &* b[i] }
    case .and: for i in 0..<count { c[i] = a[i] & b[i] }
    case .or: for i in 0..<count { c[i] = a[i] | b[i] }
    default: for i in 0..<count { c[i] = function(a[i], b[i], bits: bits) }
    }
  }

  static func apply<T: LaneScalar>(
    _ comparison: Comparison, _ a: UnsafePointer<T>, _ b: UnsafePointer<T>, _ c: UnsafeMutablePointer<Int64>, _ count: Int
  ) {
    switch comparison {
    case .equal: for i in 0..<count { c[i] = a[i] == b[i] ? 1 : 0 }
    case .notEqual: for i in 0..<count { c[i] = a[i] != b[i] ? 1 : 0 }
    case .less: for i in 0..<count { c[i] = a[i] < b[i] ? 1 : 0 }
    case .lessOrEqual: for i in 0..<count { c[i] = a[i] <= b[i] ? 1 : 0 }
    case .greater: for i in 0..<count { c[i] = a[i] > b[i] ? 1 : 0 }
    case .greaterOrEqual: for i in 0..<count { c[i] = a[i] >= b[i] ? 1 : 0 }
    }
  }
}
