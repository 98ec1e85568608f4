import GraphIR
import TensorTypes

extension ReduceWindow: Differentiable {
  /// More elements under a window than this make a graph of too many nodes.
  private static let mostTaps = 1024

  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let g = results[0] else { return [nil] }
    switch reducer {
    case .sum: return [try scattered(g, tap: nil, of: node, &s)]
    case .maximum, .minimum: return [try chosen(g, node, &s)]
    case .product, .and, .or: throw s.unsupported("`reduce_window` with \(reducer.rawValue) has no derivative", node)
    }
  }

  /// The elements of the padded operand that lie under one tap of each window.
  private func elements(under tap: [Int], of padded: ValueID, count: [Extent], _ s: inout BackwardSweep) throws(CompileError) -> ValueID {
    let starts = tap.indices.map { Extent(tap[$0] * window.dilations[$0]) }
    return try s.add(Slice(starts: starts, sizes: count, steps: window.strides), padded)
  }

  /// Each window's derivative goes to its first extreme element.
  private func chosen(_ g: ValueID, _ node: Node, _ s: inout BackwardSweep) throws(CompileError) -> ValueID {
    let x = node.operands[0]
    guard let taps = elementCount(of: size), taps <= Self.mostTaps else { throw s.unsupported("`reduce_window` over so many elements has no derivative", node) }
    let neutral = reducer == .maximum ? -Double.infinity : .infinity
    let padded = try s.add(
      Pad(low: window.padsLow.map { Extent($0) }, high: window.padsHigh.map { Extent($0) }), x, s.add(Constant(Tensor(scalar: neutral, s.element(x)))))
    let count = s.shape(node.results[0]).extents
    var isFree: ValueID?
    var total: ValueID?
    var tap = size.map { _ in 0 }
    for _ in 0..<taps {
      let isBest = try s.compare(.equal, elements(under: tap, of: padded, count: count, &s), node.results[0])
      var isTaken = isBest
      if let free = isFree {
        isTaken = try s.binary(.and, isBest, free)
        isFree = try s.binary(.and, free, s.unary(.not, isBest))
      } else {
        isFree = try s.unary(.not, isBest)
      }
      let part = try scattered(s.masked(g, by: isTaken), tap: tap, of: node, &s)
      if let known = total { total = try s.binary(.add, known, part) } else { total = part }
      for axis in size.indices.reversed() {
        tap[axis] += 1
        if tap[axis] < size[axis] { break }
        tap[axis] = 0
      }
    }
    guard let total else { throw s.unsupported("`reduce_window` over nothing", node) }
    return total
  }

  /// What flows back to the operand: through one tap of each window, or through all of them.
  ///
  /// With zeros between the windows it is a window sum itself: tap k of window w is element w * stride + k * dilation - padding.
  private func scattered(_ g: ValueID, tap: [Int]?, of node: Node, _ s: inout BackwardSweep) throws(CompileError) -> ValueID {
    let target = s.shape(node.operands[0])
    var spaced = g
    for axis in size.indices { spaced = try s.dilate(spaced, axis: axis, step: window.strides[axis]) }
    if let tap {
      // As a shift: zeros before and behind, cut to the operand.
      let low = tap.indices.map { Extent(tap[$0] * window.dilations[$0]) }
      let wanted = size.indices.map { target[$0] + Extent(window.padsLow[$0] + window.padsHigh[$0]) }
      let high = low.indices.map { wanted[$0] - low[$0] - s.shape(spaced)[$0] }
      var moved = try s.pad(spaced, low: low, high: high)
      for axis in size.indices { moved = try s.slice(moved, axis: axis, start: Extent(window.padsLow[axis]), size: target[axis]) }
      return moved
    }
    var (low, high): ([Extent], [Extent]) = ([], [])
    for axis in size.indices {
      let reach = window.dilations[axis] * (size[axis] - 1)
      low.append(Extent(reach))
      high.append(target[axis] + Extent(window.padsLow[axis] + window.padsHigh[axis]) - s.shape(spaced)[axis])
    }
    let ones = size.map { _ in 1 }, zeros = size.map { _ in 0 }
    let plain = Window(strides: ones, padsLow: zeros, padsHigh: zeros, dilations: window.dilations)
    var sum = try s.add(ReduceWindow(.sum, size: size, window: plain), s.pad(spaced, low: low, high: high))
    for axis in size.indices { sum = try s.slice(sum, axis: axis, start: Extent(window.padsLow[axis]), size: target[axis]) }
    return sum
  }
}
