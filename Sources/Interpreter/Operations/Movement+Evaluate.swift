import GraphIR
import TensorTypes

extension Broadcast: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result) = (operands[0], results[0])
    let added = result.dimensions.count - x.dimensions.count
    let strides = zip(x.dimensions, rowMajorStrides(x.dimensions)).map { $0 == 1 ? 0 : $1 }
    return [x.strided([Int](repeating: 0, count: added) + strides, as: result)]
  }
}

extension Reshape: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    guard let result = operands[0].reshaped(results[0].dimensions) else {
      throw EvaluationError("`reshape` of \(operands[0].type) to \(results[0]), which has another number of elements")
    }
    return [result]
  }
}

extension Transpose: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let strides = rowMajorStrides(operands[0].dimensions)
    return [operands[0].strided(permutation.map { strides[$0] }, as: results[0])]
  }
}

extension Slice: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result) = (operands[0], results[0])
    if result.count == 0 { return [result.zeros()] }
    let strides = rowMajorStrides(x.dimensions)
    var start = 0
    for (axis, extent) in starts.enumerated() {
      guard let first = extent.constant else { throw EvaluationError("the start of `slice` is not known: \(extent)") }
      start += first * strides[axis]
    }
    // An axis of one element may have any step; its stride is never taken.
    let steps = zip(zip(strides, steps), result.dimensions).map { $1 == 1 ? 0 : $0.0 * $0.1 }
    return [x.strided(steps, from: start, as: result)]
  }
}

extension Reverse: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result) = (operands[0], results[0])
    if result.count == 0 { return [x] }
    var strides = rowMajorStrides(x.dimensions)
    var start = 0
    for axis in axes {
      start += strides[axis] * (x.dimensions[axis] - 1)
      strides[axis] = -strides[axis]
    }
    return [x.strided(strides, from: start, as: result)]
  }
}

extension Concatenate: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let result = results[0]
    let strides = rowMajorStrides(result.dimensions)
    return [
      Tensor(result.element, result.dimensions) { target in
        var start = 0
        for operand in operands where operand.count > 0 {
          operand.withBytes { source in
            StridedCopy(operand.dimensions, from: rowMajorStrides(operand.dimensions), to: strides).run(result.element, source, target, to: start)
          }
          start += operand.dimensions[axis] * strides[axis]
        }
      }
    ]
  }
}

extension Pad: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result) = (operands[0], results[0])
    if result.count == 0 { return [result.zeros()] }
    var before: [Int] = []
    for extent in low {
      guard let amount = extent.constant else { throw EvaluationError("an amount of `pad` is not known: \(extent)") }
      before.append(amount)
    }
    if mode == .constant {
      let filled = operands[1].strided([Int](repeating: 0, count: result.dimensions.count), as: result)
      if x.count == 0 { return [filled] }
      let strides = rowMajorStrides(result.dimensions)
      let start = zip(before, strides).reduce(0) { $0 + $1.0 * $1.1 }
      return [
        Tensor(result.element, result.dimensions) { target in
          filled.withBytes { target.copyMemory(from: $0) }
          x.withBytes { StridedCopy(x.dimensions, from: rowMajorStrides(x.dimensions), to: strides).run(result.element, $0, target, to: start) }
        }
      ]
    }
    guard x.count > 0 else { throw EvaluationError("`pad` by \(mode.rawValue) of \(x.type), which has no element to repeat") }
    // For each axis, the offset that each index of the result reads.
    let strides = rowMajorStrides(x.dimensions)
    var offsets: [[Int]] = []
    for axis in x.dimensions.indices {
      let extent = x.dimensions[axis]
      offsets.append((0..<result.dimensions[axis]).map { source($0 - before[axis], extent) * strides[axis] })
    }
    return [x.gathered(offsets, as: result)]
  }

  /// The index that an index outside stands for. Pads are at most as long as the axis (`resultTypes` checks it), except by `edge`.
  private func source(_ index: Int, _ extent: Int) -> Int {
    switch mode {
    case .constant, .edge: min(max(index, 0), extent - 1)
    case .reflect: index < 0 ? -index : index >= extent ? 2 * (extent - 1) - index : index
    case .wrap: index < 0 ? index + extent : index >= extent ? index - extent : index
    }
  }
}

extension Tensor {
  /// A dense tensor whose element at [i, j, ...] is the one at offset `offsets[0][i] + offsets[1][j] + ...`.
  func gathered(_ offsets: [[Int]], as result: ConcreteType) -> Tensor {
    Tensor(result.element, result.dimensions) { target in
      withBytes { source in
        guard result.count > 0, let from = source.baseAddress, let to = target.baseAddress else { return }
        let size = element.byteCount
        let inner = offsets.last ?? [0]
        var index = [Int](repeating: 0, count: max(offsets.count - 1, 0))
        var base = index.indices.reduce(0) { $0 + offsets[$1][0] }
        var position = 0
        while true {
          for offset in inner {
            (to + position * size).copyMemory(from: from + (base + offset) * size, byteCount: size)
            position += 1
          }
          var axis = index.count - 1
          while axis >= 0 {
            base -= offsets[axis][index[axis]]
            index[axis] += 1
            if index[axis] < offsets[axis].count { break }
            index[axis] = 0
            base += offsets[axis][0]
            axis -= 1
          }
          if axis < 0 { return }
          base += offsets[axis][index[axis]]
        }
      }
    }
  }
}
