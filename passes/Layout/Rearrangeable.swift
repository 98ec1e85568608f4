import GraphIR
import TensorTypes

/// An operation that can work on tensors whose axes are held in another order.
///
/// Operations without a rule get their operands as the model has them.
protocol Rearrangeable: Operation {
  /// Emits the operation and says how its results are held.
  ///
  /// - Parameters:
  ///   - operands: The operands, each in some order.
  ///   - node: The node of the old graph.
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged]
}

extension LayoutBuilder {
  /// The order in which operands of one rank meet at the least cost.
  ///
  /// A result that goes on to a convolution counts as well: for it any other order than channels-last costs a transpose later.
  func meetingOrder(_ operands: [Arranged], result: ValueID, of old: Node) -> [Int] {
    guard let first = operands.first else { return [] }
    var candidates: [[Int]] = []
    for operand in operands where !candidates.contains(operand.permutation) { candidates.append(operand.permutation) }
    if candidates.count == 1 { return candidates[0] }
    let rank = first.permutation.count
    let channelsLast = ChannelOrder.held(rank: rank)
    let feeds = feedsConvolution.contains(result)
    var best = (order: candidates[0], cost: Int.max)
    for candidate in candidates {
      var cost = operands.reduce(0) { $0 + self.cost($1, heldAs: candidate) }
      if feeds && candidate != channelsLast { cost += operands.map { estimate(graph.type(of: $0.value).shape) }.max() ?? 0 }
      if cost < best.cost { best = (candidate, cost) }
    }
    return best.order
  }

  /// Emits an operation whose operands and results all have the same axes.
  mutating func together(_ operation: any Operation, _ operands: [Arranged], _ node: Node) throws(TypeError) -> [Arranged] {
    let order = meetingOrder(operands, result: node.results[0], of: node)
    var values: [ValueID] = []
    for operand in operands { values.append(try value(operand, heldAs: order)) }
    return try insertAll(operation, values).map { Arranged($0, order) }
  }
}

/// How channels-last tensors and filters are held.
enum ChannelOrder {
  /// [N, C, spatial...] held as [N, spatial..., C].
  static func held(rank: Int) -> [Int] { rank < 3 ? Array(0..<rank) : [0, rank - 1] + Array(1..<rank - 1) }
  /// [O, I, window...] held as [window..., I, O].
  static func filter(rank: Int) -> [Int] { [rank - 1, rank - 2] + Array(0..<rank - 2) }
}

// MARK: Elementwise

extension Unary: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    try builder.together(self, operands, node)
  }
}
extension Convert: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    try builder.together(self, operands, node)
  }
}
extension Binary: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    try builder.together(self, operands, node)
  }
}
extension Compare: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    try builder.together(self, operands, node)
  }
}
extension Select: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    try builder.together(self, operands, node)
  }
}

// MARK: Windows

extension Convolution: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let rank = operands[0].permutation.count
    guard layout == .channelsFirst else {
      let result = try builder.insert(self, [builder.plain(operands[0]), builder.plain(operands[1])])
      return [Arranged(plain: result, rank: rank)]
    }
    let order = ChannelOrder.held(rank: rank)
    let input = try builder.value(operands[0], heldAs: order)
    let filter = try builder.value(operands[1], heldAs: ChannelOrder.filter(rank: rank))
    var channelsLast = self
    channelsLast.layout = .channelsLast
    return [Arranged(try builder.insert(channelsLast, [input, filter]), order)]
  }
}

extension ReduceWindow: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let moved = Window(
      strides: x.arrange(window.strides), padsLow: x.arrange(window.padsLow), padsHigh: x.arrange(window.padsHigh), dilations: x.arrange(window.dilations))
    return [Arranged(try builder.insert(ReduceWindow(reducer, size: x.arrange(size), window: moved), [x.value]), x.permutation)]
  }
}

// MARK: Reductions

extension Reduce: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let result = try builder.insert(Reduce(reducer, axes: axes.map { x.permutation[$0] }), [x.value])
    return [Arranged(result, x.permutation(without: axes))]
  }
}

extension ArgReduce: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let result = try builder.insert(ArgReduce(extreme, axis: x.permutation[axis], selectsLast: selectsLast), [x.value])
    return [Arranged(result, x.permutation(without: [axis]))]
  }
}

extension Cumulative: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let moved = Cumulative(reducer, axis: x.permutation[axis], isExclusive: isExclusive, isReverse: isReverse)
    return [Arranged(try builder.insert(moved, [x.value]), x.permutation)]
  }
}

extension TopK: Rearrangeable {
  func rearranged(_ operands: [Arranged], _ node: Node, into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    let x = operands[0]
    let results = try builder.insertAll(TopK(k: k, axis: x.permutation[axis], isAscending: isAscending), [x.value])
    return results.map { Arranged($0, x.permutation) }
  }
}
