import GraphIR
import TensorTypes

/// A filter as the matrix that it is: a column for each output channel.
struct ConvolutionFilter {
  /// [steps, outputs]
  let matrix: Tensor
  let axis: Int
  private let order: [Int]
  private let dimensions: [Int]
  private let sizes: [Int]

  init?(_ filter: Tensor, _ convolution: Convolution) {
    let rank = filter.dimensions.count
    guard rank >= 3 else { return nil }
    axis = convolution.filterAxes(rank: rank).output
    let order = (0..<rank).filter { [axis] in $0 != axis } + [axis]
    let ordered = filter.transposed(order)
    let outputs = filter.dimensions[axis]
    guard outputs > 0, filter.count > 0, let matrix = ordered.reshaped([filter.count / outputs, outputs]) else { return nil }
    (self.matrix, self.order, dimensions, sizes) = (matrix, order, ordered.dimensions, filter.dimensions)
  }

  /// True if there is one window for each image, all of it: the convolution is a product, as classifiers and gates write it.
  func coversInput(of convolution: Convolution, _ input: TensorType) -> Bool {
    let window = convolution.window, places = convolution.axes(rank: input.rank).spatial
    let extents = places.map { input.shape[$0].constant }, taps = convolution.filterAxes(rank: input.rank).window.map { sizes[$0] }
    return convolution.inputDilations.allSatisfy { $0 == 1 } && (window.padsLow + window.padsHigh).allSatisfy { $0 == 0 }
      && zip(extents, taps).allSatisfy { $0 == $1 } && zip(window.dilations, taps).allSatisfy { $0 == 1 || $1 == 1 }
  }

  /// Numbers of the matrix in the shape of the filter.
  func filter(_ numbers: Tensor) -> Tensor? {
    var back = [Int](repeating: 0, count: order.count)
    for (place, axis) in order.enumerated() { back[axis] = place }
    return numbers.reshaped(dimensions)?.transposed(back)
  }
}
