import GraphIR
import TensorTypes

/// Lets a window pad by itself.
///
///     %p = pad %x, 0 {low = [0, 0, 1, 1], high = [0, 0, 1, 1]}
///     %y = convolution %p, %f {pads = [0, 0, 0, 0]}
/// ->
///     %y = convolution %x, %f {pads = [1, 1, 1, 1]}
///
/// Needs constant amounts on spatial axes only, and the value that windows pad with: 0 for a convolution or a sum, minus infinity for a
/// maximum, infinity for a minimum, 1 for a product. Numerics: exact.
public let foldPadding = rewrite(
  "fold-padding", "Lets convolutions and pooling windows pad by themselves.",
  [
    .on(Convolution.self) { match, rewriter throws(TypeError) in
      let convolution = match.operation
      let spatial = convolution.axes(rank: rewriter.type(of: match[0]).rank).spatial
      guard let (source, low, high) = rewriter.graph.padding(match[0], with: { $0 == 0 }, on: spatial) else { return .unchanged }
      var window = convolution.window
      for (position, dilation) in convolution.inputDilations.enumerated() {
        guard let more = added(low[position], times: dilation, to: window.padsLow[position]),
          let moreHigh = added(high[position], times: dilation, to: window.padsHigh[position])
        else { return .unchanged }
        (window.padsLow[position], window.padsHigh[position]) = (more, moreHigh)
      }
      var padded = convolution
      padded.window = window
      return .replaced(with: try rewriter.insert(padded, source, match[1]))
    },
    .on(ReduceWindow.self) { match, rewriter throws(TypeError) in
      let reduce = match.operation
      let isNeutral: (Double) -> Bool =
        switch reduce.reducer {
        case .sum: { $0 == 0 }
        case .product: { $0 == 1 }
        case .maximum: { $0 == -.infinity }
        case .minimum: { $0 == .infinity }
        case .and, .or: { _ in false }
        }
      let axes = Array(0..<rewriter.type(of: match[0]).rank)
      guard let (source, low, high) = rewriter.graph.padding(match[0], with: isNeutral, on: axes) else { return .unchanged }
      var window = reduce.window
      for axis in axes {
        guard let more = added(low[axis], times: 1, to: window.padsLow[axis]), let moreHigh = added(high[axis], times: 1, to: window.padsHigh[axis])
        else { return .unchanged }
        (window.padsLow[axis], window.padsHigh[axis]) = (more, moreHigh)
      }
      return .replaced(with: try rewriter.insert(ReduceWindow(reduce.reducer, size: reduce.size, window: window), source))
    },
  ])

private func added(_ amount: Int, times factor: Int, to pad: Int) -> Int? {
  let (product, overflowed) = amount.multipliedReportingOverflow(by: factor)
  let (sum, overflowedToo) = product.addingReportingOverflow(pad)
  return overflowed || overflowedToo ? nil : sum
}

extension Graph {
  /// What is padded and by how much on each of `axes`, if the value is a `pad` by a number that fits, on no other axis.
  fileprivate func padding(
    _ id: ValueID, with isRight: (Double) -> Bool, on axes: [Int]
  ) -> (source: ValueID, low: [Int], high: [Int])? {
    guard let (node, pad) = producer(of: id, as: Pad.self), pad.mode == .constant, let value = splat(node.operands[1]), isRight(value) else { return nil }
    for axis in pad.low.indices where !axes.contains(axis) && (pad.low[axis] != 0 || pad.high[axis] != 0) { return nil }
    var (low, high): ([Int], [Int]) = ([], [])
    for axis in axes {
      guard let before = pad.low[axis].constant, let after = pad.high[axis].constant else { return nil }
      low.append(before)
      high.append(after)
    }
    return (node.operands[0], low, high)
  }
}
