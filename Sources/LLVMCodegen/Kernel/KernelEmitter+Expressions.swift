internal import CLLVM
import KernelIR
import TensorTypes

extension KernelEmitter {
  /// Emits an expression; lanes appear only where it depends on the variable of the vectorized loop.
  func emit(_ expression: Expression) throws(CodegenError) -> Operand {
    switch expression {
    case .index(let value): return .uniform(b.index(value))
    case .number(let value, let element): return .uniform(literal(value, element))
    case .variable(let variable):
      guard let operand = variables[variable.id] else { throw CodegenError(.malformed("variable `\(variable.name)` is not in scope")) }
      return operand
    case .extent(let extent): return .uniform(try b.emit(extent, symbols))
    case .load(let buffer, let index): return try emitLoad(buffer, at: emit(index))
    case .local(let local, let index): return try emitLocal(local, at: emit(index))
    case .unary(let function, let x): return try emitUnary(function, emit(x), x.element)
    case .binary(let function, let x, let y):
      if function == .add, x.element == .i32 {
        if let sum = try emitInterleavedProduct(expression) { return sum }
        if let sum = try emitDotProduct(expression) { return sum }
      }
      let (left, right) = (try emit(x), try emit(y))
      if x.element == .i64, let index = emitIndex(function, left, right) { return index }
      return try lift(left, right) { x, y throws(CodegenError) in try self.b.binary(function, x, y, expression.element) }
    case .compare(let comparison, let x, let y):
      return try lift(emit(x), emit(y)) { left, right throws(CodegenError) in self.b.compare(comparison, left, right, x.element) }
    case .select(let condition, let x, let y): return try emitSelect(emit(condition), emit(x), emit(y))
    case .convert(.unary(.round, let x), .u8) where x.element == .f32: return try mapped(emit(x)) { self.b.roundedByte($0, plus: 0, target) }
    case .convert(.binary(.add, .unary(.round, let x), .number(let zero, .f32)), .u8) where (0...255).contains(zero) && zero == zero.rounded():
      return try mapped(emit(x)) { self.b.roundedByte($0, plus: Int(zero), target) }
    case .convert(let x, let element): return try emitConvert(emit(x), x.element, element)
    case .bits(_, let element): return try mapped(emitNarrowed(expression)) { b.widen($0, element) }
    case .multiplyAdd(let x, let y, let z):
      if x.element == .i64 { return try emit(.binary(.add, .binary(.multiply, x, y), z)) }
      if x.element == .i32 || x.element == .f32, let sum = try emitDotProduct(expression) { return sum }
      let (left, right, addend) = (try emit(x), try emit(y), try emit(z))
      guard let width = width(of: [left, right, addend]) else {
        return .uniform(try b.multiplyAdd(scalar(left), scalar(right), scalar(addend), x.element))
      }
      return .lanes(try b.multiplyAdd(vector(left, width), vector(right, width), vector(addend, width), x.element))
    }
  }

  private func literal(_ value: Double, _ element: ElementType) -> IRValue {
    let type = b.registerType(element)
    switch element {
    case .f32, .f64: return b.real(value, type)
    case .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: return b.real(element.rounded(value), type)
    case .bool: return b.integer(value != 0 ? 1 : 0, type)
    case .u64: return b.integer(Int(bitPattern: UInt(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : 0)), type)
    default: return b.integer(Int(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : value < 0 ? .min : 0), type)
    }
  }

  // MARK: Lanes and scalars

  /// The chunk that the operands are lanes of; nil if all are uniform.
  private func width(of operands: [Operand]) -> Lanes? {
    for operand in operands {
      switch operand {
      case .uniform: continue
      case .affine, .lanes: return lanes
      }
    }
    return nil
  }

  private func scalar(_ operand: Operand) -> IRValue {
    switch operand {
    case .uniform(let value, _), .affine(let value, _, _), .lanes(let value): value
    }
  }

  /// Applies a function to scalars if both operands are uniform, otherwise to lanes.
  private func lift(_ a: Operand, _ b: Operand, _ function: (IRValue, IRValue) throws(CodegenError) -> IRValue) throws(CodegenError) -> Operand {
    guard let width = width(of: [a, b]) else { return .uniform(try function(scalar(a), scalar(b))) }
    return .lanes(try function(vector(a, width), vector(b, width)))
  }

  // MARK: Index arithmetic

