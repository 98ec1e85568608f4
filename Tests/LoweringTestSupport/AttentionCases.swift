import GraphIR
import TensorTypes

/// Attention as one fusion: head sizes, lengths, masks and views.
package enum AttentionCases {
  /// What is done to the scores before the softmax.
  package enum Mask: String, CaseIterable, Sendable {
    case none, keys, full
    /// Minus infinity where the key comes after the query, and in the first row everywhere.
    case causal
    /// The same, and rows without a number become zeros.
    case causalWithoutNaN = "causal without NaN"
  }

  /// How the operands lie in memory.
  package enum Layout: String, CaseIterable, Sendable {
    /// [batch, heads, length, size], keys transposed in the body.
    case heads
    /// [batch, length, heads * size], read through views.
    case tokens
  }

  /// Attention in bytes: sums in i32 with a zero point's correction, softmax in f32, weights and results in u8.
  package static func bytes() throws -> [TemplateCase] {
    try [(16, 16, 16, 16), (40, 64, 32, 32), (33, 100, 64, 20), (9, 4, 8, 5), (128, 128, 64, 64)].flatMap { sizes in
      try [Layout.heads, .tokens].map { try bytes(queries: sizes.0, keys: sizes.1, depth: sizes.2, width: sizes.3, layout: $0) }
    }
  }

  private static func bytes(queries: Int, keys: Int, depth: Int, width: Int, layout: Layout) throws -> TemplateCase {
    let heads = 3
    return try TemplateCase("bytes, \(queries)x\(keys), heads of \(depth) and \(width), \(layout.rawValue)", .attention) { graph in
      func operand(_ name: String, _ element: ElementType, _ length: Int, _ size: Int, _ axes: [Int]) throws -> ValueID {
        if layout == .heads {
          let x = graph.addInput(name, TensorType(element, [2, Extent(heads), Extent(length), Extent(size)]))
          return axes == [0, 2, 1, 3] ? x : try graph.insert(Transpose([0, 1, 3, 2]), x)
        }
        let x = graph.addInput(name, TensorType(element, [2, Extent(length), Extent(heads * size)]))
        return try graph.insert(Transpose(axes), try graph.insert(Reshape(to: [2, Extent(length), Extent(heads), Extent(size)]), x))
      }
      func scalar(_ value: Double, _ shape: Shape) throws -> ValueID { try graph.insert(Broadcast(to: shape), try graph.insert(Constant(Tensor(scalar: value, .f32)))) }
      let q = try operand("q", .u8, queries, depth, [0, 2, 1, 3]), k = try operand("k", .i8, keys, depth, [0, 2, 3, 1]), v = try operand("v", .i8, keys, width, [0, 2, 1, 3])
      let space: Shape = [2, Extent(heads), Extent(queries), Extent(keys)]
      let correction = graph.addInput("c", TensorType(.i32, [2, Extent(heads), 1, Extent(keys)])), mask = graph.addInput("m", TensorType(.f32, [2, 1, 1, Extent(keys)]))
      let sum = try graph.insert(Binary(.subtract), try graph.insert(Dot(result: .i32), q, k), try graph.insert(Broadcast(to: space), correction))
      let real = try graph.insert(Binary(.multiply), try graph.insert(Convert(to: .f32), sum), try scalar(0.01, space))
      let scores = try graph.insert(Binary(.add), real, try graph.insert(Broadcast(to: space), mask))
      func repeated(_ value: ValueID) throws -> ValueID { try graph.insert(Broadcast(to: space), try graph.insert(Reshape(to: [2, Extent(heads), Extent(queries), 1]), value)) }
      let top = try graph.insert(Reduce(.maximum, axes: [3]), scores)
      let e = try graph.insert(Unary(.exponential), try graph.insert(Binary(.subtract), scores, try repeated(top)))
      let weights = try graph.insert(Binary(.divide), e, try repeated(try graph.insert(Reduce(.sum, axes: [3]), e)))
      let steps = try graph.insert(Unary(.round), try graph.insert(Binary(.divide), weights, try scalar(1 / 255, space)))
      let held = try graph.insert(Binary(.minimum), try graph.insert(Binary(.maximum), steps, try scalar(0, space)), try scalar(255, space))
      let product = try graph.insert(Dot(result: .i32), try graph.insert(Convert(to: .u8), held), v)
      return try graph.insert(Binary(.multiply), try graph.insert(Convert(to: .f32), product), try scalar(0.125 / 255, graph.type(of: product).shape))
    }
  }

  package static func attention(
    batch: Extent = 2, heads: Int = 3, queries: Extent, keys: Extent, depth: Int, width: Int? = nil, mask: Mask = .none, layout: Layout = .heads,
    symbols: [String: Int] = [:]
  ) throws -> TemplateCase {
    let width = width ?? depth
    let name = "\(queries)x\(keys), heads of \(depth) and \(width), mask \(mask.rawValue), \(layout.rawValue) \(symbols.sorted { $0.key < $1.key }.map { "\($0)=\($1)" })"
    return try TemplateCase(name, .attention, symbols: symbols) { graph in
      func operand(_ name: String, _ length: Extent, _ size: Int, _ axes: [Int]) throws -> ValueID {
        if layout == .heads {
          let x = graph.addInput(name, TensorType(.f32, [batch, Extent(heads), length, Extent(size)]))
          return axes == [0, 2, 1, 3] ? x : try graph.insert(Transpose([0, 1, 3, 2]), x)
        }
        let x = graph.addInput(name, TensorType(.f32, [batch, length, Extent(heads * size)]))
        return try graph.insert(Transpose(axes), try graph.insert(Reshape(to: [batch, length, Extent(heads), Extent(size)]), x))
      }
      func scalar(_ value: Double, _ shape: Shape) throws -> ValueID {
        try graph.insert(Broadcast(to: shape), try graph.insert(Constant(Tensor(scalar: value, .f32))))
      }
      let q = try operand("q", queries, depth, [0, 2, 1, 3]), k = try operand("k", keys, depth, [0, 2, 3, 1])
      let space: Shape = [batch, Extent(heads), queries, keys]
      let scaled = try graph.insert(Binary(.multiply), q, try scalar(0.25, graph.type(of: q).shape))
      var scores = try graph.insert(Dot(), scaled, k)
      switch mask {
      case .none: break
      case .keys, .full:
        let m = graph.addInput("m", TensorType(.f32, [batch, 1, mask == .keys ? 1 : queries, keys]))
        scores = try graph.insert(Binary(.add), scores, try graph.insert(Broadcast(to: space), m))
      case .causal, .causalWithoutNaN:
        let row = try graph.insert(Iota(.i64, space, axis: 2)), column = try graph.insert(Iota(.i64, space, axis: 3))
        scores = try graph.insert(Select(), try graph.insert(Compare(.greater), row, column), scores, try scalar(-.infinity, space))
      }
      func repeated(_ value: ValueID) throws -> ValueID {
        try graph.insert(Broadcast(to: space), try graph.insert(Reshape(to: [batch, Extent(heads), queries, 1]), value))
      }
      let top = try graph.insert(Reduce(.maximum, axes: [3]), scores)
      let e = try graph.insert(Unary(.exponential), try graph.insert(Binary(.subtract), scores, try repeated(top)))
      var weights = try graph.insert(Binary(.divide), e, try repeated(try graph.insert(Reduce(.sum, axes: [3]), e)))
      if mask == .causalWithoutNaN {
        weights = try graph.insert(Select(), try graph.insert(Unary(.isNaN), weights), try scalar(0, space), weights)
      }
      let y = try graph.insert(Dot(), weights, try operand("v", keys, width, [0, 2, 1, 3]))
      return try graph.insert(Reshape(to: [batch, queries, Extent(heads * width)]), try graph.insert(Transpose([0, 2, 1, 3]), y))
    }
  }

  package static func shapes() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for (depth, width) in [(32, 32), (64, 64), (80, 80), (24, 7)] {
      for (queries, keys) in [(8, 8), (13, 37), (29, 64), (17, 100)] {
        cases.append(try attention(queries: Extent(queries), keys: Extent(keys), depth: depth, width: width, layout: queries == 13 ? .tokens : .heads))
      }
    }
    return cases + [try attention(queries: 40, keys: 1, depth: 16), try attention(queries: 1, keys: 40, depth: 16), try attention(queries: 9, keys: 330, depth: 8)]
  }

  package static func masks() throws -> [TemplateCase] {
    try [Mask.keys, .full, .causalWithoutNaN].flatMap { mask in
      try Layout.allCases.map { try attention(queries: 19, keys: mask == .causalWithoutNaN ? 19 : 45, depth: 32, mask: mask, layout: $0) }
    }
  }

  package static func symbolic() throws -> [TemplateCase] {
    let (n, m, b) = (Extent(symbol: "n"), Extent(symbol: "m"), Extent(symbol: "b"))
    return try [1, 5, 16, 33].flatMap { size in
      [
        try attention(queries: n, keys: n, depth: 16, mask: .keys, symbols: ["n": size]),
        try attention(queries: n, keys: m, depth: 16, layout: .tokens, symbols: ["n": size, "m": size * 2 + 3]),
        try attention(batch: b, queries: 12, keys: 40, depth: 16, mask: .full, symbols: ["b": size]),
      ]
    }
  }

  /// Large enough to be shared out: by heads, by heads in ranges, by rows of few heads.
  package static func parallel() throws -> [TemplateCase] {
    [
      try attention(batch: 1, heads: 4, queries: 60, keys: 60, depth: 32), try attention(batch: 8, heads: 5, queries: 30, keys: 33, depth: 16),
      try attention(batch: 1, heads: 1, queries: 100, keys: 70, depth: 64), try attention(batch: 3, heads: 1, queries: 50, keys: 70, depth: 64, layout: .tokens),
      try attention(batch: Extent(symbol: "b"), queries: 40, keys: 40, depth: 32, mask: .keys, symbols: ["b": 9]),
    ]
  }
}
