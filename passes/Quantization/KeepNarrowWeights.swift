import GraphIR
import TensorTypes

/// Keeps constants of 8 or 4 bits narrow where a matrix product reads them: they are unpacked in registers.
///
///     %w = composite %q, %scale {name = dequantize_linear, axis = 0, block = 32} : f32[768,2048]
///     %y = dot %x, %w
/// ->
///     %y = composite %x, %q, %scale {name = narrow_dot, block = 32} : f32[1,2048]
///
/// Scales may belong to the tensor, to columns, or to groups of the sum; the constant may be transposed on its way. Rows that are looked up in
/// such a constant are looked up in the narrow one, and widened afterwards. What fits neither is folded into a wide constant later.
/// Numerics: sums are taken of the stored numbers and scaled behind it (a few ulps); `activations = int8` rounds the left operand.
public let keepNarrowWeights = rewrite(
  "keep-narrow-weights", "Keeps constants of 8 or 4 bits narrow where a matrix product or a look-up reads them.",
  [
    .on(Dot.self) { match, rewriter throws(TypeError) in
      let (left, result) = (rewriter.type(of: match[0]), rewriter.type(of: match.result))
      var reason: String?
      guard left.element.isFloatingPoint, left.element != .f64, left.rank >= 2, let weights = NarrowWeights(match[1], rewriter.graph, &reason) else { return .unchanged }
      let rows = left.shape.dropLast().reduce(Extent(1)) { $0 * $1 }
      if rows.isOverflow || left.shape[left.rank - 1] != Extent(weights.numbers.dimensions[0]) { return .unchanged }
      var x = try rewriter.reshape(match[0], to: [rows, left.shape[left.rank - 1]])
      if left.element != .f32 { x = try rewriter.insert(Convert(to: .f32), x) }
      let q = try rewriter.constant(weights.numbers), scale = try rewriter.constant(weights.scale)
      let zero: ValueID? = if let tensor = weights.zero { try rewriter.constant(tensor) } else { nil }
      let composite = try NarrowDot.composite(
        rewriter.type(of: x), rewriter.type(of: q), scale: rewriter.type(of: scale), zero: zero.map { rewriter.type(of: $0) }, block: weights.block,
        activations: weights.activations)
      var product = try rewriter.insertAll(composite, [x, q, scale] + (zero.map { [$0] } ?? []))[0]
      if result.element != .f32 { product = try rewriter.insert(Convert(to: result.element), product) }
      return .replaced(with: try rewriter.reshape(product, to: result.shape))
    },
    .on(Gather.self) { match, rewriter throws(TypeError) in
      guard match.operation.axis == 0, let source = DequantizedValue(match[0], in: rewriter.graph), rewriter.constant(source.quantized) != nil,
        rewriter.constant(source.scale) != nil, source.zero.map({ rewriter.constant($0) != nil }) ?? true
      else { return .unchanged }
      let element = rewriter.type(of: match[0]).element
      let shape = rewriter.type(of: match.result).shape, added = shape.rank - rewriter.type(of: match[0]).rank
      let rows = try rewriter.insert(Gather(axis: 0), source.quantized, match[1])
      func looked(_ parameter: ValueID, _ target: Shape?) throws(TypeError) -> ValueID {
        let found = try rewriter.insert(Gather(axis: 0), parameter, match[1])
        return if let target { try rewriter.reshape(found, to: target) } else { found }
      }
      switch source.granularity {
      case .tensor:
        return .replaced(with: try rewriter.dequantizeLinear(rows, scale: source.scale, zero: source.zero, to: element))
      case .axis(0):
        // One for each row, as a block that is the rest of the row.
        guard shape.rank == rewriter.type(of: match[1]).rank + 1, let width = shape[shape.rank - 1].constant, width > 0 else { return .unchanged }
        let target = Shape(shape.extents.dropLast() + [1])
        let scale = try looked(source.scale, target)
        let zero: ValueID? = if let zero = source.zero { try looked(zero, target) } else { nil }
        return .replaced(with: try rewriter.dequantizeLinear(rows, scale: scale, zero: zero, to: element, axis: shape.rank - 1, block: width))
      case .axis(let axis):
        return .replaced(with: try rewriter.dequantizeLinear(rows, scale: source.scale, zero: source.zero, to: element, axis: axis + added))
      case .blocks(let axis, let size):
        guard axis > 0 else { return .unchanged }
        let scale = try looked(source.scale, nil)
        let zero: ValueID? = if let zero = source.zero { try looked(zero, nil) } else { nil }
        return .replaced(with: try rewriter.dequantizeLinear(rows, scale: scale, zero: zero, to: element, axis: axis + added, block: size))
      }
    },
  ])

