import GraphIR
import KernelIR
import TensorTypes

/// A depthwise convolution of bytes: up to four rows of the window are multiplied and added by one instruction for every channel.
///
///     for row in band {
///       vector c {
///         for column of the input { acc[pixel] += (x[row, column, c], x[row + 1, column, c], ...) . w[tap][c] }   for each pixel that sees it
///       }
///     }
///
/// Results near the upper and lower border see fewer rows of the window; bands of results that see the same have weights of their own.
struct ByteColumns {
  /// Results that see the same rows of the window.
  struct Band {
    var results: Range<Int>
    var taps: Range<Int>
    /// Where its weights start.
    var weights: Int
  }
  /// Weights that lie side by side for each channel.
  private static let together = 4

  let problem: ConvolutionProblem
  let bands: [Band]
  /// For each band [rows of the window / 4][columns of the window][channels][4], zero where there is none.
  let weights: Tensor
  private let channels: Int

  /// - Returns: nil if the operands are no bytes beside each other, or something is only known at run time.
  init?(_ problem: ConvolutionProblem, _ fusion: FusionLowering) {
    guard problem.element.isByte, problem.filterElement.isByte, problem.resultElement == .i32, problem.outputChannels == 1, problem.operation.layout == .channelsLast,
      problem.outer.count == 1, let axis = problem.outer.first, axis.inputDilation == 1, problem.tiled.inputDilation == 1,
      let input = axis.input.constant, let output = axis.output.constant, output > 0, problem.tiled.input.isConstant, problem.tiled.output.isConstant,
      axis.size <= 16, problem.tiled.size <= 16, TileAccess.stride(of: problem.input, along: 3, fusion.emitter().0) == 1,
      let filter = problem.constantFilter(fusion)?.tensor, filter.count == problem.groups * problem.tapCount
    else { return nil }
    var bands: [Band] = []
    var size = 0
    for result in 0..<output {
      let inside = (0..<axis.size).filter { (0..<input).contains(result * axis.stride + $0 * axis.dilation - axis.padLow) }
      guard let first = inside.first, let last = inside.last else { return nil }
      if let before = bands.last, before.taps == first..<last + 1 { bands[bands.count - 1].results = before.results.lowerBound..<result + 1 } else {
        let same = bands.first { $0.taps == first..<last + 1 }
        bands.append(Band(results: result..<result + 1, taps: first..<last + 1, weights: same?.weights ?? size))
        if same == nil { size += Self.groups(inside.count) * problem.tiled.size * problem.groups * Self.together }
      }
    }
    guard bands.count <= 8 else { return nil }
    (self.problem, self.bands, channels) = (problem, bands, problem.groups)
    weights = Self.packed(filter, bands, size: size, columns: problem.tiled.size, channels: problem.groups)
  }

  private static func groups(_ rows: Int) -> Int { (rows + together - 1) / together }

  private static func packed(_ filter: Tensor, _ bands: [Band], size: Int, columns: Int, channels: Int) -> Tensor {
    Tensor(filter.element, [size]) { target in
      filter.withBytes { source in
        for band in bands {
          for (place, tap) in band.taps.enumerated() {
            for column in 0..<columns {
              let start = band.weights + (place / together * columns + column) * channels * together + place % together
              for channel in 0..<channels { target[start + channel * together] = source[(tap * columns + column) * channels + channel] }
            }
          }
        }
      }
    }
  }

  /// The sums of a tile of neighbouring results, for the channel of the loop around: statements, and where the sums are then.
  ///
  /// - Parameter start: What the sum of a result starts from.
  func sums(
    _ emitter: inout ElementEmitter, _ band: Band, in weights: Buffer, pixels: Int, _ phase: SlidingPhase, _ runs: [TapRun],
    at place: (batch: Expression, row: Expression, first: Expression, channel: Expression),
    from start: (inout ElementEmitter, Int) throws(CompileError) -> Expression
  ) throws(CompileError) -> (statements: [Statement], sums: [Expression]) {
    let locals = (0..<pixels).map { _ in emitter.builder.local("acc", .i32, count: 1) }
    var statements: [Statement] = []
    for (pixel, local) in locals.enumerated() {
      statements += [.allocate(local), .assign(local, index: .index(0), value: try start(&emitter, pixel))]
    }
    // What reads a column of the input, from left to right.
    var readers: [Int: [(tap: Int, pixel: Int)]] = [:]
    for run in runs {
      for tap in run.first..<run.first + run.count {
        for pixel in run.rows { readers[pixel * phase.stride + phase.taps[tap].offset, default: []].append((phase.taps[tap].index, pixel)) }
      }
    }
    let axis = problem.outer[0]
    for group in 0..<Self.groups(band.taps.count) {
      let taps = band.taps.dropFirst(group * Self.together).prefix(Self.together)
      for offset in readers.keys.sorted() {
        let column = place.first * .index(phase.stride) + .index(offset)
        let rows = try taps.map { tap throws(CompileError) in
          let row = place.row * .index(axis.stride) + .index(tap * axis.dilation - axis.padLow)
          return try emitter.element(problem.input, problem.index(batch: place.batch, outer: [row], tiled: column, channel: place.channel))
        }
        for (tap, pixel) in readers[offset] ?? [] {
          let position = place.channel * .index(Self.together) + .index(band.weights + (group * problem.tiled.size + tap) * channels * Self.together)
          var sum = Expression.local(locals[pixel], .index(0))
          for number in 0..<Self.together {
            let factor: Expression = number < rows.count ? .convert(rows[number], .i32) : .number(0, .i32)
            sum = .binary(.add, sum, .binary(.multiply, factor, .convert(.load(weights, position + .index(number)), .i32)))
          }
          statements.append(.assign(locals[pixel], index: .index(0), value: sum))
        }
      }
    }
    return (statements, locals.map { .local($0, .index(0)) })
  }
}
