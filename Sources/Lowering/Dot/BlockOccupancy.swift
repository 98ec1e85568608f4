import TensorTypes

/// Which blocks of a constant right operand hold anything but zeros. A block is one step of the sum by one vector of columns: what one
/// load of a tile reads. Larger blocks of zeros, and N:M patterns that neighbouring columns share, are made of such blocks.
struct BlockOccupancy {
  let matrices: Int
  let steps: Int
  let columns: Int
  /// Columns of a block.
  let lanes: Int
  /// Blocks of a step.
  let blocks: Int
  /// [matrix][block][step]
  private var isOccupied: [Bool]
  private let occupiedCount: Int

  /// - Returns: nil for other elements than f32, and if more than `most` of the blocks are occupied.
  init?(_ source: PanelSource, lanes: Int, most: Double) {
    guard source.element == .f32, source.tensor.element == .f32, source.isInside, lanes > 0 else { return nil }
    (matrices, steps, columns, self.lanes) = (source.matrices, source.steps, source.columns, lanes)
    let (blocks, steps) = ((source.columns + lanes - 1) / lanes, source.steps)
    self.blocks = blocks
    var isOccupied = [Bool](repeating: false, count: source.matrices * blocks * steps)
    var count = 0
    source.tensor.withBytes { bytes in
      func number(_ position: Int) -> Float { bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self) }
      for matrix in 0..<source.matrices {
        for block in 0..<blocks {
          let (first, end) = (block * lanes, min(source.columns, (block + 1) * lanes))
          let start = matrix * source.matrixStride
          for step in 0..<steps {
            let row = start + step * source.stepStride
            if (first..<end).contains(where: { number(row + $0 * source.columnStride) != 0 }) {
              isOccupied[(matrix * blocks + block) * steps + step] = true
              count += 1
            }
          }
        }
      }
    }
    if Double(count) > most * Double(isOccupied.count) { return nil }
    (self.isOccupied, occupiedCount) = (isOccupied, count)
  }

  /// The part of the blocks that is occupied.
  var density: Double { isOccupied.isEmpty ? 0 : Double(occupiedCount) / Double(isOccupied.count) }

  /// The steps at which some block of a panel is occupied: all that a tile has to make.
  func steps(matrix: Int, firstBlock: Int, blocks count: Int) -> [Int32] {
    let range = firstBlock..<min(blocks, firstBlock + count)
    return (0..<steps).filter { step in range.contains { isOccupied[(matrix * blocks + $0) * steps + step] } }.map(Int32.init)
  }
}

/// A constant right operand without its empty steps: for each panel of columns the steps that hold something, one behind the other.
struct SparsePanels {
  let matrices: Int
  let panels: Int
  /// Columns of a panel; the last one is filled up with zeros.
  let width: Int
  /// Lists are padded to multiples of this, repeating their last step with zeros.
  let unroll: Int
  /// The steps of each panel, matrix by matrix.
  private let lists: [[Int32]]

  init(_ occupancy: BlockOccupancy, width: Int, unroll: Int) {
    (matrices, self.width, self.unroll) = (occupancy.matrices, width, unroll)
    panels = (occupancy.columns + width - 1) / width
    let blocks = width / occupancy.lanes
    var lists: [[Int32]] = []
    for matrix in 0..<occupancy.matrices {
      for panel in 0..<panels { lists.append(occupancy.steps(matrix: matrix, firstBlock: panel * blocks, blocks: blocks)) }
    }
    self.lists = lists
  }

  private func padded(_ list: [Int32]) -> Int { (list.count + unroll - 1) / unroll * unroll }

  /// Steps of all panels together, padding included.
  var totalSteps: Int { lists.reduce(0) { $0 + padded($1) } }
  var averageSteps: Double { lists.isEmpty ? 0 : Double(totalSteps) / Double(lists.count) }
  /// Where the steps of the first panel begin in `table`.
  var tableStart: Int { lists.count + 1 }

  /// What the tiles look steps up in: where each panel begins (in steps) and the last one ends, then the steps.
  var table: Tensor? {
    guard let total = Int32(exactly: totalSteps + unroll) else { return nil }
    var entries: [Int32] = []
    entries.reserveCapacity(tableStart + Int(total))
    var start: Int32 = 0
    for list in lists {
      entries.append(start)
      start += Int32(padded(list))
    }
    entries.append(start)
    for list in lists {
      entries += list
      if let last = list.last { entries += [Int32](repeating: last, count: padded(list) - list.count) }
    }
    return Tensor(.i32, [entries.count]) { target in entries.withUnsafeBytes { target.copyMemory(from: $0) } }
  }

  /// The occupied steps of the operand: [step][width].
  func packed(_ source: PanelSource) -> Tensor? {
    guard let count = elementCount(of: [totalSteps, width]), source.isInside, source.columns <= panels * width else { return nil }
    return Tensor(.f32, [count]) { target in
      source.tensor.withBytes { bytes in
        let to = target.bindMemory(to: Float.self)
        var position = 0
        for (number, list) in lists.enumerated() {
          let (matrix, first) = (number / panels, number % panels * width)
          let start = matrix * source.matrixStride + first * source.columnStride
          let used = min(width, source.columns - first)
          for step in list {
            let row = start + Int(step) * source.stepStride
            for column in 0..<used { to[position + column] = bytes.loadUnaligned(fromByteOffset: (row + column * source.columnStride) * 4, as: Float.self) }
            position += width
          }
          position += (padded(list) - list.count) * width
        }
      }
    }
  }
}
