import GraphIR
import Lowering
import LoweringTestSupport
import TensorTypes

/// A layer of a network, as many times as it occurs there.
struct Layer {
  var name: String
  var count: Int
  var test: TemplateCase

  static func convolution(
    _ count: Int, _ size: Int, _ channels: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1, groups: Int = 1, isFirst: Bool = false, residual: Bool = false
  ) throws -> Layer {
    let pad = kernel / 2, result = (size + 2 * pad - kernel) / stride + 1
    let name = groups > 1 ? "depthwise \(size)x\(size)x\(channels) \(kernel)x\(kernel)/\(stride)" : "conv \(size)x\(size)x\(channels) -> \(outputs) \(kernel)x\(kernel)/\(stride)"
    let test = try TemplateCase(name, .convolution) { graph in
      // A network's first layer reads its input channels first.
      var x = graph.addInput("x", TensorType(.f32, isFirst ? [1, Extent(channels), Extent(size), Extent(size)] : [1, Extent(size), Extent(size), Extent(channels)]))
      if isFirst { x = try graph.insert(Transpose([0, 2, 3, 1]), x) }
      let filter = graph.addInput("w", TensorType(.f32, [Extent(kernel), Extent(kernel), Extent(channels / groups), Extent(outputs)]))
      let bias = graph.addInput("bias", TensorType(.f32, [Extent(outputs)]))
      let window = Window(strides: [stride, stride], padsLow: [pad, pad], padsHigh: [pad, pad], dilations: [1, 1])
      let y = try graph.insert(Convolution(window: window, groups: groups, layout: .channelsLast), x, filter)
      let shape: Shape = [1, Extent(result), Extent(result), Extent(outputs)]
      let wide = try graph.insert(Broadcast(to: shape), bias)
      var sum = try graph.insert(Binary(.add), y, wide)
      if residual { sum = try graph.insert(Binary(.add), sum, graph.addInput("r", TensorType(.f32, shape))) }
      let zero = try graph.insert(Constant(Tensor(scalar: 0, .f32)))
      return try graph.insert(Binary(.maximum), sum, try graph.insert(Broadcast(to: shape), zero))
    }
    return Layer(name: name, count: count, test: test)
  }

  static func linear(_ count: Int, _ rows: Int, _ steps: Int, _ columns: Int, _ left: ElementType = .f32, _ right: ElementType = .f32) throws -> Layer {
    let name = "linear \(left == .f32 ? "" : left.name + " ")\(rows)x\(steps) -> \(columns)"
    let test = try TemplateCase(name, .dot) { graph in
      let x = graph.addInput("x", TensorType(left, [Extent(rows), Extent(steps)]))
      let weights = graph.addInput("w", TensorType(right, [Extent(steps), Extent(columns)]))
      let result: ElementType = left.isFloatingPoint ? .f32 : .i32
      let bias = graph.addInput("bias", TensorType(result, [Extent(columns)]))
      let y = try graph.insert(Dot(result: result), x, weights)
      return try graph.insert(Binary(.add), y, try graph.insert(Broadcast(to: [Extent(rows), Extent(columns)]), bias))
    }
    return Layer(name: name, count: count, test: test)
  }

  /// A linear layer of whose weights one block of `height` steps and `width` columns in `inverse` is kept, without an order.
  static func sparse(
    _ count: Int, _ rows: Int, _ steps: Int, _ columns: Int, blocks height: Int, _ width: Int, oneIn inverse: Int, _ left: ElementType = .f32, _ right: ElementType = .f32
  ) throws -> Layer {
    var layer = try linear(count, rows, steps, columns, left, right)
    layer.name += " \(height)x\(width), 1 in \(inverse)"
    layer.test.kept["w"] = { row, column in
      var hash = UInt64(row / height) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(column / width) &* 0xc2b2_ae3d_27d4_eb4f
      hash = (hash ^ hash >> 29) &* 0xbf58_476d_1ce4_e5b9
      return (hash ^ hash >> 32) % UInt64(inverse) == 0
    }
    return layer
  }

