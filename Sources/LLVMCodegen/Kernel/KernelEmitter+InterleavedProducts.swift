internal import CLLVM
import KernelIR
import TensorTypes

/// Sums of four products of bytes whose factors on the left come from different rows.
///
///     acc + i32(a[p + j])*i32(w[4*j + s]) + i32(a[q + j])*i32(w[4*j + s+1]) + i32(a[r + j])*i32(w[4*j + s+2]) + 0*i32(w[4*j + s+3])
///
/// The bytes of the rows are brought together in the 32 bits of a lane, which one instruction multiplies by the weights and adds (`vpdpbusd`).
/// Lanes that need the same bytes share them. A row that is not there is written as 0.
extension KernelEmitter {
  /// Emits such a sum; nil if it is something else.
  func emitInterleavedProduct(_ expression: Expression) throws(CodegenError) -> Operand? {
    guard let lanes, lanes.width > 1 else { return nil }
    var rest = expression
    var (rows, weights): ([Expression?], [(buffer: Buffer, index: Expression)]) = ([], [])
    while rows.count < 4, case .binary(.add, let inner, .binary(.multiply, let left, .convert(.load(let buffer, let index), .i32))) = rest {
      switch left {
      case .number(0, .i32): rows.insert(nil, at: 0)
      case .convert(.load(let source, _), .i32) where source.element.isByte: rows.insert(left, at: 0)
      default: return nil
      }
      weights.insert((buffer, index), at: 0)
      rest = inner
    }
    guard rows.count == 4, weights[0].buffer.element.isByte, rows.contains(where: { $0 != nil }) else { return nil }
    let first = Self.split(weights[0].index)
    for (place, weight) in weights.enumerated() {
      let (base, offset) = Self.split(weight.index)
      guard weight.buffer == weights[0].buffer, base == first.base, offset == first.offset + place else { return nil }
    }
    var (together, element): (IRValue?, ElementType?) = (nil, nil)
    for (place, row) in rows.enumerated() {
      guard case .convert(.load(let buffer, let index), _)? = row else { continue }
      guard element == nil || element == buffer.element, case .affine(let position, 1, let facts) = try emit(index) else { return nil }
      element = buffer.element
      guard case .lanes(let bytes) = try emitLoad(buffer, at: .affine(base: position, stride: 1, facts), isRaw: true) else { return nil }
      let word = b.cast(LLVMZExt, bytes, to: b.i32)
      let shifted = place == 0 ? word : b.shl(word, 8 * place)
      together = together.map { b.or($0, shifted) } ?? shifted
    }
    guard let together, let element, let factors = try loadFours(weights[0].buffer, at: weights[0].index, lanes) else { return nil }
    return .lanes(dotOfBytes(vector(try emit(rest), lanes), together, element, factors, weights[0].buffer.element))
  }
}
