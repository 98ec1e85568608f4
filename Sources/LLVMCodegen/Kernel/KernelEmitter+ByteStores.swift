internal import CLLVM
import KernelIR
import TensorTypes

/// Bytes that lie beside each other for every lane, such as the colours of neighbouring pixels.
///
///     unroll i in 0..<3 { y[4*j + i + p] = ... }
/// ->
///     one store of all lanes, that leaves out every fourth byte
extension KernelEmitter {
  /// Emits such a loop inside of a vectorized one; false if it is something else.
  func emitByteStores(_ loop: Loop, _ places: [Int]) throws(CodegenError) -> Bool {
    guard let lanes, lanes.mask == nil, lanes.width >= 4, target.hasAVX512, (2...4).contains(places.count), loop.step == 1,
      case .store(let buffer, let position, let value)? = loop.body.last, buffer.element.isByte, value.element == buffer.element,
      Self.coefficient(of: loop.variable, in: position) == 1,
      loop.body.dropLast().allSatisfy({ if case .bind = $0 { true } else { false } }), buffers.indices.contains(buffer.slot)
    else { return false }
    let outer = variables
    defer { variables = outer }
    variables[loop.variable.id] = .uniform(b.index(places[0]))
    guard case .affine(let start, 4, _) = try emit(position) else { return false }
    var words = b.integer(0, b.i32.vector(lanes.width))
    for (number, place) in places.enumerated() {
      variables = outer
      variables[loop.variable.id] = .uniform(b.index(place))
      for case .bind(let variable, let value) in loop.body { variables[variable.id] = try emit(value) }
      let word = b.cast(LLVMZExt, vector(try emitNarrowed(value), lanes), to: b.i32)
      words = b.or(words, number == 0 ? word : b.shl(word, 8 * number))
    }
    let bytes = IRValue(LLVMBuildBitCast(b.raw, words.raw, b.int(8).vector(lanes.width * 4).raw, ""))
    let address = b.element(buffers[buffer.slot], b.memoryType(buffer.element), at: start)
    if places.count == 4 {
      b.store(bytes, address, alignment: 1)
    } else {
      let isWritten = (0..<lanes.width * 4).map { b.integer($0 % 4 < places.count ? 1 : 0, b.i1) }
      b.maskedStore(bytes, address, alignment: 1, mask: b.vector(isWritten))
    }
    return true
  }

  /// The constant c if an index is c * variable + (something without it).
  private static func coefficient(of variable: Variable, in expression: Expression) -> Int? {
    switch expression {
    case .variable(let other): return other == variable ? 1 : 0
    case .index: return 0
    case .binary(.add, let x, let y):
      guard let first = coefficient(of: variable, in: x), let second = coefficient(of: variable, in: y) else { return nil }
      return first + second
    case .binary(.multiply, let x, .index(let factor)): return coefficient(of: variable, in: x).map { $0 &* factor }
    default: return nil
    }
  }
}
