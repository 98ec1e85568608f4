import TensorTypes

// Outputs that are a map for each row.
extension JSONWriter {
  /// A whole output: nested arrays, or one object for each row if the columns have keys.
  mutating func nested(_ tensor: Tensor, keys: MapKeys?) {
    guard let keys, tensor.dimensions.count == 2, tensor.dimensions[1] == keys.count else { return nested(tensor) }
    let names = keys.names
    array { writer in for row in 0..<tensor.dimensions[0] { writer.map(row, of: tensor, keys: names) } }
  }

  /// One row of a tensor [rows, keys] as an object.
  mutating func map(_ row: Int, of tensor: Tensor, keys: [String]) {
    guard tensor.dimensions.count == 2, tensor.dimensions[1] == keys.count, row < tensor.dimensions[0] else { return self.row(row, of: tensor) }
    object { writer in
      for (column, name) in keys.enumerated() {
        writer.key(name)
        let position = row * keys.count + column
        writer.nested(tensor, axis: 2, in: position..<position + 1)
      }
    }
  }

  /// A member `keys` of the parameters of an output.
  mutating func mapKeys(_ keys: MapKeys) {
    key("keys")
    switch keys {
    case .integers(let values): integers(values)
    case .strings(let values): array { writer in for value in values { writer.string(value) } }
    }
  }
}
