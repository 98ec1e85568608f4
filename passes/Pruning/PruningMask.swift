public import GraphIR
public import TensorTypes

/// Which elements of a constant are kept; in the order of the tensor.
public struct PruningMask: Sendable {
  public var isKept: [Bool]

  /// - Parameter isKept: One for each weight, in the order of the tensor.
  public init(keeping isKept: [Bool]) { self.isKept = isKept }

  /// The part that is kept.
  public var density: Double { isKept.isEmpty ? 1 : Double(isKept.reduce(0) { $0 + ($1 ? 1 : 0) }) / Double(isKept.count) }

  /// The tensor with zeros where nothing is kept; nil for other element types than f32 and other sizes.
  public func applied(to tensor: Tensor) -> Tensor? {
    guard tensor.element == .f32, tensor.count == isKept.count else { return nil }
    return Tensor(.f32, tensor.dimensions) { target in
      tensor.withBytes { source in
        for position in isKept.indices where isKept[position] {
          target.storeBytes(of: source.loadUnaligned(fromByteOffset: position * 4, as: Float.self), toByteOffset: position * 4, as: Float.self)
        }
      }
    }
  }
}

/// How the weights to be zeroed are spread over the layers.
public enum PruningBudget: String, Sendable, Hashable, CaseIterable {
  /// The same part of every layer.
  case layer
  /// The least important ones of the whole model, measured against the others of their layer; no layer loses more than 95 %.
  case global
}

/// Chooses what is zeroed by its importance: a block's is the sum of its weights'.
public struct MaskChoice: Sendable {
  public var pattern: SparsityPattern
  /// The part of the weights to be zeroed. A ratio says it by itself.
  public var sparsity: Double
  public var budget: PruningBudget

  /// What a layer keeps at least if others lose less.
  private static let leastKept = 0.05

  /// - Parameters:
  ///   - pattern: What is zeroed together.
  ///   - sparsity: The part of the weights to be zeroed; a pattern that is a ratio says it by itself.
  ///   - budget: Whether every layer loses this part, or all layers together.
  public init(pattern: SparsityPattern, sparsity: Double, budget: PruningBudget = .layer) {
    (self.pattern, self.sparsity, self.budget) = (pattern, sparsity, budget)
  }

  private struct Units {
    var rows: Int
    var columns: Int
    /// [row][column] of units: the mean importance of a unit's weights, and how many they are.
    var scores: [Double]
    var counts: [Int]
  }

  /// Magnitude: the squares of the weights.
  public static func magnitudes(of weights: PrunableWeights, _ tensor: Tensor) -> [Float] {
    tensor.withBytes { bytes in
      (0..<tensor.count).map { position in
        let number = bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self)
        return number.isFinite ? number * number : .greatestFiniteMagnitude
      }
    }
  }

  /// - Parameter importance: For each layer one number for each element of its constant; not negative.
  /// - Returns: For each layer what is kept.
  public func masks(for layers: [PrunableWeights], importance: [[Float]]) -> [PruningMask] {
    let units = zip(layers, importance).map { self.units($0, $1) }
    if case .ratio(let kept, let of, _) = pattern { return zip(layers, units).map { ratio($0, $1, kept: kept, of: of) } }
    switch budget {
    case .layer: return zip(layers, units).map { layer, units in mask(layer, units, removing: order(units), weights: Int((Double(layer.count) * sparsity).rounded())) }
    case .global: return global(layers, units)
    }
  }

  private func units(_ layer: PrunableWeights, _ importance: [Float]) -> Units {
    let unit = pattern.unit
    let (rows, columns) = ((layer.steps + unit.steps - 1) / unit.steps, (layer.columns + unit.columns - 1) / unit.columns)
    var units = Units(rows: rows, columns: columns, scores: [Double](repeating: 0, count: rows * columns), counts: [Int](repeating: 0, count: rows * columns))
    for step in 0..<layer.steps {
      let row = step / unit.steps * columns
      for column in 0..<layer.columns {
        let position = layer.position(step: step, column: column)
        guard importance.indices.contains(position) else { continue }
        units.scores[row + column / unit.columns] += Double(importance[position])
        units.counts[row + column / unit.columns] += 1
      }
    }
    for number in units.scores.indices where units.counts[number] > 0 { units.scores[number] /= Double(units.counts[number]) }
    return units
  }

  /// Units, least important first; equal ones in their order.
  private func order(_ units: Units) -> [Int] { units.scores.indices.sorted { (units.scores[$0], $0) < (units.scores[$1], $1) } }

  private func mask(_ layer: PrunableWeights, _ units: Units, removing order: [Int], weights: Int) -> PruningMask {
    var isRemoved = [Bool](repeating: false, count: units.scores.count)
    var removed = 0
    for number in order {
      if removed + units.counts[number] / 2 >= weights { break }
      isRemoved[number] = true
      removed += units.counts[number]
    }
    return mask(layer, units, isRemoved)
  }

  private func mask(_ layer: PrunableWeights, _ units: Units, _ isRemoved: [Bool]) -> PruningMask {
    let unit = pattern.unit
    var isKept = [Bool](repeating: true, count: layer.count)
    for step in 0..<layer.steps {
      for column in 0..<layer.columns where isRemoved[step / unit.steps * units.columns + column / unit.columns] {
        isKept[layer.position(step: step, column: column)] = false
      }
    }
    return PruningMask(keeping: isKept)
  }

  /// Of every `of` rows of units the most important `kept`; a rest of fewer rows loses the same part, rounded down.
  private func ratio(_ layer: PrunableWeights, _ units: Units, kept: Int, of: Int) -> PruningMask {
    var isRemoved = [Bool](repeating: false, count: units.scores.count)
    for first in stride(from: 0, to: units.rows, by: of) {
      let end = min(first + of, units.rows)
      let lost = (end - first) * (of - kept) / of
      for column in 0..<units.columns {
        let rows = (first..<end).sorted { (units.scores[$0 * units.columns + column], $0) < (units.scores[$1 * units.columns + column], $1) }
        for row in rows.prefix(lost) { isRemoved[row * units.columns + column] = true }
      }
    }
    return mask(layer, units, isRemoved)
  }

  private func global(_ layers: [PrunableWeights], _ units: [Units]) -> [PruningMask] {
    var all: [(score: Double, layer: Int, unit: Int)] = []
    for (number, layer) in units.enumerated() {
      // Layers differ in the size of their numbers: importance is compared with the mean of the layer.
      let mean = max(layer.scores.reduce(0, +) / Double(max(1, layer.scores.count)), .leastNormalMagnitude)
      all += layer.scores.indices.map { (layer.scores[$0] / mean, number, $0) }
    }
    all.sort { ($0.score, $0.layer, $0.unit) < ($1.score, $1.layer, $1.unit) }
    let wanted = Int((Double(layers.reduce(0) { $0 + $1.count }) * sparsity).rounded())
    var isRemoved = units.map { [Bool](repeating: false, count: $0.scores.count) }
    var left = layers.map { Int(Double($0.count) * (1 - Self.leastKept)) }
    var removed = 0
    for (_, layer, unit) in all {
      let count = units[layer].counts[unit]
      if removed + count / 2 >= wanted { break }
      if left[layer] < count { continue }
      isRemoved[layer][unit] = true
      left[layer] -= count
      removed += count
    }
    return layers.indices.map { mask(layers[$0], units[$0], isRemoved[$0]) }
  }
}
