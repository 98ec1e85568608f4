import GraphIR
import TensorTypes

extension Reduce: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result) = (operands[0], results[0])
    try limits.checkScratch(result.count, of: 8)
    switch x.element.lane {
    case .real:
      return [combine(x, result, neutral: reducer.neutralReal, ReductionLoop.fold, ReductionLoop.accumulate)]
    case .signed:
      return [combine(x, result, neutral: reducer.neutralSigned(x.element), ReductionLoop.fold, ReductionLoop.accumulate)]
    case .unsigned:
      return [combine(x, result, neutral: reducer.neutralUnsigned, ReductionLoop.fold, ReductionLoop.accumulate)]
    }
  }

  /// Walks the operand once, in memory order, run by run. A run along kept axes is added to a run of the result;
  /// one along reduced axes is folded into an element of it.
  private func combine<W: LaneScalar>(
    _ x: Tensor, _ result: ConcreteType, neutral: W,
    _ fold: (Reducer, W, UnsafePointer<W>, Int) -> W,
    _ accumulate: (Reducer, UnsafeMutablePointer<W>, UnsafePointer<W>, Int) -> Void
  ) -> Tensor {
    let totals = Scratch<W>(result.count, repeating: neutral)
    if x.count > 0 {
      // The innermost axes that are all reduced or all kept make up a run.
      var runStart = x.dimensions.count
      let isRunReduced = axes.contains(x.dimensions.count - 1)
      while runStart > 0, axes.contains(runStart - 1) == isRunReduced { runStart -= 1 }
      let run = x.dimensions[runStart...].reduce(1, *)
      var kept = rowMajorStrides(result.dimensions)
      let strides = x.dimensions.indices.map { axes.contains($0) ? 0 : kept.removeFirst() }
      let wide = Scratch<W>(ElementwiseLoop.chunk)
      x.withBytes { source in
        guard let from = source.baseAddress else { return }
        var walk = Odometer(
          Array(x.dimensions[..<runStart]), Array(rowMajorStrides(x.dimensions)[..<runStart]), Array(strides[..<runStart]))
        repeat {
          for start in stride(from: 0, to: run, by: ElementwiseLoop.chunk) {
            let count = min(ElementwiseLoop.chunk, run - start)
            W.load(x.element, from, at: walk.first + start, count: count, into: wide.base)
            if isRunReduced {
              totals[walk.second] = fold(reducer, totals[walk.second], wide.base, count)
            } else {
              accumulate(reducer, totals.base + walk.second + start, wide.base, count)
            }
          }
        } while walk.advance()
      }
    }
    return Tensor(result.element, result.dimensions) { target in
      if let to = target.baseAddress { W.store(totals.base, result.element, to, at: 0, count: result.count) }
    }
  }
}

/// The inner loops of reductions, in the lane types.
enum ReductionLoop {
  static func fold(_ reducer: Reducer, _ start: Double, _ x: UnsafePointer<Double>, _ count: Int) -> Double {
    var total = start
    switch reducer {
    case .sum: for i in 0..<count { total += x[i] }
    default: for i in 0..<count { total = reducer.function(total, x[i]) }
    }
    return total
  }

  static func fold(_ reducer: Reducer, _ start: Int64, _ x: UnsafePointer<Int64>, _ count: Int) -> Int64 {
    var total = start
    for i in 0..<count { total = reducer.function(total, x[i], bits: 64) }
    return total
  }

  static func fold(_ reducer: Reducer, _ start: UInt64, _ x: UnsafePointer<UInt64>, _ count: Int) -> UInt64 {
    var total = start
    for i in 0..<count { total = reducer.function(total, x[i]) }
    return total
  }

  /// totals[i] = reducer(totals[i], x[i]).
  static func accumulate(_ reducer: Reducer, _ totals: UnsafeMutablePointer<Double>, _ x: UnsafePointer<Double>, _ count: Int) {
    ElementwiseLoop.apply(reducer.function, totals, x, totals, count)
  }

  static func accumulate(_ reducer: Reducer, _ totals: UnsafeMutablePointer<Int64>, _ x: UnsafePointer<Int64>, _ count: Int) {
    ElementwiseLoop.apply(reducer.function, totals, x, totals, count, bits: 64)
  }

  static func accumulate(_ reducer: Reducer, _ totals: UnsafeMutablePointer<UInt64>, _ x: UnsafePointer<UInt64>, _ count: Int) {
    for i in 0..<count { totals[i] = reducer.function(totals[i], x[i]) }
  }
}

extension ReduceWindow: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, result) = (operands[0], results[0])
    switch x.element.lane {
    case .real: return [try slide(x, result, limits, neutral: reducer.neutralReal, ReductionLoop.accumulate)]
    case .signed: return [try slide(x, result, limits, neutral: reducer.neutralSigned(x.element), ReductionLoop.accumulate)]
    case .unsigned: return [try slide(x, result, limits, neutral: reducer.neutralUnsigned, ReductionLoop.accumulate)]
    }
  }

  /// A box is combined one axis after the other: n + m steps for an element instead of n * m.
  private func slide<W: LaneScalar>(
    _ x: Tensor, _ result: ConcreteType, _ limits: EvaluationLimits, neutral: W,
    _ accumulate: (Reducer, UnsafeMutablePointer<W>, UnsafePointer<W>, Int) -> Void
  ) throws(EvaluationError) -> Tensor {
    if result.count == 0 { return result.zeros() }
    var dimensions = x.dimensions
    try limits.checkScratch(x.count, of: 8)
    var current = Scratch<W>(x.count)
    x.withBytes { if let from = $0.baseAddress { W.load(x.element, from, at: 0, count: x.count, into: current.base) } }
    for axis in dimensions.indices {
      if size[axis] == 1 && window.strides[axis] == 1 && window.padsLow[axis] == 0 && window.padsHigh[axis] == 0 { continue }
      let (extent, length) = (dimensions[axis], result.dimensions[axis])
      let inner = dimensions[(axis + 1)...].reduce(1, *)
      let outer = dimensions[..<axis].reduce(1, *)
      dimensions[axis] = length
      guard let count = elementCount(of: dimensions) else { throw EvaluationError("`reduce_window` has a result that is too large") }
      try limits.checkScratch(count, of: 8)
      let next = Scratch<W>(count, repeating: neutral)
      if inner > 0 {
        for block in 0..<outer {
          for position in 0..<length {
            let target = next.base + (block * length + position) * inner
            for index in indices(position, axis, extent) { accumulate(reducer, target, current.base + (block * extent + index) * inner, inner) }
          }
        }
      }
      current = next
    }
    return Tensor(result.element, result.dimensions) { target in
      if let to = target.baseAddress { W.store(current.base, result.element, to, at: 0, count: result.count) }
    }
  }

  /// The indices of the operand that a window covers along an axis; padding is left out.
  private func indices(_ position: Int, _ axis: Int, _ extent: Int) -> StrideTo<Int> {
    let (first, step) = (position * window.strides[axis] - window.padsLow[axis], window.dilations[axis])
    let skipped = first >= 0 ? 0 : (-first - 1) / step + 1
    // `checkedResultTypes` has shown that the last index of the last window is within 64 bits.
    let end = first + (size[axis] - 1) * step + 1
    return stride(from: first + min(skipped, size[axis]) * step, to: min(end, extent), by: step)
  }
}
