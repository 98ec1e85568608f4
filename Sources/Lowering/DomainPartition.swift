import GraphIR
import KernelIR
import TensorTypes

/// Splits the index space of a result so that inside each part every `concatenate` and constant `pad` near the
/// root reads from one operand only: no selection, no clamped load.
struct DomainPartition {
  struct Cell {
    var region: [(start: Extent, size: Extent)]
    var pieces: [NodeID: ElementEmitter.Piece] = [:]
  }

  /// A node to split at, and for each of its axes the axis of the result.
  private var splits: [(node: Node, axes: [Int])] = []
  private let graph: Graph
  /// More cells than this cost more code than they save.
  private static let mostCells = 48

  init(graph: Graph) {
    self.graph = graph
    let root = graph.outputs[0]
    var visited: Set<ValueID> = []
    visit(root, Array(0..<graph.type(of: root).rank), &visited)
  }

  /// Follows nodes that keep the index, or permute it.
  private mutating func visit(_ value: ValueID, _ axes: [Int], _ visited: inout Set<ValueID>) {
    guard visited.insert(value).inserted, let node = graph.producer(of: value) else { return }
    switch node.operation {
    case is Unary, is Binary, is Compare, is Select, is Convert: for operand in node.operands { visit(operand, axes, &visited) }
    case let transpose as Transpose:
      var source = axes
      for (position, axis) in transpose.permutation.enumerated() { source[axis] = axes[position] }
      visit(node.operands[0], source, &visited)
    case is Concatenate: splits.append((node, axes))
    case let pad as Pad where pad.mode == .constant: splits.append((node, axes))
    default: break
    }
  }

  func cells(of shape: Shape) -> [Cell] {
    var cells = [Cell(region: shape.map { (0, $0) })]
    for split in splits {
      let refined = cells.flatMap { refine($0, split.node, split.axes) }
      if refined.count <= Self.mostCells { cells = refined }
    }
    return cells
  }

  /// Only whole axes are split; an axis that an earlier node has split is left to selections.
  private func refine(_ cell: Cell, _ node: Node, _ axes: [Int]) -> [Cell] {
    func isWhole(_ axis: Int, _ extent: Extent) -> Bool { cell.region[axis].start == 0 && cell.region[axis].size == extent }
    let result = graph.type(of: node.results[0]).shape
    switch node.operation {
    case let concatenate as Concatenate:
      let axis = axes[concatenate.axis]
      guard isWhole(axis, result[concatenate.axis]) else { return [cell] }
      var start: Extent = 0
      return node.operands.enumerated().compactMap { position, operand in
        let size = graph.type(of: operand).shape[concatenate.axis]
        defer { start = start + size }
        if size == 0 { return nil }
        var part = cell
        part.region[axis] = (start, size)
        part.pieces[node.id] = .operand(position)
        return part
      }
    case let pad as Pad:
      let inner = graph.type(of: node.operands[0]).shape
      guard inner.indices.allSatisfy({ (pad.low[$0] == 0 && pad.high[$0] == 0) || isWhole(axes[$0], result[$0]) }) else { return [cell] }
      var parts: [Cell] = []
      var middle = cell
      for position in 0..<inner.rank {
        for (start, size) in [(Extent(0), pad.low[position]), (pad.low[position] + inner[position], pad.high[position])] where size != 0 {
          var border = middle
          border.region[axes[position]] = (start, size)
          border.pieces[node.id] = .border
          parts.append(border)
        }
        if pad.low[position] != 0 || pad.high[position] != 0 { middle.region[axes[position]] = (pad.low[position], inner[position]) }
      }
      middle.pieces[node.id] = .interior
      return parts + [middle]
    default: return [cell]
    }
  }
}
