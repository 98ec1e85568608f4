/// What a register tile costs: its steps, and what is done once for each tile.
///
/// Calibrated with `template-bench --candidates` on Zen 4.
enum TileCost {
  /// One step of the sum: `vectors` loads of the right operand, `rows` broadcasts of the left one, their products.
  ///
  /// One vector multiply-add a cycle, or one vector load and two broadcasts, four steps in flight; and what the right operand costs
  /// on its way from the second-level cache.
  /// - Parameter vectors: Halves count for a vector of half the width.
  static func step(rows: Int, vectors: Double) -> KernelCost {
    var cost = KernelCost()
    if vectors == 0 || rows == 0 { return cost }
    cost[.arithmetic] = max(Double(rows) * vectors, vectors + Double(rows) / 2, 3 * vectors)
    cost[.panels] = 0.6 * vectors
    cost[.input] = 0.1 * Double(rows)
    cost[.overhead] = 0.2
    return cost
  }

  /// Zeroing the registers, the epilogue, the stores, and the loop around.
  ///
  /// - Parameter operations: Instructions of the epilogue for a vector; 0 where only the rest counts. Of a tile's epilogue that of some vectors runs beside the
  ///   products of the next tile. Measured on 1x1 convolutions of bytes: a residual costs 11.3 cycles for each vector of 28 in a tile, 9.2 of 16.
  static func once(rows: Int, vectors: Double, operations: Int = 0) -> KernelCost {
    var cost = KernelCost()
    if vectors == 0 || rows == 0 { return cost }
    let each = Double(rows) * vectors
    cost[.output] = operations == 0 ? 1.5 * each : 0.7 * Double(operations) * max(1, each - 5.5)
    cost[.overhead] = 16
    return cost
  }
}

/// A contraction cut into tiles, as far as its cost depends on it.
struct ContractionCost {
  /// Independent products: batch, groups, images.
  var slices: Double
  /// Tiles of one slice by their number of rows.
  var tiles: [(count: Double, rows: Int)]
  var columns: Int
  var steps: Double
  var shape: TileShape
  /// What a tile reads of the left operand, and the bytes of a panel of the right one.
  var tileBytes: Double
  var panelBytes: Double
  /// Tiles for which a panel is kept near, in units of what `tileBytes` describes; and how many there are.
  var tilesPerBlock: Double
  var blockedTiles: Double
  var threads: Int
  var isParallel: Bool
  /// Of the epilogue, for a vector; see `TileCost.once`.
  var operations = 0

  /// Bytes a cycle on their way from a level of memory, while a tile computes.
  private static func bytesPerCycle(_ workingSet: Double) -> Double {
    workingSet <= 24_000 ? .infinity : workingSet <= 768_000 ? 24 : workingSet <= 12e6 ? 8 : 3.5
  }

  /// The part of a transfer that computing does not hide.
  private static let exposed = 0.25

  var estimate: KernelCost {
    var cost = KernelCost()
    let full = Double(columns / shape.width)
    let rest = Double(columns % shape.width) / Double(shape.lanes)
    // A rest of at most half a vector is computed in a vector of half the width.
    let restVectors = rest - rest.rounded(.down) > 0.5 ? rest.rounded(.up) : (rest * 2).rounded(.up) / 2
    for tile in tiles where tile.count > 0 {
      let wide = TileCost.step(rows: tile.rows, vectors: Double(shape.vectors)).scaled(by: steps) + TileCost.once(rows: tile.rows, vectors: Double(shape.vectors), operations: operations)
      let narrow = TileCost.step(rows: tile.rows, vectors: restVectors).scaled(by: steps) + TileCost.once(rows: tile.rows, vectors: restVectors, operations: operations)
      cost = cost + (wide.scaled(by: full) + narrow).scaled(by: tile.count)
    }
    let panels = max(1, (Double(columns) / Double(shape.width)).rounded(.up))
    let blocks = max(1, (blockedTiles / max(1, tilesPerBlock)).rounded(.up))
    let (rightBytes, leftBytes) = (panels * panelBytes, blockedTiles * tileBytes)
    // Every block passes all panels by. The first time they come from wherever they are, whatever the schedule.
    cost[.panels] += (blocks - 1) * rightBytes / Self.bytesPerCycle(rightBytes + min(leftBytes, tilesPerBlock * tileBytes)) * Self.exposed
    // Every panel passes all tiles of a block by.
    cost[.input] += (panels - 1) * leftBytes / Self.bytesPerCycle(tilesPerBlock * tileBytes + panelBytes) * Self.exposed
    cost = cost.scaled(by: slices)
    return isParallel ? SharingCost.shared(cost, items: slices * blocks * panels, threads: threads) : cost
  }
}

/// What several threads make of a cost.
enum SharingCost {
  /// Handing a loop to the other threads and waiting for the last.
  private static let handOff = 7_000.0

  /// - Parameter items: Iterations of the parallel loop, about equally long.
  static func shared(_ cost: KernelCost, items: Double, threads: Int) -> KernelCost {
    var cost = cost.scaled(by: 1 / Double(threads))
    // The pool deals up to four chunks to each thread, and those that are done help the others.
    let chunks = min(max(1, items), Double(4 * threads))
    let longest = (chunks / Double(threads)).rounded(.up) * (items / chunks).rounded(.up)
    cost[.idle] += cost.total * max(0, longest * Double(threads) / max(1, items) - 1)
    cost[.overhead] += handOff
    return cost
  }
}
