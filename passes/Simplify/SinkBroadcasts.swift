import GraphIR
import TensorTypes

/// Moves broadcasts behind elementwise operations, so that those work on the smaller tensor.
///
///     %b = broadcast %x {shape = [64, 56, 56]}
///     %y = exp %b
/// ->
///     %s = exp %x
///     %y = broadcast %s {shape = [64, 56, 56]}
///
/// Two broadcasts to one shape meet at the shape that both sources need. Numerics: exact; the same operations on the same numbers.
public let sinkBroadcasts = rewrite(
  "sink-broadcasts", "Moves broadcasts behind elementwise operations, so that those work on the smaller tensor.",
  [
    .on(Unary.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Convert.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Binary.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Compare.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Select.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Transpose.self) { match, rewriter throws(TypeError) in
      guard let (node, _) = rewriter.producer(of: match[0], as: Broadcast.self) else { return .unchanged }
      let shape = rewriter.type(of: match.result).shape
      let source = rewriter.type(of: node.operands[0]).shape.extents
      let wide = try rewriter.reshape(node.operands[0], to: Shape([Extent](repeating: 1, count: shape.rank - source.count) + source))
      return .replaced(with: try rewriter.broadcast(try rewriter.insert(match.operation, wide), to: shape))
    },
    .on(Slice.self) { match, rewriter throws(TypeError) in
      guard let (node, broadcast) = rewriter.producer(of: match[0], as: Broadcast.self) else { return .unchanged }
      // Axes that the broadcast makes are cut by making them smaller; the others are cut from the source.
      let source = rewriter.type(of: node.operands[0]).shape
      let offset = broadcast.shape.rank - source.rank
      let whole = (0..<source.rank).filter { source[$0] != 1 || broadcast.shape[offset + $0] == 1 }
      let slice = match.operation
      // A whole axis whose start is to be found out: it checks something when the model runs.
      let isCheck = slice.starts.indices.contains { slice.starts[$0] != 0 && slice.sizes[$0] == broadcast.shape[$0] && slice.sizes[$0] != 0 }
      if isCheck { return .unchanged }
      var (starts, sizes, steps) = ([Extent](repeating: 0, count: source.rank), source.extents, [Int](repeating: 1, count: source.rank))
      for axis in whole { (starts[axis], sizes[axis], steps[axis]) = (slice.starts[offset + axis], slice.sizes[offset + axis], slice.steps[offset + axis]) }
      var small = node.operands[0]
      let part = Slice(starts: starts, sizes: sizes, steps: steps)
      if !part.isWhole(of: source) { small = try rewriter.insert(part, small) }
      return .replaced(with: try rewriter.broadcast(small, to: Shape(slice.sizes)))
    },
  ])

private func sink(_ operation: any Operation, _ operands: [ValueID], _ result: ValueID, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
  let shape = rewriter.type(of: result).shape
  var sources: [ValueID] = []
  for operand in operands {
    guard let (node, _) = rewriter.producer(of: operand, as: Broadcast.self) else { return .unchanged }
    sources.append(node.operands[0])
  }
  var meeting = Shape([Extent]())
  for source in sources {
    guard let common = meeting.broadcast(with: rewriter.type(of: source).shape) else { return .unchanged }
    meeting = common
  }
  // Never a form that repeats as much as before, and nothing for axes whose extents are only believed to agree.
  guard meeting != shape, meeting.isSmaller(than: shape), meeting.symbols.isEmpty || sources.count == 1 else { return .unchanged }
  var smaller: [ValueID] = []
  for source in sources { smaller.append(try rewriter.broadcast(source, to: meeting)) }
  return .replaced(with: try rewriter.broadcast(try rewriter.insertAll(operation, smaller)[0], to: shape))
}

extension Shape {
  /// True if it lines up with the last axes of another shape and has an extent of 1, or no axis, where that one has more.
  fileprivate func isSmaller(than other: Shape) -> Bool {
    guard rank <= other.rank else { return false }
    let offset = other.rank - rank
    let isNarrower = (0..<rank).contains { self[$0] == 1 && other[offset + $0] != 1 }
    return isNarrower || (0..<offset).contains { other[$0] != 1 } || rank < other.rank
  }
}

extension Slice {
  /// True if the part is everything.
  func isWhole(of shape: Shape) -> Bool {
    starts.allSatisfy { $0 == 0 } && sizes == shape.extents && steps.allSatisfy { $0 == 1 }
  }
}
