internal import CLLVM
import KernelIR
import TensorTypes

/// Words in which each lane sets a bit of its own, which machines with mask registers do in one move.
///
///     word |= select(condition, u64(1) << u64(lane + c), u64(0))
///
/// Whatever else is accumulated with `or` is a reduction like any other.
extension KernelEmitter {
  /// Emits the accumulation of such bits. False if it is something else, and nothing was emitted.
  func emitLaneMask(_ local: Local, at index: Expression, _ value: Expression) throws(CodegenError) -> Bool {
    guard let lanes, lanes.width > 1, lanes.width <= 64, local.element == .u64, let slot = locals[local.id], slot.width == 1,
      case .select(let condition, .binary(.shiftLeft, .number(1, .u64), .convert(let place, .u64)), .number(0, .u64)) = value, place.element == .i64,
      case .affine(let base, 1, let facts) = try emit(place), facts.isNonNegative, case .uniform(let position, _) = try emit(index)
    else { return false }
    var bits = vector(try emit(condition), lanes)
    if let mask = lanes.mask { bits = b.and(mask, bits) }
    let word = try b.binary(.shiftLeft, b.cast(LLVMZExt, b.laneBits(bits), to: b.i64), base, .u64)
    let address = b.element(slot.address, slot.type, at: position)
    b.store(b.or(b.load(slot.type, address, alignment: 8), word), address, alignment: 8)
    return true
  }
}
