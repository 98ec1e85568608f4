import GraphIR
import KernelIR
import TensorTypes

/// The register tile of a contraction: `rows` results by `vectors` vectors of columns are summed up in registers.
///
/// One step of the sum loads `vectors` vectors of the right operand and broadcasts `rows` elements of the left one.
struct TileShape: Hashable, CustomStringConvertible {
  /// Most rows; the rows of a problem are spread evenly, so that no tile has few.
  var rows: Int
  var vectors: Int
  /// Accumulator elements in a vector register.
  let lanes: Int

  /// Columns of a full panel.
  var width: Int { vectors * lanes }
  var description: String { "\(rows)x\(width)" }

  /// Accumulator elements in a register of the target.
  static func lanes(of accumulator: ElementType, _ target: LoweringTarget) -> Int {
    max(1, target.lanes * 4 / max(4, accumulator.byteCount))
  }

  /// The most rows whose accumulators stay in registers beside the vectors of a step and one broadcast element.
  ///
  /// Measured: without the register for the broadcast (7x64 with 32 registers) code generation spills, 84 % of the peak.
  static func mostRows(vectors: Int, _ target: LoweringTarget) -> Int {
    max(1, min((target.registers - vectors - 1) / vectors, 24))
  }

  /// The most rows of a left operand that the first-level cache can hold a line of each: rows whose distance is a
  /// multiple of 4 KiB share one of its 64 sets, which has eight places.
  ///
  /// Measured: 14 rows at such a distance run at 77 % of the peak, 7 at 97 %.
  static func mostRows(strideBytes: Int?) -> Int {
    guard let stride = strideBytes, stride != 0, stride % 64 == 0 else { return .max }
    let way = 4096
    var (a, b) = (way, stride.magnitude % UInt(way) == 0 ? way : Int(stride.magnitude % UInt(way)))
    while b != 0 { (a, b) = (b, a % b) }
    return 7 * (way / a)
  }

  /// The tiles worth considering for a product of `rows` rows and `columns` columns (nil if symbolic).
  ///
  /// - Parameter strideBytes: The distance of rows in the left operand, if it is known.
  static func candidates(rows: Int?, columns: Int?, accumulator: ElementType, strideBytes: Int?, _ target: LoweringTarget) -> [TileShape] {
    let lanes = lanes(of: accumulator, target)
    let (rowCount, columnCount) = (max(1, rows ?? 64), max(1, columns ?? 256))
    var shapes: [TileShape] = []
    for vectors in [2, 4, 3, 1, 6, 8] {
      if vectors > 1, (vectors - 1) * lanes >= columnCount { continue }
      var shape = TileShape(rows: min(mostRows(vectors: vectors, target), mostRows(strideBytes: strideBytes)), vectors: vectors, lanes: lanes)
      // Wide tiles are for few rows.
      if vectors > 4, shape.rows < rowCount { continue }
      // Symbolic rows end in tiles of 4, 2 and 1.
      if rows == nil { shape.rows = max(1, shape.rows & ~3) } else { shape.rows = min(shape.rows, rowCount) }
      shapes.append(shape)
    }
    return shapes
  }

  /// The tile for a right operand that is read in place: with one or two rows as wide as the registers allow, because its
  /// rows are far apart, and few long runs come through the caches faster than many short ones.
  static func inPlace(_ shape: TileShape, rows: Int?, columns: Int?) -> TileShape {
    guard let rows, rows == 1 || rows == 2 else { return shape }
    var wide = shape
    wide.vectors = max(shape.vectors, min(16 / rows, ((columns ?? .max / 2) + shape.lanes - 1) / shape.lanes))
    return wide
  }
}

/// The rows of a contraction as consecutive tiles of a few sizes, numbered from 0.
struct TileRows {
  struct Segment {
    /// The first row, and the number of the first tile.
    var firstRow: Extent, firstTile: Extent
    var count: Extent
    var rows: Int
  }
  var segments: [Segment] = []
  private(set) var count: Extent = 0

  init(_ total: Extent, most: Int) {
    if let constant = total.constant {
      for size in Self.sizes(of: constant, most: most) { append(Extent(size.count), rows: size.rows) }
      return
    }
    var rest = total
    var size = most
    while true {
      append(rest.floorDivided(by: Extent(size)), rows: size)
      if size == 1 { break }
      rest = rest.modulo(Extent(size))
      size = size > 4 && size % 4 == 0 ? 4 : size > 2 && size % 2 == 0 ? 2 : 1
    }
  }

  private mutating func append(_ number: Extent, rows: Int) {
    if number == 0 { return }
    let firstRow = segments.reduce(Extent(0)) { $0 + $1.count * Extent($1.rows) }
    segments.append(Segment(firstRow: firstRow, firstTile: count, count: number, rows: rows))
    count = count + number
  }

  /// As few tiles as possible, of sizes that differ by at most 1.
  static func sizes(of total: Int, most: Int) -> [(count: Int, rows: Int)] {
    if total <= 0 { return [] }
    let tiles = (total + most - 1) / most
    let (rows, larger) = (total / tiles, total % tiles)
    return [(larger, rows + 1), (tiles - larger, rows)].filter { $0.0 > 0 }
  }

  /// Loops over the tiles `lower..<upper`; `body` gets the number of rows and the first row.
  func loops(
    _ emitter: inout ElementEmitter, from lower: Expression, to upper: Expression,
    _ body: (inout ElementEmitter, Int, Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    var statements: [Statement] = []
    let isWhole = lower.constantIndex == 0 && upper == .of(count)
    for segment in segments {
      let (first, end) = (Expression.of(segment.firstTile), Expression.of(segment.firstTile + segment.count))
      let start: Expression = isWhole ? .index(0) : .indexMaximum(lower, first) - first
      let stop: Expression = isWhole ? .of(segment.count) : .indexMinimum(upper, end) - first
      if let known = stop.constantIndex, known <= (start.constantIndex ?? .min) { continue }
      if start.constantIndex == 0, stop.constantIndex == 1 {
        statements += try emitter.scoped { emitter throws(CompileError) in try body(&emitter, segment.rows, .of(segment.firstRow)) }
        continue
      }
      let variable = emitter.builder.variable("tile")
      emitter.ranges.set(variable, to: segment.count)
      let inner = try emitter.scoped { emitter throws(CompileError) in
        try body(&emitter, segment.rows, .variable(variable) * .index(segment.rows) + .of(segment.firstRow))
      }
      statements.append(.loop(Loop(variable, from: start, to: stop, body: inner)))
    }
    return statements
  }
}
