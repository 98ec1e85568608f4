import GraphIR
import KernelIR
import TensorTypes

/// Tiles whose sums are not finite, by the direct method.
///
/// It need not be fast for one tile, but a network whose elements have all become NaN must not take many times as long: the filter
/// passes by once for a tile, whose sums stay in registers.
extension WinogradTemplate {
  /// - Parameters:
  ///   - pixel: The first of the tile's results.
  ///   - row: The tile's number in the block.
  ///   - matrices: Takes the elements that the tile reads.
  ///   - finish: Gets the sums of all results of the tile, row-major, for an output channel of the group.
  func directSums(
    _ emitter: inout ElementEmitter, _ group: Expression, _ pixel: (batch: Expression, y: Expression, x: Expression), row: Expression, _ matrices: Matrices,
    finish: (inout ElementEmitter, _ channel: Expression, _ values: [Expression]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let (size, extent) = (plan.transform.outputs, plan.transform.extent)
    let start = matrices.start + row * .index(plan.inputRow)
    let copy = try copyInput(&emitter, group, pixel, to: start, matrices.buffer)
    let sums = try emitter.loop("c", to: Extent(plan.outputs), .vectorized) { emitter, channel throws(CompileError) in
      let sums = emitter.builder.local("sums", .f32, count: size * size)
      let places = (0..<size * size).map { Expression.index($0) }
      let steps = try emitter.loop("down", to: 3) { emitter, down throws(CompileError) in
        [
          try emitter.loop("across", to: 3) { emitter, across throws(CompileError) in
            [
              try emitter.loop("step", to: Extent(plan.inputs)) { emitter, step throws(CompileError) in
                var named = Bindings()
                let index = problem.filterIndex(taps: [down, across], input: step, output: group * .index(plan.outputs) + channel)
                let weight = named.name(try emitter.element(problem.filter, index), "w", &emitter)
                let corner = named.name(start + step + (down * .index(extent) + across) * .index(plan.inputMatrix), "corner", &emitter)
                func assignment(_ place: Int) -> Statement {
                  let element = Expression.load(matrices.buffer, corner + .index((place / size * extent + place % size) * plan.inputMatrix))
                  return .assign(sums, index: .index(place), value: .multiplyAdd(element, weight, .local(sums, .index(place))))
                }
                return named.statements + (0..<size * size).map { assignment($0) }
              }
            ]
          }
        ]
      }
      let zeros = places.map { Statement.assign(sums, index: $0, value: .number(0, .f32)) }
      return [.allocate(sums)] + zeros + [steps] + (try finish(&emitter, channel, places.map { .local(sums, $0) }))
    }
    return copy + [sums]
  }

  /// Copies what a tile reads of the input, with zeros around the image, as [row][column] of a tile's matrices.
  private func copyInput(
    _ emitter: inout ElementEmitter, _ group: Expression, _ pixel: (batch: Expression, y: Expression, x: Expression), to start: Expression, _ buffer: Buffer
  ) throws(CompileError) -> [Statement] {
    let (down, across) = (problem.outer[0], problem.tiled), extent = Extent(plan.transform.extent)
    func isWithin(_ place: Expression, _ axis: SlidingAxis) -> Expression {
      .binary(.and, .compare(.greaterOrEqual, place, .index(0)), .compare(.less, place, .of(axis.input)))
    }
    return [
      try emitter.loop("row", to: extent) { emitter, row throws(CompileError) in
        [
          try emitter.loop("column", to: extent) { emitter, column throws(CompileError) in
            let y = pixel.y + row + .index(-down.padLow), x = pixel.x + column + .index(-across.padLow)
            let target = start + (row * .of(extent) + column) * .index(plan.inputMatrix)
            let inside = try emitter.loop("c", to: Extent(plan.inputs), .vectorized) { emitter, channel throws(CompileError) in
              let index = problem.index(batch: pixel.batch, outer: [y], tiled: x, channel: group * .index(plan.inputs) + channel)
              return [.store(buffer, index: target + channel, value: try emitter.element(problem.input, index))]
            }
            let outside = try emitter.loop("c", to: Extent(plan.inputs), .vectorized) { _, channel throws(CompileError) in
              [.store(buffer, index: target + channel, value: .number(0, .f32))]
            }
            return [.branch(if: .binary(.and, isWithin(y, down), isWithin(x, across)), then: [inside], else: [outside])]
          }
        ]
      }
    ]
  }
}