  /// Queries by keys, [sequence, heads * 64] each, split into heads.
  static func scores(_ count: Int, heads: Int, queries: Int, keys: Int) throws -> Layer {
    let name = "scores \(heads) heads \(queries)x\(keys)"
    let test = try TemplateCase(name, .dot) { graph in
      func split(_ name: String, _ length: Int, _ axes: [Int], _ graph: inout Graph) throws -> ValueID {
        let x = graph.addInput(name, TensorType(.f32, [Extent(length), Extent(heads * 64)]))
        return try graph.insert(Transpose(axes), try graph.insert(Reshape(to: [1, Extent(length), Extent(heads), 64]), x))
      }
      return try graph.insert(Dot(), try split("q", queries, [0, 2, 1, 3], &graph), try split("k", keys, [0, 2, 3, 1], &graph))
    }
    return Layer(name: name, count: count, test: test)
  }

  /// Probabilities [heads, queries, keys] by values, merged again.
  static func context(_ count: Int, heads: Int, queries: Int, keys: Int) throws -> Layer {
    let name = "context \(heads) heads \(queries)x\(keys)"
    let test = try TemplateCase(name, .dot) { graph in
      let p = graph.addInput("p", TensorType(.f32, [1, Extent(heads), Extent(queries), Extent(keys)]))
      let v = graph.addInput("v", TensorType(.f32, [Extent(keys), Extent(heads * 64)]))
      let split = try graph.insert(Transpose([0, 2, 1, 3]), try graph.insert(Reshape(to: [1, Extent(keys), Extent(heads), 64]), v))
      let y = try graph.insert(Transpose([0, 2, 1, 3]), try graph.insert(Dot(), p, split))
      return try graph.insert(Reshape(to: [Extent(queries), Extent(heads * 64)]), y)
    }
    return Layer(name: name, count: count, test: test)
  }

  static func pool(_ count: Int, _ size: Int, _ channels: Int, kernel: Int, stride: Int) throws -> Layer {
    let name = "max pool \(size)x\(size)x\(channels) \(kernel)x\(kernel)/\(stride)"
    let test = try TemplateCase(name, .window) { graph in
      let x = graph.addInput("x", TensorType(.f32, [1, Extent(size), Extent(size), Extent(channels)]))
      let pad = kernel / 2
      let window = Window(strides: [1, stride, stride, 1], padsLow: [0, pad, pad, 0], padsHigh: [0, pad, pad, 0], dilations: [1, 1, 1, 1])
      return try graph.insert(ReduceWindow(.maximum, size: [1, kernel, kernel, 1], window: window), x)
    }
    return Layer(name: name, count: count, test: test)
  }
}

