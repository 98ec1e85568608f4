import KernelIR
import TensorTypes

/// How many units and rows of a stage are computed in registers at once, with all their gates, and how the weights
/// lie for that.
///
///     [units / width][K][gates][width], one such block after the other for each product of the stage
struct RecurrentTile {
  /// Units of a block.
  let width: Int
  /// Most rows of a tile.
  let rows: Int

  /// A row alone waits for its weights, and eight to twelve sums hide the latency of the multiply-adds; more rows share
  /// each vector of weights.
  init(_ stage: RecurrentProblem.Stage, _ target: LoweringTarget) {
    let lanes = max(1, target.lanes)
    let gates = max(1, stage.gates.count)
    let most = stage.rows == 1 ? max(1, min(12, target.registers / 2 - 2) / gates) : max(1, (target.registers >= 32 ? 4 : 2) / gates)
    let useful = max(1, min(most, (stage.units + lanes - 1) / lanes))
    let vectors = (1...useful).reversed().first { stage.units % ($0 * lanes) == 0 } ?? useful
    width = vectors * lanes
    rows = max(1, (target.registers - 1 - vectors * gates) / (vectors * gates))
  }

  /// The weights of a product for the gates of a stage.
  func packed(_ source: PanelSource, offsets: [Int], units: Int) -> Tensor? {
    let blocks = (units + width - 1) / width
    guard let count = elementCount(of: [blocks, source.steps, offsets.count, width]) else { return nil }
    guard let last = offsets.max(), last + units <= source.columns, source.steps >= 1 else { return nil }
    let end = (source.steps - 1) * source.stepStride + (source.columns - 1) * source.columnStride
    guard end >= 0, end < source.tensor.count, source.tensor.element == .f32 else { return nil }
    return Tensor(.f32, [count]) { target in
      source.tensor.withBytes { bytes in
        let (from, to) = (bytes.bindMemory(to: UInt32.self), target.bindMemory(to: UInt32.self))
        var position = 0
        for block in 0..<blocks {
          let used = min(width, units - block * width)
          for step in 0..<source.steps {
            for offset in offsets {
              let start = step * source.stepStride + (offset + block * width) * source.columnStride
              for lane in 0..<used { to[position + lane] = from[start + lane * source.columnStride] }
              position += width
            }
          }
        }
      }
    }
  }
}
