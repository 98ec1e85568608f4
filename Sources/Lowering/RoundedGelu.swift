import GraphIR
import KernelIR

/// x (1 + erf(k x)) times a constant that is rounded to a whole number right behind: how GELU ends in bytes.
///
///     round(c x (1 + erf(k x)))
/// ->
///     h = c max(x, -X)            t = min(max(x, -X), X)
///     round(h + h t p(t²))        X = L / k, t p(t²) near erf(k t) up to there
///
/// The polynomial is the shortest one that keeps what is rounded within a sixteenth of a step of the exact value, tails included; that follows
/// from c and k alone, which are constants. Where none does (very small steps), everything stays exact.
///
/// The polynomials minimise the largest error of x erf x (Lawson's weights, least squares), which is why they have few terms.
struct RoundedGelu {
  private struct Fit {
    /// Where it ends, the largest error of x times it up to there in f32, and erfc of the end.
    let end: Double, error: Double, rest: Double
    /// Of x, x³, …
    let coefficients: [Double]
  }

  private static let fits = [
    Fit(
      end: 2.6, error: 5.63e-4, rest: 2.37e-4,
      coefficients: [1.12251397, -0.35678016, 0.0909139464, -0.014673764, 0.00132072683, -5.00021248e-05]),
    Fit(
      end: 3, error: 1.14e-4, rest: 2.21e-5,
      coefficients: [1.12702915, -0.370675153, 0.105188356, -0.0215062822, 0.00302587589, -0.000274778517, 1.43615017e-05, -3.26048857e-07]),
    Fit(
      end: 3.2, error: 4.7e-5, rest: 6.03e-6,
      coefficients: [
        1.1282018, -0.375205914, 0.111169392, -0.025344321, 0.00440487966, -0.000570130247, 5.26578255e-05, -3.2467039e-06, 1.18828424e-07, -1.94193523e-09,
      ]),
  ]
  /// The largest error of what is rounded.
  private static let tolerance = 1.0 / 16

  private let x: ValueID
  private let scale: Double
  private let slope: Double
  private let fit: Fit

  /// - Parameter most: The largest whole number that is not cut off.
  /// - Returns: nil if the value is something else, or needs a better polynomial.
  init?(_ value: ValueID, upTo most: Int, in graph: Graph) {
    guard let product = ScaledProduct(value, graph), product.factors.count == 2, product.scale > 0 else { return nil }
    for (x, sum) in [(product.factors[0], product.factors[1]), (product.factors[1], product.factors[0])] {
      guard let angle = Self.errorFunction(in: sum, graph), let inner = ScaledProduct(angle, graph), inner.factors == [x], inner.scale > 0x1p-20, inner.scale < 0x1p20 else { continue }
      let perUnit = product.scale / inner.scale
      // Below the end the polynomial errs, and beyond it what is left of the function; far above, that is a part of the result.
      guard let fit = Self.fits.first(where: { perUnit * max($0.error, $0.end * $0.rest) + Double(max(0, most)) * $0.rest / 2 <= Self.tolerance }) else { return nil }
      (self.x, scale, slope, self.fit) = (x, product.scale, inner.scale, fit)
      return
    }
    return nil
  }

  /// What erf is taken of in 1 + erf(...).
  private static func errorFunction(in value: ValueID, _ graph: Graph) -> ValueID? {
    guard graph.useCount(of: value) == 1, let (node, binary) = graph.producer(of: value, as: Binary.self), binary.function == .add else { return nil }
    for (one, other) in [(node.operands[0], node.operands[1]), (node.operands[1], node.operands[0])] {
      guard ScaledProduct.number(one, graph) == 1, let (inner, unary) = graph.producer(of: other, as: Unary.self), unary.function == .errorFunction else { continue }
      return inner.operands[0]
    }
    return nil
  }

  func emit(_ emitter: inout ElementEmitter, at index: [Expression]) throws(CompileError) -> Expression {
    var source = try emitter.element(x, index)
    if case .binary(.add, .binary(.multiply, let a, let b), let shift) = source { source = .multiplyAdd(a, b, shift) }
    let end = fit.end / slope
    let low = emitter.bound(.binary(.maximum, source, .number(-end, .f32)))
    let t = emitter.bound(.binary(.minimum, low, .number(end, .f32)))
    let square = emitter.bound(.binary(.multiply, t, t))
    var power = slope
    var coefficients: [Double] = []
    for coefficient in fit.coefficients {
      coefficients.append(coefficient * power)
      power *= slope * slope
    }
    var polynomial = Expression.number(coefficients.removeLast(), .f32)
    while let next = coefficients.popLast() { polynomial = .multiplyAdd(polynomial, square, .number(next, .f32)) }
    let half = emitter.bound(.binary(.multiply, low, .number(scale, .f32)))
    return .multiplyAdd(half, .binary(.multiply, t, polynomial), half)
  }
}

/// A value as a product of others and a constant.
private struct ScaledProduct {
  private(set) var factors: [ValueID] = []
  private(set) var scale = 1.0

  init?(_ value: ValueID, _ graph: Graph) {
    var pending = [value]
    while let next = pending.popLast() {
      if let number = Self.number(next, graph) {
        scale *= number
      } else if next == value || graph.useCount(of: next) == 1, let (node, binary) = graph.producer(of: next, as: Binary.self) {
        switch binary.function {
        case .multiply: pending += node.operands
        case .divide:
          guard let divisor = Self.number(node.operands[1], graph) else { fallthrough }
          scale /= divisor
          pending.append(node.operands[0])
        default: factors.append(next)
        }
      } else {
        factors.append(next)
      }
      if factors.count > 2 { return nil }
    }
    guard scale.isFinite else { return nil }
  }

  /// The number that a value repeats.
  static func number(_ value: ValueID, _ graph: Graph) -> Double? {
    var value = value
    while let node = graph.producer(of: value), node.operation is Broadcast || node.operation is Reshape { value = node.operands[0] }
    guard let tensor = graph.constant(value), tensor.count == 1, tensor.element == .f32 else { return nil }
    return tensor.doubles[0]
  }
}
