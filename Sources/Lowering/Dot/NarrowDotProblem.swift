import GraphIR
import KernelIR
import TensorTypes

/// A product with a constant right operand of 8 or 4 bits, as `keep-narrow-weights` leaves it:
///
///     %y = composite %x, %q, %scale, %zero {name = narrow_dot, block = 32, activations = int8} ( ... ) : f32[1,2048]
///
/// %x is f32 [M, K], %q [K, N], %scale and %zero [K / block, N]; an element of the right operand is (q - zero) * scale.
struct NarrowDotProblem {
  static let name = "narrow_dot"

  /// How products are made.
  enum Arithmetic: Sendable {
    /// The left operand as it is.
    case float
    /// The left operand rounded to 8 bits, with a scale for each row and chunk of the sum; sums of a chunk are exact.
    case integer
  }
  /// What is subtracted from the stored numbers.
  enum Shift {
    case none
    case uniform(Int)
    /// One for each group and column.
    case each(Tensor)
  }

  let anchor: Node
  let left: ValueID
  /// The constants' places in the body, which no kernel reads as they are.
  let packed: Set<ValueID>
  let weights: Tensor
  /// [groups, N]
  let scale: Tensor
  let shift: Shift
  let arithmetic: Arithmetic
  let rows: Extent
  let steps: Int
  let columns: Int
  /// Bits of a stored number.
  let bits: Int
  /// Steps that share a scale.
  let block: Int
  /// Steps that are summed up before a scale is applied.
  let chunk: Int

  /// The anchor of a body that is such a product.
  static func anchor(in body: Graph) -> Node? {
    for id in body.topologicalOrder() {
      if let composite = body.node(id).operation as? Composite, composite.name == name { return body.node(id) }
    }
    return nil
  }

  init(_ anchor: Node, _ fusion: FusionLowering) throws(CompileError) {
    func refusal() -> CompileError {
      CompileError(
        .unsupported, "`\(Self.name)` of \(fusion.body.types(of: anchor.operands).map(\.description).joined(separator: " and "))", stage: .lower, origin: anchor.origin,
        hint: "its right operand is a constant of 4 or 8 bits [K, N], with scales [K / block, N]")
    }
    func constant(_ value: ValueID) -> Tensor? {
      fusion.body.constant(value) ?? fusion.body.inputs.firstIndex(of: value).flatMap { fusion.constants[$0] }
    }
    guard let composite = anchor.operation as? Composite, (3...4).contains(anchor.operands.count), let weights = constant(anchor.operands[1]),
      let scale = constant(anchor.operands[2]), let block = try? composite.details.integer("block", default: 0), block > 0
    else { throw refusal() }
    let (x, result) = (fusion.body.type(of: anchor.operands[0]), fusion.body.type(of: anchor.results[0]))
    guard x.element == .f32, result.element == .f32, x.rank == 2, weights.dimensions.count == 2, [.i4, .u4, .i8, .u8].contains(weights.element),
      scale.element.isFloatingPoint, scale.element.byteCount > 1, x.shape[1] == Extent(weights.dimensions[0]), weights.count > 0,
      result.shape == Shape([x.shape[0], Extent(weights.dimensions[1])])
    else { throw refusal() }
    (self.anchor, left, packed) = (anchor, anchor.operands[0], Set(anchor.operands.dropFirst()))
    (self.weights, self.scale) = (weights, scale)
    (rows, steps, columns) = (x.shape[0], weights.dimensions[0], weights.dimensions[1])
    bits = weights.element.bitCount
    self.block = min(block, steps)
    let groups = (steps + self.block - 1) / self.block
    guard scale.dimensions == [groups, columns] else { throw refusal() }
    arithmetic = composite.details["activations"] == .word("int8") && (groups == 1 || self.block <= Self.mostSummed) ? .integer : .float
    // A row is rounded in short chunks, because one large number takes precision from all that share its scale.
    chunk = arithmetic == .integer && groups == 1 ? min(Self.roundedTogether, steps) : self.block
    // What the packed numbers are above those of the constant.
    let bias = Self.bias(weights.element, arithmetic)
    var shift = Shift.uniform(bias)
    if anchor.operands.count == 4 {
      guard let zero = constant(anchor.operands[3]), zero.dimensions == scale.dimensions, zero.element == weights.element else { throw refusal() }
      let numbers = zero.integers
      if let first = numbers.first, numbers.allSatisfy({ $0 == first }) { shift = .uniform(first + bias) } else {
        let element: ElementType = bias == 0 && zero.element.isSignedInteger ? .i8 : .u8
        shift = .each(Tensor(element, zero.dimensions) { bytes in
          for (position, number) in numbers.enumerated() { bytes[position] = UInt8(truncatingIfNeeded: number + bias) }
        })
      }
    }
    if case .uniform(0) = shift { shift = .none }
    self.shift = shift
  }

  private static let roundedTogether = 32
  /// Products of u8 and i8 whose sum is below 2^31.
  private static let mostSummed = 1 << 16

  /// Numbers of 4 bits, and those that meet signed bytes, are packed as unsigned ones.
  static func bias(_ element: ElementType, _ arithmetic: Arithmetic) -> Int {
    switch element {
    case .i4: 8
    case .i8: arithmetic == .integer ? 128 : 0
    default: 0
    }
  }

  var groups: Int { (steps + block - 1) / block }
  var chunks: Int { (steps + chunk - 1) / chunk }
  var products: Extent { rows * Extent(columns) * Extent(steps) }
  /// True if a chunk has a scale of its own; otherwise one scale follows the whole sum.
  var scalesChunks: Bool { groups > 1 }
  /// True if sums of the left operand's chunks are needed to take the shift off.
  var needsSums: Bool {
    if arithmetic == .float && bits == 4 { return true }
    if case .none = shift { return false }
    return true
  }

  /// Estimated duration on one thread: multiply-adds, or reading the weights from beyond the caches.
  var cycles: Extent {
    let weights = Extent(columns) * Extent(steps)
    let arithmetic = (rows * weights).floorDivided(by: Extent(self.arithmetic == .integer ? 48 : 16))
    return .maximum(arithmetic, (weights * Extent(bits)).floorDivided(by: 40))
  }
}
