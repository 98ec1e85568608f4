import GraphIR
import TensorTypes

/// Recurrent networks as loops.
enum RecurrentOperators {
  static let table: [String: OperatorImporter] = [:]
}
