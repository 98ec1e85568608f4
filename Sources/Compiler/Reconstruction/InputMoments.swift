package import GraphIR
package import TensorTypes

/// What a contraction's left operand is like on some samples: X^T X over all rows that the contraction multiplies, with a column of ones behind the
/// others, so that sums are known, too.
package struct InputMoments: Sendable {
  /// Steps of the sum, and one for the column of ones.
  private(set) var products: SymmetricMatrix
  private(set) var rows = 0
  package var steps: Int { form.steps }
  private let form: ContractionRows

  /// - Parameter node: A dot, or a convolution in one group, channels first.
  package init?(_ node: Node, _ graph: Graph) {
    guard let form = ContractionRows(node, graph) else { return nil }
    self.form = form
    products = SymmetricMatrix(order: form.steps + 1, elements: [Double](repeating: 0, count: (form.steps + 1) * (form.steps + 1)))
  }

  /// Takes in the left operand of one sample.
  ///
  /// - Returns: The rows of the contraction that were looked at.
  @discardableResult
  package mutating func observe(_ tensor: Tensor) -> [Int] {
    let (places, numbers) = form.rows(of: tensor)
    products.accumulate(rows: numbers, count: places.count)
    rows += places.count
    return places
  }

  /// The mean square of each step.
  package var energies: [Double] { (0..<steps).map { rows == 0 ? 0 : products[$0, $0] / Double(rows) } }

  /// X^T X of the rows less their mean.
  var centred: SymmetricMatrix { products.centred }
}
