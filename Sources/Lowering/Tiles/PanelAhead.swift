import KernelIR
import TensorTypes

/// Asks for the next panel of a constant matrix while the tiles of this one are computed, a part of it in each step.
///
/// The first tile of a panel reads it from memory, at a multiple of the speed that memory has; the others find it in the second-level cache. Spread
/// over all tiles, the transfer takes no time. Measured inside BERT-base in bytes (85 MB of weights): 128x768x768 took 10 % longer than alone.
struct PanelAhead {
  private let panelElements: Int
  /// Elements of the next panel for each row above a tile, and for each step of it.
  private let perRow: Int
  private let perStep: Int
  /// Elements of a cache line.
  private let line: Int

  /// Matrices that the caches hold anyway.
  private static let fewestBytes = 1 << 18
  /// With fewer tiles a panel is read about as fast as memory gives it.
  private static let fewestTiles = 4

  /// - Parameter rows: Those of the left operand; every panel passes all of them by.
  /// - Returns: nil if it would not pay.
  init?(_ layout: PanelLayout, rows: Extent, tileRows: Int, _ schedule: TileSchedule, element: ElementType) {
    guard let rows = rows.constant, let panels = layout.panels.constant, let stored = layout.storedSteps.constant, schedule.blocks == 1, panels > 1, tileRows > 0, rows > 0 else { return nil }
    let tiles = (rows + tileRows - 1) / tileRows
    let (elements, isTooLarge) = stored.multipliedReportingOverflow(by: layout.width)
    guard !isTooLarge, tiles >= Self.fewestTiles, elements.multipliedReportingOverflow(by: panels * element.byteCount).partialValue >= Self.fewestBytes else { return nil }
    panelElements = elements
    perRow = (elements + rows - 1) / rows
    perStep = (layout.width * layout.group + tiles - 1) / tiles
    line = max(1, 64 / element.byteCount)
  }

  /// - Parameters:
  ///   - row: The tile's first.
  ///   - step: The step, or the number of the group of steps.
  func request(_ buffer: Buffer, panel: Expression, row: Expression, step: Expression) -> [Statement] {
    let start = (panel + .index(1)) * .index(panelElements) + row * .index(perRow) + step * .index(perStep)
    return stride(from: 0, to: perStep, by: line).map { .prefetch(buffer, index: start + .index($0), forWriting: false) }
  }
}
