public import GraphIR
public import TensorTypes

/// Quantises the contractions of a plan.
///
///     %h = max %c, %zero : f32[1,64,56,56]
///     %y = convolution %h, %f
/// ->
///     %q = composite %h, %s, %z {name = quantize_linear} : u8[1,64,56,56]
///     %d = composite %q, %s, %z {name = dequantize_linear} : f32[1,64,56,56]
///     %g = composite %f', %t {name = dequantize_linear, axis = 0} : f32[64,64,3,3]
///     %y = convolution %d, %g
///
/// Values are u8 with one scale and zero point (i8 with a zero point of 0 where they are only right operands), weights i8 with a scale for each output. Bias and activation stay as they are and become the
/// epilogue of an integer kernel. `chooseIntegerContractions` reads this form.
///
/// - Parameters:
///   - graph: The one that the plan was made of, in the portable form.
///   - ranges: Of every root of the plan. Roots that have none stay in floating point, and so does what reads them.
///   - corrections: By layer: what is added to each output to make up for rounded weights; see `biasCorrections`.
public func insertQuantization(
  _ graph: Graph, _ plan: QuantizationPlan, ranges: [ValueID: ValueRange], corrections: [NodeID: Tensor] = [:]
) throws(CompileError) -> Graph {
  let merged = plan.merged(ranges)
  return try Insertion(graph, plan).run(corrections) { new, root, value throws(TypeError) in
    guard let range = merged[root] else { return nil }
    return try new.insert(plan.isSigned(root) ? ByteScale(around: range) : ByteScale(covering: range))
  }
}

/// Quantises the contractions of a graph with scales that are computed when it runs, from the smallest and largest element of what they read.
///
/// It needs no samples; it costs a pass over each value, and readers that are no contractions keep the value as it is.
/// Source: ONNX `DynamicQuantizeLinear`.
public func insertDynamicQuantization(_ graph: Graph, _ plan: QuantizationPlan) throws(CompileError) -> Graph {
  try Insertion(graph, plan, isDynamic: true).run([:]) { new, _, value throws(TypeError) in try new.measuredScale(of: value) }
}

/// The graph while it is written anew.
private struct Insertion {
  typealias Scales = (_ graph: inout Graph, _ root: ValueID, _ value: ValueID) throws(TypeError) -> (scale: ValueID, zero: ValueID)?

  private let old: Graph
  private let plan: QuantizationPlan
  private let isDynamic: Bool

  init(_ graph: Graph, _ plan: QuantizationPlan, isDynamic: Bool = false) { (old, self.plan, self.isDynamic) = (graph, plan, isDynamic) }

  func run(_ corrections: [NodeID: Tensor], scales: Scales) throws(CompileError) -> Graph {
    // Quantised once for all readers; nil where there is no scale.
    var values: [ValueID: ValueID?] = [:]
    var weights: [ValueID: ValueID] = [:]
    return try old.rebuilt { new, node, operands throws(CompileError) in
      do throws(TypeError) {
        var operands = operands
        let layer = plan.layer(node.id)
        for position in operands.indices {
          let source = node.operands[position]
          guard isDynamic ? layer != nil && position == 0 : plan.isReadAsBytes(node.id, operand: position) else { continue }
          if let known = values[source] {
            if let known { operands[position] = known }
            continue
          }
          guard let (scale, zero) = try scales(&new, source, operands[position]) else {
            values[source] = .some(nil)
            continue
          }
          let producer = old.producer(of: source)?.origin ?? node.origin
          let bytes = try new.quantizeLinear(operands[position], scale: scale, zero: zero, to: new.type(of: zero).element, origin: producer)
          operands[position] = try new.dequantizeLinear(bytes, scale: scale, zero: zero, origin: producer)
          values[source] = operands[position]
        }
        guard layer != nil, let tensor = old.constant(node.operands[1]) else { return try new.add(node.operation, operands, origin: node.origin, name: old.value(node.results[0]).name) }
        if let known = weights[node.operands[1]] { operands[1] = known } else {
          let axis = QuantizedWeights.outputAxis(of: node.operation, rank: tensor.dimensions.count)
          let quantized = QuantizedWeights(tensor, along: axis)
          let bytes = try new.insert(Constant(quantized.bytes), name: old.value(node.operands[1]).name)
          operands[1] = try new.dequantizeLinear(bytes, scale: new.insert(Constant(quantized.scale)), axis: axis ?? 0, origin: node.origin)
          weights[node.operands[1]] = operands[1]
        }
        var results = try new.add(node.operation, operands, origin: node.origin, name: old.value(node.results[0]).name)
        if let correction = corrections[node.id] {
          let shape = new.type(of: results[0]).shape
          let constant = try new.insert(Constant(correction.alignedWithOutputs(of: node.operation, rank: shape.rank)))
          results[0] = try new.insert(Binary(.add), results[0], new.insert(Broadcast(to: shape), constant), origin: node.origin)
        }
        return results
      } catch { throw CompileError(error, stage: .pass("insert-quantization"), origin: node.origin, operands: new.types(of: operands)) }
    }
  }
}

extension Tensor {
  /// A vector with an element for each output, so that it broadcasts to a contraction's result.
  func alignedWithOutputs(of operation: any Operation, rank: Int) -> Tensor {
    guard let convolution = operation as? Convolution else { return self }
    let axis = convolution.axes(rank: rank).channel
    return reshaped([count] + [Int](repeating: 1, count: rank - 1 - axis)) ?? self
  }
}

extension Graph {
  mutating func insert(_ bytes: ByteScale) throws(TypeError) -> (scale: ValueID, zero: ValueID) {
    (try insert(Constant(Tensor(scalar: Double(bytes.scale), .f32))), try insert(Constant(Tensor(scalar: Double(bytes.zero), bytes.element))))
  }

  /// Scale and zero point that cover the numbers of a value and 0, computed when the graph runs.
  mutating func measuredScale(of value: ValueID) throws(TypeError) -> (scale: ValueID, zero: ValueID) {
    let axes = Array(0..<type(of: value).rank)
    func number(_ number: Double, _ graph: inout Graph) throws(TypeError) -> ValueID { try graph.insert(Constant(Tensor(scalar: number, .f32))) }
    let nothing = try number(0, &self)
    let low = try insert(Binary(.minimum), insert(Reduce(.minimum, axes: axes), value), nothing)
    let high = try insert(Binary(.maximum), insert(Reduce(.maximum, axes: axes), value), nothing)
    let step = try insert(Binary(.divide), insert(Binary(.subtract), high, low), number(255, &self))
    // Numbers that are all zero have no range; any scale is right then.
    let scale = try insert(Select(), insert(Compare(.equal), step, nothing), number(1, &self), step)
    let shift = try insert(Unary(.round), insert(Binary(.divide), insert(Unary(.negate), low), scale))
    let zero = try insert(Convert(to: .u8), insert(Binary(.minimum), insert(Binary(.maximum), shift, nothing), number(255, &self)))
    return (scale, zero)
  }
}
