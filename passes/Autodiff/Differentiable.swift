import GraphIR
import TensorTypes

/// An operation that derivatives flow back through.
///
/// Each core operation that has a rule conforms in a file of this folder. What does not conform gets no derivative of an operand
/// that it would need: `gradient` then names it.
protocol Differentiable: Operation {
  /// Derivatives with respect to the operands.
  ///
  /// - Parameters:
  ///   - results: Derivatives with respect to the results, of their types; nil where nothing reads one.
  ///   - node: The node, in the graph that `sweep` adds to.
  /// - Returns: One for each operand, of its type; nil where none flows, as into integers.
  func pullBack(_ results: [ValueID?], through node: Node, _ sweep: inout BackwardSweep) throws(CompileError) -> [ValueID?]
}

/// Adds the nodes that compute derivatives to a graph. Operands are of one type unless a method says that it broadcasts.
struct BackwardSweep {
  private(set) var graph: Graph
  /// The origin of new nodes: that of the node that derivatives flow through.
  private(set) var origin = NodeOrigin()

  init(_ graph: Graph) { self.graph = graph }

  // MARK: The sweep

  /// Derivatives of the sum of products of `outputs` and `seeds` with respect to some values without a producer.
  mutating func derivatives(
    of outputs: [ValueID], seeds: [ValueID?], withRespectTo inputs: [ValueID]
  ) throws(CompileError) -> [ValueID?] {
    let order = graph.topologicalOrder()
    // What depends on the inputs by way of floating point.
    var isActive = Set(inputs)
    for id in order {
      let node = graph.node(id)
      guard node.operands.contains(where: isActive.contains) else { continue }
      for result in node.results where element(result).isFloatingPoint { isActive.insert(result) }
    }
    var derivatives: [ValueID: ValueID] = [:]
    func isWanted(_ value: ValueID) -> Bool { isActive.contains(value) && element(value).isFloatingPoint }
    for (output, seed) in zip(outputs, seeds) where isWanted(output) {
      guard let seed else { continue }
      derivatives[output] = try sum(derivatives[output], seed)
    }
    for id in order.reversed() {
      let node = graph.node(id)
      let results = node.results.map { derivatives[$0] }
      guard results.contains(where: { $0 != nil }), node.operands.contains(where: isWanted) else { continue }
      origin = node.origin
      guard let operation = node.operation as? any Differentiable else { throw unsupported("`\(node.operation.mnemonic)` has no derivative", node) }
      let operands = try operation.pullBack(results, through: node, &self)
      for (operand, derivative) in zip(node.operands, operands) where isWanted(operand) {
        guard let derivative else { continue }
        precondition(type(derivative) == type(operand), "the derivative of \(node.operation.mnemonic) by \(type(operand)) is \(type(derivative))")
        derivatives[operand] = try sum(derivatives[operand], derivative)
      }
    }
    return inputs.map { derivatives[$0] }
  }

  private mutating func sum(_ known: ValueID?, _ new: ValueID) throws(CompileError) -> ValueID {
    guard let known else { return new }
    return try add(Binary(.add), known, new)
  }

  func unsupported(_ message: String, _ node: Node, hint: String? = nil) -> CompileError {
    CompileError(
      .unsupported, message, stage: .pass("gradient"), origin: node.origin, operands: graph.types(of: node.operands), hint: hint)
  }

  // MARK: Building

  mutating func addAll(_ operation: any Operation, _ operands: [ValueID]) throws(CompileError) -> [ValueID] {
    do throws(TypeError) { return try graph.add(operation, operands, origin: origin) } catch {
      throw CompileError(error, stage: .pass("gradient"), origin: origin, operands: graph.types(of: operands))
    }
  }

  mutating func add(_ operation: any Operation, _ operands: ValueID...) throws(CompileError) -> ValueID { try addAll(operation, operands)[0] }

  /// Adds the nodes of a graph whose inputs are values of this one.
  mutating func splice(_ inner: Graph, _ operands: [ValueID]) throws(CompileError) -> [ValueID] {
    try inner.replayed(on: operands) { operation, operands throws(CompileError) in try addAll(operation, operands) }
  }

  mutating func addInput(_ name: String, _ type: TensorType) -> ValueID { graph.addInput(name, type) }
  mutating func setOutputs(_ outputs: [(name: String, value: ValueID)]) { graph.setOutputs(outputs) }

  func type(_ value: ValueID) -> TensorType { graph.type(of: value) }
  func shape(_ value: ValueID) -> Shape { graph.type(of: value).shape }
  func element(_ value: ValueID) -> ElementType { graph.type(of: value).element }

  // MARK: Common forms

