import GraphIR
import TensorTypes

package enum DotCases {
  package static func all() throws -> [TemplateCase] { try shapes() + elements() + views() + symbolic() + parallel() }

  /// x [rows, steps] by w [steps, columns]; a constant if `isConstant`.
  static func plain(_ rows: Int, _ steps: Int, _ columns: Int, _ element: ElementType = .f32, isConstant: Bool = true) throws -> TemplateCase {
    try TemplateCase("\(element.name) \(rows)x\(steps)x\(columns)\(isConstant ? "" : " variable")", .dot) { graph in
      let x = graph.addInput("x", TensorType(element, [Extent(rows), Extent(steps)]))
      let w = graph.addInput(isConstant ? "w" : "y", TensorType(element, [Extent(steps), Extent(columns)]))
      return try graph.insert(Dot(), x, w)
    }
  }

  package static func shapes() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for rows in [1, 2, 3, 5, 8, 13, 15, 29, 49] {
      for columns in [1, 3, 10, 16, 24, 33, 64, 100] { cases.append(try plain(rows, 7 + rows % 3 * 13, columns)) }
    }
    for (rows, steps, columns) in [(4, 1, 40), (20, 64, 70), (1, 300, 70), (0, 8, 8), (3, 0, 5), (40, 1024, 33), (33, 40, 2)] {
      cases.append(try plain(rows, steps, columns))
      cases.append(try plain(rows, steps, columns, isConstant: false))
    }
    return cases
  }

  package static func elements() throws -> [TemplateCase] {
    try [ElementType.f64, .f16, .bf16, .i8, .u8, .i32, .i64].flatMap { [try plain(5, 12, 19, $0), try plain(9, 12, 40, $0, isConstant: false)] }
  }

  package static func views() throws -> [TemplateCase] {
    [
      try TemplateCase("bias, residual, relu", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [26, 40])), w = graph.addInput("w", TensorType(.f32, [40, 72]))
        let bias = graph.addInput("bias", TensorType(.f32, [72])), other = graph.addInput("r", TensorType(.f32, [26, 72]))
        let wide = try graph.insert(Broadcast(to: [26, 72]), bias)
        let sum = try graph.insert(Binary(.add), try graph.insert(Binary(.add), try graph.insert(Dot(), x, w), wide), other)
        let zero = try graph.insert(Broadcast(to: [26, 72]), try graph.insert(Constant(Tensor(scalar: 0, .f32))))
        return try graph.insert(Binary(.maximum), sum, zero)
      },
      try TemplateCase("heads split behind the product", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [20, 24])), w = graph.addInput("w", TensorType(.f32, [24, 96]))
        let bias = graph.addInput("bias", TensorType(.f32, [96]))
        let rows = try graph.insert(Reshape(to: [2, 10, 96]), try graph.insert(Dot(), x, w))
        let sum = try graph.insert(Binary(.add), rows, try graph.insert(Broadcast(to: [2, 10, 96]), bias))
        return try graph.insert(Transpose([0, 2, 1, 3]), try graph.insert(Reshape(to: [2, 10, 3, 32]), sum))
      },
      try TemplateCase("result transposed", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [20, 24])), w = graph.addInput("w", TensorType(.f32, [24, 40]))
        return try graph.insert(Transpose([1, 0]), try graph.insert(Dot(), x, w))
      },
      try TemplateCase("result padded", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [20, 24])), w = graph.addInput("w", TensorType(.f32, [24, 40]))
        let one = try graph.insert(Constant(Tensor(scalar: 1, .f32)))
        return try graph.insert(Pad(low: [1, 2], high: [3, 0]), try graph.insert(Dot(), x, w), one)
      },
      try TemplateCase("scores", .dot) { graph in
        func heads(_ name: String, _ length: Int, _ axes: [Int], _ graph: inout Graph) throws -> ValueID {
          let x = graph.addInput(name, TensorType(.f32, [2, Extent(length), 48]))
          return try graph.insert(Transpose(axes), try graph.insert(Reshape(to: [2, Extent(length), 3, 16]), x))
        }
        return try graph.insert(Dot(), try heads("q", 9, [0, 2, 1, 3], &graph), try heads("k", 37, [0, 2, 3, 1], &graph))
      },
      try TemplateCase("scores of one query", .dot) { graph in
        let q = graph.addInput("q", TensorType(.f32, [1, 3, 1, 24])), k = graph.addInput("k", TensorType(.f32, [1, 3, 37, 24]))
        return try graph.insert(Dot(), q, try graph.insert(Transpose([0, 1, 3, 2]), k))
      },
      try TemplateCase("context merged", .dot) { graph in
        let p = graph.addInput("p", TensorType(.f32, [2, 3, 9, 37])), v = graph.addInput("v", TensorType(.f32, [2, 37, 48]))
        let split = try graph.insert(Transpose([0, 2, 1, 3]), try graph.insert(Reshape(to: [2, 37, 3, 16]), v))
        let y = try graph.insert(Transpose([0, 2, 1, 3]), try graph.insert(Dot(), p, split))
        return try graph.insert(Reshape(to: [18, 48]), y)
      },
      try TemplateCase("weights transposed in the body", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [6, 24])), w = graph.addInput("w", TensorType(.f32, [40, 24]))
        return try graph.insert(Dot(), x, try graph.insert(Transpose([1, 0]), w))
      },
      try TemplateCase("weights shared by a batch", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [3, 6, 24])), w = graph.addInput("w", TensorType(.f32, [24, 40]))
        return try graph.insert(Dot(), x, try graph.insert(Broadcast(to: [3, 24, 40]), w))
      },
      try TemplateCase("a matrix of weights for each slice", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [3, 6, 24])), w = graph.addInput("w", TensorType(.f32, [3, 24, 40]))
        return try graph.insert(Dot(), x, w)
      },
      try TemplateCase("a value by its own transpose", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [40, 24]))
        return try graph.insert(Dot(), x, try graph.insert(Transpose([1, 0]), x))
      },
    ]
  }

  package static func symbolic() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    let (n, m) = (Extent(symbol: "n"), Extent(symbol: "m"))
    for size in [1, 3, 12, 27, 31] {
      cases.append(
        try TemplateCase("rows n=\(size)", .dot, symbols: ["n": size]) { graph in
          let x = graph.addInput("x", TensorType(.f32, [n, 24])), w = graph.addInput("w", TensorType(.f32, [24, 40]))
          return try graph.insert(Dot(), x, w)
        })
      cases.append(
        try TemplateCase("scores n=\(size)", .dot, symbols: ["n": size, "m": size + 5]) { graph in
          let q = graph.addInput("q", TensorType(.f32, [2, n, 16])), k = graph.addInput("k", TensorType(.f32, [2, m, 16]))
          return try graph.insert(Dot(), q, try graph.insert(Transpose([0, 2, 1]), k))
        })
      cases.append(
        try TemplateCase("context n=\(size)", .dot, symbols: ["n": size, "m": size + 5]) { graph in
          let p = graph.addInput("p", TensorType(.f32, [2, n, m])), v = graph.addInput("v", TensorType(.f32, [2, m, 16]))
          return try graph.insert(Dot(), p, v)
        })
      cases.append(
        try TemplateCase("one query, cache n=\(size)", .dot, symbols: ["n": size]) { graph in
          let q = graph.addInput("q", TensorType(.f32, [2, 1, 16])), k = graph.addInput("k", TensorType(.f32, [2, n, 16]))
          return try graph.insert(Dot(), q, try graph.insert(Transpose([0, 2, 1]), k))
        })
      cases.append(
        try TemplateCase("batch n=\(size), heads split", .dot, symbols: ["n": size]) { graph in
          let x = graph.addInput("x", TensorType(.f32, [n * 7, 24])), w = graph.addInput("w", TensorType(.f32, [24, 48]))
          let y = try graph.insert(Reshape(to: [n, 7, 3, 16]), try graph.insert(Dot(), x, w))
          return try graph.insert(Transpose([0, 2, 1, 3]), y)
        })
    }
    return cases
  }

  package static func parallel() throws -> [TemplateCase] {
    [try plain(130, 128, 200), try plain(1, 700, 400), try plain(61, 256, 90, isConstant: false), try plain(300, 100, 20), try plain(40, 1024, 96)]
  }
}
