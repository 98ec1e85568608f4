import GraphIR
import TensorTypes

/// A tensor of the model held with its axes in another order: the model's value is `transpose(value, permutation)`.
///
/// Axis `i` of the model's tensor is axis `permutation[i]` of `value`.
struct Arranged: Sendable {
  var value: ValueID
  var permutation: [Int]

  init(_ value: ValueID, _ permutation: [Int]) { (self.value, self.permutation) = (value, permutation) }
  /// A value held as the model has it.
  init(plain value: ValueID, rank: Int) { self.init(value, Array(0..<rank)) }

  var isPlain: Bool { permutation == Array(permutation.indices) }

  /// A list with one entry for each axis of the model's tensor, in the order of the axes of `value`.
  func arrange<T>(_ list: [T]) -> [T] {
    var result = list
    for (axis, position) in permutation.enumerated() { result[position] = list[axis] }
    return result
  }

  /// How the axes that remain are held when some axes of the model's tensor go.
  func permutation(without axes: [Int]) -> [Int] {
    let kept = permutation.indices.filter { !axes.contains($0) }.map { permutation[$0] }
    let order = kept.sorted()
    return kept.compactMap { order.firstIndex(of: $0) }
  }
}

/// Builds the graph in which tensors are held with their axes in an order of choice.
///
/// Transposes are not emitted until an operation needs one order and has another. So pairs that undo each other never appear.
struct LayoutBuilder {
  private(set) var graph: Graph
  /// The origin of the nodes being inserted.
  var origin = NodeOrigin()
  /// Values of the old graph from which a convolution's input is computed by operations that take any order of axes.
  let feedsConvolution: Set<ValueID>
  private struct Need: Hashable {
    let value: ValueID
    let order: [Int]
  }
  private var transposed: [Need: ValueID] = [:]
  /// Transposes that were needed, with the node that needed them.
  private(set) var transposes: [(origin: NodeOrigin, from: TensorType, order: [Int])] = []

  init(name: String, feedsConvolution: Set<ValueID>) {
    graph = Graph(name: name)
    self.feedsConvolution = feedsConvolution
  }

  mutating func addInput(_ name: String, _ type: TensorType) -> ValueID { graph.addInput(name, type) }
  mutating func setOutputs(_ outputs: [(name: String, value: ValueID)]) { graph.setOutputs(outputs) }

  mutating func insert(_ operation: any Operation, _ operands: [ValueID]) throws(TypeError) -> ValueID {
    try graph.add(operation, operands, origin: origin)[0]
  }

  mutating func insertAll(_ operation: any Operation, _ operands: [ValueID]) throws(TypeError) -> [ValueID] {
    try graph.add(operation, operands, origin: origin)
  }

  // MARK: Orders

  /// The value held as the model has it.
  mutating func plain(_ tensor: Arranged) throws(TypeError) -> ValueID { try value(tensor, heldAs: Array(tensor.permutation.indices)) }

  /// The value held in another order, with the transpose that this needs.
  mutating func value(_ tensor: Arranged, heldAs permutation: [Int]) throws(TypeError) -> ValueID {
    try reordered(tensor.value, Self.order(from: tensor.permutation, to: permutation))
  }

  /// The transpose that leads from one way of holding a tensor to another.
  private static func order(from: [Int], to: [Int]) -> [Int] {
    var order = from
    for (axis, position) in to.enumerated() { order[position] = from[axis] }
    return order
  }

  private mutating func reordered(_ value: ValueID, _ order: [Int]) throws(TypeError) -> ValueID {
    let transpose = Transpose(order)
    if transpose.isIdentity { return value }
    let need = Need(value: value, order: order)
    if let known = transposed[need] { return known }
    let result = try makeReordered(value, transpose)
    transposed[need] = result
    return result
  }

