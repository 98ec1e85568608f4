import GraphIR
import TensorTypes

/// A convolution and the depthwise one or pooling behind it, in one fusion.
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
    var pooling: Reducer?
    var symbols: [String: Int] = [:]

    func test() throws -> TemplateCase {
      let name = "\(size)x\(channels) -> \(wide) by \(kernel)/\(kernelStride), \(pooling?.rawValue ?? "depthwise") \(window)/\(stride) dilation \(dilation) pads \(pads) \(isResidual ? "residual" : "") \(symbols)"
      return try TemplateCase(name, .convolution, symbols: symbols) { graph in
        let x = graph.addInput("x", TensorType(.f32, [batch, Extent(size[0]), Extent(size[1]), Extent(channels)]))
        let w = graph.addInput("w", TensorType(.f32, [Extent(kernel), Extent(kernel), Extent(channels), Extent(wide)]))
        let v = pooling != nil ? x : graph.addInput("w2", TensorType(.f32, [Extent(window), Extent(window), 1, Extent(wide)]))
        let bias = graph.addInput("bias", TensorType(.f32, [Extent(wide)]))
        let half = kernel / 2
        let first = Window(strides: [kernelStride, kernelStride], padsLow: [half, half], padsHigh: [half, half], dilations: [1, 1])
        let a = try graph.insert(Convolution(window: first, layout: .channelsLast), x, w)
        let shape = graph.type(of: a).shape
        let sum = try graph.insert(Binary(.add), a, try graph.insert(Broadcast(to: shape), bias))
        let six = try graph.insert(Broadcast(to: shape), try graph.insert(Constant(Tensor(scalar: 0.5, .f32))))
        var b = try graph.insert(Binary(.minimum), sum, six)
        if isResidual { b = try graph.insert(Binary(.add), b, graph.addInput("r", TensorType(.f32, shape))) }
        if let pooling {
          let move = Window(strides: [1, stride, stride, 1], padsLow: [0] + pads.0 + [0], padsHigh: [0] + pads.1 + [0], dilations: [1, dilation, dilation, 1])
          return try graph.insert(Unary(.absolute), try graph.insert(ReduceWindow(pooling, size: [1, window, window, 1], window: move), b))
        }
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
    for (size, window, stride, pad) in [([9, 13], 3, 2, 0), ([112, 20], 3, 2, 1), ([7, 7], 2, 2, 0), ([28, 28], 2, 2, 0)] {
      for reducer in [Reducer.maximum, .sum] {
        cases.append(try Setup(size: size, wide: 33, kernel: 3, window: window, stride: stride, pads: ([pad, pad], [pad, pad]), pooling: reducer).test())
      }
    }
    cases.append(try Setup(batch: Extent(symbol: "n"), size: [14, 14], symbols: ["n": 2]).test())
    return cases
  }
}
