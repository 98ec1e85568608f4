import GraphIR
import TensorTypes

/// Attention and rotary embedding.
enum AttentionOperators {
  static let table: [String: OperatorImporter] = [:]
}
