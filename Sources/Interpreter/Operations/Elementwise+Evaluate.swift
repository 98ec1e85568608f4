import GraphIR
import TensorTypes

extension Unary: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result, function) = (operands[0], results[0], function)
    switch x.element.lane {
    case .real where result.element == .bool:
      return [
        ElementwiseLoop.map(x, result) { (x: UnsafePointer<Double>, y: UnsafeMutablePointer<Double>, count) in
          for i in 0..<count { y[i] = function(x[i]) }
        }
      ]
    case .real:
      return [
        ElementwiseLoop.map(x, result) { (x: UnsafePointer<Double>, y: UnsafeMutablePointer<Double>, count) in
          switch function {
          case .negate: for i in 0..<count { y[i] = -x[i] }
          case .absolute: for i in 0..<count { y[i] = x[i].magnitude }
          case .squareRoot: for i in 0..<count { y[i] = x[i].squareRoot() }
          case .reciprocal: for i in 0..<count { y[i] = 1 / x[i] }
          default: for i in 0..<count { y[i] = function(x[i]) }
          }
        }
      ]
    case .signed, .unsigned:
      // `u64` passes as its bits: none of the functions on integers but `sign` looks at the sign of an unsigned number.
      let element = x.element
      return [
        ElementwiseLoop.map(x, result) { (x: UnsafePointer<Int64>, y: UnsafeMutablePointer<Int64>, count) in
          for i in 0..<count { y[i] = function(x[i], element) }
        }
      ]
    }
  }
}

extension Binary: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    [Self.combine(function, operands[0], operands[1], as: results[0])]
  }

  static func combine(_ function: BinaryFunction, _ a: Tensor, _ b: Tensor, as result: ConcreteType) -> Tensor {
    switch a.element.lane {
    case .real:
      return ElementwiseLoop.combine(a, b, result) {
        (a: UnsafePointer<Double>, b: UnsafePointer<Double>, c: UnsafeMutablePointer<Double>, count) in
        ElementwiseLoop.apply(function, a, b, c, count)
      }
    case .signed:
      let bits = a.element.bitCount
      return ElementwiseLoop.combine(a, b, result) {
        (a: UnsafePointer<Int64>, b: UnsafePointer<Int64>, c: UnsafeMutablePointer<Int64>, count) in
        ElementwiseLoop.apply(function, a, b, c, count, bits: bits)
      }
    case .unsigned:
      return ElementwiseLoop.combine(a, b, result) {
        (a: UnsafePointer<UInt64>, b: UnsafePointer<UInt64>, c: UnsafeMutablePointer<UInt64>, count) in
        for i in 0..<count { c[i] = function(a[i], b[i]) }
      }
    }
  }
}

extension Compare: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (a, b, result, comparison) = (operands[0], operands[1], results[0], comparison)
    switch a.element.lane {
    case .real:
      return [
        ElementwiseLoop.combine(a, b, result) {
          (a: UnsafePointer<Double>, b: UnsafePointer<Double>, c: UnsafeMutablePointer<Int64>, count) in
          ElementwiseLoop.apply(comparison, a, b, c, count)
        }
      ]
    case .signed:
      return [
        ElementwiseLoop.combine(a, b, result) {
          (a: UnsafePointer<Int64>, b: UnsafePointer<Int64>, c: UnsafeMutablePointer<Int64>, count) in
          ElementwiseLoop.apply(comparison, a, b, c, count)
        }
      ]
    case .unsigned:
      return [
        ElementwiseLoop.combine(a, b, result) {
          (a: UnsafePointer<UInt64>, b: UnsafePointer<UInt64>, c: UnsafeMutablePointer<Int64>, count) in
          ElementwiseLoop.apply(comparison, a, b, c, count)
        }
      ]
    }
  }
}

extension Select: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let result = results[0]
    return [
      Tensor(result.element, result.dimensions) { target in
        operands[0].withBytes { condition in
          operands[1].withBytes { a in
            operands[2].withBytes { b in
              switch result.element.byteCount {
              case 1: Self.choose(UInt8.self, condition, a, b, target)
              case 2: Self.choose(UInt16.self, condition, a, b, target)
              case 4: Self.choose(UInt32.self, condition, a, b, target)
              default: Self.choose(UInt64.self, condition, a, b, target)
              }
            }
          }
        }
      }
    ]
  }

  private static func choose<Word: FixedWidthInteger & BitwiseCopyable>(
    _ word: Word.Type, _ condition: UnsafeRawBufferPointer, _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer,
    _ target: UnsafeMutableRawBufferPointer
  ) {
    let size = MemoryLayout<Word>.size
    guard let c = condition.baseAddress, let x = a.baseAddress, let y = b.baseAddress, let to = target.baseAddress else { return }
    for i in 0..<condition.count {
      let isTrue = c.loadUnaligned(fromByteOffset: i, as: UInt8.self) != 0
      let value = isTrue ? x.loadUnaligned(fromByteOffset: i &* size, as: Word.self) : y.loadUnaligned(fromByteOffset: i &* size, as: Word.self)
      to.storeBytes(of: value, toByteOffset: i &* size, as: Word.self)
    }
  }
}

extension Convert: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result) = (operands[0], results[0])
    if x.element == result.element { return [x] }
    if keepsBits {
      return [
        Tensor(result.element, result.dimensions) { target in
          x.withBytes { source in target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source.prefix(target.count))) }
          if result.element == .bool { for position in 0..<target.count where target[position] > 1 { target[position] = 1 } }
        }
      ]
    }
    switch x.element.lane {
    case .real: return [Self.through(Double.self, x, result)]
    case .signed: return [Self.through(Int64.self, x, result)]
    case .unsigned: return [Self.through(UInt64.self, x, result)]
    }
  }

  private static func through<W: LaneScalar>(_ lane: W.Type, _ x: Tensor, _ result: ConcreteType) -> Tensor {
    let wide = Scratch<W>(ElementwiseLoop.chunk)
    return Tensor(result.element, result.dimensions) { target in
      x.withBytes { source in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        for start in stride(from: 0, to: result.count, by: ElementwiseLoop.chunk) {
          let count = min(ElementwiseLoop.chunk, result.count - start)
          W.load(x.element, from, at: start, count: count, into: wide.base)
          W.store(wide.base, result.element, to, at: start, count: count)
        }
      }
    }
  }
}
