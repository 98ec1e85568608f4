import GraphIR
import TensorTypes

/// Removes and merges operations that only move elements.
///
///     %y = reshape (reshape %x)      ->  reshape %x
///     %y = transpose (transpose %x)  ->  transpose %x          (nothing, if they undo each other)
///     %y = transpose %x : f32[1,64]  ->  reshape %x            (where only axes of extent 1 move)
///     %y = slice (concatenate ...)   ->  slice of the one operand that it lies in
///
/// Numerics: exact; no number is computed.
public let simplifyMovement = rewrite(
  "simplify-movement", "Removes and merges operations that only move elements.",
  [
    .on(Reshape.self) { match, rewriter throws(TypeError) in try MovementRules.reshape(match, &rewriter) },
    .on(Transpose.self) { match, rewriter throws(TypeError) in try MovementRules.transpose(match, &rewriter) },
    .on(Broadcast.self) { match, rewriter throws(TypeError) in try MovementRules.broadcast(match, &rewriter) },
    .on(Slice.self) { match, rewriter throws(TypeError) in try MovementRules.slice(match, &rewriter) },
    .on(Pad.self) { match, rewriter throws(TypeError) in try MovementRules.pad(match, &rewriter) },
    .on(Concatenate.self) { match, rewriter throws(TypeError) in try MovementRules.concatenate(match, &rewriter) },
    .on(Reverse.self) { match, rewriter throws(TypeError) in try MovementRules.reverse(match, &rewriter) },
  ])

extension Transpose {
  /// True if the axes that have more than one element keep their order.
  func movesOnlyUnitAxes(of shape: Shape) -> Bool {
    let wide = permutation.filter { shape[$0] != 1 }
    return zip(wide, wide.dropFirst()).allSatisfy { $0 < $1 }
  }

  /// This permutation after another one.
  func after(_ first: Transpose) -> Transpose { Transpose(permutation.map { first.permutation[$0] }) }
}

private enum MovementRules {
  static func reshape(_ match: Match<Reshape>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    if rewriter.type(of: match[0]) == rewriter.type(of: match.result) { return .replaced(with: match[0]) }
    if let (node, _) = rewriter.producer(of: match[0], as: Reshape.self) {
      return .replaced(with: try rewriter.reshape(node.operands[0], to: match.operation.shape))
    }
    // A scalar repeated to one shape is a scalar repeated to the other.
    if let (node, _) = rewriter.producer(of: match[0], as: Broadcast.self), rewriter.type(of: node.operands[0]).rank == 0 {
      return .replaced(with: try rewriter.broadcast(node.operands[0], to: match.operation.shape))
    }
    return .unchanged
  }

  static func transpose(_ match: Match<Transpose>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    if match.operation.isIdentity { return .replaced(with: match[0]) }
    if match.operation.movesOnlyUnitAxes(of: rewriter.type(of: match[0]).shape) {
      return .replaced(with: try rewriter.reshape(match[0], to: rewriter.type(of: match.result).shape))
    }
    if let (node, first) = rewriter.producer(of: match[0], as: Transpose.self) {
      let both = match.operation.after(first)
      return .replaced(with: both.isIdentity ? node.operands[0] : try rewriter.insert(both, node.operands[0]))
    }
    return try transposeThroughReshape(match, &rewriter)
  }

  /// `transpose (reshape (transpose %x))` -> `reshape (transpose %x)`, where the outer one moves groups of the reshape as blocks.
  private static func transposeThroughReshape(_ match: Match<Transpose>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let (reshape, _) = rewriter.producer(of: match[0], as: Reshape.self), rewriter.hasOneUse(match[0]),
      let (transpose, inner) = rewriter.producer(of: reshape.operands[0], as: Transpose.self), rewriter.hasOneUse(reshape.operands[0])
    else { return .unchanged }
    let (before, after) = (rewriter.type(of: reshape.operands[0]).shape, rewriter.type(of: match[0]).shape)
    guard let groups = ReshapeGroups(from: before, to: after)?.groups else { return .unchanged }
    var moved = match.operation.permutation.filter { after[$0] != 1 }[...]
    var order = before.indices.filter { before[$0] == 1 }
    while let axis = moved.first {
      guard let group = groups.first(where: { $0.after.first == axis }), moved.starts(with: group.after) else { return .unchanged }
      order += group.before
      moved = moved.dropFirst(group.after.count)
    }
    let both = Transpose(order).after(inner)
    let result = both.isIdentity ? transpose.operands[0] : try rewriter.insert(both, transpose.operands[0])
    return .replaced(with: try rewriter.reshape(result, to: rewriter.type(of: match.result).shape))
  }

