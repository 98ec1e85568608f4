internal import CLLVM
import KernelIR
import TensorTypes

/// Sums of products of narrow neighbours, which machines do in one instruction.
///
///     acc + i32(a[p])*i32(w[4*j + q]) + i32(a[p+1])*i32(w[4*j + q+1]) + … four neighbours, u8 and i8     vpdpbusd
///     fma(f32(a[p+1]), f32(w[2*j + q+1]), fma(f32(a[p]), f32(w[2*j + q]), acc))      two neighbours, bf16   vdpbf16ps
///
/// Of a u8 load also its low or its high four bits are a factor: `i32(w[x] & 15)`, `i32(w[x] >> 4)`.
/// Either factor is the same in all lanes or lies side by side for each lane. Integers are exact on every target. `vdpbf16ps`
/// rounds once per pair and takes subnormal numbers as zero; other targets round after each product.
extension KernelEmitter {
  /// An element of a buffer, at something plus a literal; or a part of it.
  private struct Factor {
    enum Part { case whole, low, high }
    var buffer: Buffer
    var base: Expression?
    var offset: Int
    var part: Part

    /// The factor as it was written.
    var expression: Expression {
      let load = Expression.load(buffer, base.map { $0 + .index(offset) } ?? .index(offset))
      return switch part {
      case .whole: load
      case .low: .binary(.and, load, .number(15, .u8))
      case .high: .binary(.shiftRight, load, .number(4, .u8))
      }
    }

    func isNeighbourhood(of other: Factor) -> Bool { buffer == other.buffer && base == other.base && part == other.part }
  }

  /// Two converted loads multiplied; for a group, its first neighbours.
  private struct Product {
    let left: Factor
    let right: Factor

    /// The product as it was written.
    func expression(_ result: ElementType) -> Expression {
      .binary(.multiply, .convert(left.expression, result), .convert(right.expression, result))
    }
  }

  /// Emits a sum that has such groups in it; nil if it has none.
  func emitDotProduct(_ expression: Expression) throws(CodegenError) -> Operand? {
    guard let lanes, lanes.width > 1 else { return nil }
    let size = expression.element == .i32 ? 4 : 2
    var (products, rest): ([Product], [Expression]) = ([], [])
    collect(expression, size, &products, &rest)
    guard products.count >= size else { return nil }
    let groups = Self.group(products, size, &rest)
    guard !groups.isEmpty else { return nil }
    var factors: [(Product, IRValue, IRValue)] = []
    for group in groups {
      guard let left = try loadNeighbours(group.left, size, lanes), let right = try loadNeighbours(group.right, size, lanes) else { return nil }
      factors.append((group, left, right))
    }
    var total: IRValue
    if let first = rest.first {
      let sum = rest.dropFirst().reduce(first) { .binary(.add, $0, $1) }
      total = vector(try emit(sum), lanes)
    } else {
      total = expression.element == .i32 ? b.integer(0, b.i32.vector(lanes.width)) : b.real(0, b.f32.vector(lanes.width))
    }
    for (group, left, right) in factors {
      total =
        size == 4
        ? dotOfBytes(total, left, group.left.buffer.element, right, group.right.buffer.element) : dotOfBrainFloats(total, left, right)
    }
    return .lanes(total)
  }

  // MARK: Finding groups

  /// Takes a sum apart. What is no product of converted loads goes to `rest`.
  private func collect(_ expression: Expression, _ size: Int, _ products: inout [Product], _ rest: inout [Expression]) {
    switch expression {
    case .binary(.add, let a, let b) where size == 4:
      collect(a, size, &products, &rest)
      collect(b, size, &products, &rest)
    case .multiplyAdd(let a, let b, let c):
      collect(c, size, &products, &rest)
      if let product = product(a, b, size) { products.append(product) } else { rest.append(.binary(.multiply, a, b)) }
    case .binary(.multiply, let a, let b) where size == 4:
      if let product = product(a, b, size) { products.append(product) } else { rest.append(expression) }
    default: rest.append(expression)
    }
  }

