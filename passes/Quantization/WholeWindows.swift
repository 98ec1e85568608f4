public import GraphIR
import TensorTypes

/// Writes convolutions with one window for each image, all of it, as the products that they are.
///
///     %y = convolution %x, %f                      : f32[n,128,1,1], %x f32[n,160,2,2], %f f32[128,160,2,2]
/// ->
///     %a = reshape %x                              : f32[n,640]
///     %y = reshape (dot %a, %f')                   : f32[n,128,1,1], %f' f32[640,128]
///
/// Classifiers and gates are often written so. Needs a constant filter. Numerics: those of the product.
public let wholeWindows = rewrite(
  "whole-windows", "Writes convolutions whose window is the whole image as products.",
  [
    .on(Convolution.self) { match, rewriter throws(TypeError) in
      guard match.operation.groups == 1, match.operation.result == nil, let weights = rewriter.constant(match[1]), let filter = ConvolutionFilter(weights, match.operation),
        filter.coversInput(of: match.operation, rewriter.type(of: match[0]))
      else { return .unchanged }
      let (images, whole) = (rewriter.type(of: match[0]).shape[0], rewriter.type(of: match.node.results[0]).shape)
      let rows = try rewriter.insert(Reshape(to: [images, Extent(filter.matrix.dimensions[0])]), match[0])
      let product = try rewriter.insert(Dot(), rows, try rewriter.constant(filter.matrix))
      return .replaced(with: try rewriter.insert(Reshape(to: whole), product))
    }
  ])
