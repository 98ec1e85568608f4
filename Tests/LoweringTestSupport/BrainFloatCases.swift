import GraphIR
import TensorTypes

/// Contractions of bf16 operands with f32 sums, as `narrow-to-bf16` leaves them.
package enum BrainFloatCases {
  package static func dots() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for (rows, steps, columns) in [(1, 8, 40), (1, 301, 70), (2, 16, 33), (5, 7, 19), (14, 64, 32), (29, 33, 100), (40, 1, 40), (13, 2, 5), (3, 0, 5), (61, 256, 90)] {
      cases.append(try dot(rows, steps, columns, isConstant: true))
      cases.append(try dot(rows, steps, columns, isConstant: false))
    }
    for steps in [9, 24] {
      cases.append(
        try TemplateCase("weights f32 and transposed, K = \(steps)", .dot) { graph in
          let x = graph.addInput("x", TensorType(.bf16, [6, Extent(steps)])), w = graph.addInput("w", TensorType(.f32, [40, Extent(steps)]))
          let narrow = try graph.insert(Convert(to: .bf16), w)
          return try graph.insert(Dot(result: .f32), x, try graph.insert(Transpose([1, 0]), narrow))
        })
      cases.append(
        try TemplateCase("bias, residual, relu, stored as bf16, K = \(steps)", .dot) { graph in
          let x = graph.addInput("x", TensorType(.bf16, [26, Extent(steps)])), w = graph.addInput("w", TensorType(.f32, [Extent(steps), 72]))
          let bias = graph.addInput("bias", TensorType(.f32, [72])), other = graph.addInput("r", TensorType(.bf16, [26, 72]))
          let product = try graph.insert(Dot(result: .f32), x, try graph.insert(Convert(to: .bf16), w))
          let sum = try graph.insert(Binary(.add), product, try graph.insert(Broadcast(to: [26, 72]), bias))
          let all = try graph.insert(Binary(.add), sum, try graph.insert(Convert(to: .f32), other))
          let zero = try graph.insert(Broadcast(to: [26, 72]), try graph.insert(Constant(Tensor(scalar: 0, .f32))))
          return try graph.insert(Convert(to: .bf16), try graph.insert(Binary(.maximum), all, zero))
        })
    }
    cases += try [
      TemplateCase("scores", .dot) { graph in
        func heads(_ name: String, _ length: Int, _ axes: [Int], _ graph: inout Graph) throws -> ValueID {
          let x = graph.addInput(name, TensorType(.bf16, [2, Extent(length), 48]))
          return try graph.insert(Transpose(axes), try graph.insert(Reshape(to: [2, Extent(length), 3, 16]), x))
        }
        return try graph.insert(Dot(result: .f32), try heads("q", 19, [0, 2, 1, 3], &graph), try heads("k", 37, [0, 2, 3, 1], &graph))
      },
      TemplateCase("sums along the rows of the left operand's memory", .dot) { graph in
        let x = graph.addInput("x", TensorType(.bf16, [24, 20])), w = graph.addInput("w", TensorType(.bf16, [24, 40]))
        return try graph.insert(Dot(result: .f32), try graph.insert(Transpose([1, 0]), x), w)
      },
      TemplateCase("a value by its own transpose", .dot) { graph in
        let x = graph.addInput("x", TensorType(.bf16, [40, 24]))
        return try graph.insert(Dot(result: .f32), x, try graph.insert(Transpose([1, 0]), x))
      },
    ]
    for size in [1, 4, 11, 24] {
      cases.append(
        try TemplateCase("context n=\(size)", .dot, symbols: ["n": size, "m": size + 5]) { graph in
          let p = graph.addInput("p", TensorType(.bf16, [2, Extent(symbol: "n"), Extent(symbol: "m")]))
          let v = graph.addInput("v", TensorType(.bf16, [2, Extent(symbol: "m"), 16]))
          return try graph.insert(Dot(result: .f32), p, v)
        })
    }
    return cases
  }

  private static func dot(_ rows: Int, _ steps: Int, _ columns: Int, isConstant: Bool) throws -> TemplateCase {
    try TemplateCase("bf16 \(rows)x\(steps)x\(columns)\(isConstant ? "" : " variable")", .dot) { graph in
      let x = graph.addInput("x", TensorType(.bf16, [Extent(rows), Extent(steps)]))
      let w = graph.addInput(isConstant ? "w" : "y", TensorType(.bf16, [Extent(steps), Extent(columns)]))
      return try graph.insert(Dot(result: .f32), x, w)
    }
  }

  package static func convolutions() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for (size, channels, outputs, kernel, stride, groups) in [
      (9, 8, 40, 3, 1, 1), (30, 6, 19, 3, 2, 1), (7, 24, 33, 1, 1, 1), (17, 12, 40, 5, 1, 1), (9, 5, 20, 3, 1, 1), (9, 16, 24, 3, 1, 2), (9, 24, 24, 3, 1, 24),
    ] {
      cases.append(
        try TemplateCase("bf16 \(size)x\(size)x\(channels) -> \(outputs) by \(kernel) stride \(stride) groups \(groups)", .convolution) { graph in
          let x = graph.addInput("x", TensorType(.bf16, [1, Extent(size), Extent(size), Extent(channels)]))
          let window = [Extent(kernel), Extent(kernel)]
          let w = graph.addInput("w", TensorType(.f32, Shape(window + [Extent(channels / groups), Extent(outputs)])))
          let pads = [kernel / 2, kernel / 2]
          let geometry = Window(strides: [stride, stride], padsLow: pads, padsHigh: pads, dilations: [1, 1])
          let y = try graph.insert(
            Convolution(window: geometry, groups: groups, layout: .channelsLast, result: .f32), x, try graph.insert(Convert(to: .bf16), w))
          return try graph.insert(Convert(to: .bf16), y)
        })
    }
    return cases
  }
}