  private func product(_ a: Expression, _ b: Expression, _ size: Int) -> Product? {
    guard let left = factor(a), let right = factor(b) else { return nil }
    let isNarrow: (ElementType) -> Bool = { size == 4 ? $0 == .u8 || $0 == .i8 : $0 == .bf16 }
    guard isNarrow(left.buffer.element), isNarrow(right.buffer.element) else { return nil }
    return Product(left: left, right: right)
  }

  /// A converted load, or four bits of one.
  private func factor(_ expression: Expression) -> Factor? {
    func loaded(_ buffer: Buffer, _ index: Expression, _ part: Factor.Part) -> Factor {
      let place = Self.split(index)
      return Factor(buffer: buffer, base: place.base, offset: place.offset, part: part)
    }
    switch expression {
    case .convert(.load(let buffer, let index), _): return loaded(buffer, index, .whole)
    case .convert(.binary(.and, .load(let buffer, let index), .number(15, .u8)), _): return loaded(buffer, index, .low)
    case .convert(.binary(.shiftRight, .load(let buffer, let index), .number(4, .u8)), _): return loaded(buffer, index, .high)
    default: return nil
    }
  }

  /// An index as something plus a literal; `Expression`'s own arithmetic keeps the literal outermost.
  static func split(_ index: Expression) -> (base: Expression?, offset: Int) {
    switch index {
    case .index(let value): (nil, value)
    case .binary(.add, let base, .index(let offset)): (base, offset)
    default: (index, 0)
    }
  }

  /// The first product of each run of `size` neighbours; the others return to `rest`.
  private static func group(_ products: [Product], _ size: Int, _ rest: inout [Expression]) -> [Product] {
    var (pending, groups) = (products, [Product]())
    while let first = pending.first {
      let related = pending.enumerated().filter { _, other in
        other.left.isNeighbourhood(of: first.left) && other.right.isNeighbourhood(of: first.right)
          && other.left.offset - other.right.offset == first.left.offset - first.right.offset
      }
      let start = related.min { $0.element.left.offset < $1.element.left.offset }?.element ?? first
      let run = (0..<size).map { step in related.first { $0.element.left.offset == start.left.offset + step }?.offset }
      if run.allSatisfy({ $0 != nil }) {
        groups.append(start)
        for place in run.compactMap({ $0 }).sorted(by: >) { pending.remove(at: place) }
      } else {
        let place = related.first { $0.element.left.offset == start.left.offset }?.offset ?? 0
        rest.append(start.expression(size == 4 ? .i32 : .f32))
        pending.remove(at: place)
      }
    }
    return groups
  }

  // MARK: Emitting groups

  /// 32 bits for each lane, taken apart if only some bits of each byte are a factor; nil if the neighbours of one lane do not lie beside those of the next.
  private func loadNeighbours(_ factor: Factor, _ size: Int, _ lanes: Lanes) throws(CodegenError) -> IRValue? {
    guard let bytes = try loadWhole(factor, size, lanes) else { return nil }
    return switch factor.part {
    case .whole: bytes
    case .low: b.and(bytes, 0x0f0f_0f0f)
    case .high: b.and(b.lshr(bytes, 4), 0x0f0f_0f0f)
    }
  }

  private func loadWhole(_ factor: Factor, _ size: Int, _ lanes: Lanes) throws(CodegenError) -> IRValue? {
    let index = factor.base.map { $0 + .index(factor.offset) } ?? .index(factor.offset)
    return try loadWords(factor.buffer, at: index, apart: size, lanes)
  }

  /// Four bytes for each lane, beside those of the next.
  func loadFours(_ buffer: Buffer, at index: Expression, _ lanes: Lanes) throws(CodegenError) -> IRValue? { try loadWords(buffer, at: index, apart: 4, lanes) }

