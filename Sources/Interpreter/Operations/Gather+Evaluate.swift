import GraphIR
import TensorTypes

extension Gather: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, indices, result) = (operands[0], operands[1], results[0])
    if result.count == 0 { return [result.zeros()] }
    let extent = x.dimensions[axis]
    guard extent > 0 else { throw EvaluationError("`gather` from axis \(axis) of \(x.type), which has no element") }
    let inner = x.dimensions[(axis + 1)...].reduce(1, *) * x.element.byteCount
    let outer = x.dimensions[..<axis].reduce(1, *)
    let chosen = indices.clampedIndices(to: extent)
    return [
      Tensor(result.element, result.dimensions) { target in
        x.withBytes { source in
          guard let from = source.baseAddress, let to = target.baseAddress else { return }
          for block in 0..<outer {
            for (position, index) in chosen.enumerated() {
              (to + (block * chosen.count + position) * inner).copyMemory(from: from + (block * extent + index) * inner, byteCount: inner)
            }
          }
        }
      }
    ]
  }
}

extension GatherElements: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, indices, result) = (operands[0], operands[1], results[0])
    if result.count == 0 { return [result.zeros()] }
    let extent = x.dimensions[axis]
    guard extent > 0 else { throw EvaluationError("`gather_elements` from axis \(axis) of \(x.type), which has no element") }
    let chosen = indices.clampedIndices(to: extent)
    var strides = rowMajorStrides(x.dimensions)
    let along = strides[axis]
    strides[axis] = 0
    let size = x.element.byteCount
    return [
      Tensor(result.element, result.dimensions) { target in
        x.withBytes { source in
          guard let from = source.baseAddress, let to = target.baseAddress else { return }
          var walk = Odometer(result.dimensions, strides, rowMajorStrides(result.dimensions))
          repeat {
            (to + walk.second * size).copyMemory(from: from + (walk.first + chosen[walk.second] * along) * size, byteCount: size)
          } while walk.advance()
        }
      }
    ]
  }
}

extension GatherND: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, indices, result) = (operands[0], operands[1], results[0])
    if result.count == 0 { return [result.zeros()] }
    let depth = indices.dimensions.last ?? 0
    let tuples = try IndexTuples(indices, into: Array(x.dimensions[batchAxes..<(batchAxes + depth)]), mnemonic)
    let inner = x.dimensions[(batchAxes + depth)...].reduce(1, *)
    let batches = x.dimensions[..<batchAxes].reduce(1, *)
    let perBatch = tuples.count / max(batches, 1)
    let (size, batchStride) = (x.element.byteCount, x.count / max(batches, 1))
    return [
      Tensor(result.element, result.dimensions) { target in
        x.withBytes { source in
          guard let from = source.baseAddress, let to = target.baseAddress else { return }
          for position in 0..<tuples.count {
            let start = position / max(perBatch, 1) * batchStride + tuples.position(position) * inner
            (to + position * inner * size).copyMemory(from: from + start * size, byteCount: inner * size)
          }
        }
      }
    ]
  }
}

extension Tensor {
  /// The integers of an index tensor, each moved into 0..<extent.
  func clampedIndices(to extent: Int) -> [Int] {
    withBytes { bytes in
      (0..<count).map { min(max(Tensor.integer(bytes, element, $0), 0), extent - 1) }
    }
  }
}

/// The last axis of an index tensor read as tuples, each the index of one slice.
struct IndexTuples {
  let count: Int
  private let indices: [Int]
  private let extents: [Int]

  init(_ tensor: Tensor, into extents: [Int], _ mnemonic: String) throws(EvaluationError) {
    // Without indices in a tuple there is still one tuple for each position of the outer axes.
    count = tensor.dimensions.dropLast().reduce(1) { $0 &* $1 }
    indices = tensor.integers
    self.extents = extents
    if extents.contains(0) { throw EvaluationError("`\(mnemonic)` indexes axes of extents \(extents), which have no element") }
  }

  /// The number of the slice that a tuple names, clamped in each axis.
  func position(_ tuple: Int) -> Int {
    var position = 0
    for (axis, extent) in extents.enumerated() {
      position = position * extent + min(max(indices[tuple * extents.count + axis], 0), extent - 1)
    }
    return position
  }
}
