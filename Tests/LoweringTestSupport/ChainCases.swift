import GraphIR
import TensorTypes

/// A convolution and the depthwise one behind it, in one fusion.
package enum ChainCases {
  struct Setup {
    var batch: Extent = 1
    var size: [Int] = [14, 14]
    var channels = 8
    var wide = 40
    var kernel = 1
    var kernelStride = 1
    var window = 3
    var stride = 1
    var dilation = 1
    var pads = ([1, 1], [1, 1])
    var isResidual = false
    var symbols: [String: Int] = [:]

    func test() throws -> TemplateCase {
      let name = "\(size)x\(channels) -> \(wide) by \(kernel)/\(kernelStride), depthwise \(window)/\(stride) dilation \(dilation) pads \(pads) \(isResidual ? "residual" : "") \(symbols)"
      return try TemplateCase(name, .convolution, symbols: symbols) { graph in
        let x = graph.addInput("x", TensorType(.f32, [batch, Extent(size[0]), Extent(size[1]), Extent(channels)]))
        let w = graph.addInput("w", TensorType(.f32, [Extent(kernel), Extent(kernel), Extent(channels), Extent(wide)]))
        let v = graph.addInput("w2", TensorType(.f32, [Extent(window), Extent(window), 1, Extent(wide)]))
        let bias = graph.addInput("bias", TensorType(.f32, [Extent(wide)]))
        let half = kernel / 2
        let first = Window(strides: [kernelStride, kernelStride], padsLow: [half, half], padsHigh: [half, half], dilations: [1, 1])
        let a = try graph.insert(Convolution(window: first, layout: .channelsLast), x, w)
        let shape = graph.type(of: a).shape
        let sum = try graph.insert(Binary(.add), a, try graph.insert(Broadcast(to: shape), bias))
        let six = try graph.insert(Broadcast(to: shape), try graph.insert(Constant(Tensor(scalar: 0.5, .f32))))
        var b = try graph.insert(Binary(.minimum), sum, six)
        if isResidual { b = try graph.insert(Binary(.add), b, graph.addInput("r", TensorType(.f32, shape))) }
        let second = Window(strides: [stride, stride], padsLow: pads.0, padsHigh: pads.1, dilations: [dilation, dilation])
        let c = try graph.insert(Convolution(window: second, groups: wide, layout: .channelsLast), b, v)
        let whole = graph.type(of: c).shape
        return try graph.insert(Binary(.add), c, try graph.insert(Broadcast(to: whole), bias))
      }
    }
  }

  package static func all() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for size in [[1, 1], [3, 5], [7, 7], [9, 13], [14, 14], [30, 20]] {
      for (stride, wide) in [(1, 40), (2, 24), (1, 7)] { cases.append(try Setup(size: size, wide: wide, stride: stride).test()) }
    }
    cases.append(try Setup(size: [20, 33], wide: 70, window: 5, stride: 2, pads: ([2, 2], [2, 2])).test())
    cases.append(try Setup(size: [20, 33], wide: 32, dilation: 2, pads: ([2, 2], [2, 2])).test())
    cases.append(try Setup(size: [21, 19], wide: 32, window: 2, stride: 3, pads: ([0, 1], [1, 0])).test())
    cases.append(try Setup(size: [21, 19], wide: 32, window: 1, stride: 2, pads: ([0, 0], [0, 0])).test())
    cases.append(try Setup(size: [33, 33], channels: 3, wide: 32, kernel: 3, kernelStride: 2).test())
    cases.append(try Setup(size: [15, 14], isResidual: true).test())
    cases.append(try Setup(batch: 3, size: [5, 5], isResidual: true).test())
    cases.append(try Setup(size: [40, 112], channels: 16, wide: 96, stride: 2).test())
    cases.append(try Setup(size: [40, 70], channels: 24, wide: 144).test())
    cases.append(try Setup(batch: Extent(symbol: "n"), size: [14, 14], symbols: ["n": 2]).test())
    return cases
  }
}
