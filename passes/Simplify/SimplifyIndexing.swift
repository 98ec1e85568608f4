import GraphIR
import TensorTypes

/// Turns gathers whose indices are known into slices, and slices of split axes into slices with a step.
///
///     %y = gather %x, [2, 3, 4] {axis = 1}   ->  slice %x {starts = [0, 2], ...}
///     %y = gather %x, 0 {axis = 1}           ->  reshape (slice %x ...)
///     %y = gather %x, (extents [n - 1])      ->  slice %x {starts = [n - 1], ...}
///
///     %y = slice (reshape %x {shape = [24, 2]}) {starts = [0, 1], sizes = [24, 1]}  ->  reshape (slice %x {starts = [1], sizes = [24], steps = [2]})
///
/// The indices must be an arithmetic sequence with a step of at least 1 inside of the axis. On a symbolic axis only index 0, or one that is an
/// extent itself, is known to be inside. Numerics: exact; no number is computed.
public let simplifyIndexing = rewrite(
  "simplify-indexing", "Turns gathers whose indices are known into slices, and moves slices before reshapes.",
  [
    .on(Gather.self) { match, rewriter throws(TypeError) in try sliceByIndices(match, &rewriter) },
    .on(Slice.self) { match, rewriter throws(TypeError) in try sliceBeforeReshape(match, &rewriter) },
  ])

private func sliceByIndices(_ match: Match<Gather>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
  let axis = match.operation.axis
  let shape = rewriter.type(of: match[0]).shape
  let indexShape = rewriter.type(of: match[1]).shape
  guard indexShape.rank <= 1, let run = rewriter.graph.indexRun(match[1], extent: shape[axis]) else { return .unchanged }
  var (starts, sizes, steps) = (shape.map { _ in Extent(0) }, shape.extents, [Int](repeating: 1, count: shape.rank))
  (starts[axis], sizes[axis], steps[axis]) = (run.start, Extent(run.count), run.step)
  let slice = Slice(starts: starts, sizes: sizes, steps: steps)
  let part = slice.isWhole(of: shape) ? match[0] : try rewriter.insert(slice, match[0])
  return .replaced(with: try rewriter.reshape(part, to: rewriter.type(of: match.result).shape))
}

/// A slice of a reshape as the slice of what is reshaped, where it takes whole groups, a run of outer positions or one inner position.
private func sliceBeforeReshape(_ match: Match<Slice>, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
  guard let (node, _) = rewriter.producer(of: match[0], as: Reshape.self) else { return .unchanged }
  let slice = match.operation
  let (source, shape) = (rewriter.type(of: node.operands[0]).shape, rewriter.type(of: match[0]).shape)
  guard let groups = ReshapeGroups(from: source, to: shape)?.groups else { return .unchanged }
  func isWhole(_ axis: Int) -> Bool { slice.starts[axis] == 0 && slice.sizes[axis] == shape[axis] && slice.steps[axis] == 1 }
  let grouped = Set(groups.flatMap(\.after))
  guard shape.indices.allSatisfy({ grouped.contains($0) || isWhole($0) }) else { return .unchanged }
  var (starts, sizes, steps) = ([Extent](repeating: 0, count: source.rank), source.extents, [Int](repeating: 1, count: source.rank))
  for group in groups where !group.after.allSatisfy(isWhole) {
    guard group.before.count == 1, group.after.count <= 2 else { return .unchanged }
    let (axis, outer) = (group.before[0], group.after[0])
    guard group.after.count == 2 else {
      (starts[axis], sizes[axis], steps[axis]) = (slice.starts[outer], slice.sizes[outer], slice.steps[outer])
      continue
    }
    let inner = group.after[1]
    if isWhole(inner), slice.steps[outer] == 1 {
      (starts[axis], sizes[axis]) = (slice.starts[outer] * shape[inner], slice.sizes[outer] * shape[inner])
    } else if slice.sizes[inner] == 1, let width = shape[inner].constant, slice.steps[outer] < 1 << 20, width < 1 << 20 {
      starts[axis] = slice.starts[outer] * shape[inner] + slice.starts[inner]
      (sizes[axis], steps[axis]) = (slice.sizes[outer], slice.steps[outer] * width)
    } else {
      return .unchanged
    }
  }
  let part = try rewriter.insert(Slice(starts: starts, sizes: sizes, steps: steps), node.operands[0])
  return .replaced(with: try rewriter.reshape(part, to: rewriter.type(of: match.result).shape))
}

extension Graph {
  /// Constant indices as a start, a step and a count, if all of them lie within the axis.
  fileprivate func indexRun(_ id: ValueID, extent: Extent) -> (start: Extent, step: Int, count: Int)? {
    if let start = extentScalar(id) {
      // A start that is an extent, such as `n - 1` on an axis of n: inside if what is left is a positive number.
      guard let room = (extent - start).constant, room >= 1, start.constant.map({ $0 >= 0 }) ?? true else { return nil }
      return (start, 1, 1)
    }
    guard let tensor = constant(id), tensor.count > 0, tensor.count <= 1 << 20 else { return nil }
    let indices = tensor.integers
    guard let length = extent.constant else { return indices == [0] ? (0, 1, 1) : nil }
    guard length > 0, indices.allSatisfy({ $0 >= 0 && $0 < length }) else { return nil }
    let step = indices.count > 1 ? indices[1] - indices[0] : 1
    guard step >= 1, zip(indices, indices.dropFirst()).allSatisfy({ $1 - $0 == step }) else { return nil }
    return (Extent(indices[0]), step, indices.count)
  }

  /// The extent in a one-element tensor of extents.
  private func extentScalar(_ id: ValueID) -> Extent? {
    var id = id
    while let (node, _) = producer(of: id, as: Reshape.self) { id = node.operands[0] }
    guard let (_, vector) = producer(of: id, as: ExtentVector.self), vector.values.count == 1 else { return nil }
    return vector.values[0]
  }
}
