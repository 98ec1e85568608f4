import GraphIR
import TensorTypes

extension Transpose: Rearrangeable {
  /// Emits nothing: only the way in which the tensor is held changes.
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    [Arranged(operands[0].value, permutation.map { operands[0].permutation[$0] })]
  }
}

extension Broadcast: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let added = shape.rank - operands[0].permutation.count
    let result = Arranged(operands[0].value, Array(0..<added) + operands[0].permutation.map { $0 + added })
    return [Arranged(try builder.insert(Broadcast(to: Shape(result.arrange(shape.extents))), [result.value]), result.permutation)]
  }
}

extension Slice: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let moved = Slice(starts: x.arrange(starts), sizes: x.arrange(sizes), steps: x.arrange(steps))
    return [Arranged(try builder.insert(moved, [x.value]), x.permutation)]
  }
}

extension Pad: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let moved = Pad(low: x.arrange(low), high: x.arrange(high), mode: mode)
    return [Arranged(try builder.insert(moved, [x.value] + operands.dropFirst().map(\.value)), x.permutation)]
  }
}

extension Reverse: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    return [Arranged(try builder.insert(Reverse(axes: axes.map { x.permutation[$0] }.sorted()), [x.value]), x.permutation)]
  }
}

extension Concatenate: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let order = builder.meetingOrder(operands, result: node.results[0], of: node)
    var values: [ValueID] = []
    for operand in operands { values.append(try builder.value(operand, heldAs: order)) }
    return [Arranged(try builder.insertAll(Concatenate(axis: order[axis]), values)[0], order)]
  }
}

extension Gather: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let indices = try builder.plain(operands[1])
    let added = operands[1].permutation.count
    let position = x.permutation[axis]
    let result = try builder.insert(Gather(axis: position), [x.value, indices])
    let moved = x.permutation.map { $0 > position ? $0 + added - 1 : $0 }
    return [Arranged(result, moved[..<axis] + (0..<added).map { position + $0 } + moved[(axis + 1)...])]
  }
}

extension GatherElements: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let indices = try builder.value(operands[1], heldAs: x.permutation)
    return [Arranged(try builder.insert(GatherElements(axis: x.permutation[axis]), [x.value, indices]), x.permutation)]
  }
}

extension Reshape: Rearrangeable {
  /// Groups of axes that are split or merged move as one. Axes that merge must lie side by side in the model's order; only where they
  /// do not, a transpose brings them together, and leaves the other axes where they are.
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    var x = operands[0]
    let held = builder.graph.type(of: x.value).shape
    let before = Shape(x.permutation.map { held[$0] })
    guard !x.isPlain, let groups = ReshapeGroups(from: before, to: shape)?.groups else {
      return [Arranged(plain: try builder.insert(self, [builder.plain(x)]), rank: shape.rank)]
    }
    let wide = held.indices.filter { held[$0] != 1 }
    func isTogether(_ group: ReshapeGroups.Group) -> Bool {
      let places = group.before.compactMap { axis in wide.firstIndex(of: x.permutation[axis]) }
      return zip(places, places.dropFirst()).allSatisfy { $1 == $0 + 1 }
    }
    // By its last axis, so that what lies innermost stays there.
    func place(_ group: ReshapeGroups.Group) -> Int { group.before.map { x.permutation[$0] }.max() ?? 0 }
    let order = groups.indices.sorted { place(groups[$0]) < place(groups[$1]) }
    if !groups.allSatisfy(isTogether) {
      // Axes of extent 1 stay where they are.
      let units = before.indices.filter { before[$0] == 1 }.map { (place: x.permutation[$0], axes: [$0]) }
      let blocks = units + groups.map { (place: place($0), axes: $0.before) }
      let sequence = blocks.sorted { $0.place < $1.place }.flatMap(\.axes)
      var target = x.permutation
      for (position, axis) in sequence.enumerated() { target[axis] = position }
      x = Arranged(try builder.value(x, heldAs: target), target)
    }
    // The result holds the groups in the operand's order; an axis of extent 1 follows the axis before it.
    var owner = [Int?](repeating: nil, count: shape.rank)
    for (number, group) in groups.enumerated() { for axis in group.after { owner[axis] = number } }
    for axis in shape.indices where owner[axis] == nil && axis > 0 { owner[axis] = owner[axis - 1] }
    let leading = shape.indices.filter { owner[$0] == nil }
    let sequence = leading + order.flatMap { number in shape.indices.filter { owner[$0] == number } }
    var permutation = [Int](repeating: 0, count: shape.rank)
    for (position, axis) in sequence.enumerated() { permutation[axis] = position }
    let result = try builder.insert(Reshape(to: Shape(sequence.map { shape[$0] })), [x.value])
    return [Arranged(result, permutation)]
  }
}
