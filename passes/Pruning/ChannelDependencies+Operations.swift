import GraphIR
import TensorTypes

/// What each operation ties together.
extension ChannelDependencies {
  mutating func tie(_ node: Node) {
    guard let result = node.results.first else { return }
    let rank = graph.type(of: result).rank
    switch node.operation {
    case is Constant: break
    case is Unary, is Binary, is Compare, is Select:
      for operand in node.operands { for axis in 0..<rank { tie((operand, axis), (result, axis)) } }
    case let convert as Convert:
      if convert.keepsBits { keepAll(node) } else { for axis in 0..<rank { tie((node.operands[0], axis), (result, axis)) } }
    case is Broadcast:
      let inner = graph.type(of: node.operands[0]).rank
      for axis in 0..<inner { tie((node.operands[0], axis), (result, axis + rank - inner)) }
    case is Reshape: tieReshape(node.operands[0], result, node)
    case let transpose as Transpose:
      for (axis, source) in transpose.permutation.enumerated() { tie((node.operands[0], source), (result, axis)) }
    case let slice as Slice: tieSlice(slice, node.operands[0], result, node)
    case let pad as Pad:
      for axis in 0..<rank {
        if pad.low[axis] == 0, pad.high[axis] == 0 { tie((node.operands[0], axis), (result, axis)) } else {
          keep(node.operands[0], axis: axis, "it is padded by \(name(node))")
          keep(result, axis: axis, "it is padded by \(name(node))")
        }
      }
    case let concatenate as Concatenate: tieConcatenate(concatenate.axis, node, result)
    case let reduce as Reduce:
      var position = 0
      for axis in 0..<graph.type(of: node.operands[0]).rank {
        if reduce.axes.contains(axis) { keep(node.operands[0], axis: axis, "\(name(node)) looks at all of them at once") } else {
          tie((node.operands[0], axis), (result, position))
          position += 1
        }
      }
    case let pool as ReduceWindow:
      for axis in 0..<rank {
        let window = pool.window
        if pool.size[axis] == 1, window.strides[axis] == 1, window.padsLow[axis] == 0, window.padsHigh[axis] == 0 {
          tie((node.operands[0], axis), (result, axis))
        } else {
          keep(node.operands[0], axis: axis, "\(name(node)) moves a window over it")
          keep(result, axis: axis, "\(name(node)) moves a window over it")
        }
      }
    case let gather as Gather:
      let table = node.operands[0], indices = node.operands[1]
      let (outer, inner) = (graph.type(of: table).rank, graph.type(of: indices).rank)
      keep(table, axis: gather.axis, "\(name(node)) picks from it")
      for axis in 0..<outer where axis != gather.axis { tie((table, axis), (result, axis < gather.axis ? axis : axis + inner - 1)) }
      for axis in 0..<inner { tie((indices, axis), (result, gather.axis + axis)) }
    case is Dot: tieDot(node, result, rank)
    case let convolution as Convolution: tieConvolution(convolution, node, result, rank)
    default: keepAll(node)
    }
  }

  private func name(_ node: Node) -> String {
    let origin = node.origin
    let label = origin.operatorName.isEmpty ? "`\(node.operation.mnemonic)`" : origin.operatorName
    return origin.node.isEmpty ? label : "\(origin.node) (\(label))"
  }

  private mutating func keepAll(_ node: Node) {
    for value in node.operands + node.results { keep(value, "nothing is known of removing channels through \(name(node))") }
  }

  /// Axes that only change their places keep their positions; of axes that are merged or split the outermost one does.
  private mutating func tieReshape(_ operand: ValueID, _ result: ValueID, _ node: Node) {
    let (from, to) = (graph.type(of: operand).shape, graph.type(of: result).shape)
    guard let groups = ReshapeGroups(from: from, to: to)?.groups else { return keepAll(node) }
    for group in groups {
      let (before, after) = (group.before, group.after)
      if before.count == 1, after.count == 1 {
        tie((operand, before[0]), (result, after[0]))
      } else if after.count == 1, before.count > 1, let whole = to[after[0]].constant, let outer = from[before[0]].constant, outer > 0 {
        tieRuns((operand, before[0]), (result, after[0]), factor: whole / outer)
        for axis in before.dropFirst() { keep(operand, axis: axis, "\(name(node)) merges it with other axes") }
      } else if before.count == 1, after.count > 1, let whole = from[before[0]].constant, let outer = to[after[0]].constant, outer > 0 {
        tieRuns((result, after[0]), (operand, before[0]), factor: whole / outer)
        for axis in after.dropFirst() { keep(result, axis: axis, "\(name(node)) splits it off") }
      } else {
        for axis in before { keep(operand, axis: axis, "\(name(node)) mixes it with other axes") }
        for axis in after { keep(result, axis: axis, "\(name(node)) mixes it with other axes") }
      }
    }
  }

