import GraphIR
import TensorTypes

package enum ConvolutionCases {
  package static func all() throws -> [TemplateCase] { try windows() + groups() + ranks() + transposed() + symbolic() + surroundings() + winograd() }

  struct Setup {
    var batch: Extent = 1
    var spatial: [Extent] = [9, 9]
    var channels = 5
    var outputs = 7
    var kernel: [Int] = [3, 3]
    var strides: [Int]?
    var pads: [Int]?
    var padsHigh: [Int]?
    var dilations: [Int]?
    var inputDilations: [Int]?
    var groups = 1
    var layout = Convolution.Layout.channelsLast
    var element = ElementType.f32
    var isConstant = true
    var symbols: [String: Int] = [:]

    var name: String {
      "\(layout == .channelsLast ? "" : "channels first ")\(spatial.map(\.description).joined(separator: "x"))x\(channels) -> \(outputs) by \(kernel) strides \(strides ?? []) pads \(pads ?? []) \(padsHigh ?? []) "
        + "dilations \(dilations ?? []) \(inputDilations ?? []) groups \(groups) \(element.name) \(isConstant ? "" : "variable ")\(symbols)"
    }

    /// Inputs, the convolution and its type; `behind` adds what follows it.
    func test(_ name: String = "", _ template: Fusion.Template = .convolution, _ behind: (inout Graph, ValueID) throws -> ValueID = { $1 }) throws -> TemplateCase {
      try TemplateCase(name + self.name, template, symbols: symbols) { graph in
        let rank = spatial.count, ones = [Int](repeating: 1, count: rank), zeros = [Int](repeating: 0, count: rank)
        let isLast = layout == .channelsLast
        let x = graph.addInput("x", TensorType(element, Shape(isLast ? [batch] + spatial + [Extent(channels)] : [batch, Extent(channels)] + spatial)))
        let window = kernel.map { Extent($0) }, perGroup = Extent(channels / groups)
        let w = graph.addInput(isConstant ? "w" : "f", TensorType(element, Shape(isLast ? window + [perGroup, Extent(outputs)] : [Extent(outputs), perGroup] + window)))
        let geometry = Window(strides: strides ?? ones, padsLow: pads ?? zeros, padsHigh: padsHigh ?? pads ?? zeros, dilations: dilations ?? ones)
        return try behind(&graph, try graph.insert(Convolution(window: geometry, inputDilations: inputDilations, groups: groups, layout: layout), x, w))
      }
    }
  }

  package static func windows() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for layout in Convolution.Layout.allCases {
      for size in [1, 4, 7, 9, 17, 30] {
        for (kernel, stride, pad, dilation) in [(1, 1, 0, 1), (1, 2, 0, 1), (3, 1, 1, 1), (3, 2, 1, 1), (3, 1, 2, 2), (5, 1, 2, 1), (7, 2, 3, 1)] where size + 2 * pad > dilation * (kernel - 1) {
          if layout == .channelsFirst, size > 9 { continue }
          cases.append(
            try Setup(
              spatial: [Extent(size), Extent(size)], channels: kernel == 7 ? 3 : 6, outputs: size == 9 ? 40 : 19, kernel: [kernel, kernel], strides: [stride, stride],
              pads: [pad, pad], dilations: [dilation, dilation], layout: layout
            ).test())
        }
      }
    }
    cases.append(try Setup(spatial: [6, 20], channels: 3, outputs: 66, kernel: [2, 4], strides: [1, 3], pads: [0, 2], padsHigh: [1, 0]).test())
    cases.append(try Setup(spatial: [5, 5], channels: 3, outputs: 8, kernel: [3, 3], pads: [3, 3], padsHigh: [4, 4]).test())
    cases.append(try Setup(spatial: [70, 5], channels: 3, outputs: 8, kernel: [3, 3], pads: [3, 3], padsHigh: [4, 4]).test())
    cases.append(try Setup(spatial: [2, 70], channels: 4, outputs: 70, kernel: [1, 1]).test())
    cases.append(try Setup(batch: 3, spatial: [5, 5], channels: 24, outputs: 33, pads: [1, 1]).test())
    cases.append(try Setup(batch: 2, spatial: [1, 1], channels: 240, outputs: 33, kernel: [1, 1]).test())
    cases.append(try Setup(spatial: [9, 9], pads: [1, 1], isConstant: false).test())
    cases.append(try Setup(spatial: [9, 9], pads: [1, 1], layout: .channelsFirst, isConstant: false).test())
    for element in [ElementType.f64, .f16, .i32] { cases.append(try Setup(spatial: [6, 6], outputs: 20, pads: [1, 1], element: element).test()) }
    return cases
  }

  /// Shapes that Winograd's method takes: sizes that are no multiple of a tile, padding and none, batches, groups, channel tails, epilogues.
  package static func winograd() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for (height, width, pad) in [(3, 3, 0), (1, 1, 1), (7, 7, 1), (8, 12, 1), (9, 30, 1), (10, 6, 0), (14, 14, 1), (5, 17, 2), (2, 40, 1)] {
      for (channels, outputs) in height * width < 100 ? [(8, 16), (19, 40)] : [(24, 40)] {
        cases.append(try Setup(spatial: [Extent(height), Extent(width)], channels: channels, outputs: outputs, pads: [pad, pad]).test("winograd "))
      }
    }
    cases.append(try Setup(spatial: [6, 9], channels: 16, outputs: 16, pads: [1, 0], padsHigh: [0, 2]).test("winograd "))
    cases.append(try Setup(batch: 3, spatial: [7, 7], channels: 33, outputs: 20, pads: [1, 1]).test("winograd "))
    cases.append(try Setup(batch: 2, spatial: [24, 24], channels: 32, outputs: 72, pads: [1, 1]).test("winograd "))
    cases.append(try Setup(spatial: [12, 13], channels: 32, outputs: 48, pads: [1, 1], groups: 2).test("winograd "))
    for batch in [1, 3] {
      cases.append(try Setup(batch: Extent(symbol: "n"), spatial: [9, 11], channels: 24, outputs: 40, pads: [1, 1], symbols: ["n": batch]).test("winograd "))
      cases.append(try Setup(batch: Extent(batch), spatial: [11, 10], channels: 16, outputs: 24, pads: [1, 1]).test("winograd residual ", .convolution, behindResidual))
    }
    return cases
  }

  /// Convolutions that Winograd's method does not apply to.
  package static func notWinograd() throws -> [TemplateCase] {
    [
      try Setup(channels: 16, outputs: 16, strides: [2, 2], pads: [1, 1]).test(), try Setup(channels: 16, outputs: 16, dilations: [2, 2]).test(),
      try Setup(channels: 16, outputs: 16, kernel: [5, 5]).test(), try Setup(channels: 16, outputs: 16, kernel: [1, 3]).test(),
      try Setup(channels: 3, outputs: 16).test(), try Setup(channels: 16, outputs: 16, element: .f64).test(),
      try Setup(channels: 16, outputs: 16, isConstant: false).test(), try Setup(channels: 16, outputs: 16, inputDilations: [2, 2]).test(),
      try Setup(spatial: [Extent(symbol: "h"), 9], channels: 16, outputs: 16, symbols: ["h": 9]).test(),
    ]
  }

  /// A convolution with long sums.
  package static func manyChannels(_ channels: Int) throws -> TemplateCase {
    try Setup(spatial: [6, 9], channels: channels, outputs: 40, pads: [1, 1]).test("many channels ") { graph, y in
      // Thirds are exact in no binary fraction.
      let third = try graph.insert(Constant(Tensor(scalar: 1.0 / 3, .f32)))
      return try graph.insert(Binary(.multiply), y, try graph.insert(Broadcast(to: graph.type(of: y).shape), third))
    }
  }

  /// Bias, activation, residual and a border that the convolution fills.
  private static func behindResidual(_ graph: inout Graph, _ y: ValueID) throws -> ValueID {
    let type = graph.type(of: y)
    let bias = graph.addInput("wb", TensorType(.f32, [type.shape[3]])), residual = graph.addInput("r", type)
    let sum = try graph.insert(Binary(.add), try graph.insert(Binary(.add), y, try graph.insert(Broadcast(to: type.shape), bias)), residual)
    let active = try graph.insert(Binary(.multiply), sum, try graph.insert(Unary(.logistic), sum))
    let zero = try graph.insert(Constant(Tensor(scalar: 0, .f32)))
    return try graph.insert(Pad(low: [0, 1, 1, 0], high: [0, 1, 1, 0]), active, zero)
  }

  package static func groups() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for layout in Convolution.Layout.allCases {
      for (channels, outputs, groups) in [(24, 24, 24), (20, 40, 20), (8, 8, 2), (6, 9, 3), (40, 80, 2), (5, 40, 5)] {
        for stride in [1, 2] { cases.append(try Setup(spatial: [9, 13], channels: channels, outputs: outputs, strides: [stride, stride], pads: [1, 1], groups: groups, layout: layout).test()) }
      }
    }
    cases.append(try Setup(spatial: [15, 15], channels: 37, outputs: 37, kernel: [5, 5], pads: [4, 4], dilations: [2, 2], groups: 37).test())
    cases.append(try Setup(batch: 2, spatial: [3, 3], channels: 18, outputs: 18, pads: [2, 2], groups: 18, element: .f16).test())
    return cases
  }

  package static func ranks() throws -> [TemplateCase] {
    [
      try Setup(spatial: [40], channels: 4, outputs: 20, kernel: [3], strides: [2], pads: [1]).test(),
      try Setup(spatial: [100], channels: 4, outputs: 20, kernel: [9], pads: [4], layout: .channelsFirst).test(),
      try Setup(spatial: [30], channels: 12, outputs: 12, kernel: [3], pads: [1], groups: 12).test(),
      try Setup(spatial: [4, 5, 6], channels: 3, outputs: 10, kernel: [3, 3, 3], pads: [1, 1, 1]).test(),
      try Setup(spatial: [4, 5, 6], channels: 3, outputs: 10, kernel: [2, 3, 3], strides: [2, 1, 2], pads: [0, 1, 1], layout: .channelsFirst).test(),
    ]
  }

  package static func transposed() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for (kernel, dilation, pad) in [(2, 2, 1), (3, 2, 1), (4, 2, 2), (3, 3, 2), (2, 3, 0), (5, 2, 3)] {
      cases.append(try Setup(spatial: [5, 6], kernel: [kernel, kernel], pads: [pad, pad], inputDilations: [dilation, dilation]).test())
    }
    cases.append(try Setup(spatial: [5, 6], kernel: [3, 3], strides: [2, 3], pads: [2, 1], dilations: [1, 2], inputDilations: [3, 2]).test())
    cases.append(try Setup(spatial: [5, 6], channels: 12, outputs: 12, kernel: [3, 3], pads: [1, 1], inputDilations: [2, 2], groups: 12).test())
    cases.append(try Setup(spatial: [7], kernel: [4], pads: [2], inputDilations: [2], layout: .channelsFirst).test())
    return cases
  }

  package static func symbolic() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    let (h, w) = (Extent(symbol: "h"), Extent(symbol: "w"))
    for size in [3, 8, 21] {
      let symbols = ["h": size + 2, "w": size]
      cases.append(try Setup(spatial: [h, w], outputs: 20, pads: [1, 1], symbols: symbols).test())
      cases.append(try Setup(spatial: [h, w], outputs: 20, strides: [2, 2], pads: [1, 1], symbols: symbols).test())
      cases.append(try Setup(spatial: [h, w], outputs: 20, symbols: symbols).test())
      cases.append(try Setup(spatial: [h, w], channels: 20, outputs: 20, pads: [1, 1], groups: 20, symbols: symbols).test())
      cases.append(try Setup(spatial: [h, 9], outputs: 20, pads: [1, 1], symbols: symbols).test())
      cases.append(try Setup(spatial: [w], outputs: 20, kernel: [4], pads: [2], inputDilations: [2], symbols: symbols).test())
      cases.append(try Setup(batch: w, spatial: [7, 7], outputs: 20, pads: [1, 1], symbols: symbols).test())
    }
    return cases
  }

  package static func surroundings() throws -> [TemplateCase] {
    let setup = Setup(spatial: [14, 14], channels: 16, outputs: 40, pads: [1, 1])
    return [
      try setup.test("bias, residual, relu, padded ") { graph, y in
        let shape: Shape = [1, 14, 14, 40]
        let bias = graph.addInput("bias", TensorType(.f32, [40])), other = graph.addInput("r", TensorType(.f32, shape))
        let sum = try graph.insert(Binary(.add), try graph.insert(Binary(.add), y, try graph.insert(Broadcast(to: shape), bias)), other)
        let zero = try graph.insert(Constant(Tensor(scalar: 0, .f32)))
        let active = try graph.insert(Binary(.maximum), sum, try graph.insert(Broadcast(to: shape), zero))
        return try graph.insert(Pad(low: [0, 1, 1, 0], high: [0, 1, 1, 0]), active, zero)
      },
      try setup.test("to channels first ") { graph, y in try graph.insert(Transpose([0, 3, 1, 2]), y) },
      try Setup(spatial: [7, 7], channels: 16, outputs: 40, pads: [1, 1]).test("flattened ") { graph, y in try graph.insert(Reshape(to: [1, 49, 40]), y) },
      try TemplateCase("input channels first, filter packed", .convolution) { graph in
        let x = graph.addInput("x", TensorType(.f32, [1, 3, 20, 20])), w = graph.addInput("w", TensorType(.f32, [3, 3, 3, 24]))
        let window = Window(strides: [2, 2], padsLow: [1, 1], padsHigh: [1, 1], dilations: [1, 1])
        return try graph.insert(Convolution(window: window, layout: .channelsLast), try graph.insert(Transpose([0, 2, 3, 1]), x), w)
      },
      try TemplateCase("input concatenated", .convolution) { graph in
        let x = graph.addInput("x", TensorType(.f32, [1, 5, 17, 24])), z = graph.addInput("z", TensorType(.f32, [1, 5, 17, 7]))
        let w = graph.addInput("w", TensorType(.f32, [1, 1, 34, 40]))
        let part = try graph.insert(Slice(starts: [0, 0, 0, 4], sizes: [1, 5, 17, 20], steps: [1, 1, 1, 1]), x)
        let more = try graph.insert(Slice(starts: [0, 0, 0, 0], sizes: [1, 5, 17, 7], steps: [1, 1, 1, 1]), x)
        let window = Window(strides: [1, 1], padsLow: [0, 0], padsHigh: [0, 0], dilations: [1, 1])
        return try graph.insert(Convolution(window: window, layout: .channelsLast), try graph.insert(Concatenate(axis: 3), part, more, z), w)
      },
      try Setup(spatial: [30, 30], channels: 48, outputs: 48, pads: [1, 1], groups: 48).test("depthwise, clipped ") { graph, y in
        let six = try graph.insert(Broadcast(to: [1, 30, 30, 48]), try graph.insert(Constant(Tensor(scalar: 6, .f32))))
        return try graph.insert(Binary(.minimum), y, six)
      },
    ]
  }
}
