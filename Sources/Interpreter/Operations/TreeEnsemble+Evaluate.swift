import GraphIR
import TensorTypes

extension TreeEnsemble: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let trees: DecisionTrees
    do throws(TypeError) { trees = try DecisionTrees(Array(operands[1...]), of: self) } catch { throw EvaluationError(error.message, hint: error.hint) }
    let (x, result) = (operands[0], results[0])
    try limits.checkScratch(trees.nodes.count, of: MemoryLayout<DecisionTrees.Node>.stride)
    return [
      Tensor(result.element, result.dimensions) { target in
        x.withBytes { bytes in
          for row in 0..<result.dimensions[0] {
            func feature(_ column: Int) -> Double { Tensor.double(bytes, x.element, row * x.dimensions[1] + column) }
            for (column, value) in score(trees, isNarrow: result.element == .f32, feature).enumerated() {
              Tensor.store(value, result.element, target, row * self.results + column)
            }
          }
        }
      }
    ]
  }

  /// The results of one row. Sums of f32 are rounded after each addition: the difference of two classes may hang on it.
  private func score(_ trees: DecisionTrees, isNarrow: Bool, _ feature: (Int) -> Double) -> [Double] {
    var (totals, isSet) = ([Double](repeating: 0, count: results), [Bool](repeating: false, count: results))
    for root in trees.roots {
      var node = trees.nodes[root]
      while !node.isLeaf {
        let value = feature(node.feature)
        let goesNear = value.isNaN ? node.missingGoesNear : value <= node.threshold
        node = trees.nodes[goesNear ? node.near : node.far]
      }
      for entry in node.weights {
        let (target, weight) = (trees.targets[entry], trees.weights[entry])
        let isFirst = !isSet[target]
        isSet[target] = true
        switch combine {
        case .maximum: totals[target] = isFirst ? weight : max(totals[target], weight)
        case .minimum: totals[target] = isFirst ? weight : min(totals[target], weight)
        default: totals[target] = isNarrow ? Double(Float(totals[target]) + Float(weight)) : totals[target] + weight
        }
      }
    }
    return totals
  }
}