  mutating func unary(_ function: UnaryFunction, _ x: ValueID) throws(CompileError) -> ValueID { try add(Unary(function), x) }
  mutating func binary(_ function: BinaryFunction, _ a: ValueID, _ b: ValueID) throws(CompileError) -> ValueID { try add(Binary(function), a, b) }
  mutating func binary(_ function: BinaryFunction, _ a: ValueID, _ number: Double) throws(CompileError) -> ValueID {
    try add(Binary(function), a, filled(number, type(a)))
  }
  mutating func compare(_ comparison: Comparison, _ a: ValueID, _ b: ValueID) throws(CompileError) -> ValueID { try add(Compare(comparison), a, b) }
  mutating func select(_ condition: ValueID, _ a: ValueID, _ b: ValueID) throws(CompileError) -> ValueID { try add(Select(), condition, a, b) }

  /// `x` where the condition holds, else 0.
  mutating func masked(_ x: ValueID, by condition: ValueID) throws(CompileError) -> ValueID { try select(condition, x, filled(0, type(x))) }

  mutating func convert(_ x: ValueID, to element: ElementType) throws(CompileError) -> ValueID {
    self.element(x) == element ? x : try add(Convert(to: element), x)
  }

  mutating func reshape(_ x: ValueID, to shape: Shape) throws(CompileError) -> ValueID { self.shape(x) == shape ? x : try add(Reshape(to: shape), x) }
  mutating func broadcast(_ x: ValueID, to shape: Shape) throws(CompileError) -> ValueID {
    self.shape(x) == shape ? x : try add(Broadcast(to: shape), x)
  }

  mutating func transpose(_ x: ValueID, _ permutation: [Int]) throws(CompileError) -> ValueID {
    Transpose(permutation).isIdentity ? x : try add(Transpose(permutation), x)
  }

  mutating func reduce(_ reducer: Reducer, _ x: ValueID, axes: [Int]) throws(CompileError) -> ValueID {
    axes.isEmpty ? x : try add(Reduce(reducer, axes: axes), x)
  }

  /// A number repeated to a type.
  mutating func filled(_ number: Double, _ type: TensorType) throws(CompileError) -> ValueID {
    try broadcast(add(Constant(Tensor(scalar: number, type.element))), to: type.shape)
  }

  /// Extents as a tensor: a constant if they are known.
  mutating func scalar(_ extent: Extent, _ element: ElementType) throws(CompileError) -> ValueID {
    if let value = extent.constant { return try add(Constant(Tensor(scalar: Double(value), element))) }
    return try convert(reshape(add(ExtentVector([extent])), to: []), to: element)
  }

  /// Reduced axes put back with extent 1 and repeated to the shape before the reduction.
  mutating func spread(_ x: ValueID, over axes: [Int], of shape: Shape) throws(CompileError) -> ValueID {
    var kept = shape
    for axis in axes { kept[axis] = 1 }
    return try broadcast(reshape(x, to: kept), to: shape)
  }

  /// Padding with zeros.
  mutating func pad(_ x: ValueID, low: [Extent], high: [Extent]) throws(CompileError) -> ValueID {
    if (low + high).allSatisfy({ $0 == 0 }) { return x }
    return try add(Pad(low: low, high: high), x, add(Constant(Tensor(scalar: 0, element(x)))))
  }

  /// Part of one axis.
  mutating func slice(_ x: ValueID, axis: Int, start: Extent, size: Extent) throws(CompileError) -> ValueID {
    let shape = shape(x)
    if start == 0 && size == shape[axis] { return x }
    var (starts, sizes) = ([Extent](repeating: 0, count: shape.rank), shape.extents)
    (starts[axis], sizes[axis]) = (start, size)
    return try add(Slice(starts: starts, sizes: sizes, steps: shape.map { _ in 1 }), x)
  }

  /// `step` - 1 zeros between neighbours along an axis.
  mutating func dilate(_ x: ValueID, axis: Int, step: Int) throws(CompileError) -> ValueID {
    let shape = shape(x)
    if step == 1 || shape[axis] == 0 { return x }
    var wide = shape.extents
    wide.insert(1, at: axis + 1)
    var high = wide.map { _ in Extent(0) }
    high[axis + 1] = Extent(step - 1)
    let spaced = try pad(reshape(x, to: Shape(wide)), low: wide.map { _ in 0 }, high: high)
    var joined = shape
    joined[axis] = shape[axis] * Extent(step)
    return try slice(reshape(spaced, to: joined), axis: axis, start: 0, size: (shape[axis] - 1) * Extent(step) + 1)
  }

  /// Slices of `x` along an axis added up at the positions that a vector of indices says, in an axis of another extent.
  mutating func gathered(_ x: ValueID, axis: Int, indices: ValueID, extent: Extent) throws(CompileError) -> ValueID {
    var target = type(x)
    target.shape[axis] = extent
    var aligned = shape(x).map { _ in Extent(1) }
    aligned[axis] = shape(indices)[0]
    let every = try broadcast(reshape(indices, to: Shape(aligned)), to: shape(x))
    return try add(ScatterElements(axis: axis, combine: .sum), filled(0, target), every, x)
  }
}
