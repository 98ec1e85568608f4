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
