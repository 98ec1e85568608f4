import GraphIR
import KernelIR
import TensorTypes

/// The results along a sliding axis in tiles, and which taps each tile sees.
///
/// Padding costs nothing: a tile at a border leaves out the products with elements that are not there. Where it lies is known
/// while compiling if the extents are, so that every tile is straight code; tiles between the borders share a loop.
struct SlidingTiles {
  /// The taps that the rows of a tile take part in.
  enum Taps {
    case runs([TapRun])
    /// A single result near a border whose place is only known at run time: each tap is checked.
    case checked
  }

  let phase: SlidingPhase
  /// Most results in a tile.
  let most: Int

  /// A tile, or `count` of them one after the other.
  private struct Place {
    var start: Int
    var rows: Int
    var count: Int
    var runs: [TapRun]
  }

  /// Loops over the tiles; `body` gets the number of rows, the first result within the phase, and the taps.
  func loops(
    _ emitter: inout ElementEmitter,
    _ body: (inout ElementEmitter, _ rows: Int, _ first: Expression, Taps) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    guard let count = phase.count.constant, phase.input.isConstant else { return try symbolicLoops(&emitter, body) }
    var statements: [Statement] = []
    for place in places(count) {
      if place.count == 1 {
        statements += try emitter.scoped { emitter throws(CompileError) in try body(&emitter, place.rows, .index(place.start), .runs(place.runs)) }
      } else {
        statements.append(
          try emitter.loop("tile", to: Extent(place.count)) { emitter, tile throws(CompileError) in
            try body(&emitter, place.rows, tile * .index(place.rows) + .index(place.start), .runs(place.runs))
          })
      }
    }
    return statements
  }

  private func places(_ count: Int) -> [Place] {
    var places: [Place] = []
    var start = 0
    for size in TileRows.sizes(of: count, most: most) {
      for _ in 0..<size.count {
        let runs = phase.runs(for: Array(start..<start + size.rows))
        if let last = places.last, last.rows == size.rows, last.runs == runs, runs == phase.wholeRun(rows: size.rows) {
          places[places.count - 1].count += 1
        } else {
          places.append(Place(start: start, rows: size.rows, count: 1, runs: runs))
        }
        start += size.rows
      }
    }
    return places
  }

  private func symbolicLoops(
    _ emitter: inout ElementEmitter, _ body: (inout ElementEmitter, Int, Expression, Taps) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let tiles = TileRows(phase.count, most: most > 4 ? most & ~3 : most)
    return try tiles.loops(&emitter, from: .index(0), to: .of(tiles.count)) { emitter, rows, first throws(CompileError) in
      let whole = try emitter.scoped { emitter throws(CompileError) in try body(&emitter, rows, first, .runs(self.phase.wholeRun(rows: rows))) }
      guard let isInside = self.phase.isInside(from: first, rows: rows) else { return whole }
      let checked = try emitter.loop("row", to: Extent(rows)) { emitter, row throws(CompileError) in try body(&emitter, 1, first + row, .checked) }
      return [.branch(if: isInside, then: whole, else: [checked])]
    }
  }

  /// Loops over the taps of a tile; `body` gets the index of the tap, its offset, and the rows that take part.
  static func taps(
    _ emitter: inout ElementEmitter, of phase: SlidingPhase, _ taps: Taps, first: Expression,
    _ body: (inout ElementEmitter, _ tap: Expression, _ offset: Expression, _ rows: [Int]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    switch taps {
    case .runs(let runs):
      var statements: [Statement] = []
      for run in runs {
        statements += try loop(&emitter, phase.taps[run.first..<run.first + run.count]) { emitter, tap, offset throws(CompileError) in
          try body(&emitter, tap, offset, run.rows)
        }
      }
      return statements
    case .checked:
      return try loop(&emitter, phase.taps[...]) { emitter, tap, offset throws(CompileError) in
        let position = first * .index(phase.stride) + offset
        let isInside = Expression.binary(.and, .compare(.greaterOrEqual, position, .index(0)), .compare(.less, position, .of(phase.input)))
        return [.branch(if: isInside, then: try emitter.scoped { emitter throws(CompileError) in try body(&emitter, tap, offset, [0]) }, else: [])]
      }
    }
  }

  /// Taps of a phase are equally far apart.
  private static func loop(
    _ emitter: inout ElementEmitter, _ taps: ArraySlice<SlidingPhase.Tap>,
    _ body: (inout ElementEmitter, Expression, Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    guard let start = taps.first else { return [] }
    if taps.count == 1 {
      return try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .index(start.index), .index(start.offset)) }
    }
    let second = taps[taps.startIndex + 1]
    let (step, distance) = (second.index - start.index, second.offset - start.offset)
    return [
      try emitter.loop("tap", to: Extent(taps.count)) { emitter, place throws(CompileError) in
        try body(&emitter, place * .index(step) + .index(start.index), place * .index(distance) + .index(start.offset))
      }
    ]
  }
}
