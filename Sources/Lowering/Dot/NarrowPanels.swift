import GraphIR
import KernelIR
import TensorTypes

/// How narrow weights lie in memory: panel by panel of columns, and in a panel from front to back as the sum runs.
///
///     bytes    [N / width][K][width]            one step: an i8 or u8 for each column
///     quads    [N / width][K / 4][width][4]     four steps: the bytes of a column side by side
///     nibbles  [N / width][K / 8][width][4]     eight steps: byte b of a column holds step b (low bits) and step b + 4 (high bits)
///
/// Scales and shifts lie beside them, [N / width][groups][width]. A chunk of the sum starts a new unit.
struct NarrowPanels {
  enum Unit: Sendable { case bytes, quads, nibbles }
  let unit: Unit
  let problem: NarrowDotProblem
  /// Width, tail and branches; its steps are the units.
  let layout: PanelLayout
  /// Of scales and shifts.
  let scales: PanelLayout

  init(_ problem: NarrowDotProblem, _ shape: TileShape) {
    self.problem = problem
    unit = problem.bits == 4 ? .nibbles : problem.arithmetic == .integer ? .quads : .bytes
    let perUnit = Self.steps(of: unit)
    let last = problem.steps - (problem.chunks - 1) * problem.chunk
    unitsPerChunk = (problem.chunk + perUnit - 1) / perUnit
    units = (problem.chunks - 1) * unitsPerChunk + (last + perUnit - 1) / perUnit
    layout = PanelLayout(steps: Extent(units), columns: Extent(problem.columns), shape: shape)
    scales = PanelLayout(steps: Extent(problem.groups), columns: Extent(problem.columns), shape: shape)
  }

  private static func steps(of unit: Unit) -> Int {
    switch unit {
    case .bytes: 1
    case .quads: 4
    case .nibbles: 8
    }
  }

  let unitsPerChunk: Int
  /// Of one column.
  let units: Int
  var stepsPerUnit: Int { Self.steps(of: unit) }
  /// Bytes that a column has in a unit.
  var bytesPerUnit: Int { unit == .bytes ? 1 : 4 }
  /// What a kernel loads: words of eight numbers where it takes them apart into floating point, bytes where it multiplies bytes.
  var element: ElementType {
    switch unit {
    case .bytes: problem.weights.element
    case .quads: .u8
    case .nibbles: problem.arithmetic == .float ? .u32 : .u8
    }
  }
  /// Elements of a column in a unit.
  var elementsPerUnit: Int { bytesPerUnit / element.byteCount }

  /// The place of a unit's first column, in elements.
  func position(panel: Expression, unit: Expression, isTail: Bool) -> Expression {
    (panel * .index(units * layout.width) + unit * .index(isTail ? layout.tailWidth : layout.width)) * .index(elementsPerUnit)
  }

  func scalePosition(panel: Expression, group: Expression, lane: Expression, isTail: Bool) -> Expression {
    scales.position(matrix: .index(0), panel: panel, step: group, lane: lane, isTail: isTail)
  }

  // MARK: Packing

  /// Scales or shifts [groups, N] for the panels.
  func packed(beside tensor: Tensor) -> Tensor? {
    PanelSource(
      tensor: tensor, element: tensor.element, matrices: 1, steps: problem.groups, columns: problem.columns, matrixStride: 0, stepStride: problem.columns, columnStride: 1
    ).packed(scales)
  }

  /// The weights.
  func packedWeights() -> Tensor? {
    let (weights, columns) = (problem.weights, problem.columns)
    if unit == .bytes {
      return PanelSource(
        tensor: weights, element: weights.element, matrices: 1, steps: problem.steps, columns: columns, matrixStride: 0, stepStride: columns, columnStride: 1
      ).packed(layout)
    }
    guard let places = layout.matrixElements.constant, let bytes = elementCount(of: [places, bytesPerUnit]) else { return nil }
    let bias = UInt8(truncatingIfNeeded: NarrowDotProblem.bias(weights.element, problem.arithmetic))
    let mask: UInt8 = unit == .nibbles ? 15 : 255
    return Tensor(element, [bytes / element.byteCount]) { target in
      weights.withBytes { source in
        guard let from = source.baseAddress?.assumingMemoryBound(to: UInt8.self), let to = target.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        for first in stride(from: 0, to: columns, by: layout.width) {
          let used = min(layout.width, columns - first)
          let width = used == layout.width ? layout.width : layout.tailWidth
          let panel = to + first * units * bytesPerUnit
          for step in 0..<problem.steps {
            let (chunk, inside) = (step / problem.chunk, step % problem.chunk)
            let place = inside % stepsPerUnit
            let target = panel + (chunk * unitsPerChunk + inside / stepsPerUnit) * width * bytesPerUnit + place % 4
            let row = from + step * columns + first
            if place < 4 {
              for column in 0..<used { target[column * 4] = (row[column] &+ bias) & mask }
            } else {
              for column in 0..<used { target[column * 4] |= ((row[column] &+ bias) & mask) << 4 }
            }
          }
        }
      }
    }
  }
}
