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

  /// How a value is reached from the root: for each of its axes the axis of the result, and the operand of a concatenation around it.
  private struct Path: Equatable {
    var axes: [Int]
    var inside: Inside?
  }
  private struct Inside: Equatable {
    var node: NodeID
    var operand: Int
  }
  private struct Split {
    var node: Node
    var path: Path
  }
  private var splits: [Split] = []
  private let graph: Graph
  /// More cells than this cost more code than they save.
  private static let mostCells = 48

  init(graph: Graph) {
    self.graph = graph
    let root = graph.outputs[0]
    var paths: [ValueID: Path] = [:]
    var (followed, ambiguous): (Set<NodeID>, Set<ValueID>) = ([], [])
    visit(root, Path(axes: Array(0..<graph.type(of: root).rank)), &paths, &followed, &ambiguous)
    // What is also read at another index has no one piece.
    splits.removeAll { split in
      let result = split.node.results[0]
      return ambiguous.contains(result) || graph.uses(of: result).contains { !followed.contains($0.node) }
    }
  }

  /// Follows nodes that keep the index, or permute it, and concatenations into their operands.
  private mutating func visit(
    _ value: ValueID, _ path: Path, _ paths: inout [ValueID: Path], _ followed: inout Set<NodeID>, _ ambiguous: inout Set<ValueID>
  ) {
    if let known = paths[value] {
      if known != path { markAmbiguous(value, &ambiguous) }
      return
    }
    paths[value] = path
    guard let node = graph.producer(of: value) else { return }
    switch node.operation {
    case is Unary, is Binary, is Compare, is Select, is Convert:
      followed.insert(node.id)
      for operand in node.operands { visit(operand, path, &paths, &followed, &ambiguous) }
    case let transpose as Transpose:
      followed.insert(node.id)
      var source = path
      for (position, axis) in transpose.permutation.enumerated() { source.axes[axis] = path.axes[position] }
      visit(node.operands[0], source, &paths, &followed, &ambiguous)
    case is Concatenate:
      followed.insert(node.id)
      splits.append(Split(node: node, path: path))
      // Inside an operand the index is another one along the axis; `refine` leaves that one alone.
      for (position, operand) in node.operands.enumerated() {
        visit(operand, Path(axes: path.axes, inside: Inside(node: node.id, operand: position)), &paths, &followed, &ambiguous)
      }
    case let pad as Pad where pad.mode == .constant: splits.append(Split(node: node, path: path))
    default: break
    }
  }

  /// A value and everything that is read through it.
  private func markAmbiguous(_ value: ValueID, _ ambiguous: inout Set<ValueID>) {
    var stack = [value]
    while let next = stack.popLast() {
      guard ambiguous.insert(next).inserted, let node = graph.producer(of: next) else { continue }
      stack += node.operands
    }
  }

  func cells(of shape: Shape) -> [Cell] {
    var cells = [Cell(region: shape.map { (0, $0) })]
    for split in splits {
      let refined = cells.flatMap { cell in
        if let inside = split.path.inside, cell.pieces[inside.node] != .operand(inside.operand) { return [cell] }
        return refine(cell, split.node, split.path.axes)
      }
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
