import GraphIR
import TensorTypes

extension ScatterElements: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, indices, updates) = (operands[0], operands[1], operands[2])
    if updates.count == 0 { return [x] }
    let extent = x.dimensions[axis]
    guard extent > 0 else { throw EvaluationError("`scatter_elements` into axis \(axis) of \(x.type), which has no element") }
    let chosen = indices.clampedIndices(to: extent)
    var strides = rowMajorStrides(x.dimensions)
    let along = strides[axis]
    strides[axis] = 0
    var positions: [Int] = []
    positions.reserveCapacity(updates.count)
    var walk = Odometer(updates.dimensions, strides, rowMajorStrides(updates.dimensions))
    repeat { positions.append(walk.first + chosen[walk.second] * along) } while walk.advance()
    return [x.scattering(updates, to: positions, run: 1, combine)]
  }
}

extension ScatterND: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, indices, updates) = (operands[0], operands[1], operands[2])
    if updates.count == 0 { return [x] }
    let depth = indices.dimensions.last ?? 0
    let tuples = try IndexTuples(indices, into: Array(x.dimensions[..<depth]), mnemonic)
    let inner = x.dimensions[depth...].reduce(1, *)
    return [x.scattering(updates, to: (0..<tuples.count).map { tuples.position($0) * inner }, run: inner, combine)]
  }
}

extension Tensor {
  /// A copy with runs of elements replaced by, or combined with, runs of the updates, in their order.
  fileprivate func scattering(_ updates: Tensor, to positions: [Int], run: Int, _ combine: Reducer?) -> Tensor {
    guard let combine else {
      let bytes = run * element.byteCount
      return Tensor(element, dimensions) { target in
        withBytes { target.copyMemory(from: $0) }
        updates.withBytes { source in
          guard let from = source.baseAddress, let to = target.baseAddress else { return }
          for (number, position) in positions.enumerated() {
            (to + position * element.byteCount).copyMemory(from: from + number * bytes, byteCount: bytes)
          }
        }
      }
    }
    // Combined in the lane type and rounded once.
    switch element.lane {
    case .real: return accumulating(updates, positions, run) { (a: Double, b: Double) in combine.function(a, b) }
    case .signed:
      let bits = element.bitCount
      return accumulating(updates, positions, run) { (a: Int64, b: Int64) in combine.function(a, b, bits: bits) }
    case .unsigned: return accumulating(updates, positions, run) { (a: UInt64, b: UInt64) in combine.function(a, b) }
    }
  }

  private func accumulating<W: LaneScalar>(_ updates: Tensor, _ positions: [Int], _ run: Int, _ combine: (W, W) -> W) -> Tensor {
    let totals = Scratch<W>(count), terms = Scratch<W>(updates.count)
    withBytes { if let from = $0.baseAddress { W.load(element, from, at: 0, count: count, into: totals.base) } }
    updates.withBytes { if let from = $0.baseAddress { W.load(element, from, at: 0, count: updates.count, into: terms.base) } }
    for (number, position) in positions.enumerated() {
      for offset in 0..<run { totals[position + offset] = combine(totals[position + offset], terms[number * run + offset]) }
    }
    return Tensor(element, dimensions) { target in
      if let to = target.baseAddress { W.store(totals.base, element, to, at: 0, count: count) }
    }
  }
}