  static func broadcast(_ match: Match<Broadcast>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let type = rewriter.type(of: match[0])
    if type == rewriter.type(of: match.result) { return .replaced(with: match[0]) }
    if let (node, _) = rewriter.producer(of: match[0], as: Broadcast.self) {
      return .replaced(with: try rewriter.broadcast(node.operands[0], to: match.operation.shape))
    }
    if let (node, _) = rewriter.producer(of: match[0], as: Reshape.self) {
      // Axes of extent 1 in front are implied.
      let source = rewriter.type(of: node.operands[0]).shape
      let added = type.rank - source.rank
      if added > 0, type.shape.prefix(added).allSatisfy({ $0 == 1 }), Array(type.shape.dropFirst(added)) == source.extents {
        return .replaced(with: try rewriter.broadcast(node.operands[0], to: match.operation.shape))
      }
    }
    return .unchanged
  }

  static func slice(_ match: Match<Slice>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let slice = match.operation
    let shape = rewriter.type(of: match[0]).shape
    if slice.isWhole(of: shape) { return .replaced(with: match[0]) }
    if let (node, inner) = rewriter.producer(of: match[0], as: Slice.self) {
      var (starts, steps) = (inner.starts, inner.steps)
      for axis in starts.indices {
        starts[axis] = starts[axis] + slice.starts[axis] * Extent(inner.steps[axis])
        let (product, overflowed) = inner.steps[axis].multipliedReportingOverflow(by: slice.steps[axis])
        if overflowed { return .unchanged }
        steps[axis] = product
      }
      return .replaced(with: try rewriter.insert(Slice(starts: starts, sizes: slice.sizes, steps: steps), node.operands[0]))
    }
    guard let (node, concatenate) = rewriter.producer(of: match[0], as: Concatenate.self) else { return .unchanged }
    let axis = concatenate.axis
    guard let start = slice.starts[axis].constant, let size = slice.sizes[axis].constant, size > 0,
      let last = (slice.starts[axis] + Extent(size - 1) * Extent(slice.steps[axis])).constant
    else { return .unchanged }
    var offset = 0
    for operand in node.operands {
      guard let extent = rewriter.type(of: operand).shape[axis].constant else { return .unchanged }
      let (end, overflowed) = offset.addingReportingOverflow(extent)
      if overflowed { return .unchanged }
      if start >= offset && last < end {
        var starts = slice.starts
        starts[axis] = Extent(start - offset)
        let part = Slice(starts: starts, sizes: slice.sizes, steps: slice.steps)
        return .replaced(with: part.isWhole(of: rewriter.type(of: operand).shape) ? operand : try rewriter.insert(part, operand))
      }
      offset = end
    }
    return .unchanged
  }

  static func pad(_ match: Match<Pad>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let pad = match.operation
    if (pad.low + pad.high).allSatisfy({ $0 == 0 }) { return .replaced(with: match[0]) }
    guard pad.mode == .constant, let (node, inner) = rewriter.producer(of: match[0], as: Pad.self), inner.mode == .constant else { return .unchanged }
    let isSameValue = match[1] == node.operands[1] || {
      guard let a = rewriter.constant(match[1]), let b = rewriter.constant(node.operands[1]) else { return false }
      return a.isIdentical(to: b)
    }()
    guard isSameValue else { return .unchanged }
    let both = Pad(low: zip(pad.low, inner.low).map { $0 + $1 }, high: zip(pad.high, inner.high).map { $0 + $1 })
    return .replaced(with: try rewriter.insert(both, node.operands[0], match[1]))
  }

  static func concatenate(_ match: Match<Concatenate>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let axis = match.operation.axis
    if match.operands.count == 1 { return .replaced(with: match[0]) }
    let filled = match.operands.filter { rewriter.type(of: $0).shape[axis] != 0 }
    if filled.count < match.operands.count {
      return .replaced(with: filled.count <= 1 ? filled.first ?? match[0] : try rewriter.insertAll(match.operation, filled)[0])
    }
    var flat: [ValueID] = []
    for operand in match.operands {
      if let (node, inner) = rewriter.producer(of: operand, as: Concatenate.self), inner.axis == axis, rewriter.hasOneUse(operand) {
        flat += node.operands
      } else {
        flat.append(operand)
      }
    }
    return flat.count == match.operands.count ? .unchanged : .replaced(with: try rewriter.insertAll(match.operation, flat)[0])
  }

  static func reverse(_ match: Match<Reverse>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let shape = rewriter.type(of: match[0]).shape
    var axes = Set(match.operation.axes.filter { shape[$0] != 1 })
    var source = match[0]
    if let (node, inner) = rewriter.producer(of: match[0], as: Reverse.self) {
      axes.formSymmetricDifference(inner.axes)
      source = node.operands[0]
    } else if axes.count == match.operation.axes.count {
      return axes.isEmpty ? .replaced(with: match[0]) : .unchanged
    }
    return .replaced(with: axes.isEmpty ? source : try rewriter.insert(Reverse(axes: axes.sorted()), source))
  }
}
