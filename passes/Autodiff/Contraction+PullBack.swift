import GraphIR
import TensorTypes

extension Dot: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let given = results[0] else { return [nil, nil] }
    let (a, b) = (node.operands[0], node.operands[1])
    let g = try s.convert(given, to: s.element(a))
    let rank = s.shape(a).rank
    let exchanged = Array(0..<rank - 2) + [rank - 1, rank - 2]
    return [try s.add(Dot(), g, s.transpose(b, exchanged)), try s.add(Dot(), s.transpose(a, exchanged), g)]
  }
}

extension Convolution: Differentiable {
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    guard let given = results[0] else { return [nil, nil] }
    guard layout == .channelsFirst else { throw s.unsupported("a channels-last `convolution` has no derivative", node, hint: "differentiate before the layout passes") }
    let g = try s.convert(given, to: s.element(node.operands[0]))
    return [try byInput(g, node, &s), try byFilter(g, node, &s)]
  }

  /// The extents of the window, and what it covers with its holes.
  private func reaches(_ filter: Shape) -> (size: [Int], reach: [Int])? {
    guard let size = Shape(Array(filter.extents[2...])).constants else { return nil }
    return (size, zip(size, window.dilations).map { $1 * ($0 - 1) + 1 })
  }

  /// A convolution of the result's derivative, with zeros where the window skipped positions, by the flipped filter.
  private func byInput(_ g: ValueID, _ node: Node, _ s: inout BackwardSweep) throws(CompileError) -> ValueID {
    let (x, filter) = (s.shape(node.operands[0]), s.shape(node.operands[1]))
    guard let (size, reach) = reaches(filter) else { throw s.unsupported("`convolution` by a window of symbolic size has no derivative", node) }
    let count = Extent(groups)
    let spatial = Array(filter.extents[2...])
    // [O, C / g, window...] -> [g, O / g, C / g, ...] -> [C, O / g, ...], each group by itself.
    let perGroup = filter[0].floorDivided(by: count)
    let grouped = try s.reshape(node.operands[1], to: Shape([count, perGroup, filter[1]] + spatial))
    let exchanged = try s.transpose(grouped, [0, 2, 1] + Array(3..<3 + spatial.count))
    let merged = try s.reshape(exchanged, to: Shape([count * filter[1], perGroup] + spatial))
    let flipped = try s.add(Reverse(axes: Array(2..<2 + spatial.count)), merged)

    var (low, high): ([Int], [Int]) = ([], [])
    for axis in size.indices {
      let spread = (x[axis + 2] - 1) * Extent(inputDilations[axis]) + 1
      let covered = (s.shape(g)[axis + 2] - 1) * Extent(window.strides[axis]) + 1
      let before = reach[axis] - 1 - window.padsLow[axis]
      guard let after = (spread - covered + Extent(reach[axis] - 1 - before)).constant else {
        throw s.unsupported("`convolution` with a stride along a symbolic axis has no derivative", node, hint: "bind the axis with --dim")
      }
      guard before >= 0, after >= 0 else { throw s.unsupported("`convolution` with more padding than its window has no derivative", node) }
      low.append(before)
      high.append(after)
    }
    let back = Window(strides: inputDilations, padsLow: low, padsHigh: high, dilations: window.dilations)
    return try s.add(Convolution(window: back, inputDilations: window.strides, groups: groups), g, flipped)
  }

  /// A convolution of the input by the result's derivative, with images and channels exchanged, and stride and dilation too.
  private func byFilter(_ g: ValueID, _ node: Node, _ s: inout BackwardSweep) throws(CompileError) -> ValueID {
    let (x, filter) = (s.shape(node.operands[0]), s.shape(node.operands[1]))
    guard let (size, _) = reaches(filter), s.shape(g).extents[2...].allSatisfy(\.isConstant) else {
      throw s.unsupported("`convolution` along a symbolic axis has no derivative by its filter", node, hint: "bind the axis with --dim")
    }
    let count = Extent(groups)
    let spatial = Array(x.extents[2...])
    let axes = Array(3..<3 + spatial.count)
    // [N, C, ...] -> [N, g, C / g, ...] -> [C / g, g N, ...]: images are what is summed over.
    let grouped = try s.reshape(node.operands[0], to: Shape([x[0], count, filter[1]] + spatial))
    let input = try s.reshape(s.transpose(grouped, [2, 1, 0] + axes), to: Shape([filter[1], count * x[0]] + spatial))
    let weights = try s.transpose(g, [1, 0] + Array(2..<2 + spatial.count))
    let back = Window(strides: window.dilations, padsLow: window.padsLow, padsHigh: window.padsHigh, dilations: window.strides)
    var result = try s.add(Convolution(window: back, inputDilations: inputDilations, groups: groups), input, weights)
    // A stride that left positions over gives more taps than there are.
    for axis in size.indices { result = try s.slice(result, axis: axis + 2, start: 0, size: Extent(size[axis])) }
    return try s.transpose(result, [1, 0] + Array(2..<2 + spatial.count))
  }
}
