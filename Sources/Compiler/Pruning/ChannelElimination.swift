import GraphIR
import Passes

/// Ranks channels by what their loss costs the contractions that read them if the channels that stay make up for it (optimal brain surgeon, a channel
/// at a time): for rows R of weights W and the damped second moments H of what they are multiplied with, the error grows by
///
///     tr(W_R^T [H^-1]_RR^-1 W_R)
///
/// after which the other rows take over what they can. The cheapest channel goes first, and what is left is ranked again. Where there are few rows
/// for the unknowns, the rest can make up for anything on the samples and for little elsewhere: the damping grows with steps / rows, and a channel
/// never counts for more than what it adds to the error of the original weights without those that are gone.
struct ChannelElimination {
  /// A contraction that sums over the channels.
  struct Reader {
    /// Of the rows less their mean, divided by their number.
    var moments: SymmetricMatrix
    /// [step][column].
    var weights: [Double]
    var columns: Int
    /// By channel: its steps.
    var steps: [[Int]]
    /// What an error is divided by: the variance, over all columns, of the sum that the result is part of.
    var variance: Double
    /// How many rows the moments are of.
    var rows: Double
  }
  private struct State {
    var inverse: [Double]
    var weights: [Double]
    let order: Int
    /// The moments times the original weights of the rows that are gone.
    var lost: [Double]
  }

  private static let dampening = 0.01
  /// Channels are ranked again after so many parts of them are gone.
  private static let rounds = 240

  /// - Parameters:
  ///   - count: Of channels.
  ///   - most: No more than so many are removed; the others follow in the order of what they would cost then.
  /// - Returns: Channels in the order of their removal, with the relative error that each adds; nil if a matrix cannot be inverted.
  func order(_ count: Int, _ readers: [Reader], removing most: Int) -> [(channel: Int, cost: Double)]? {
    var states: [State] = []
    for reader in readers {
      guard let inverse = reader.moments.factored(dampening: Self.dampening + Double(reader.moments.order) / max(reader.rows, 1))?.inverse else { return nil }
      states.append(State(inverse: inverse.elements, weights: reader.weights, order: reader.moments.order, lost: [Double](repeating: 0, count: reader.weights.count)))
    }
    var left = Array(0..<count)
    var order: [(channel: Int, cost: Double)] = []
    let batch = max(1, count / Self.rounds)
    while true {
      var costs = [Double](repeating: 0, count: count)
      for (reader, state) in zip(readers, states) { for channel in left { costs[channel] += cost(reader.steps[channel], reader, state) / max(reader.variance, .leastNormalMagnitude) } }
      left.sort { (costs[$0], $0) < (costs[$1], $1) }
      if order.count >= most || left.count <= 1 { return order + left.map { ($0, costs[$0]) } }
      let gone = left.prefix(min(batch, most - order.count, left.count - 1))
      for channel in gone { order.append((channel, costs[channel])) }
      for (number, reader) in readers.enumerated() {
        let rows = gone.flatMap { reader.steps[$0] }
        if !rows.isEmpty, !remove(rows, reader, &states[number]) { return nil }
      }
      left.removeFirst(gone.count)
    }
  }

  private func block(_ rows: [Int], _ state: State) -> CholeskyFactor? {
    var matrix = SymmetricMatrix(order: rows.count, elements: [Double](repeating: 0, count: rows.count * rows.count))
    for (a, row) in rows.enumerated() { for (b, column) in rows.enumerated() { matrix[a, b] = state.inverse[row * state.order + column] } }
    return matrix.factored(dampening: 1e-12)
  }

  private func cost(_ rows: [Int], _ reader: Reader, _ state: State) -> Double {
    let columns = reader.columns
    let original = rows.flatMap { reader.weights[$0 * columns..<($0 + 1) * columns] }
    var alone = 0.0
    let own = reader.moments.selecting(rows).multiplied(by: original, columns: columns)
    for (number, row) in rows.enumerated() {
      for column in 0..<columns {
        let place = number * columns + column
        alone += original[place] * (own[place] + 2 * state.lost[row * columns + column])
      }
    }
    alone = max(0, alone)
    if rows.count == 1, let row = rows.first {
      let squares = state.weights.withUnsafeBufferPointer { $0[row * columns..<(row + 1) * columns].reduce(0) { $0 + $1 * $1 } }
      return min(alone, squares / max(state.inverse[row * state.order + row], .leastNormalMagnitude))
    }
    let weights = rows.flatMap { state.weights[$0 * columns..<($0 + 1) * columns] }
    guard let factor = block(rows, state) else { return alone }
    return min(alone, zip(weights, factor.solved(weights, columns: columns)).reduce(0) { $0 + $1.0 * $1.1 })
  }

  /// Takes rows out, and lets the others make up for them.
  private func remove(_ rows: [Int], _ reader: Reader, _ state: inout State) -> Bool {
    let (order, columns) = (state.order, reader.columns)
    var moments = [Double](repeating: 0, count: order * rows.count)
    for (number, row) in rows.enumerated() { for place in 0..<order { moments[place * rows.count + number] = -reader.moments[place, row] } }
    let original = rows.flatMap { reader.weights[$0 * columns..<($0 + 1) * columns] }
    SymmetricMatrix.subtract(moments, original, rows: order, inner: rows.count, columns: columns, from: &state.lost)
    guard let factor = block(rows, state) else { return false }
    let sides = rows.flatMap { state.inverse[$0 * order..<($0 + 1) * order] }
    /// [order][rows]: the columns of the inverse.
    var across = [Double](repeating: 0, count: sides.count)
    for (number, _) in rows.enumerated() { for place in 0..<order { across[place * rows.count + number] = sides[number * order + place] } }
    let weights = factor.solved(rows.flatMap { state.weights[$0 * columns..<($0 + 1) * columns] }, columns: columns)
    SymmetricMatrix.subtract(across, weights, rows: order, inner: rows.count, columns: columns, from: &state.weights)
    SymmetricMatrix.subtract(across, factor.solved(sides, columns: order), rows: order, inner: rows.count, columns: order, from: &state.inverse)
    for row in rows {
      for column in 0..<columns { state.weights[row * columns + column] = 0 }
      for place in 0..<order { (state.inverse[row * order + place], state.inverse[place * order + row]) = (0, 0) }
      state.inverse[row * order + row] = 1
    }
    return state.weights.allSatisfy(\.isFinite)
  }
}
