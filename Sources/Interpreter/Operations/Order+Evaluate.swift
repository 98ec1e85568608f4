import GraphIR
import TensorTypes

extension ArgReduce: Evaluable {
  /// A NaN counts as more extreme than any number, for `max` and for `min`, as it does in `reduce`.
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result) = (operands[0], results[0])
    if x.count == 0 { return [result.zeros()] }
    switch x.element.lane {
    case .real: return [choose(x, result) { (a: Double, b: Double) in a.isNaN ? !b.isNaN : a > b }]
    case .signed: return [choose(x, result) { (a: Int64, b: Int64) in a > b }]
    case .unsigned: return [choose(x, result) { (a: UInt64, b: UInt64) in a > b }]
    }
  }

  @inline(__always) private func choose<W: LaneScalar>(_ x: Tensor, _ result: ConcreteType, _ isGreater: (W, W) -> Bool) -> Tensor {
    let lines = AxisLines(x.dimensions, axis: axis)
    let wide = Scratch<W>(lines.extent)
    return Tensor(result.element, result.dimensions) { target in
      for line in 0..<lines.count {
        lines.load(x, line, into: wide.base)
        var best = 0
        for index in 1..<max(lines.extent, 1) {
          let (a, b) = (wide[index], wide[best])
          // `a != a` holds for NaN only.
          let isBetter = extreme == .max || a != a || b != b ? isGreater(a, b) : isGreater(b, a)
          if isBetter || (selectsLast && (a == b || (a != a && b != b))) { best = index }
        }
        target.storeBytes(of: Int64(best), toByteOffset: line * 8, as: Int64.self)
      }
    }
  }
}

extension Cumulative: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result, function) = (operands[0], results[0], reducer.function)
    if x.count == 0 { return [result.zeros()] }
    switch x.element.lane {
    case .real: return [run(x, result, neutral: reducer.neutralReal) { (a: Double, b: Double) in function(a, b) }]
    case .signed:
      let bits = x.element.bitCount
      return [run(x, result, neutral: reducer.neutralSigned(x.element)) { (a: Int64, b: Int64) in function(a, b, bits: bits) }]
    case .unsigned: return [run(x, result, neutral: reducer.neutralUnsigned) { (a: UInt64, b: UInt64) in function(a, b) }]
    }
  }

  @inline(__always) private func run<W: LaneScalar>(_ x: Tensor, _ result: ConcreteType, neutral: W, _ combine: (W, W) -> W) -> Tensor {
    let lines = AxisLines(x.dimensions, axis: axis)
    let wide = Scratch<W>(lines.extent)
    return Tensor(result.element, result.dimensions) { target in
      for line in 0..<lines.count {
        lines.load(x, line, into: wide.base)
        var total = neutral
        for step in 0..<lines.extent {
          let index = isReverse ? lines.extent - 1 - step : step
          let next = combine(total, wide[index])
          wide[index] = isExclusive ? total : next
          total = next
        }
        lines.store(wide.base, line, result.element, target)
      }
    }
  }
}

extension TopK: Evaluable {
  /// NaN counts as the largest number: it comes first, or last with `ascending`.
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let x = operands[0]
    switch x.element.lane {
    case .real: return sort(x, results) { (a: Double, b: Double) in a.isNaN ? !b.isNaN : a > b }
    case .signed: return sort(x, results) { (a: Int64, b: Int64) in a > b }
    case .unsigned: return sort(x, results) { (a: UInt64, b: UInt64) in a > b }
    }
  }

  private func sort<W: LaneScalar>(_ x: Tensor, _ results: [ConcreteType], _ isGreater: (W, W) -> Bool) -> [Tensor] {
    let (from, to) = (AxisLines(x.dimensions, axis: axis), AxisLines(results[0].dimensions, axis: axis))
    if results[0].count == 0 { return results.map { $0.zeros() } }
    let wide = Scratch<W>(from.extent), sorted = Scratch<W>(to.extent)
    let positions = Scratch<Int64>(to.extent)
    var indices: Tensor?
    let values = Tensor(results[0].element, results[0].dimensions) { valueBytes in
      indices = Tensor(.i64, results[1].dimensions) { indexBytes in
        for line in 0..<from.count {
          from.load(x, line, into: wide.base)
          // `sort` of the standard library is stable, but does not promise it; the position decides between equals.
          let order = (0..<from.extent).sorted { a, b in
            let (p, q) = isAscending ? (wide[b], wide[a]) : (wide[a], wide[b])
            if isGreater(p, q) { return true }
            return isGreater(q, p) ? false : a < b
          }
          for position in 0..<to.extent {
            sorted[position] = wide[order[position]]
            positions[position] = Int64(order[position])
          }
          to.store(sorted.base, line, results[0].element, valueBytes)
          to.store(positions.base, line, .i64, indexBytes)
        }
      }
    }
    return [values, indices ?? results[1].zeros()]
  }
}

/// The lines of a tensor along one axis, numbered in the row-major order of the other axes.
struct AxisLines {
  let extent: Int
  let count: Int
  private let inner: Int

  init(_ dimensions: [Int], axis: Int) {
    extent = dimensions[axis]
    inner = dimensions[(axis + 1)...].reduce(1) { $0 &* $1 }
    count = dimensions.contains(0) ? 0 : inner * dimensions[..<axis].reduce(1, *)
  }

  @inline(__always) private func start(_ line: Int) -> Int { line / inner * inner * extent + line % inner }

  func load<W: LaneScalar>(_ tensor: Tensor, _ line: Int, into target: UnsafeMutablePointer<W>) {
    tensor.withBytes { bytes in
      guard let from = bytes.baseAddress else { return }
      if inner == 1 { return W.load(tensor.element, from, at: start(line), count: extent, into: target) }
      for index in 0..<extent { W.load(tensor.element, from, at: start(line) + index * inner, count: 1, into: target + index) }
    }
  }

  func store<W: LaneScalar>(_ source: UnsafePointer<W>, _ line: Int, _ element: ElementType, _ target: UnsafeMutableRawBufferPointer) {
    guard let to = target.baseAddress else { return }
    if inner == 1 { return W.store(source, element, to, at: start(line), count: extent) }
    for index in 0..<extent { W.store(source + index, element, to, at: start(line) + index * inner, count: 1) }
  }
}
