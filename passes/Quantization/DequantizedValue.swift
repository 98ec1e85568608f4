public import GraphIR
public import TensorTypes

/// A value that is a `dequantize_linear` of an integer one, taken apart.
///
/// Only composites whose operands fit what the name promises are taken for one, so that a reader may rely on the shapes.
public struct DequantizedValue: Sendable {
  /// What the elements of the scale and of the zero point belong to.
  public enum Granularity: Sendable, Hashable {
    case tensor
    /// One for each position of an axis.
    case axis(Int)
    /// One for so many neighbours along an axis, with its own for each position of the other axes.
    case blocks(axis: Int, size: Int)
  }
  public let node: Node
  public let quantized: ValueID
  public let scale: ValueID
  public let zero: ValueID?
  public let granularity: Granularity

  /// - Returns: nil if the value is something else.
  public init?(_ value: ValueID, in graph: Graph) {
    guard let (node, composite) = graph.producer(of: value, as: Composite.self), composite.name == QuantizedForm.dequantizing, (2...3).contains(node.operands.count),
      node.results.count == 1
    else { return nil }
    let (x, scale) = (graph.type(of: node.operands[0]), graph.type(of: node.operands[1]))
    guard x.element.isInteger, x.element.byteCount == 1, scale.element.isFloatingPoint, scale.element.byteCount > 1, graph.type(of: value).element.isFloatingPoint,
      graph.type(of: value).shape == x.shape
    else { return nil }
    (self.node, quantized, self.scale, zero) = (node, node.operands[0], node.operands[1], node.operands.count > 2 ? node.operands[2] : nil)
    if let zero {
      let type = graph.type(of: zero)
      guard type.element.isInteger, type.shape == scale.shape || (type.shape.elementCount == 1 && scale.shape.elementCount == 1) else { return nil }
    }
    if scale.shape.elementCount == 1 {
      granularity = .tensor
      return
    }
    guard let axis = try? composite.details.integer("axis", default: 0), let block = try? composite.details.integer("block", default: 0), (0..<x.rank).contains(axis) else { return nil }
    if scale.rank == 1, block == 0 {
      guard scale.shape[0] == x.shape[axis] else { return nil }
      granularity = .axis(axis)
      return
    }
    guard block > 0, scale.rank == x.rank else { return nil }
    for other in 0..<x.rank where scale.shape[other] != (other == axis ? x.shape[axis].ceilDivided(by: Extent(block)) : x.shape[other]) { return nil }
    granularity = .blocks(axis: axis, size: block)
  }
}
