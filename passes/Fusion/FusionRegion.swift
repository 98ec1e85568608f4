import GraphIR
import TensorTypes

/// The nodes that an anchor takes along into its kernel, behind it.
///
/// Grown forward in topological order over nodes that the anchor's template can compute in its own index space.
/// Only a region that a single value leaves is useful; the longest such prefix is kept.
struct FusionRegion {
  let anchor: Node
  let template: Fusion.Template
  /// The anchor and what follows it.
  private(set) var members: Set<NodeID>
  /// The value that leaves the region.
  private(set) var root: ValueID

  private let graph: Graph
  private let order: [NodeID: Int]
  /// The index space of the anchor: for a reduction the shape that is reduced.
  private let space: Shape
  private let reducedAxes: [Int]

  init(anchor: Node, template: Fusion.Template, graph: Graph, order: [NodeID: Int], isClaimed: (NodeID) -> Bool) {
    (self.anchor, self.template, self.graph, self.order) = (anchor, template, graph, order)
    members = [anchor.id]
    root = anchor.results[0]
    if let reduce = anchor.operation as? Reduce {
      space = graph.type(of: anchor.operands[0]).shape
      reducedAxes = reduce.axes
    } else {
      space = graph.type(of: anchor.results[0]).shape
      reducedAxes = []
    }
    if template != .special { grow(isClaimed) }
    if template == .dot || template == .convolution || template == .window { extendThroughMovement(isClaimed) }
  }

  private mutating func grow(_ isClaimed: (NodeID) -> Bool) {
    var region: Set<NodeID> = [anchor.id]
    var outside: Set<NodeID> = []
    // Values that must still be read by something outside the region as it stands, with the number of such reads.
    var escaping: [ValueID: Int] = [anchor.results[0]: graph.useCount(of: anchor.results[0])]
    var candidates = Set(graph.uses(of: anchor.results[0]).map(\.node))
    // Where the region could end with bytes.
    var narrow: (members: Set<NodeID>, root: ValueID)?
    while let next = candidates.min(by: { (order[$0] ?? .max) < (order[$1] ?? .max) }), region.count < FusionCost.mostNodes {
      candidates.remove(next)
      guard order[next] != nil else { continue }
      let node = graph.node(next)
      let dependsOnOutside = node.operands.contains { operand in graph.producer(of: operand).map { outside.contains($0.id) } ?? false }
      if isClaimed(next) || dependsOnOutside || !fits(node, region) {
        // Everything behind it depends on the region from outside, and may not come back in.
        outside.insert(next)
        for result in node.results { candidates.formUnion(graph.uses(of: result).map(\.node)) }
        if outside.count > 4 * FusionCost.mostNodes { break }
        continue
      }
      region.insert(next)
      for operand in node.operands {
        guard let count = escaping[operand] else { continue }
        escaping[operand] = count == 1 ? nil : count - 1
      }
      escaping[node.results[0]] = graph.useCount(of: node.results[0])
      candidates.formUnion(graph.uses(of: node.results[0]).map(\.node))
      if escaping.count == 1, let only = escaping.keys.first, isUsableRoot(only) {
        members = region
        root = only
        if graph.type(of: only).element.byteCount == 1 { narrow = (region, only) }
      }
    }
    // Numbers that bytes stand for are computed where they are read: bytes are what goes to memory.
    if let narrow, !graph.isOutput(root), graph.type(of: root).element.byteCount > 1, members.count - narrow.members.count <= FusionCost.mostWideningNodes, WideningOfBytes.isOne(root, graph) {
      (members, root) = narrow
    }
  }

  /// A result that is only the anchor in other clothes is left to whoever reads it.
  private func isUsableRoot(_ value: ValueID) -> Bool {
    guard let node = graph.producer(of: value) else { return false }
    return !(node.operation is Broadcast)
  }

  /// True if the template can compute the node at its own index.
  private func fits(_ node: Node, _ region: Set<NodeID>) -> Bool {
    func isInside(_ value: ValueID) -> Bool { graph.producer(of: value).map { region.contains($0.id) } ?? false }
    let result = graph.type(of: node.results[0]).shape
    switch node.operation {
    case is Unary, is Binary, is Compare, is Select, is Convert:
      return template != .reduction || isWhole(result) || isPerRow(result)
    case is Reshape:
      let source = graph.type(of: node.operands[0]).shape
      if template == .reduction { return isPerRow(source) && isPerRow(result) && onlyUnitAxesDiffer(source, result) }
      // Later nodes then live in the new shape; nothing may stay behind in the old one.
      return graph.useCount(of: node.operands[0]) == 1
    case is Broadcast:
      return template == .reduction && isInside(node.operands[0]) && isWhole(result) && alignsWithRows(graph.type(of: node.operands[0]).shape)
    case let reduce as Reduce:
      return template == .reduction && reduce.axes == reducedAxes && graph.type(of: node.operands[0]).shape == space
    default: return false
    }
  }

  private func isWhole(_ shape: Shape) -> Bool { shape == space }

  /// One element for each row, with or without the reduced axes as 1.
  private func isPerRow(_ shape: Shape) -> Bool {
    let kept = (0..<space.rank).filter { !reducedAxes.contains($0) }.map { space[$0] }
    return onlyUnitAxesDiffer(shape, Shape(kept))
  }

  private func onlyUnitAxesDiffer(_ a: Shape, _ b: Shape) -> Bool { a.extents.filter { $0 != 1 } == b.extents.filter { $0 != 1 } }

  /// The shape broadcasts to the space along the reduced axes only.
  private func alignsWithRows(_ shape: Shape) -> Bool {
    let offset = space.rank - shape.rank
    guard offset >= 0 else { return false }
    return (0..<space.rank).allSatisfy { axis in
      let extent: Extent = axis < offset ? 1 : shape[axis - offset]
      return reducedAxes.contains(axis) ? extent == 1 : extent == space[axis]
    }
  }

  /// Takes along movement that the template can store through: a transpose that keeps the innermost axis, a pad
  /// with zeros around it, and reshapes before these.
  private mutating func extendThroughMovement(_ isClaimed: (NodeID) -> Bool) {
    var pending: [NodeID] = []
    var value = root
    while graph.useCount(of: value) == 1, let use = graph.uses(of: value).first, !isClaimed(use.node), order[use.node] != nil, use.operand == 0 {
      let node = graph.node(use.node)
      var isWorthStoring = false
      switch node.operation {
      case is Reshape: break
      case let transpose as Transpose:
        guard transpose.permutation.last == transpose.permutation.count - 1 else { return }
        isWorthStoring = true
      case let pad as Pad:
        guard pad.mode == .constant, pad.low.last == 0, pad.high.last == 0, graph.constant(node.operands[1]) != nil else { return }
        isWorthStoring = true
      default: return
      }
      pending.append(use.node)
      value = node.results[0]
      if isWorthStoring {
        members.formUnion(pending)
        pending = []
        root = value
      }
    }
  }
}
