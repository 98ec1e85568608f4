import GraphIR
import TensorTypes

extension Broadcast: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    let source = s.shape(node.operands[0])
    let added = shape.rank - source.rank
    let repeated = (0..<shape.rank).filter { $0 < added || (source[$0 - added] == 1 && shape[$0] != 1) }
    return [try s.reshape(s.reduce(.sum, g, axes: repeated), to: source)]
  }
}

extension Reshape: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    return [try s.reshape(g, to: s.shape(node.operands[0]))]
  }
}

extension Transpose: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    return [try s.transpose(g, inverse.permutation)]
  }
}

extension Reverse: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    return [try s.add(self, g)]
  }
}

extension Slice: Differentiable {
  /// Zeros around the slice, and between its elements.
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard var g = results[0] else { return [nil] }
    let source = s.type(node.operands[0])
    if sizes.contains(0) { return [try s.filled(0, source)] }
    for axis in steps.indices { g = try s.dilate(g, axis: axis, step: steps[axis]) }
    let covered = s.shape(g)
    return [try s.pad(g, low: starts, high: starts.indices.map { source.shape[$0] - starts[$0] - covered[$0] })]
  }
}

extension Pad: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return node.operands.map { _ in nil } }
    let source = s.shape(node.operands[0])
    if mode == .constant {
      var inner = g
      for axis in low.indices { inner = try s.slice(inner, axis: axis, start: low[axis], size: source[axis]) }
      let everything = Array(low.indices)
      let border = try s.binary(.subtract, s.reduce(.sum, g, axes: everything), s.reduce(.sum, inner, axes: everything))
      return [inner, border]
    }
    // Each element of the result is a copy of one of the operand, axis by axis.
    var derivative = g
    for axis in low.indices where low[axis] != 0 || high[axis] != 0 {
      let length = try s.scalar(source[axis], .i64)
      let type = TensorType(.i64, [s.shape(derivative)[axis]])
      let count = try s.broadcast(length, to: type.shape)
      let last = try s.binary(.subtract, count, 1)
      let position = try s.binary(
        .subtract, s.add(Iota(.i64, type.shape, axis: 0)), s.broadcast(s.scalar(low[axis], .i64), to: type.shape))
      let index: ValueID
      switch mode {
      case .constant, .edge: index = try s.binary(.minimum, s.binary(.maximum, position, 0), last)
      case .reflect: index = try s.binary(.subtract, last, s.unary(.absolute, s.binary(.subtract, last, s.unary(.absolute, position))))
      case .wrap: index = try s.binary(.modulo, position, count)
      }
      derivative = try s.gathered(derivative, axis: axis, indices: index, extent: source[axis])
    }
    return [derivative]
  }
}

extension Concatenate: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return node.operands.map { _ in nil } }
    var derivatives: [ValueID?] = []
    var start = Extent(0)
    for operand in node.operands {
      let size = s.shape(operand)[axis]
      derivatives.append(try s.slice(g, axis: axis, start: start, size: size))
      start = start + size
    }
    return derivatives
  }
}