  /// Arithmetic that keeps an index affine in the lane, or uniform; nil if it does not.
  private func emitIndex(_ function: BinaryFunction, _ left: Operand, _ right: Operand) -> Operand? {
    switch (function, left, right) {
    case (.add, .uniform(let x, let f), .uniform(let y, let g)): return .uniform(b.add(x, y), f + g)
    case (.add, .affine(let x, let stride, let f), .uniform(let y, let g)), (.add, .uniform(let y, let g), .affine(let x, let stride, let f)):
      return .affine(base: b.add(x, y), stride: stride, f + g)
    case (.add, .affine(let x, let s, let f), .affine(let y, let t, let g)): return affine(b.add(x, y), s &+ t, f + g)
    case (.subtract, .affine(let x, let stride, _), .uniform(let y, _)): return .affine(base: b.sub(x, y), stride: stride, IndexFacts())
    case (.subtract, .uniform(let x, _), .affine(let y, let stride, _)): return .affine(base: b.sub(x, y), stride: -stride, IndexFacts())
    case (.subtract, .affine(let x, let s, _), .affine(let y, let t, _)): return affine(b.sub(x, y), s &- t, IndexFacts())
    case (.multiply, .uniform(let x, let f), .uniform(let y, let g)): return .uniform(b.mul(x, y), f * g)
    case (.multiply, .affine(let x, let stride, let f), .uniform(let y, let g)), (.multiply, .uniform(let y, let g), .affine(let x, let stride, let f)):
      guard let factor = y.constantInteger, factor != .min, abs(factor) < 1 << 31, abs(stride) < 1 << 31 else { return nil }
      return affine(b.mul(x, y), stride * factor, f * g)
    case (.divide, .affine(let x, 1, let f), .uniform(let y, _)):
      guard let divisor = y.constantInteger, isWithinBlock(f, divisor) else { return nil }
      return .uniform(b.udiv(x, y), IndexFacts(isNonNegative: true))
    case (.remainder, .affine(let x, 1, let f), .uniform(let y, _)), (.modulo, .affine(let x, 1, let f), .uniform(let y, _)):
      guard let divisor = y.constantInteger, isWithinBlock(f, divisor), let width = lanes?.width else { return nil }
      return .affine(base: b.urem(x, y), stride: 1, IndexFacts(multiple: width, isNonNegative: true))
    case (.divide, .uniform(let x, let f), .uniform(let y, let g)) where f.isNonNegative && g.isNonNegative && (y.constantInteger ?? 0) != 0:
      return .uniform(b.udiv(x, y), IndexFacts(isNonNegative: true))
    case (.remainder, .uniform(let x, let f), .uniform(let y, let g)), (.modulo, .uniform(let x, let f), .uniform(let y, let g)):
      guard f.isNonNegative, g.isNonNegative, (y.constantInteger ?? 0) != 0 else { return nil }
      return .uniform(b.urem(x, y), IndexFacts(isNonNegative: true))
    default: return nil
    }
  }

  private func affine(_ base: IRValue, _ stride: Int, _ facts: IndexFacts) -> Operand {
    stride == 0 ? .uniform(base, facts) : .affine(base: base, stride: stride, facts)
  }

  /// True if the whole chunk lies in one block of `divisor` consecutive indices.
  private func isWithinBlock(_ facts: IndexFacts, _ divisor: Int) -> Bool {
    guard let width = lanes?.width, divisor > 0, facts.isNonNegative else { return false }
    return divisor % width == 0 && facts.multiple % width == 0
  }

  // MARK: Functions of one operand, and select

  private func emitUnary(_ function: UnaryFunction, _ operand: Operand, _ element: ElementType) throws(CodegenError) -> Operand {
    if element == .i64, function == .negate, case .affine(let base, let stride, _) = operand { return .affine(base: b.neg(base), stride: -stride, IndexFacts()) }
    guard let width = width(of: [operand]) else { return .uniform(try b.unary(function, scalar(operand), element)) }
    return .lanes(try b.unary(function, vector(operand, width), element))
  }

  /// What memory holds for an expression: bits that only move are not taken for numbers on the way, and a number that is stored
  /// in a narrow type is rounded once.
  func emitNarrowed(_ expression: Expression) throws(CodegenError) -> Operand {
    let element = expression.element
    switch expression {
    case .load(let buffer, let index) where element != .bool: return try emitLoad(buffer, at: emit(index), isRaw: true)
    case .bits(let x, let element):
      let narrowed = try mapped(emitNarrowed(x)) { b.reinterpret($0, x.element, as: element) }
      return element == .bool ? try mapped(narrowed) { b.narrow(b.widen($0, .bool), .bool) } : narrowed
    case .convert(let x, let to) where to.isNarrowFloat && to != .bf16 && x.element != .f64 && x.element != to:
      // Conversion to f32 is exact or, for large integers, out of the range of what follows anyway.
      return try mapped(emitConvert(emit(x), x.element, .f32)) { b.narrow($0, to) }
    case _ where b.memoryType(element) == b.registerType(element): return try emit(expression)
    default: return try mapped(emit(expression)) { b.narrow($0, element) }
    }
  }

  private func mapped(_ operand: Operand, _ function: (IRValue) -> IRValue) throws(CodegenError) -> Operand {
    guard let width = width(of: [operand]) else { return .uniform(function(scalar(operand))) }
    return .lanes(function(vector(operand, width)))
  }

  private func emitConvert(_ operand: Operand, _ from: ElementType, _ to: ElementType) throws(CodegenError) -> Operand {
    if from == to { return operand }
    guard let width = width(of: [operand]) else { return .uniform(b.convert(scalar(operand), from, to)) }
    // Narrow an affine index before it becomes a vector: 32-bit lanes are half the work.
    if case .affine(let base, let stride, _) = operand, to == .i32 || to == .u32 {
      let low = b.splat(b.cast(LLVMTrunc, base, to: b.i32), width.width)
      return .lanes(b.add(low, b.iota(width.width, stride: stride, b.i32)))
    }
    return .lanes(b.convert(vector(operand, width), from, to))
  }

  private func emitSelect(_ condition: Operand, _ x: Operand, _ y: Operand) throws(CodegenError) -> Operand {
    if case .uniform(let test, _) = condition {
      if let constant = test.constantInteger { return constant != 0 ? x : y }
      if case .affine(let p, let s, _) = x, case .affine(let q, let t, _) = y, s == t { return .affine(base: b.select(test, p, q), stride: s, IndexFacts()) }
      guard let width = width(of: [x, y]) else { return .uniform(b.select(test, scalar(x), scalar(y))) }
      return .lanes(b.select(test, vector(x, width), vector(y, width)))
    }
    guard let width = width(of: [condition]) else { throw CodegenError(.malformed("lanes outside of a vectorized loop")) }
    return .lanes(b.select(vector(condition, width), vector(x, width), vector(y, width)))
  }
}