/// The layers of the networks that the templates are judged by.
func networks() throws -> [(name: String, layers: [Layer])] {
  func bottlenecks(_ blocks: Int, _ size: Int, _ inputs: Int, _ width: Int, _ stride: Int) throws -> [Layer] {
    let half = size / stride
    var layers = [
      try Layer.convolution(1, size, inputs, width),
      try Layer.convolution(1, size, width, width, kernel: 3, stride: stride),
      try Layer.convolution(1, size, inputs, width * 4, stride: stride),
      try Layer.convolution(blocks, half, width, width * 4, residual: true),
    ]
    if blocks > 1 {
      layers.append(try Layer.convolution(blocks - 1, half, width * 4, width))
      layers.append(try Layer.convolution(blocks - 1, half, width, width, kernel: 3))
    }
    return layers
  }
  let resnet =
    [try Layer.convolution(1, 224, 3, 64, kernel: 7, stride: 2, isFirst: true), try Layer.pool(1, 112, 64, kernel: 3, stride: 2)]
    + (try bottlenecks(3, 56, 64, 64, 1)) + (try bottlenecks(4, 56, 256, 128, 2)) + (try bottlenecks(6, 28, 512, 256, 2))
    + (try bottlenecks(3, 14, 1024, 512, 2)) + [try Layer.linear(1, 1, 2048, 1000)]
  func inverted(_ blocks: Int, _ size: Int, _ inputs: Int, _ outputs: Int, _ stride: Int) throws -> [Layer] {
    let half = size / stride
    var layers = [
      try Layer.convolution(1, size, inputs, inputs * 6),
      try Layer.convolution(1, size, inputs * 6, inputs * 6, kernel: 3, stride: stride, groups: inputs * 6),
      try Layer.convolution(1, half, inputs * 6, outputs),
    ]
    if blocks > 1 {
      layers.append(try Layer.convolution(blocks - 1, half, outputs, outputs * 6))
      layers.append(try Layer.convolution(blocks - 1, half, outputs * 6, outputs * 6, kernel: 3, groups: outputs * 6))
      layers.append(try Layer.convolution(blocks - 1, half, outputs * 6, outputs, residual: true))
    }
    return layers
  }
  let mobilenet =
    [
      try Layer.convolution(1, 224, 3, 32, kernel: 3, stride: 2, isFirst: true), try Layer.convolution(1, 112, 32, 32, kernel: 3, groups: 32),
      try Layer.convolution(1, 112, 32, 16),
    ]
    + (try inverted(2, 112, 16, 24, 2)) + (try inverted(3, 56, 24, 32, 2)) + (try inverted(4, 28, 32, 64, 2)) + (try inverted(3, 14, 64, 96, 1))
    + (try inverted(3, 14, 96, 160, 2)) + (try inverted(1, 7, 160, 320, 1)) + [try Layer.convolution(1, 7, 320, 1280), try Layer.linear(1, 1, 1280, 1000)]
  let bert = [
    try Layer.linear(48, 128, 768, 768), try Layer.linear(12, 128, 768, 3072), try Layer.linear(12, 128, 3072, 768),
    try Layer.scores(12, heads: 12, queries: 128, keys: 128), try Layer.context(12, heads: 12, queries: 128, keys: 128),
  ]
  let others = [
    try Layer.linear(1, 1, 4, 10), try Layer.linear(1, 1, 10, 3), try Layer.linear(1, 8, 512, 512), try Layer.linear(1, 1, 4096, 4096),
    try Layer.linear(1, 1024, 1024, 1024), try Layer.scores(1, heads: 32, queries: 1, keys: 512), try Layer.context(1, heads: 32, queries: 1, keys: 512),
  ]
  let pruned = try [(1, 16), (4, 16), (16, 16), (1, 32), (4, 32), (1, 64)].flatMap { height, width in
    try [(768, 768), (768, 3072), (3072, 768)].map { try Layer.sparse(1, 128, $0, $1, blocks: height, width, oneIn: 5) }
  } + [2, 3, 10].map { try Layer.sparse(1, 128, 768, 768, blocks: 1, 16, oneIn: $0) }
    + [try Layer.sparse(1, 1, 768, 3072, blocks: 1, 16, oneIn: 5), try Layer.sparse(1, 8, 768, 3072, blocks: 1, 16, oneIn: 5)]
  let narrow = try [(ElementType.f32, ElementType.f32, 1), (.bf16, .bf16, 2), (.u8, .i8, 4)].flatMap { left, right, group in
    try [128, 1].flatMap { rows in
      try [768, 3072].flatMap { columns in
        try [2, 5, 20].flatMap { inverse in
          try Set([1, group]).sorted().map { try Layer.sparse(1, rows, 768, columns, blocks: $0, 16, oneIn: inverse, left, right) }
        }
      }
    }
  }
  let vgg = [
    try Layer.convolution(1, 224, 3, 64, kernel: 3, isFirst: true), try Layer.convolution(1, 224, 64, 64, kernel: 3), try Layer.convolution(1, 112, 64, 128, kernel: 3),
    try Layer.convolution(1, 112, 128, 128, kernel: 3), try Layer.convolution(1, 56, 128, 256, kernel: 3), try Layer.convolution(2, 56, 256, 256, kernel: 3),
    try Layer.convolution(1, 28, 256, 512, kernel: 3), try Layer.convolution(2, 28, 512, 512, kernel: 3), try Layer.convolution(3, 14, 512, 512, kernel: 3),
  ]
  return [("resnet50", resnet), ("vgg16", vgg), ("mobilenet", mobilenet), ("bert", bert), ("others", others), ("pruned", pruned), ("narrow", narrow)]
}
