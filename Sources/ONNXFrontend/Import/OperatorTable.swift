/// How each operator is imported. Names are those of the standard's own domain, or `domain::name`.
enum OperatorTable {
  /// What imports one operator.
  static func importer(domain: String, name: String) -> OperatorImporter? {
    table[domain.isEmpty ? name : "\(domain)::\(name)"]
  }

  /// All names, sorted.
  static var names: [String] { table.keys.sorted() }

  private static let table: [String: OperatorImporter] = {
    let families = [
      ElementwiseOperators.table, ActivationOperators.table, ConvolutionOperators.table, PoolingOperators.table, MatrixOperators.table,
      NormalizationOperators.table, ReductionOperators.table, ShapeOperators.table, MovementOperators.table, SliceOperators.table,
      IndexingOperators.table, ResizeOperators.table, RecurrentOperators.table, QuantizationOperators.table, AttentionOperators.table,
      TextOperators.table, EncoderOperators.table, TermFrequency.table,
      LossOperators.table, StatefulOperators.table, SignalOperators.table, GridOperators.table, SelectionOperators.table, MachineLearningOperators.table,
      TreeOperators.table, SupportVectorOperators.table,
      RandomOperators.table, RegionOperators.table, UnpoolingOperators.table, DeformableConvolution.table, Determinant.table,
      PlacementOperators.table, OptimizerOperators.table,
    ]
    var table: [String: OperatorImporter] = [:]
    for family in families { table.merge(family) { first, _ in first } }
    return table
  }()
}
