import GraphIR
import KernelIR
import TensorTypes

/// One spatial axis of a window: position `o` of the result reads positions `o * stride + k * dilation - pad` of
/// the input, for `k` in `0..<size`; of an input with `inputDilation - 1` zeros between neighbours.
struct SlidingAxis {
  var input: Extent
  var output: Extent
  var size: Int
  var stride = 1
  var dilation = 1
  var padLow = 0
  var padHigh = 0
  var inputDilation = 1

  /// An axis along which nothing slides.
  init(extent: Extent) { (input, output, size) = (extent, extent, 1) }

  init(input: Extent, output: Extent, size: Int, window: Window, inputDilation: Int, axis: Int) {
    (self.input, self.output, self.size, self.inputDilation) = (input, output, size, inputDilation)
    (stride, dilation, padLow, padHigh) = (window.strides[axis], window.dilations[axis], window.padsLow[axis], window.padsHigh[axis])
  }

  /// True if some window may reach beyond the input.
  var needsClipping: Bool {
    if padLow == 0 && padHigh == 0 { return false }
    if padLow == 0, let input = input.constant, let output = output.constant { return (output - 1) * stride + (size - 1) * dilation >= input }
    return true
  }

  /// The position in the dilated input.
  func position(_ output: Expression, _ tap: Expression) -> Expression {
    output * .index(stride) + tap * .index(dilation) + .index(-padLow)
  }

  /// The taps that fall into the input, for `inputDilation` 1.
  func taps(at output: Expression) -> (lower: Expression, upper: Expression) {
    if !needsClipping { return (.index(0), .index(size)) }
    let first = output * .index(stride)
    func ceilDivided(_ value: Expression) -> Expression {
      let positive = Expression.indexMaximum(value, .index(0))
      return dilation == 1 ? positive : (positive + .index(dilation - 1)).dividedByIndex(.index(dilation))
    }
    let lower: Expression = padLow == 0 ? .index(0) : ceilDivided(.index(padLow) - first)
    return (lower, .indexMinimum(.index(size), ceilDivided(.of(input + Extent(padLow)) - first)))
  }

  /// Loops over the taps that fall into the input; `body` gets the tap and the position in the input.
  func loops(
    _ emitter: inout ElementEmitter, at output: Expression,
    _ body: (inout ElementEmitter, _ tap: Expression, _ position: Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let (lower, upper) = inputDilation == 1 ? taps(at: output) : (.index(0), .index(size))
    if lower.constantIndex == 0, upper.constantIndex == 1, inputDilation == 1 {
      return try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .index(0), self.position(output, .index(0))) }
    }
    let tap = emitter.builder.variable("tap")
    emitter.ranges.set(tap, to: Extent(size))
    let place = position(output, .variable(tap))
    let inner = try emitter.scoped { emitter throws(CompileError) in
      if self.inputDilation == 1 { return try body(&emitter, .variable(tap), place) }
      let source = place.dividedByIndex(.index(self.inputDilation))
      let isElement = Expression.compare(.equal, place.remainderByIndex(.index(self.inputDilation)), .index(0))
      let isInside = Expression.binary(.and, .compare(.greaterOrEqual, place, .index(0)), .compare(.less, source, .of(self.input)))
      let then = try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .variable(tap), source) }
      return [.branch(if: .binary(.and, isElement, isInside), then: then, else: [])]
    }
    return [.loop(Loop(tap, from: lower, to: upper, body: inner))]
  }
}

/// The results of a sliding axis that see the same taps: every `outputStep`-th, from `outputStart` on. There is one
/// phase unless the input is dilated.
///
/// Result `q` of the phase reads position `q * stride + offset` of the input for each tap.
struct SlidingPhase {
  struct Tap: Hashable {
    var index: Int
    var offset: Int
  }
  var taps: [Tap]
  var stride: Int
  var outputStart: Int
  var outputStep: Int
  var count: Extent
  var input: Extent

  /// All phases of an axis.
  static func phases(of axis: SlidingAxis) -> [SlidingPhase] {
    var (a, b) = (axis.stride, axis.inputDilation)
    while b != 0 { (a, b) = (b, a % b) }
    let step = axis.inputDilation / a
    return (0..<step).map { start in
      let taps = (0..<axis.size).compactMap { index -> Tap? in
        let place = start * axis.stride + index * axis.dilation - axis.padLow
        guard place % axis.inputDilation == 0 else { return nil }
        return Tap(index: index, offset: place / axis.inputDilation)
      }
      let count = (axis.output - Extent(start)).ceilDivided(by: Extent(step))
      return SlidingPhase(taps: taps, stride: axis.stride / a, outputStart: start, outputStep: step, count: count, input: axis.input)
    }
  }

  /// The result's position for result `q` of the phase.
  func output(_ q: Expression) -> Expression { q * .index(outputStep) + .index(outputStart) }

  /// The taps of each of some neighbouring results as runs: taps in a row that the same results take part in.
  ///
  /// - Parameter results: Positions within the phase; the input has a known extent.
  func runs(for results: [Int]) -> [TapRun] {
    guard let input = input.constant else { return [] }
    var runs: [TapRun] = []
    for (place, tap) in taps.enumerated() {
      let rows = results.indices.filter { row in
        let position = results[row] * stride + tap.offset
        return position >= 0 && position < input
      }
      if rows.isEmpty { continue }
      if let last = runs.last, last.rows == rows, last.first + last.count == place {
        runs[runs.count - 1].count += 1
      } else {
        runs.append(TapRun(first: place, count: 1, rows: rows))
      }
    }
    return runs
  }

  /// One run of all taps for all rows.
  func wholeRun(rows: Int) -> [TapRun] { taps.isEmpty ? [] : [TapRun(first: 0, count: taps.count, rows: Array(0..<rows))] }

  /// True for every result whose taps all fall into the input.
  func isInside(from first: Expression, rows: Int) -> Expression? {
    guard let low = taps.map(\.offset).min(), let high = taps.map(\.offset).max() else { return nil }
    let begins = Expression.compare(.greaterOrEqual, first * .index(stride) + .index(low), .index(0))
    let ends = Expression.compare(.less, first * .index(stride) + .index((rows - 1) * stride + high), .of(input))
    return .binary(.and, begins, ends)
  }
}

/// Taps in a row, by their place in a phase, and the rows of a tile that take part in them.
struct TapRun: Hashable {
  var first: Int
  var count: Int
  var rows: [Int]
}