/// Why matrix products and look-ups whose constants are stored in few bits read them widened, with the nodes that they come from.
///
/// - Parameter graph: A portable graph; what it means, not what it becomes.
public func widenedWeights(in graph: Graph) -> [(origin: NodeOrigin, reason: String)] {
  graph.topologicalOrder().compactMap { id in
    let node = graph.node(id)
    guard node.operands.count >= 2 else { return nil }
    var reason: String?
    switch node.operation {
    case is Dot:
      // A product of bytes reads them as they are.
      if DequantizedValue(node.operands[0], in: graph) != nil { return nil }
      let left = graph.type(of: node.operands[0])
      if NarrowWeights(node.operands[1], graph, &reason) != nil { reason = left.element == .f64 || left.rank < 2 ? "its other operand is \(left)" : nil }
    case let gather as Gather:
      guard let source = DequantizedValue(node.operands[0], in: graph), graph.constant(source.quantized) != nil else { return nil }
      if gather.axis != 0 { reason = "it looks up along axis \(gather.axis)" }
      if case .blocks(0, _) = source.granularity { reason = "rows share their scales" }
    case let convolution as Convolution:
      if DequantizedValue(node.operands[0], in: graph) != nil { return nil }
      guard let source = DequantizedValue(node.operands[1], in: graph), graph.constant(source.quantized) != nil else { return nil }
      let outputs = convolution.filterAxes(rank: graph.type(of: node.operands[1]).rank).output
      if convolution.groups != 1 { reason = "it has groups" }
      if source.granularity != .tensor && source.granularity != .axis(outputs) { reason = "its scales are not those of output channels" }
    default: return nil
    }
    return reason.map { (node.origin, $0) }
  }
}

/// A dequantised constant matrix as its reader wants it: [K, N], with scales [K / block, N].
private struct NarrowWeights {
  var numbers: Tensor
  var scale: Tensor
  var zero: Tensor?
  var block: Int
  var activations: WeightActivations

  /// Smaller matrices are not worth a kernel of their own.
  private static let leastElements = 1 << 10
  private static let leastExtent = 8

  /// - Returns: nil if the value is no such matrix, or one whose scales do not follow columns or groups of the sum; with the reason if it is quantized.
  init?(_ value: ValueID, _ graph: Graph, _ reason: inout String?) {
    var (current, isSwapped) = (value, false)
    var obstacle: String?
    // Views that keep or swap the axes of one matrix.
    while let node = graph.producer(of: current), let operand = node.operands.first, node.operation is Transpose || node.operation is Reshape || node.operation is Broadcast {
      let (from, to) = (graph.type(of: operand).shape, graph.type(of: current).shape)
      let keepsMatrix = from.rank >= 2 && to.rank >= 2 && from.extents.suffix(2) == to.extents.suffix(2)
      if let transpose = node.operation as? Transpose {
        let rank = transpose.permutation.count
        if rank < 2 || Array(transpose.permutation.prefix(rank - 2)) != Array(0..<rank - 2) { obstacle = "its weights are rearranged behind their scales" }
        if rank >= 2, transpose.permutation[rank - 1] == rank - 2 { isSwapped.toggle() }
      } else if !keepsMatrix {
        obstacle = "its weights are rearranged behind their scales"
      }
      current = operand
    }
    guard let source = DequantizedValue(current, in: graph) else { return nil }
    reason = obstacle
    if obstacle != nil { return nil }
    guard let q = graph.constant(source.quantized), let scale = graph.constant(source.scale) else {
      reason = "its weights or their scales are not constant"
      return nil
    }
    guard [.i8, .u8, .i4, .u4].contains(q.element), scale.element != .f64 else {
      reason = "its weights are \(q.element.name), their scales \(scale.element.name)"
      return nil
    }
    guard q.dimensions.count == 2 else {
      reason = "its weights are no matrix"
      return nil
    }
    var zero: Tensor?
    if let value = source.zero {
      guard let tensor = graph.constant(value), tensor.element == q.element else {
        reason = "the zero points of its weights are not constant, or of another type"
        return nil
      }
      zero = tensor
    }
    let sumAxis = isSwapped ? 1 : 0
    let (steps, columns) = (q.dimensions[sumAxis], q.dimensions[1 - sumAxis])
    guard steps >= Self.leastExtent, columns >= Self.leastExtent, q.count >= Self.leastElements else {
      reason = "its weights are few"
      return nil
    }
    func arranged(_ parameter: Tensor) -> Tensor? {
      switch source.granularity {
      case .tensor: Self.repeated(parameter, columns)
      case .axis(let axis): axis == 1 - sumAxis ? parameter.reshaped([1, columns]) : nil
      case .blocks(let axis, let size):
        axis != sumAxis || size < Self.leastExtent ? nil : isSwapped ? parameter.transposed([1, 0]) : parameter
      }
    }
    let (factors, shifts) = (arranged(scale), zero.flatMap(arranged))
    guard let factors, zero == nil || shifts != nil else {
      reason = "its scales are not those of columns, or of groups of the sum of \(Self.leastExtent) or more"
      return nil
    }
    (self.scale, self.zero) = (factors, shifts)
    if case .blocks(_, let size) = source.granularity { block = min(size, steps) } else { block = steps }
    numbers = isSwapped ? q.transposed([1, 0]) : q
    activations = .permitted(by: source.node)
  }

  /// One number for every column.
  private static func repeated(_ tensor: Tensor, _ columns: Int) -> Tensor? {
    guard tensor.count == 1 else { return nil }
    let size = tensor.element.byteCount
    return Tensor(tensor.element, [1, columns]) { target in
      tensor.withBytes { source in for byte in 0..<columns * size { target[byte] = source[byte % size] } }
    }
  }
}
