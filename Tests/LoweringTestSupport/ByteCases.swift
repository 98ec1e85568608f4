import GraphIR
import TensorTypes

/// Contractions of bytes of either sign with i32 sums, as `integer-contractions` leaves them.
package enum ByteCases {
  private static let signs: [(ElementType, ElementType)] = [(.u8, .i8), (.i8, .i8), (.u8, .u8), (.i8, .u8)]

  package static func dots() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    let sizes = [(1, 8, 40), (1, 301, 70), (2, 16, 33), (5, 7, 19), (14, 64, 32), (29, 34, 100), (40, 1, 40), (13, 3, 5), (3, 0, 5), (61, 256, 90)]
    for (number, (rows, steps, columns)) in sizes.enumerated() {
      cases.append(try dot(rows, steps, columns, signs[0], isConstant: true))
      cases.append(try dot(rows, steps, columns, signs[number % 4], isConstant: number % 2 == 1))
    }
    for steps in [9, 24] {
      cases.append(
        try TemplateCase("weights transposed, scaled, biased, quantised, K = \(steps)", .dot) { graph in
          let x = graph.addInput("x", TensorType(.u8, [26, Extent(steps)])), w = graph.addInput("w", TensorType(.i8, [72, Extent(steps)]))
          let scale = graph.addInput("scale", TensorType(.f32, [72])), bias = graph.addInput("bias", TensorType(.f32, [72]))
          let product = try graph.insert(Dot(result: .i32), x, try graph.insert(Transpose([1, 0]), w))
          return try requantized(product, scale, bias, &graph)
        })
    }
    for size in [1, 4, 11, 24] {
      cases.append(
        try TemplateCase("context n=\(size)", .dot, symbols: ["n": size, "m": size + 5]) { graph in
          let p = graph.addInput("p", TensorType(.u8, [2, Extent(symbol: "n"), Extent(symbol: "m")]))
          let v = graph.addInput("v", TensorType(.i8, [2, Extent(symbol: "m"), 16]))
          return try graph.insert(Dot(result: .i32), p, v)
        })
    }
    return cases
  }

  private static func dot(_ rows: Int, _ steps: Int, _ columns: Int, _ signs: (ElementType, ElementType), isConstant: Bool) throws -> TemplateCase {
    var test = try TemplateCase("\(signs.0.name) x \(signs.1.name) \(rows)x\(steps)x\(columns)\(isConstant ? "" : " variable")", .dot) { graph in
      let x = graph.addInput("x", TensorType(signs.0, [Extent(rows), Extent(steps)]))
      let w = graph.addInput(isConstant ? "w" : "y", TensorType(signs.1, [Extent(steps), Extent(columns)]))
      return try graph.insert(Dot(result: .i32), x, w)
    }
    // Extremes, of which sums of pairs saturate where they must not.
    let (largest, smallest) = (Double(signs.0 == .u8 ? 255 : -128), Double(signs.1 == .u8 ? 255 : -128))
    for place in 0..<8 {
      test.replaced["x", default: [:]][place] = largest
      test.replaced[isConstant ? "w" : "y", default: [:]][place * columns] = smallest
    }
    return test
  }

  /// relu(sum * scale + bias), rounded, as u8.
  private static func requantized(_ sum: ValueID, _ scale: ValueID, _ bias: ValueID, _ graph: inout Graph) throws -> ValueID {
    let shape = graph.type(of: sum).shape
    func splat(_ value: Double) throws -> ValueID { try graph.insert(Broadcast(to: shape), try graph.insert(Constant(Tensor(scalar: value, .f32)))) }
    var value = try graph.insert(Binary(.multiply), try graph.insert(Convert(to: .f32), sum), try graph.insert(Broadcast(to: shape), scale))
    value = try graph.insert(Binary(.add), value, try graph.insert(Broadcast(to: shape), bias))
    value = try graph.insert(Unary(.round), try graph.insert(Binary(.divide), value, try splat(0.3)))
    value = try graph.insert(Binary(.add), value, try splat(7))
    value = try graph.insert(Binary(.minimum), try graph.insert(Binary(.maximum), value, try splat(0)), try splat(255))
    return try graph.insert(Convert(to: .u8), value)
  }

  package static func convolutions() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for (number, (size, channels, outputs, kernel, stride, groups)) in [
      (9, 8, 40, 3, 1, 1), (30, 4, 19, 3, 2, 1), (7, 24, 33, 1, 1, 1), (17, 12, 40, 5, 1, 1), (9, 5, 20, 3, 1, 1), (9, 16, 24, 3, 1, 2), (9, 24, 24, 3, 1, 24),
      (12, 40, 40, 17, 1, 40), (11, 40, 40, 5, 2, 40), (8, 19, 19, 7, 1, 19), (2, 16, 16, 3, 1, 16), (30, 32, 32, 3, 2, 32),
    ].enumerated() {
      for (left, right) in [signs[0], signs[number % 4]] {
        cases.append(
          try TemplateCase("\(left.name) x \(right.name) \(size)x\(size)x\(channels) -> \(outputs) by \(kernel) stride \(stride) groups \(groups)", .convolution) { graph in
            let x = graph.addInput("x", TensorType(left, [1, Extent(size), Extent(size), Extent(channels)]))
            let w = graph.addInput("w", TensorType(right, Shape([Extent(kernel), Extent(kernel), Extent(channels / groups), Extent(outputs)])))
            let pads = [kernel / 2, kernel / 2]
            let geometry = Window(strides: [stride, stride], padsLow: pads, padsHigh: pads, dilations: [1, 1])
            let sum = try graph.insert(Convolution(window: geometry, groups: groups, layout: .channelsLast, result: .i32), x, w)
            if number % 2 == 0 { return sum }
            let scale = graph.addInput("scale", TensorType(.f32, [Extent(outputs)])), bias = graph.addInput("bias", TensorType(.f32, [Extent(outputs)]))
            return try requantized(sum, scale, bias, &graph)
          })
      }
    }
    return cases + [try residual()]
  }

  /// A product that is quantised, dequantised, added to bytes of another scale and quantised again, as networks with residuals have them.
  private static func residual() throws -> TemplateCase {
    try TemplateCase("1x1 with residual", .convolution) { graph in
      let x = graph.addInput("x", TensorType(.u8, [1, 9, 17, 64])), w = graph.addInput("w", TensorType(.i8, [1, 1, 64, 80]))
      let other = graph.addInput("r", TensorType(.u8, [1, 9, 17, 80])), bias = graph.addInput("bias", TensorType(.i32, [80]))
      let sum = try graph.insert(Convolution(window: Window(strides: [1, 1], padsLow: [0, 0], padsHigh: [0, 0], dilations: [1, 1]), groups: 1, layout: .channelsLast, result: .i32), x, w)
      let shape = graph.type(of: sum).shape
      func splat(_ value: Double, _ element: ElementType = .f32) throws -> ValueID {
        try graph.insert(Broadcast(to: shape), try graph.insert(Constant(Tensor(scalar: value, element))))
      }
      func quantized(_ value: ValueID, _ scale: Double?, _ zero: Double) throws -> ValueID {
        let quotient = try scale.map { try graph.insert(Binary(.divide), value, try splat($0)) } ?? value
        let shifted = try graph.insert(Binary(.add), try graph.insert(Unary(.round), quotient), try splat(zero))
        return try graph.insert(Convert(to: .u8), try graph.insert(Binary(.minimum), try graph.insert(Binary(.maximum), shifted, try splat(0)), try splat(255)))
      }
      let biased = try graph.insert(Binary(.add), sum, try graph.insert(Broadcast(to: shape), bias))
      let first = try quantized(try graph.insert(Binary(.multiply), try graph.insert(Convert(to: .f32), biased), try splat(0.17)), nil, 120)
      let difference = try graph.insert(Binary(.subtract), try graph.insert(Convert(to: .i32), first), try splat(120, .i32))
      let branch = try graph.insert(Binary(.multiply), try graph.insert(Convert(to: .f32), difference), try splat(0.05))
      let added = try graph.insert(Binary(.multiply), try graph.insert(Convert(to: .f32), other), try splat(0.31))
      return try quantized(try graph.insert(Binary(.maximum), try graph.insert(Binary(.add), branch, added), try splat(0)), 0.043, 0)
    }
  }
}
