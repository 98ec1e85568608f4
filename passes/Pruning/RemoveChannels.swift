public import GraphIR
import TensorTypes

extension ChannelDependencies {
  /// The positions of an axis that are left without some classes; nil if all are.
  package func kept(_ value: ValueID, _ axis: Int, without removed: Set<Int32>) -> [Int]? {
    guard let slot = slot(value, axis) else { return nil }
    let positions = (0..<slot.extent).filter { position in atom(value, axis, position).map { !removed.contains($0) } ?? true }
    return positions.count == slot.extent ? nil : positions
  }
}

extension Graph {
  /// The graph without some channels: constants lose the positions, and shapes, slices and groups follow.
  ///
  /// - Parameter removed: Classes of `dependencies`, which were found in this graph, none of which has to stay.
  /// - Throws: `CompileError` if a class has to stay, or an axis would lose all positions.
  public func removing(channels removed: Set<Int32>, _ dependencies: ChannelDependencies) throws(CompileError) -> Graph {
    for channel in removed {
      if let reason = dependencies.reason(channel) { throw CompileError(.usage, "a channel cannot be removed: \(reason)", stage: .pass("prune-channels")) }
    }
    if removed.isEmpty { return self }
    var copy = Graph(name: name)
    (copy.outputKeys, copy.requirements) = (outputKeys, requirements)
    var renamed: [ValueID: ValueID] = [:]
    for input in inputs { renamed[input] = copy.addInput(value(input).name, type(of: input)) }
    for id in topologicalOrder() {
      let node = node(id)
      var operands: [ValueID] = []
      for operand in node.operands {
        guard let new = renamed[operand] else { throw CompileError(.badInput, "the graph is not in order", stage: .pass("prune-channels"), origin: node.origin) }
        operands.append(new)
      }
      let keptResult = node.results.first.map { result in (0..<type(of: result).rank).map { dependencies.kept(result, $0, without: removed) } } ?? []
      do throws(TypeError) {
        let operation = try narrowed(node, keptResult, dependencies, removed)
        let results = try copy.add(operation, operands, origin: node.origin)
        for (position, (old, new)) in zip(node.results, results).enumerated() {
          copy.rename(new, value(old).name)
          renamed[old] = new
          let wanted = position == 0 ? shape(of: old, keptResult) : type(of: old).shape
          guard copy.type(of: new).shape == wanted else { throw TypeError("`\(operation.mnemonic)` gives \(copy.type(of: new)) without channels, not the shape \(wanted)") }
        }
      } catch { throw CompileError(error, stage: .pass("prune-channels"), origin: node.origin) }
    }
    copy.setOutputs(zip(outputNames, outputs).compactMap { name, output in renamed[output].map { (name, $0) } })
    return copy
  }

  private func shape(of value: ValueID, _ kept: [[Int]?]) -> Shape {
    var shape = type(of: value).shape
    for (axis, positions) in kept.enumerated() { if let positions { shape[axis] = Extent(positions.count) } }
    return shape
  }

  /// The operation with the shapes that its result has now.
  private func narrowed(
    _ node: Node, _ kept: [[Int]?], _ dependencies: ChannelDependencies, _ removed: Set<Int32>
  ) throws(TypeError) -> any Operation {
    guard let result = node.results.first else { return node.operation }
    switch node.operation {
    case let constant as Constant:
      var tensor = constant.tensor
      for (axis, positions) in kept.enumerated() { if let positions { tensor = tensor.keeping(positions, along: axis) } }
      return Constant(tensor)
    case is Broadcast: return Broadcast(to: shape(of: result, kept))
    case is Reshape: return Reshape(to: shape(of: result, kept))
    case var slice as Slice:
      for axis in slice.sizes.indices {
        guard let positions = kept[axis] else {
          // The operand may have lost positions in front of the slice.
          if let before = dependencies.kept(node.operands[0], axis, without: removed), let start = slice.starts[axis].constant {
            slice.starts[axis] = Extent(before.count { $0 < start })
          }
          continue
        }
        let start = slice.starts[axis].constant ?? 0
        let before = dependencies.kept(node.operands[0], axis, without: removed)
        slice.starts[axis] = Extent(before.map { $0.count { $0 < start } } ?? start)
        slice.sizes[axis] = Extent(positions.count)
      }
      return slice
    case var convolution as Convolution:
      guard convolution.groups > 1 else { return convolution }
      let rank = type(of: node.operands[1]).rank
      let axis = convolution.filterAxes(rank: rank).output
      guard let positions = dependencies.kept(node.operands[1], axis, without: removed), let outputs = type(of: node.operands[1]).shape[axis].constant else {
        return convolution
      }
      convolution.groups = positions.count / max(1, outputs / convolution.groups)
      return convolution
    default: return node.operation
    }
  }
}

extension Tensor {
  /// Some positions of an axis, in their order. The positions exist.
  func keeping(_ positions: [Int], along axis: Int) -> Tensor {
    var dimensions = dimensions
    let (extent, inner) = (dimensions[axis], dimensions[(axis + 1)...].reduce(1, *) * element.byteCount)
    let outer = dimensions[..<axis].reduce(1, *)
    dimensions[axis] = positions.count
    return Tensor(element, dimensions, strings: strings) { target in
      withBytes { source in
        var place = 0
        for block in 0..<outer {
          for position in positions {
            let start = (block * extent + position) * inner
            target[place..<place + inner].copyBytes(from: source[start..<start + inner])
            place += inner
          }
        }
      }
    }
  }
}
