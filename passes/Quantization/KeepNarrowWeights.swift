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
      guard left.element.isFloatingPoint, left.element != .f64, left.rank >= 2 else { return .unchanged }
      var refusal: String?
      guard let weights = NarrowWeights(match[1], rewriter, refusal: &refusal) else {
        if let refusal { rewriter.refuse(match.node, "its weights are widened: " + refusal) }
        return .unchanged
      }
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

  /// - Parameter refusal: Why not, for constants of few bits.
  /// - Returns: nil if the value is no such matrix, or one whose scales do not follow columns or groups of the sum.
  init?(_ value: ValueID, _ rewriter: Rewriter, refusal: inout String?) {
    var (current, isSwapped) = (value, false)
    // Views that keep or swap the axes of one matrix.
    while let node = rewriter.producer(of: current), let operand = node.operands.first {
      let (from, to) = (rewriter.type(of: operand).shape, rewriter.type(of: current).shape)
      let keepsMatrix = from.rank >= 2 && to.rank >= 2 && from.extents.suffix(2) == to.extents.suffix(2)
      if let transpose = node.operation as? Transpose {
        let rank = transpose.permutation.count
        guard rank >= 2, Array(transpose.permutation.prefix(rank - 2)) == Array(0..<rank - 2) else { return nil }
        if transpose.permutation[rank - 1] == rank - 2 { isSwapped.toggle() }
      } else if !((node.operation is Reshape || node.operation is Broadcast) && keepsMatrix) {
        break
      }
      current = operand
    }
    guard let source = DequantizedValue(current, in: rewriter.graph), let q = rewriter.constant(source.quantized) else { return nil }
    guard [.i8, .u8, .i4, .u4].contains(q.element), let scale = rewriter.constant(source.scale), scale.element != .f64, q.dimensions.count == 2 else {
      refusal = "there is a kernel for matrices of 8 and 4 bits with constant scales, not for \(q.type)"
      return nil
    }
    var zero: Tensor?
    if let value = source.zero {
      guard let tensor = rewriter.constant(value), tensor.element == q.element else {
        refusal = "their zero points are not constant, or have another element"
        return nil
      }
      zero = tensor
    }
    let sumAxis = isSwapped ? 1 : 0
    let (steps, columns) = (q.dimensions[sumAxis], q.dimensions[1 - sumAxis])
    guard steps >= Self.leastExtent, columns >= Self.leastExtent, q.count >= Self.leastElements else {
      refusal = "\(steps)x\(columns) are too few to be worth a kernel of their own"
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
    guard let factors = arranged(scale) else {
      refusal = "their scales follow neither columns nor groups of at least \(Self.leastExtent) along the sum"
      return nil
    }
    if let given = zero {
      guard let shifts = arranged(given) else { return nil }
      zero = shifts
    }
    (self.scale, self.zero) = (factors, zero)
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
