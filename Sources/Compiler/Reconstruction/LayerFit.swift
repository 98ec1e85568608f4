/// The best weights of a layer that may only use some of them: those with the least squared error of its results on the samples.
///
/// For a column whose kept steps are S, with H = X^T X and the original weights w:
///
///     minimize  |X_S v - X w|^2 + l |v - w_S|^2        (H_SS + l) v = H_S: w + l w_S
///
/// This is what optimal brain surgery arrives at by removing one weight after the other (its update is the exact solution for each), found in one
/// step for a mask that is known. Columns that keep the same steps share a factorization; l is a hundredth of the mean of the diagonal.
package struct LayerFit {
  let moments: InputMoments
  /// [step][column], the original weights.
  let weights: [Double]
  let columns: Int

  private static let dampening = 0.01
  /// More multiply-adds of factorizations than this are replaced by a sweep, which needs one for the whole layer.
  private static let mostProducts = 4e11

  package init(_ moments: InputMoments, weights: [Double], columns: Int) {
    (self.moments, self.weights, self.columns) = (moments, weights, columns)
  }

  var steps: Int { moments.steps }

  /// How much the sum of squared errors grows if a weight is set to zero and the others of its column adapt: w^2 / [H^-1]_kk.
  ///
  /// - Returns: nil if the matrix cannot be inverted.
  package func saliency() -> [Double]? {
    guard let inverse = inputs.factored(dampening: Self.dampening)?.inverse else { return nil }
    return weights.indices.map { position in
      let step = position / columns
      return weights[position] * weights[position] / max(inverse[step, step], .leastNormalMagnitude)
    }
  }

  private var inputs: SymmetricMatrix { moments.products.selecting(Array(0..<steps)) }

  /// The error of other weights on the samples, relative to the results (root of the ratio of the squares).
  package func error(of other: [Double]) -> Double {
    let order = steps + 1
    /// Sum over the columns of d^T H d.
    func energy(_ difference: [Double]) -> Double {
      let product = moments.products.multiplied(by: difference, columns: columns)
      return zip(product, difference).reduce(0) { $0 + $1.0 * $1.1 }
    }
    var difference = [Double](repeating: 0, count: order * columns), whole = difference
    for position in weights.indices {
      difference[position] = other[position] - weights[position]
      whole[position] = weights[position]
    }
    let size = energy(whole)
    return size > 0 ? (max(0, energy(difference)) / size).squareRoot() : 0
  }

  /// The weights, zero where nothing is kept.
  ///
  /// - Parameter isKept: [step][column].
  /// - Returns: nil if a factorization fails: the weights are then best left as they are.
  package func fitted(keeping isKept: [Bool]) -> [Double]? {
    // Columns by what they keep.
    var groups: [[Bool]: [Int]] = [:]
    for column in 0..<columns { groups[(0..<steps).map { isKept[$0 * columns + column] }, default: []].append(column) }
    let products = groups.keys.reduce(0.0) { sum, mask in
      let count = Double(mask.reduce(0) { $0 + ($1 ? 1 : 0) })
      return sum + count * count * count / 6
    }
    if products > Self.mostProducts { return swept(keeping: isKept) }
    let matrix = inputs
    let target = matrix.multiplied(by: weights, columns: columns)
    var result = [Double](repeating: 0, count: weights.count)
    for (mask, members) in groups {
      let kept = mask.indices.filter { mask[$0] }
      if kept.isEmpty { continue }
      guard let factor = matrix.selecting(kept).factored(dampening: Self.dampening) else { return nil }
      var right: [Double] = []
      right.reserveCapacity(kept.count * members.count)
      for step in kept { for column in members { right.append(target[step * columns + column] + factor.added * weights[step * columns + column]) } }
      let solution = factor.solved(right, columns: members.count)
      for (row, step) in kept.enumerated() { for (place, column) in members.enumerated() { result[step * columns + column] = solution[row * members.count + place] } }
    }
    return result.allSatisfy(\.isFinite) ? result : nil
  }

  /// Step by step, what a weight loses is made up for by those behind it (SparseGPT's order, for which one factorization serves all columns).
  private func swept(keeping isKept: [Bool]) -> [Double]? {
    swept { step, current in
      for place in step * columns..<(step + 1) * columns where !isKept[place] { current[place] = 0 }
    }
  }

  /// Step by step every row of weights is changed by `rounding`, and the rows behind it make up for the difference: GPTQ, where `rounding` moves
  /// weights to a grid, and SparseGPT, where it zeroes them.
  ///
  /// - Parameter rounding: Gets a step and all weights with the changes so far, and changes the row of this step.
  package func swept(_ rounding: (_ step: Int, _ current: inout [Double]) -> Void) -> [Double]? {
    guard let inverse = inputs.factored(dampening: Self.dampening)?.inverse, let factor = inverse.factored(dampening: 1e-12) else { return nil }
    // U^T U = H^-1: row k of U says how the steps behind k make up for an error in k.
    let upper = factor.upper
    var current = weights
    for step in 0..<steps {
      let before = Array(current[step * columns..<(step + 1) * columns])
      rounding(step, &current)
      let scale = 1 / upper[step * steps + step]
      let errors = (0..<columns).map { (before[$0] - current[step * columns + $0]) * scale }
      current.withUnsafeMutableBufferPointer { current in
        for other in step + 1..<max(step + 1, steps) {
          let weight = upper[step * steps + other]
          if weight == 0 { continue }
          let start = other * columns
          for column in 0..<columns { current[start + column] -= weight * errors[column] }
        }
      }
    }
    return current.allSatisfy(\.isFinite) ? current : nil
  }
}
