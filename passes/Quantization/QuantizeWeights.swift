public import GraphIR
import TensorTypes

/// What weight-only quantization does to a graph.
public struct WeightQuantization: Sendable, Hashable {
  public var bits: Int
  /// Steps of the sum that share a scale; nil for one scale for each column.
  public var groupSize: Int?
  public var isSymmetric: Bool
  /// What kernels may round the other operand to.
  public var activations: WeightActivations
  /// Smaller matrices stay as they are.
  public var leastElements = 1 << 14
  /// Nodes of the model (by the name in the file) whose weights stay as they are.
  public var keptFloat: Set<String> = []

  /// - Parameter groupSize: Nil for the usual one: 32 for 4 bits, whole columns for 8.
  ///
  /// Groups of 32, 64 and 128 take 4.5, 4.25 and 4.125 bits; `GroupQuantization` has their errors.
  public init(bits: Int, groupSize: Int? = nil, isSymmetric: Bool = true, activations: WeightActivations? = nil) {
    self.bits = bits
    self.groupSize = groupSize ?? (bits == 4 ? 32 : nil)
    self.isSymmetric = isSymmetric
    self.activations = activations ?? (bits == 4 ? .int8 : .float)
  }

  /// The products, tables and convolutions of a graph whose weights become narrow, without those of branches and loops.
  public func layers(of graph: Graph) -> [Node] {
    graph.topologicalOrder().map { graph.node($0) }.filter { node in weights(of: node, in: graph).map { floatReason($0, node) == nil } ?? false }
  }

  /// The constant that a node multiplies by, or looks up in.
  private func weights(of node: Node, in graph: Graph) -> Tensor? {
    let constant =
      (node.operation is Dot || node.operation is Convolution) && graph.constant(node.operands[0]) == nil
      ? graph.constant(node.operands[1]) : (node.operation as? Gather)?.axis == 0 ? graph.constant(node.operands[0]) : nil
    return constant.flatMap { $0.element.isFloatingPoint ? $0 : nil }
  }

  /// A product, table or convolution with constant weights, and why it stays as it is.
  public struct Decision: Sendable {
    public var name: String
    public var operatorName: String
    /// Nil if its weights become narrow.
    public var floatReason: String?
    /// True if rows are looked up in it, and nothing is multiplied.
    public var isTable: Bool
    /// True for the filter of a convolution: 8 bits, like tables.
    public var isFilter: Bool
  }

  /// Sums of squares of larger ones are beyond f32.
  private static let mostMagnitude: Float = 1e15

  /// What happens to each product, table and convolution with constant weights, in the order of the graph; those in branches and loops are among them.
  public func decisions(for graph: Graph) -> [Decision] {
    graph.topologicalOrder().flatMap { id -> [Decision] in
      let node = graph.node(id)
      if let control = node.operation as? any ControlOperation { return control.regions.flatMap { decisions(for: $0) } }
      guard let constant = weights(of: node, in: graph) else { return [] }
      return [Decision(name: node.origin.node, operatorName: node.origin.operatorName, floatReason: floatReason(constant, node), isTable: node.operation is Gather, isFilter: node.operation is Convolution)]
    }
  }

  /// Why the weights of a node stay as they are; nil if nothing is against it.
  func floatReason(_ weights: Tensor, _ node: Node) -> String? {
    if keptFloat.contains(node.origin.node) { return "it is to be kept in floating point" }
    var weights = weights
    if let convolution = node.operation as? Convolution {
      if convolution.groups != 1 { return "it has groups, whose few weights are stored wide" }
      if weights.element != .f32 { return "its weights are \(weights.element.name)" }
      guard let matrix = ConvolutionFilter(weights, convolution)?.matrix else { return "its weights are no matrix" }
      weights = matrix
    }
    if weights.dimensions.count != 2 { return "its weights are no matrix" }
    if weights.count < leastElements || weights.dimensions.contains(where: { $0 < 16 }) { return "its weights are few" }
    if weights.element == .f64 || !weights.element.isFloatingPoint { return "its weights are \(weights.element.name)" }
    let largest = weights.largestMagnitude
    if !largest.isFinite { return "its weights are not finite numbers" }
    if largest > Self.mostMagnitude { return "its weights are as large as \(largest)" }
    return nil
  }

  /// Weights of few bits, and what their scales belong to.
  struct Narrowed {
    var weights: GroupQuantization.Result
    var axis: Int
    var activations: WeightActivations
  }

  /// - Parameter weights: Those that have no `floatReason`.
  func narrowed(_ weights: Tensor, of operation: any Operation) -> Narrowed? {
    switch operation {
    case is Dot: return form.quantize(weights).map { Narrowed(weights: $0, axis: $0.block > 0 ? 0 : 1, activations: activations) }
    case is Gather:
      // A scale for each row: the columns of the transposed table.
      guard var result = Self.rows.quantize(weights.transposed([1, 0])) else { return nil }
      result.numbers = result.numbers.transposed([1, 0])
      return Narrowed(weights: result, axis: 0, activations: .float)
    case let convolution as Convolution:
      guard let filter = ConvolutionFilter(weights, convolution), var result = Self.rows.quantize(filter.matrix), let stored = filter.filter(result.numbers) else { return nil }
      result.numbers = stored
      return Narrowed(weights: result, axis: filter.axis, activations: .float)
    default: return nil
    }
  }