  private mutating func tieSlice(_ slice: Slice, _ operand: ValueID, _ result: ValueID, _ node: Node) {
    for axis in slice.sizes.indices {
      if slice.steps[axis] == 1, let start = slice.starts[axis].constant, let size = slice.sizes[axis].constant, size > 1 {
        tie((operand, axis), (result, axis), from: start, to: 0, count: size)
      } else if slice.starts[axis] == 0, slice.steps[axis] == 1, slice.sizes[axis] == graph.type(of: operand).shape[axis] {
        tie((operand, axis), (result, axis))
      } else {
        keep(operand, axis: axis, "\(name(node)) picks from it")
        keep(result, axis: axis, "\(name(node)) picks from it")
      }
    }
  }

  private mutating func tieConcatenate(_ along: Int, _ node: Node, _ result: ValueID) {
    var start: Int? = 0
    for operand in node.operands {
      for axis in 0..<graph.type(of: operand).rank where axis != along { tie((operand, axis), (result, axis)) }
      let extent = graph.type(of: operand).shape[along].constant
      if let first = start, let extent, extent > 1 {
        tie((operand, along), (result, along), from: 0, to: first, count: extent)
      } else if let first = start, extent == 1, let slot = slot(result, along), first < slot.extent {
        // An axis of one position has no atom of its own.
        keepPosition(slot, first, "\(name(node)) takes it from an axis of one position")
      }
      start = zip2(start, extent).map { $0 + $1 }
      if start == nil { keep(result, axis: along, "\(name(node)) puts it behind an axis of unknown length") }
    }
    if start == nil { for operand in node.operands { keep(operand, axis: along, "\(name(node)) has an operand of unknown length") } }
  }

  private func zip2(_ a: Int?, _ b: Int?) -> (Int, Int)? {
    guard let a, let b else { return nil }
    return (a, b)
  }

  private mutating func tieDot(_ node: Node, _ result: ValueID, _ rank: Int) {
    let (a, b) = (node.operands[0], node.operands[1])
    for axis in 0..<rank - 2 {
      tie((a, axis), (result, axis))
      tie((b, axis), (result, axis))
    }
    tie((a, rank - 2), (result, rank - 2))
    tie((b, rank - 1), (result, rank - 1))
    tie((a, rank - 1), (b, rank - 2))
  }

  private mutating func tieConvolution(_ convolution: Convolution, _ node: Node, _ result: ValueID, _ rank: Int) {
    let (input, filter) = (node.operands[0], node.operands[1])
    let axes = convolution.axes(rank: rank), filterAxes = convolution.filterAxes(rank: rank)
    tie((input, axes.batch), (result, axes.batch))
    for axis in axes.spatial {
      keep(input, axis: axis, "\(name(node)) moves a window over it")
      keep(result, axis: axis, "\(name(node)) moves a window over it")
    }
    for axis in filterAxes.window { keep(filter, axis: axis, "it is the window of \(name(node))") }
    tie((filter, filterAxes.output), (result, axes.channel))
    if convolution.groups == 1 {
      tie((input, axes.channel), (filter, filterAxes.input))
      return
    }
    // Whole groups: all their inputs and outputs.
    keep(filter, axis: filterAxes.input, "\(name(node)) works in groups")
    guard let inputs = graph.type(of: input).shape[axes.channel].constant, let outputs = graph.type(of: result).shape[axes.channel].constant,
      let from = slot(input, axes.channel), let to = slot(result, axes.channel)
    else {
      keep(input, axis: axes.channel, "\(name(node)) works in groups")
      keep(result, axis: axes.channel, "\(name(node)) works in groups")
      return
    }
    tieGroups(from, to, perGroup: (inputs / convolution.groups, outputs / convolution.groups))
  }
}
