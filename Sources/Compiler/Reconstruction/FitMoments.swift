import GraphIR
import TensorTypes

/// What is needed to fit a contraction's weights to results that it is to have: for each fold of the samples X^T X, X^T T and the squares of T, where X
/// are the rows that it multiplies, with a column of ones, and T the results wanted.
///
/// Folds make the damping a measured number: the weights are fitted to all folds but one, for each of them, and the damping taken whose errors on the
/// folds left out are least.
package struct FitMoments {
  private let steps: Int
  private let columns: Int
  private var inputs: [SymmetricMatrix]
  /// By fold: [step][column], the last step that of the ones.
  private var products: [[Double]]
  private var squares: [Double]

  /// Weights that were found, and what is known of them.
  package struct Fit: Sendable {
    /// [step][column], zero where nothing is kept.
    package var weights: [Double]
    /// Added to each column's results.
    package var shift: [Double]
    package var damping: Double
    /// Errors relative to the results' deviation from their mean (root of the ratio of the squares): on the samples if the weights that are kept
    /// stay as they were, after the fit, and after it on the folds that were left out of it.
    package var before: Double
    package var after: Double
    package var heldOut: Double
  }

  /// Factors of the mean of the diagonal; the first one that is tried stands in the middle.
  private static let dampings = [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]

  /// - Parameter form: Of the contraction.
  package init(_ form: ContractionRows) {
    (steps, columns) = (form.steps, form.columns)
    // Matrices are kept for every fold.
    let folds = form.steps > 2500 ? 2 : 3
    inputs = Array(repeating: SymmetricMatrix(order: steps + 1, elements: [Double](repeating: 0, count: (steps + 1) * (steps + 1))), count: folds)
    products = Array(repeating: [Double](repeating: 0, count: (steps + 1) * columns), count: folds)
    squares = [Double](repeating: 0, count: folds)
  }

  /// The bytes that one of these takes.
  static func bytes(_ form: ContractionRows) -> Int { (form.steps + 1) * (form.steps + 1 + form.columns) * 8 * 3 }

  /// - Parameters:
  ///   - rows: With a one behind each.
  ///   - results: Those wanted for each row.
  ///   - sample: Samples that are made of the same one have the same number, and are in the same fold.
  package mutating func observe(_ rows: [Float], _ results: [Float], sample: Int) {
    let count = columns > 0 ? results.count / columns : 0
    let fold = sample % inputs.count
    inputs[fold].accumulate(rows: rows, count: count)
    SymmetricMatrix.accumulate(rows, width: steps + 1, results, columns: columns, count: count, into: &products[fold])
    squares[fold] += results.reduce(0.0) { $0 + Double($1) * Double($1) }
  }

  /// The best weights on the steps that are kept, drawn towards the original ones.
  ///
  /// - Returns: nil if nothing was observed, or a factorization fails.
  package func fitted(_ original: [Double], keeping kept: [Int]) -> Fit? {
    guard !kept.isEmpty, original.count == steps * columns else { return nil }
    let folds = inputs.indices.map { part(kept, [$0]) }
    let whole = part(kept, Array(inputs.indices))
    guard whole.rows > 0, whole.deviation > 0 else { return nil }
    let start = kept.flatMap { original[$0 * columns..<($0 + 1) * columns] }
    /// The error on folds that are left out.
    func heldOut(_ damping: Double) -> Double {
      var sum = 0.0
      for (number, fold) in folds.enumerated() where fold.rows > 0 {
        guard let solution = (folds.count { $0.rows > 0 } > 1 ? part(kept, inputs.indices.filter { $0 != number }) : whole).solved(start, damping) else { return .infinity }
        sum += fold.error(solution)
      }
      return sum
    }
    // The error has one valley: walk down into it.
    var tried: [Int: Double] = [:]
    func error(_ place: Int) -> Double {
      if let known = tried[place] { return known }
      let found = heldOut(Self.dampings[place])
      tried[place] = found
      return found
    }
    var place = Self.dampings.count / 2
    let direction = place + 1 < Self.dampings.count && error(place + 1) < error(place) ? 1 : -1
    while Self.dampings.indices.contains(place + direction), error(place + direction) < error(place) { place += direction }
    guard let solution = whole.solved(start, Self.dampings[place]), solution.allSatisfy(\.isFinite) else { return nil }
    var weights = [Double](repeating: 0, count: original.count)
    for (row, step) in kept.enumerated() { for column in 0..<columns { weights[step * columns + column] = solution[row * columns + column] } }
    func relative(_ error: Double) -> Double { (max(0, error) / whole.deviation).squareRoot() }
    return Fit(
      weights: weights, shift: Array(solution.suffix(columns)), damping: Self.dampings[place], before: relative(whole.error(start + [Double](repeating: 0, count: columns))),
      after: relative(whole.error(solution)), heldOut: relative(error(place)))
  }

  /// Some folds, on some steps.
  private struct Part {
    let columns: Int
    /// With the column of ones.
    let inputs: SymmetricMatrix
    let products: [Double]
    let squares: Double

    var rows: Double { inputs[inputs.order - 1, inputs.order - 1] }

    /// Squares of the results less their mean.
    var deviation: Double { squares - products.suffix(columns).reduce(0) { $0 + $1 * $1 } / max(rows, 1) }

    /// [step][column], the last step the shift: the least squares of the results' errors, and of the distance to `original` times the damping.
    func solved(_ original: [Double], _ damping: Double) -> [Double]? {
      let steps = inputs.order - 1, count = max(rows, 1)
      guard let factor = inputs.centred.factored(dampening: damping) else { return nil }
      let means = (0..<steps).map { inputs[$0, steps] / count }, averages = products.suffix(columns).map { $0 / count }
      var right = [Double](repeating: 0, count: steps * columns)
      for step in 0..<steps {
        for column in 0..<columns {
          let place = step * columns + column
          right[place] = products[place] - means[step] * averages[column] * count + factor.added * original[place]
        }
      }
      let weights = factor.solved(right, columns: columns)
      var shift = averages
      for step in 0..<steps { for column in 0..<columns { shift[column] -= means[step] * weights[step * columns + column] } }
      return weights + shift
    }

    /// The sum of the squares of the errors.
    func error(_ weights: [Double]) -> Double {
      let product = inputs.multiplied(by: weights, columns: columns)
      return squares + weights.indices.reduce(0) { $0 + weights[$1] * (product[$1] - 2 * products[$1]) }
    }
  }

  private func part(_ kept: [Int], _ folds: [Int]) -> Part {
    let places = kept + [steps]
    var sum = SymmetricMatrix(order: places.count, elements: [Double](repeating: 0, count: places.count * places.count))
    var right = [Double](repeating: 0, count: places.count * columns)
    for fold in folds {
      sum.add(inputs[fold].selecting(places))
      for (row, step) in places.enumerated() { for column in 0..<columns { right[row * columns + column] += products[fold][step * columns + column] } }
    }
    return Part(columns: columns, inputs: sum, products: right, squares: folds.reduce(0) { $0 + squares[$1] })
  }
}
