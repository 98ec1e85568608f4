import GraphIR
import TensorTypes

/// Moves reshapes behind elementwise operations, so that reshapes meet and cancel.
///
///     %r = reshape %x {shape = [1, 197, 768]}           %x : f32[197,768]
///     %b = broadcast %bias {shape = [1, 197, 768]}
///     %y = add %r, %b
/// ->
///     %c = broadcast %bias {shape = [197, 768]}
///     %s = add %x, %c
///     %y = reshape %s {shape = [1, 197, 768]}
///
/// Every operand must be a reshape of one and the same shape, or repeat something along whole groups of the axes that the reshape splits
/// or merges. Matrix products on flattened batches then keep their bias, activation and residual beside them. Numerics: exact.
public let sinkReshapes = rewrite(
  "sink-reshapes", "Moves reshapes behind elementwise operations, so that reshapes meet and cancel.",
  [
    .on(Unary.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Convert.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Binary.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Compare.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
    .on(Select.self) { match, rewriter throws(TypeError) in try sink(match.operation, match.operands, match.result, &rewriter) },
  ])

private func sink(_ operation: any Operation, _ operands: [ValueID], _ result: ValueID, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
  let target = rewriter.type(of: result).shape
  guard let first = operands.compactMap({ rewriter.producer(of: $0, as: Reshape.self)?.node.operands[0] }).first else { return .unchanged }
  let source = rewriter.type(of: first).shape
  guard let groups = ReshapeGroups(from: source, to: target)?.groups else { return .unchanged }
  var small: [ReshapedOperand] = []
  for operand in operands {
    guard let form = ReshapedOperand(operand, source: source, target: target, groups, rewriter.graph) else { return .unchanged }
    small.append(form)
  }
  var values: [ValueID] = []
  for form in small {
    switch form {
    case .value(let value): values.append(value)
    case .repeated(let value, let shape): values.append(try rewriter.broadcast(rewriter.reshape(value, to: shape), to: source))
    }
  }
  return .replaced(with: try rewriter.reshape(try rewriter.insertAll(operation, values)[0], to: target))
}

/// An operand as it was before a reshape.
private enum ReshapedOperand {
  case value(ValueID)
  /// A value that repeats to the shape before the reshape, once it has the shape given.
  case repeated(ValueID, Shape)

  init?(_ operand: ValueID, source: Shape, target: Shape, _ groups: [ReshapeGroups.Group], _ graph: Graph) {
    if let (node, _) = graph.producer(of: operand, as: Reshape.self) {
      guard graph.type(of: node.operands[0]).shape == source else { return nil }
      self = .value(node.operands[0])
      return
    }
    guard let (node, _) = graph.producer(of: operand, as: Broadcast.self) else { return nil }
    let small = graph.type(of: node.operands[0]).shape
    let offset = target.rank - small.rank
    func extent(_ axis: Int) -> Extent { axis < offset ? 1 : small[axis - offset] }
    var shape = Shape([Extent](repeating: 1, count: source.rank))
    for group in groups {
      if group.after.allSatisfy({ extent($0) == target[$0] }) {
        for axis in group.before { shape[axis] = source[axis] }
      } else if !group.after.allSatisfy({ extent($0) == 1 }) {
        return nil
      }
    }
    self = .repeated(node.operands[0], Shape(Array(shape.extents.drop { $0 == 1 })))
  }
}