  private mutating func makeReordered(_ value: ValueID, _ transpose: Transpose) throws(TypeError) -> ValueID {
    let shape = graph.type(of: value).shape
    let target = Shape(transpose.permutation.map { shape[$0] })
    if let tensor = graph.constant(value) { return try insert(Constant(tensor.transposed(transpose.permutation)), []) }
    if transpose.movesOnlyUnitAxes(of: shape) { return try insert(Reshape(to: target), [value]) }
    guard let node = graph.producer(of: value), isAdaptable(node, transpose.permutation, depth: 0) else {
      transposes.append((origin, graph.type(of: value), transpose.permutation))
      return try insert(transpose, [value])
    }
    switch node.operation {
    case is Broadcast:
      let source = graph.type(of: node.operands[0]).shape
      let wide = Shape([Extent](repeating: 1, count: shape.rank - source.rank) + source.extents)
      let small = try reordered(try reshaped(node.operands[0], to: wide), transpose.permutation)
      return try insert(Broadcast(to: target), [try withoutLeadingUnits(small)])
    case let iota as Iota:
      return try insert(Iota(iota.element, target, axis: transpose.permutation.firstIndex(of: iota.axis) ?? iota.axis), [])
    default:
      var operands: [ValueID] = []
      for operand in node.operands { operands.append(try reordered(operand, transpose.permutation)) }
      return try insert(node.operation, operands)
    }
  }

  private mutating func reshaped(_ value: ValueID, to shape: Shape) throws(TypeError) -> ValueID {
    if let tensor = graph.constant(value), let dimensions = shape.constants, let same = tensor.reshaped(dimensions) { return try insert(Constant(same), []) }
    return graph.type(of: value).shape == shape ? value : try insert(Reshape(to: shape), [value])
  }

  /// A constant's axes of extent 1 in front are implied by a broadcast.
  private mutating func withoutLeadingUnits(_ value: ValueID) throws(TypeError) -> ValueID {
    guard let tensor = graph.constant(value) else { return value }
    return try reshaped(value, to: Shape(Array(tensor.dimensions.drop { $0 == 1 })))
  }

  // MARK: Costs

  /// The elements that a transpose would move to hold the tensor in another order; 0 if it needs none.
  func cost(_ tensor: Arranged, heldAs permutation: [Int]) -> Int {
    let order = Self.order(from: tensor.permutation, to: permutation)
    return isFree(tensor.value, order, depth: 0) ? 0 : estimate(graph.type(of: tensor.value).shape)
  }

  /// The number of elements, with 16 for each symbolic extent.
  func estimate(_ shape: Shape) -> Int {
    shape.reduce(1) { total, extent in
      let (product, overflowed) = total.multipliedReportingOverflow(by: max(extent.constant ?? 16, 1))
      return overflowed ? Int.max >> 8 : min(product, Int.max >> 8)
    }
  }

  private func isFree(_ value: ValueID, _ order: [Int], depth: Int) -> Bool {
    let transpose = Transpose(order)
    if transpose.isIdentity || transposed[Need(value: value, order: order)] != nil { return true }
    if graph.constant(value) != nil || transpose.movesOnlyUnitAxes(of: graph.type(of: value).shape) { return true }
    guard let node = graph.producer(of: value) else { return false }
    return isAdaptable(node, order, depth: depth)
  }

  /// True if the node can be computed in another order without moving anything larger than constants.
  private func isAdaptable(_ node: Node, _ order: [Int], depth: Int) -> Bool {
    guard depth < 4 else { return false }
    switch node.operation {
    case is Iota: return true
    case is Broadcast:
      let source = graph.type(of: node.operands[0]).shape
      if graph.constant(node.operands[0]) != nil { return true }
      let wide = Shape([Extent](repeating: 1, count: order.count - source.rank) + source.extents)
      return Transpose(order).movesOnlyUnitAxes(of: wide)
    case is Unary, is Binary, is Compare, is Select, is Convert:
      return node.operands.allSatisfy { isFree($0, order, depth: depth + 1) }
    default: return false
    }
  }
}
