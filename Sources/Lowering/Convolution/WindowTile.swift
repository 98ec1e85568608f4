import GraphIR
import KernelIR
import TensorTypes

/// The accumulators of neighbouring results of a depthwise convolution or a pooling, in a loop whose lanes are channels.
///
/// Each weight and each input element of a window row is loaded once for the whole tile, the inputs from left to right.
struct WindowTile {
  enum Combination {
    /// Sums of products with weights.
    case products
    case reduction(Reducer)
  }
  let pixels: Int
  let phase: SlidingPhase
  /// The first result within the phase.
  let first: Expression
  let sum: ElementType
  private let combination: Combination
  private let sums: [Local]

  init(pixels: Int, _ phase: SlidingPhase, from first: Expression, _ combination: Combination = .products, of element: ElementType, _ emitter: inout ElementEmitter) {
    (self.pixels, self.phase, self.first, self.combination) = (pixels, phase, first, combination)
    let type = TileAccumulators.accumulator(of: element)
    sum = type
    sums = (0..<pixels).map { _ in emitter.builder.local("acc", type, count: 1) }
  }

  /// Declares the accumulators and gives them their first values.
  var start: [Statement] {
    let value: Expression = if case .reduction(let reducer) = combination { ReductionTemplate.neutral(reducer, sum) } else { .number(0, sum) }
    return sums.flatMap { [.allocate($0), .assign($0, index: .index(0), value: value)] }
  }

  /// A finished result, converted back to the element type.
  func result(_ pixel: Int, as element: ElementType) -> Expression {
    let value = Expression.local(sums[pixel], .index(0))
    return sum == element ? value : .convert(value, element)
  }

  /// Adds one row of the window.
  ///
  /// - Parameters:
  ///   - weight: The weight of a tap of the row.
  ///   - input: The input at a position along the row.
  func row(
    _ emitter: inout ElementEmitter, _ taps: SlidingTiles.Taps,
    weight: (inout ElementEmitter, _ tap: Expression) throws(CompileError) -> Expression,
    input: (inout ElementEmitter, _ position: Expression) throws(CompileError) -> Expression
  ) throws(CompileError) -> [Statement] {
    guard case .runs(let runs) = taps else {
      return try SlidingTiles.taps(&emitter, of: phase, taps, first: first) { emitter, tap, offset, _ throws(CompileError) in
        [add(widened(try input(&emitter, first * .index(phase.stride) + offset)), widened(try weight(&emitter, tap)), to: 0)]
      }
    }
    var body: [Statement] = []
    func named(_ name: String, _ value: Expression, _ emitter: inout ElementEmitter) -> Expression {
      let variable = emitter.builder.variable(name, sum)
      body.append(.bind(variable, widened(value)))
      return .variable(variable)
    }
    var weights: [Int: Expression] = [:]
    var products: [Int: [(tap: Int, pixel: Int)]] = [:]
    for run in runs {
      for tap in run.first..<run.first + run.count {
        if case .products = combination { weights[tap] = named("w", try weight(&emitter, .index(phase.taps[tap].index)), &emitter) }
        for pixel in run.rows { products[pixel * phase.stride + phase.taps[tap].offset, default: []].append((tap, pixel)) }
      }
    }
    for offset in products.keys.sorted() {
      let x = named("x", try input(&emitter, first * .index(phase.stride) + .index(offset)), &emitter)
      for (tap, pixel) in products[offset] ?? [] { body.append(add(x, weights[tap] ?? x, to: pixel)) }
    }
    return body
  }

  private func add(_ x: Expression, _ weight: Expression, to pixel: Int) -> Statement {
    let old = Expression.local(sums[pixel], .index(0))
    let value: Expression = if case .reduction(let reducer) = combination { .binary(reducer.function, old, x) } else { TileAccumulators.multiplyAdd(x, weight, old) }
    return .assign(sums[pixel], index: .index(0), value: value)
  }

  private func widened(_ expression: Expression) -> Expression { expression.element == sum ? expression : .convert(expression, sum) }
}