  private func loadWords(_ buffer: Buffer, at index: Expression, apart size: Int, _ lanes: Lanes) throws(CodegenError) -> IRValue? {
    let index = try emit(index)
    guard buffers.indices.contains(buffer.slot) else { return nil }
    let (base, type) = (buffers[buffer.slot], b.memoryType(buffer.element))
    let alignment = buffer.element.byteCount
    switch index {
    case .uniform(let position, _): return b.splat(b.load(b.i32, b.element(base, type, at: position), alignment: alignment), lanes.width)
    case .affine(let position, size, _):
      let (address, vectorType) = (b.element(base, type, at: position), b.i32.vector(lanes.width))
      if let mask = lanes.mask { return b.maskedLoad(vectorType, address, alignment: alignment, mask: mask) }
      return b.load(vectorType, address, alignment: alignment)
    case .affine, .lanes: return nil
    }
  }

  func dotOfBytes(_ sum: IRValue, _ left: IRValue, _ leftElement: ElementType, _ right: IRValue, _ rightElement: ElementType) -> IRValue {
    let bits = sum.type.lanes * 32
    if leftElement != rightElement, target.hasVNNI, bits == 512 || bits == 256 || bits == 128, target.hasAVX512 {
      let (unsigned, signed) = leftElement == .u8 ? (left, right) : (right, left)
      return b.intrinsic("llvm.x86.avx512.vpdpbusd.\(bits)", [], [sum, unsigned, signed])
    }
    // Bytes 0 and 2, and bytes 1 and 3, as pairs of 16 bits; the products of a pair and their sum fit 32 bits.
    let pairs = b.int(16).vector(sum.type.lanes * 2)
    func halves(_ value: IRValue, _ element: ElementType) -> (IRValue, IRValue) {
      let words = IRValue(LLVMBuildBitCast(b.raw, value.raw, pairs.raw, ""))
      if element == .u8 { return (b.and(words, 0xff), b.lshr(words, 8)) }
      return (b.ashr(b.shl(words, 8), 8), b.ashr(words, 8))
    }
    let ((leftEven, leftOdd), (rightEven, rightOdd)) = (halves(left, leftElement), halves(right, rightElement))
    return b.add(b.add(sum, multiplyPairs(leftEven, rightEven)), multiplyPairs(leftOdd, rightOdd))
  }

  /// i16 products, neighbours added, as i32.
  private func multiplyPairs(_ x: IRValue, _ y: IRValue) -> IRValue {
    let name: String? =
      switch x.type.lanes {
      case 32 where target.hasAVX512: "llvm.x86.avx512.pmaddw.d.512"
      case 16 where target.vectorBytes >= 32: "llvm.x86.avx2.pmadd.wd"
      case 8: "llvm.x86.sse2.pmadd.wd"
      default: nil
      }
    if let name { return b.intrinsic(name, [], [x, y]) }
    let products = b.mul(b.cast(LLVMSExt, x, to: b.i32), b.cast(LLVMSExt, y, to: b.i32))
    let count = x.type.lanes
    return b.add(b.shuffle(products, Array(stride(from: 0, to: count, by: 2))), b.shuffle(products, Array(stride(from: 1, to: count, by: 2))))
  }

  private func dotOfBrainFloats(_ sum: IRValue, _ left: IRValue, _ right: IRValue) -> IRValue {
    let bits = sum.type.lanes * 32
    if target.hasBF16, bits == 512 || bits == 256 || bits == 128 {
      let type = LLVMVectorType(LLVMBFloatTypeInContext(b.context), UInt32(sum.type.lanes * 2))
      // A pair that is broadcast comes last, where the instruction reads it from memory. Measured on Zen 4, a broadcast of its own for each: 1.40 cycles
      // instead of 1.00.
      let (first, last) = LLVMIsAShuffleVectorInst(left.raw) != nil ? (right, left) : (left, right)
      let (x, y) = (IRValue(LLVMBuildBitCast(b.raw, first.raw, type, "")), IRValue(LLVMBuildBitCast(b.raw, last.raw, type, "")))
      return b.intrinsic("llvm.x86.avx512bf16.dpbf16ps.\(bits)", [], [sum, x, y])
    }
    let first = b.fma(b.float(b.shl(left, 16)), b.float(b.shl(right, 16)), sum)
    return b.fma(b.float(b.and(left, ~0xffff)), b.float(b.and(right, ~0xffff)), first)
  }
}
