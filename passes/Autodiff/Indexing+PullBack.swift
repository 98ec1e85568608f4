import GraphIR
import TensorTypes

extension Gather: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil, nil] }
    let (source, indices) = (s.shape(node.operands[0]).extents, s.shape(node.operands[1]))
    let flat = try s.reshape(node.operands[1], to: [indices.elementCount])
    let rows = try s.reshape(g, to: Shape(source[..<axis] + [indices.elementCount] + source[(axis + 1)...]))
    return [try s.gathered(rows, axis: axis, indices: flat, extent: source[axis]), nil]
  }
}

extension GatherElements: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil, nil] }
    return [try s.add(ScatterElements(axis: axis, combine: .sum), s.filled(0, s.type(node.operands[0])), node.operands[1], g), nil]
  }
}

extension GatherND: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil, nil] }
    // Batch axes become components of the tuples.
    var tuples = node.operands[1]
    if batchAxes > 0 {
      var part = s.shape(tuples)
      part[part.rank - 1] = 1
      var parts: [ValueID] = []
      for axis in 0..<batchAxes { parts.append(try s.add(Iota(s.element(tuples), part, axis: axis))) }
      tuples = try s.addAll(Concatenate(axis: part.rank - 1), parts + [tuples])[0]
    }
    return [try s.add(ScatterND(combine: .sum), s.filled(0, s.type(node.operands[0])), tuples, g), nil]
  }
}

extension ScatterElements: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil, nil, nil] }
    let (x, indices, updates) = (node.operands[0], node.operands[1], node.operands[2])
    let read = try s.add(GatherElements(axis: axis), g, indices)
    switch combine {
    // Of several updates of one element the last one counts; all of them are given its derivative.
    case nil: return [try s.add(ScatterElements(axis: axis), g, indices, s.filled(0, s.type(updates))), nil, read]
    case .sum: return [g, nil, read]
    case .maximum, .minimum:
      let y = node.results[0]
      let isKept = try s.compare(.equal, x, y)
      let isChosen = try s.compare(.equal, updates, s.add(GatherElements(axis: axis), y, indices))
      return [try s.masked(g, by: isKept), nil, try s.masked(read, by: isChosen)]
    case .product, .and, .or: throw s.unsupported("`scatter_elements` that multiplies has no derivative", node)
    }
  }
}

extension ScatterND: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil, nil, nil] }
    let (x, indices, updates) = (node.operands[0], node.operands[1], node.operands[2])
    let read = try s.add(GatherND(), g, indices)
    switch combine {
    case nil: return [try s.add(ScatterND(), g, indices, s.filled(0, s.type(updates))), nil, read]
    case .sum: return [g, nil, read]
    case .maximum, .minimum:
      let y = node.results[0]
      let isKept = try s.compare(.equal, x, y)
      let isChosen = try s.compare(.equal, updates, s.add(GatherND(), y, indices))
      return [try s.masked(g, by: isKept), nil, try s.masked(read, by: isChosen)]
    case .product, .and, .or: throw s.unsupported("`scatter_nd` that multiplies has no derivative", node)
    }
  }
}

extension TopK: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    return [try s.add(ScatterElements(axis: axis, combine: .sum), s.filled(0, s.type(node.operands[0])), node.results[1], g)]
  }
}
