import GraphIR
import TensorTypes

extension GraphBuilder {
  /// A sparse tensor as zeros with its elements put in place. It takes no more memory here than the file, however large its shape
  /// is; small ones become constants when constants are folded.
  mutating func constant(_ sparse: SparseTensorProto, _ decoder: TensorDecoder) throws(CompileError) -> ValueID {
    let values = try decoder.tensor(sparse.values, origin: origin), indices = try decoder.tensor(sparse.indices, origin: origin)
    let rank = sparse.dimensions.count
    let isFlat = indices.dimensions.count == 1
    guard let count = elementCount(of: sparse.dimensions), values.dimensions.count == 1, indices.element == .i64,
      isFlat ? indices.dimensions == values.dimensions : indices.dimensions == [values.count, rank]
    else { throw refusal("a sparse tensor with values \(values.type) at \(indices.type) of the shape \(sparse.dimensions)") }
    for (position, index) in indices.integers.enumerated() {
      let limit = isFlat ? count : sparse.dimensions[position % rank]
      guard index >= 0, index < limit else { throw refusal("a sparse tensor of the shape \(sparse.dimensions) has an element at \(index)") }
    }
    let zero = try scalar(0, values.element)
    if isFlat {
      let flat = try add(ScatterElements(axis: 0), broadcast(zero, to: [Extent(count)]), constant(indices), constant(values))
      return try reshape(flat, to: Shape(sparse.dimensions))
    }
    return try add(ScatterND(), broadcast(zero, to: Shape(sparse.dimensions)), constant(indices), constant(values))
  }
}
