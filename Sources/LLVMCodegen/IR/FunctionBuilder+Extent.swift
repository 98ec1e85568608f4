internal import CLLVM
import TensorTypes

/// Extents as i64 arithmetic over symbol values.
extension FunctionBuilder {
  func emit(_ extent: Extent, _ symbols: [String: IRValue]) throws(CodegenError) -> IRValue {
    if extent.isOverflow { throw CodegenError(.extent("\(extent)")) }
    if let constant = extent.constant { return index(constant) }
    var total = index(0)
    for (coefficient, factors) in extent.sumOfProducts {
      var product = index(coefficient)
      for atom in factors { product = mul(product, try emit(atom, symbols)) }
      total = add(total, product)
    }
    return total
  }

  private func emit(_ atom: Extent.Atom, _ symbols: [String: IRValue]) throws(CodegenError) -> IRValue {
    switch atom {
    case .symbol(let name):
      guard let value = symbols[name] else { throw CodegenError(.extent(name)) }
      return value
    case .floorDiv(let x, let y): return floorDivide(try emit(x, symbols), try emit(y, symbols)).quotient
    case .modulo(let x, let y): return floorDivide(try emit(x, symbols), try emit(y, symbols)).remainder
    case .maximum(let x, let y): return smax(try emit(x, symbols), try emit(y, symbols))
    case .minimum(let x, let y): return smin(try emit(x, symbols), try emit(y, symbols))
    }
  }

  /// The same, and whether any part of it leaves 64 bits: an i1.
  func emitChecked(_ extent: Extent, _ symbols: [String: IRValue]) throws(CodegenError) -> (value: IRValue, isOutside: IRValue) {
    if extent.isOverflow { throw CodegenError(.extent("\(extent)")) }
    if let constant = extent.constant { return (index(constant), integer(0, i1)) }
    var (total, isOutside) = (index(0), integer(0, i1))
    for (coefficient, factors) in extent.sumOfProducts {
      var product = index(coefficient)
      for atom in factors {
        let factor = try emitChecked(atom, symbols)
        let next = withOverflow("llvm.smul.with.overflow", product, factor.value)
        product = next.value
        isOutside = or(isOutside, or(factor.isOutside, next.overflows))
      }
      let next = withOverflow("llvm.sadd.with.overflow", total, product)
      total = next.value
      isOutside = or(isOutside, next.overflows)
    }
    return (total, isOutside)
  }

  private func emitChecked(_ atom: Extent.Atom, _ symbols: [String: IRValue]) throws(CodegenError) -> (value: IRValue, isOutside: IRValue) {
    func pair(_ x: Extent, _ y: Extent) throws(CodegenError) -> (x: IRValue, y: IRValue, isOutside: IRValue) {
      let (a, c) = (try emitChecked(x, symbols), try emitChecked(y, symbols))
      return (a.value, c.value, or(a.isOutside, c.isOutside))
    }
    switch atom {
    case .symbol(let name):
      guard let value = symbols[name] else { throw CodegenError(.extent(name)) }
      return (value, integer(0, i1))
    case .floorDiv(let x, let y), .modulo(let x, let y):
      let parts = try pair(x, y)
      let division = floorDivide(parts.x, parts.y)
      let isOutside = or(parts.isOutside, compare(LLVMIntEQ, parts.y, 0))
      if case .floorDiv = atom { return (division.quotient, isOutside) }
      return (division.remainder, isOutside)
    case .maximum(let x, let y):
      let parts = try pair(x, y)
      return (smax(parts.x, parts.y), parts.isOutside)
    case .minimum(let x, let y):
      let parts = try pair(x, y)
      return (smin(parts.x, parts.y), parts.isOutside)
    }
  }

  /// A sum or product and whether it leaves 64 bits.
  func withOverflow(_ intrinsicName: String, _ a: IRValue, _ b: IRValue) -> (value: IRValue, overflows: IRValue) {
    let both = intrinsic(intrinsicName, [a.type], [a, b])
    return (IRValue(LLVMBuildExtractValue(raw, both.raw, 0, "")), IRValue(LLVMBuildExtractValue(raw, both.raw, 1, "")))
  }

  /// Division toward minus infinity; by 0 it gives 0.
  private func floorDivide(_ a: IRValue, _ b: IRValue) -> (quotient: IRValue, remainder: IRValue) {
    let quotient = divide(a, b, isSigned: true)
    let remainder = sub(a, mul(quotient, b))
    let isInexact = compare(LLVMIntNE, remainder, 0)
    let signsDiffer = compare(LLVMIntSLT, xor(remainder, b), 0)
    let adjust = and(isInexact, signsDiffer)
    return (sub(quotient, cast(LLVMZExt, adjust, to: i64)), add(remainder, select(adjust, b, index(0))))
  }
}