  var form: GroupQuantization { GroupQuantization(bits: bits, block: groupSize, isSymmetric: isSymmetric) }
  /// Rows that are looked up take no time, and filters are unpacked for many pixels at once: they keep 8 bits.
  static let rows = GroupQuantization(bits: 8, block: nil)
}

/// Stores constant right operands of matrix products, tables that rows are looked up in, and filters in 8 or 4 bits.
///
///     %y = dot %x, %w                                                              : f32[1,2048]
/// ->
///     %w' = composite %q, %scale {name = dequantize_linear, axis = 0, block = 32}  : f32[768,2048], %q i4, %scale bf16[24,2048]
///     %y = dot %x, %w'
///
/// The result is portable: `keep-narrow-weights` finds kernels for it. Tables have 8 bits, and a scale for each row, whatever the products have; filters
/// have 8 bits and a scale for each output channel, and lowering finds by their numbers that they can be stored so (`WeightGrid`). What is a product in truth, `whole-windows`
/// writes as one.
/// Numerics: `GroupQuantization` says how numbers and scales are found.
public func quantizeWeights(_ quantization: WeightQuantization) -> Pass<Graph> {
  rewrite(
    "quantize-weights", "Stores the constant operands of matrix products in \(quantization.bits) bits.",
    [
      .on(Dot.self) { match, rewriter throws(TypeError) in
        // A matrix that is stored transposed is one constant after folding.
        guard rewriter.constant(match[0]) == nil, let weights = rewriter.constant(match[1]), quantization.floatReason(weights, match.node) == nil,
          let narrow = quantization.narrowed(weights, of: match.operation)
        else { return .unchanged }
        let value = try rewriter.dequantized(narrow, weights.element)
        return .replaced(with: try rewriter.insert(match.operation, match[0], value))
      },
      .on(Convolution.self) { match, rewriter throws(TypeError) in
        guard rewriter.constant(match[0]) == nil, let weights = rewriter.constant(match[1]), quantization.floatReason(weights, match.node) == nil,
          let narrow = quantization.narrowed(weights, of: match.operation)
        else { return .unchanged }
        let value = try rewriter.dequantized(narrow, weights.element)
        return .replaced(with: try rewriter.insert(match.operation, match[0], value))
      },
      tableRule(quantization),
    ])
}

/// Stores tables that rows are looked up in (embeddings) in 8 bits, with a scale for each row: what quantization of layers does not reach.
public func quantizeTables(_ quantization: WeightQuantization) -> Pass<Graph> {
  rewrite("quantize-tables", "Stores tables that rows are looked up in, such as embeddings, in 8 bits.", [tableRule(quantization)])
}

private func tableRule(_ quantization: WeightQuantization) -> RewritePattern {
  .on(Gather.self) { match, rewriter throws(TypeError) in
    guard match.operation.axis == 0, let table = rewriter.constant(match[0]), quantization.floatReason(table, match.node) == nil,
      let narrow = quantization.narrowed(table, of: match.operation)
    else { return .unchanged }
    let value = try rewriter.dequantized(narrow, table.element)
    return .replaced(with: try rewriter.insert(match.operation, value, match[1]))
  }
}

extension WeightQuantization.Narrowed {
  /// The `dequantize_linear` of operands of these types.
  fileprivate func composite(_ numbers: TensorType, _ scale: TensorType, _ zero: TensorType?, _ element: ElementType) throws(TypeError) -> Composite {
    var composite = try QuantizedForm.dequantize(numbers, scale: scale, zero: zero, to: element, axis: axis, block: weights.block)
    composite.details.set("activations", activations, unless: .float) { .word($0.rawValue) }
    return composite
  }
}

extension Rewriter {
  /// The numbers behind a `dequantize_linear`.
  fileprivate mutating func dequantized(_ narrow: WeightQuantization.Narrowed, _ element: ElementType) throws(TypeError) -> ValueID {
    let numbers = try constant(narrow.weights.numbers), scale = try constant(narrow.weights.scale)
    let zero: ValueID? = if let tensor = narrow.weights.zero { try constant(tensor) } else { nil }
    let composite = try narrow.composite(type(of: numbers), type(of: scale), zero.map { type(of: $0) }, element)
    return try insertAll(composite, [numbers, scale] + (zero.map { [$0] } ?? []))[0]
  }
}

extension Graph {
  /// The same in a graph that is written anew.
  mutating func dequantized(_ narrow: WeightQuantization.Narrowed, _ element: ElementType) throws(TypeError) -> ValueID {
    let numbers = try insert(Constant(narrow.weights.numbers)), scale = try insert(Constant(narrow.weights.scale))
    let zero: ValueID? = if let tensor = narrow.weights.zero { try insert(Constant(tensor)) } else { nil }
    let composite = try narrow.composite(type(of: numbers), type(of: scale), zero.map { type(of: $0) }, element)
    return try add(composite, [numbers, scale] + (zero.map { [$0] } ?? []))[0]
  }
}
