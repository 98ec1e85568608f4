public import GraphIR
public import TensorTypes

/// What reconstruction reads and changes of contractions.
extension Graph {
  /// Contractions with a constant right operand or filter, in the order of the graph. Removing channels does not change their order.
  public func contractions() -> [NodeID] {
    topologicalOrder().filter { id in
      let node = node(id)
      return ChannelGroups.axes(of: node, self) != nil && constant(node.operands[1]) != nil
    }
  }

  /// Positions of the filter's axis that is summed over.
  public func inputChannels(of node: Node) -> Int? {
    guard let axis = ChannelGroups.axes(of: node, self)?.input else { return nil }
    return type(of: node.operands[1]).shape[axis].constant
  }

  /// A contraction whose weights are its own, and what is added to each channel of its result.
  public struct Adjustable: Sendable {
    public var contraction: NodeID
    /// Repeats the numbers that are added.
    public var shift: NodeID
    /// The contraction's result with the shift.
    public var result: ValueID
  }

  /// Gives a contraction a copy of its weights for itself, and adds zeros to its result: both can then be replaced.
  ///
  /// - Returns: nil if it is no contraction with constant weights.
  public mutating func makeAdjustable(_ node: Node) throws(TypeError) -> Adjustable? {
    guard let result = node.results.first, node.operands.count == 2, let weights = constant(node.operands[1]) else { return nil }
    let type = type(of: result)
    let axis = (node.operation as? Convolution).map { $0.axes(rank: type.rank).channel } ?? type.rank - 1
    guard type.element == .f32, let channels = type.shape[axis].constant else { return nil }
    let filter = try add(Constant(weights), [], origin: node.origin)[0]
    let product = try add(node.operation, [node.operands[0], filter], origin: node.origin)[0]
    var dimensions = [Int](repeating: 1, count: type.rank)
    dimensions[axis] = channels
    let vector = try add(Constant(Tensor(.f32, dimensions, [Double](repeating: 0, count: channels))), [], origin: node.origin)[0]
    let wide = try add(Broadcast(to: type.shape), [vector], origin: node.origin)[0]
    let sum = try add(Binary(.add), [product, wide], origin: node.origin)[0]
    replaceAllUses(of: result, with: sum)
    disconnect(node.id)
    guard let contraction = producer(of: product)?.id, let shift = producer(of: wide)?.id else { return nil }
    return Adjustable(contraction: contraction, shift: shift, result: sum)
  }

  /// Other weights, and numbers to be added to each channel.
  ///
  /// - Throws: `TypeError` if there are not as many as before.
  public mutating func adjust(_ adjustable: Adjustable, _ weights: Tensor, shift: [Double]) throws(TypeError) {
    let (filter, vector) = (node(adjustable.contraction).operands[1], node(adjustable.shift).operands[0])
    guard let dimensions = constant(vector)?.dimensions, elementCount(of: dimensions) == shift.count else { throw TypeError("\(shift.count) numbers do not fit the channels of a result") }
    self = try replacing(constants: [filter: weights, vector: Tensor(.f32, dimensions, shift)])
  }

  /// Puts a contraction with other weights in the place of one, and adds a number to each channel of its result.
  public mutating func refit(_ node: Node, _ weights: Tensor, shift: [Double]) throws(TypeError) {
    guard let adjustable = try makeAdjustable(node) else { return }
    try adjust(adjustable, weights, shift: shift)
  }

  /// The sum that a value ends up in, where errors of all its parts meet: what follows additions that alone read what is in front of them.
  public func sum(with value: ValueID) -> ValueID {
    var current = value
    while useCount(of: current) == 1, let use = uses(of: current).first, let next = node(use.node).results.first,
      (node(use.node).operation as? Binary)?.function == .add, type(of: next) == type(of: value)
    { current = next }
    return current
  }
}

extension PrunableWeights {
  /// A contraction's weights whatever else reads them; nil for convolutions in groups.
  public init?(_ node: Node, _ tensor: Tensor, _ graph: Graph) {
    let dimensions = tensor.dimensions
    guard node.operands.count == 2, dimensions.count >= 2, tensor.element == .f32, let axes = ChannelGroups.axes(of: node, graph), axes.input != nil else { return nil }
    let columns = dimensions[axes.output], steps = tensor.count / max(1, columns)
    let isFirst = axes.output == 0
    self.init(
      value: node.operands[1], nodes: [node.id], steps: steps, columns: columns, stepStride: isFirst ? 1 : columns, columnStride: isFirst ? steps : 1,
      isConvolution: node.operation is Convolution, name: node.origin.node)
  }

  /// The constant as [step][column].
  public func matrix(_ tensor: Tensor) -> [Double] {
    tensor.withBytes { bytes in
      (0..<count).map { place in
        Double(bytes.loadUnaligned(fromByteOffset: position(step: place / columns, column: place % columns) * 4, as: Float.self))
      }
    }
  }

  /// Numbers of [step][column] in the order of the constant.
  public func tensorOrder(_ matrix: [Double]) -> [Double] {
    var result = matrix
    for step in 0..<steps { for column in 0..<columns { result[position(step: step, column: column)] = matrix[step * columns + column] } }
    return result
  }

  /// [step][column] as a constant.
  public func tensor(_ matrix: [Double], _ dimensions: [Int]) -> Tensor? {
    guard matrix.count == count, elementCount(of: dimensions) == count else { return nil }
    return Tensor(.f32, dimensions, tensorOrder(matrix))
  }
}

extension ChannelDependencies {
  /// A position of a contraction's result channels, which means the same in a graph with other weights.
  public struct Position: Sendable, Hashable {
    /// The number of the contraction in `Graph.contractions()`.
    public var contraction: Int
    public var channel: Int

    /// - Parameters:
    ///   - contraction: Its number in `Graph.contractions()`.
    ///   - channel: Of its result.
    public init(contraction: Int, channel: Int) { (self.contraction, self.channel) = (contraction, channel) }
  }

  /// The classes of positions in this graph; those that it does not have are left out.
  public func classes(of positions: [Position], in graph: Graph) -> Set<Int32> {
    let contractions = graph.contractions()
    var classes: Set<Int32> = []
    for position in positions where contractions.indices.contains(position.contraction) {
      let node = graph.node(contractions[position.contraction])
      guard let axes = ChannelGroups.axes(of: node, graph), let atom = atom(node.operands[1], axes.output, position.channel) else { continue }
      classes.insert(atom)
    }
    return classes
  }

  /// The positions of a contraction's summed axis that are left; nil if all are, or if it has none of its own.
  public func keptInputs(of node: Node, _ graph: Graph, without removed: Set<Int32>) -> [Int]? {
    guard let axis = ChannelGroups.axes(of: node, graph)?.input else { return nil }
    return kept(node.operands[1], axis, without: removed)
  }
}

extension ChannelGroups {
  /// For each class a position that is in it.
  public func positions(of removed: Set<Int32>, _ graph: Graph) -> [ChannelDependencies.Position] {
    var left = removed
    var positions: [ChannelDependencies.Position] = []
    for (number, id) in graph.contractions().enumerated() {
      let filter = graph.node(id).operands[1]
      guard let axes = Self.axes(of: graph.node(id), graph), let slot = dependencies.slot(filter, axes.output) else { continue }
      for channel in 0..<slot.extent {
        if let atom = dependencies.atom(filter, axes.output, channel), left.remove(atom) != nil { positions.append(.init(contraction: number, channel: channel)) }
      }
    }
    return positions
  }
}
