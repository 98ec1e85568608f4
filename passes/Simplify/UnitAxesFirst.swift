import GraphIR
import TensorTypes

/// Moves a spatial axis of extent 1 from behind the others to the front.
///
///     %y = convolution %x, %f {strides = [1, 1]}          : f32[1,64,500,1], %f f32[128,64,5,1]
/// ->
///     %a = reshape %x                                     : f32[1,64,1,500]
///     %c = convolution %a, %f' {strides = [1, 1]}         : f32[1,128,1,496], %f' f32[128,64,1,5]
///     %y = reshape %c                                     : f32[1,128,496,1]
///
/// Convolutions over a line are often written with such an axis. Kernels take neighbours along the last axis together, and this one has none.
/// Needs a constant filter of extent 1 there, and no padding. Numerics: exact.
public let unitAxesFirst = rewrite(
  "unit-axes-first", "Makes the axis that a convolution moves along its last one.",
  [
    .on(Convolution.self) { match, rewriter throws(TypeError) in
      let (input, result) = (rewriter.type(of: match[0]).shape, rewriter.type(of: match.node.results[0]).shape)
      let convolution = match.operation
      let axes = convolution.axes(rank: input.rank).spatial, taps = convolution.filterAxes(rank: input.rank).window
      guard axes.count > 1, let last = axes.last, let lastTap = taps.last, let filter = rewriter.constant(match[1]), input[last] == 1, result[last] == 1,
        filter.dimensions[lastTap] == 1, convolution.window.padsLow.last == 0, convolution.window.padsHigh.last == 0, convolution.inputDilations.last == 1,
        axes.dropLast().contains(where: { input[$0].constant != 1 })
      else { return .unchanged }
      var moved = convolution
      moved.window = Window(
        strides: convolution.window.strides.lastFirst, padsLow: convolution.window.padsLow.lastFirst, padsHigh: convolution.window.padsHigh.lastFirst,
        dilations: convolution.window.dilations.lastFirst)
      moved.inputDilations = convolution.inputDilations.lastFirst
      var sizes = filter.dimensions
      sizes.moveLastFirst(taps)
      var line = input.extents
      line.moveLastFirst(axes)
      guard let filter = filter.reshaped(sizes) else { return .unchanged }
      let product = try rewriter.insert(moved, try rewriter.insert(Reshape(to: Shape(line)), match[0]), try rewriter.constant(filter))
      return .replaced(with: try rewriter.insert(Reshape(to: result), product))
    }
  ])

extension Array {
  /// The last element in front of the others.
  fileprivate var lastFirst: [Element] { isEmpty ? [] : [self[count - 1]] + dropLast() }

  /// Does that to the elements at some places.
  fileprivate mutating func moveLastFirst(_ places: [Int]) {
    let moved = places.map { self[$0] }.lastFirst
    for (place, element) in zip(places, moved) { self[place] = element }
  }
}
