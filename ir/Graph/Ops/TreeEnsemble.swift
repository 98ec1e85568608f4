import TensorTypes

/// For each row the weights of the leaves that it ends in, combined over all decision trees.
///
///     %y = tree_ensemble %x, %nodes, %thresholds, %roots, %targets, %weights {combine = sum, features = 50, results = 3} : f32[batch,3]
///
/// - Operands: `x` [rows, columns], f32 or f64; constants: `nodes` i32 [n, 4], `thresholds` [n] in the element type of `x`, `roots`
///   i32 [trees], `targets` i32 [k] and `weights` [k]. A node is (feature, near, far, missing): where `x[feature] <= threshold` holds it
///   leads to node `near`, otherwise to `far`; a NaN leads to `near` if `missing` is 1, to `far` if it is 0. A leaf is (-1, first, end, 0):
///   it adds `weights[i]` to column `targets[i]` of the result for each i in first..<end. No node is reached by two ways.
/// - Result: [rows, results] in the element type of `weights`. Trees, and the weights of a leaf, are combined in their order, from zero for `sum`;
///   a column that no leaf of a row adds to is 0.
/// - Source: ONNX `TreeEnsemble`, `TreeEnsembleClassifier`, `TreeEnsembleRegressor`.
public struct TreeEnsemble: Operation {
  /// How weights for one column are combined: `sum`, `max` or `min`.
  public var combine: Reducer
  /// The columns of `x` that nodes name: all below this.
  public var features: Int
  /// The columns of the result.
  public var results: Int
  public init(_ combine: Reducer, features: Int, results: Int) { (self.combine, self.features, self.results) = (combine, features, results) }

  public static let mnemonics = ["tree_ensemble"]
  public var arity: ClosedRange<Int> { 6...6 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("combine", .word(combine.rawValue))
    list.set("features", .integer(features))
    list.set("results", .integer(results))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(
      try attributes.word("combine", as: Reducer.self), features: try attributes.integer("features"), results: try attributes.integer("results"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let (x, nodes, weights) = (operands[0], operands[1], operands[5])
    guard combine == .sum || combine == .maximum || combine == .minimum else { throw TypeError("`tree_ensemble` does not combine by \(combine.rawValue)") }
    guard x.rank == 2, x.element == .f32 || x.element == .f64 else { throw TypeError("`tree_ensemble` takes rows of f32 or f64, not \(x)") }
    guard results >= 1, features >= 0 else { throw TypeError("`tree_ensemble` of \(features) features with \(results) results") }
    if let columns = x.shape[1].constant, columns < features { throw TypeError("`tree_ensemble` reads \(features) columns of \(x)") }
    guard nodes.rank == 2, nodes.element == .i32, nodes.shape[1] == 4, operands[2] == TensorType(x.element, [nodes.shape[0]]) else {
      throw TypeError("`tree_ensemble` has nodes \(nodes) and thresholds \(operands[2])")
    }
    guard operands[3].rank == 1, operands[3].element == .i32 else { throw TypeError("`tree_ensemble` has roots \(operands[3])") }
    guard weights.rank == 1, weights.element == .f32 || weights.element == .f64, operands[4] == TensorType(.i32, weights.shape) else {
      throw TypeError("`tree_ensemble` has weights \(weights) for \(operands[4])")
    }
    return [TensorType(weights.element, [x.shape[0], Extent(results)])]
  }
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    [ShapeCondition(.nonNegative, operands[0].shape[1] - Extent(features), violation: "trees read \(features) columns of \(operands[0])")]
  }
}
