import KernelIR
import TensorTypes

/// The transforms of Winograd's minimal filtering F(m, 3) along one axis: m results from m + 2 inputs with m + 2 products.
///
///     y = A (G g * B d)        A m x (m+2), G (m+2) x 3, B (m+2) x (m+2), * element by element
///
/// This is the Toom-Cook construction for the points 0, ±p1, ±p2, …, infinity: row p of B holds the coefficients of the product of
/// (x - q) over the other points q, row p of G the filter as a polynomial at p over the product of (p - q), column p of A the powers of p.
/// Points that come in pairs share their even and their odd parts, so that a transform takes about two operations for each element.
///
/// Which points decides the rounding error. Powers of two as points (0, ±1, ±2, infinity, the ones of Lavin and Gray, "Fast
/// algorithms for convolutional neural networks", 2015) double that of F(4, 3); good ones are near 1 and each other's reciprocals
/// (Barabasz, Anderson, Soodhalter, Gregg, "Error analysis and improving the accuracy of Winograd convolution for deep neural
/// networks", 2020; ncnn takes √2 and √½). Those here were found by search among multiples of 1/16, which keep every coefficient of
/// A and B exact.
struct WinogradTransform {
  /// Results along an axis of a tile: m.
  let outputs: Int
  /// The positive points.
  private let points: [Double]

  /// nil for a size that has no points.
  init?(outputs: Int) {
    switch outputs {
    case 2: points = [1]
    case 4: points = [0.625, 1.5]
    default: return nil
    }
    self.outputs = outputs
  }

  /// Elements along an axis of a transformed tile: m + 2.
  var extent: Int { outputs + 2 }

  /// G, computed in f64.
  var filterRows: [[Double]] {
    let finite: [Double] = [0] + points.flatMap { [$0, -$0] }
    let rows = finite.enumerated().map { place, point -> [Double] in
      var denominator = 1.0
      for (other, root) in finite.enumerated() where other != place { denominator *= point - root }
      return [1 / denominator, point / denominator, point * point / denominator]
    }
    return rows + [[0, 0, 1]]
  }

  /// The coefficients of the product of (x - p²) over some points, the highest (1) left out.
  private static func product(_ points: [Double]) -> [Double] {
    var coefficients = [1.0]
    for point in points {
      let shifted = [0] + coefficients, scaled = coefficients.map { -point * point * $0 } + [0]
      coefficients = zip(shifted, scaled).map { $0 + $1 }
    }
    return Array(coefficients.dropLast())
  }

  /// B d.
  ///
  /// - Parameters:
  ///   - name: Names a value that is used more than once.
  func input(_ d: [Expression], _ name: (Expression) -> Expression) -> [Expression] {
    func polynomial(_ coefficients: [Double], _ first: Int) -> Expression {
      coefficients.indices.reversed().reduce(d[first + 2 * coefficients.count]) { Self.scaledSum(coefficients[$1], d[first + 2 * $1], $0) }
    }
    let all = Self.product(points)
    var rows = [polynomial(all, 0)]
    for (place, point) in points.enumerated() {
      var others = points
      others.remove(at: place)
      let coefficients = Self.product(others)
      let even = name(polynomial(coefficients, 2)), odd = name(polynomial(coefficients, 1))
      rows += [Self.scaledSum(point, odd, even), Self.scaledSum(-point, odd, even)]
    }
    return rows + [polynomial(all, 1)]
  }

  /// A t.
  func output(_ t: [Expression], _ name: (Expression) -> Expression) -> [Expression] {
    let pairs = points.indices.map { place in
      (sum: name(.binary(.add, t[1 + 2 * place], t[2 + 2 * place])), difference: name(.binary(.subtract, t[1 + 2 * place], t[2 + 2 * place])))
    }
    return (0..<outputs).map { power in
      var value: Expression? = power == 0 ? t[0] : power == outputs - 1 ? t[extent - 1] : nil
      for (place, point) in points.enumerated() {
        let factor = (0..<power).reduce(1.0) { product, _ in product * point }
        let term = power % 2 == 0 ? pairs[place].sum : pairs[place].difference
        value = value.map { Self.scaledSum(factor, term, $0) } ?? (factor == 1 ? term : .binary(.multiply, term, .number(factor, term.element)))
      }
      return value ?? t[0]
    }
  }

  /// factor * x + y.
  private static func scaledSum(_ factor: Double, _ x: Expression, _ y: Expression) -> Expression {
    if factor == 1 { return .binary(.add, x, y) }
    if factor == -1 { return .binary(.subtract, y, x) }
    return .multiplyAdd(x, .number(factor, x.element), y)
  }

  /// Both axes of a tile, one after the other; elements are row-major.
  func inputTile(_ d: [Expression], _ name: (Expression) -> Expression) -> [Expression] {
    Self.bothAxes(d, extent: extent, results: extent) { input($0, name).map(name) }
  }

  func outputTile(_ t: [Expression], _ name: (Expression) -> Expression) -> [Expression] {
    Self.bothAxes(t, extent: extent, results: outputs) { output($0, name).map(name) }
  }

  private static func bothAxes(_ x: [Expression], extent: Int, results: Int, _ transform: ([Expression]) -> [Expression]) -> [Expression] {
    var columns: [[Expression]] = []
    for column in 0..<extent { columns.append(transform((0..<extent).map { x[$0 * extent + column] })) }
    return (0..<results).flatMap { row in transform(columns.map { $0[row] }) }
  }
}
