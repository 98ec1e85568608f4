import TensorTypes

/// Which blocks of a constant right operand hold anything but zeros. A block is what one load of a tile reads: one step of the sum, or as many as one
/// instruction multiplies together, by one vector of columns. Larger blocks of zeros, and N:M patterns that neighbouring columns share, are made of such blocks.
struct BlockOccupancy {
  let matrices: Int
  /// Steps of the sum, and those of a block. What is left over behind the last whole group counts as occupied.
  let steps: Int
  let group: Int
  let columns: Int
  /// Columns of a block.
  let lanes: Int
  /// Blocks of a group of steps.
  let blocks: Int
  /// [matrix][block][group]
  private let isOccupied: [Bool]
  private let occupiedCount: Int

  /// - Returns: nil for other elements than f32, bf16 and bytes, and if more than `most` of the blocks are occupied.
  init?(_ source: PanelSource, lanes: Int, group: Int, most: Double) {
    guard source.isInside, lanes > 0, group > 0, source.steps >= group, Int32(exactly: source.steps) != nil else { return nil }
    let isOccupied: [Bool]
    switch (source.element, source.tensor.element) {
    case (.f32, .f32), (.bf16, .f32): isOccupied = Self.scan(source, lanes, group, UInt32.self, magnitude: 0x7fff_ffff)
    case (.bf16, .bf16): isOccupied = Self.scan(source, lanes, group, UInt16.self, magnitude: 0x7fff)
    case (.u8, .u8), (.i8, .i8): isOccupied = Self.scan(source, lanes, group, UInt8.self, magnitude: 0xff)
    default: return nil
    }
    let count = isOccupied.count(where: \.self)
    if Double(count) > most * Double(isOccupied.count) { return nil }
    (matrices, steps, columns, self.lanes, self.group) = (source.matrices, source.steps, source.columns, lanes, group)
    blocks = (source.columns + lanes - 1) / lanes
    (self.isOccupied, occupiedCount) = (isOccupied, count)
  }

  /// - Parameter magnitude: The bits of an element that are all 0 in a zero.
  private static func scan<Bits: FixedWidthInteger>(_ source: PanelSource, _ lanes: Int, _ group: Int, _ type: Bits.Type, magnitude: Bits) -> [Bool] {
    let (groups, blocks, size) = (source.steps / group, (source.columns + lanes - 1) / lanes, MemoryLayout<Bits>.size)
    var isOccupied = [Bool](repeating: false, count: source.matrices * blocks * groups)
    source.tensor.withBytes { bytes in
      func holds(_ first: Int, _ count: Int) -> Bool {
        for column in 0..<count where bytes.loadUnaligned(fromByteOffset: (first + column * source.columnStride) * size, as: type) & magnitude != 0 { return true }
        return false
      }
      for matrix in 0..<source.matrices {
        for block in 0..<blocks {
          let start = matrix * source.matrixStride + block * lanes * source.columnStride
          let count = min(source.columns - block * lanes, lanes)
          for number in 0..<groups {
            isOccupied[(matrix * blocks + block) * groups + number] = (number * group..<(number + 1) * group).contains { holds(start + $0 * source.stepStride, count) }
          }
        }
      }
    }
    return isOccupied
  }

  /// Whole groups of steps.
  var groups: Int { steps / group }

  /// The part of the blocks that is occupied.
  var density: Double { isOccupied.isEmpty ? 0 : Double(occupiedCount) / Double(isOccupied.count) }

  /// `4x16`
  var blockName: String { "\(group)x\(lanes)" }

  /// The groups of steps, by the first step of each, at which some block of a panel is occupied: all that a tile has to make.
  func steps(matrix: Int, firstBlock: Int, blocks count: Int) -> [Int32] {
    let range = firstBlock..<min(blocks, firstBlock + count)
    return (0..<groups).filter { number in range.contains { isOccupied[(matrix * blocks + $0) * groups + number] } }.map { Int32($0 * group) }
  }
}

/// A constant right operand without its empty blocks: for each panel of columns the groups of steps that hold something, one behind the other; behind
/// those of all panels the steps that are left over at the end of the sum, where they are no whole group.
struct SparsePanels {
  let matrices: Int
  let panels: Int
  /// Columns of a panel; the last one is filled up with zeros.
  let width: Int
  /// Steps that are multiplied together, and those left over.
  let group: Int
  let rest: Int
  /// Lists are padded to multiples of this, repeating their last group with zeros.
  let unroll: Int
  /// The first steps of each panel's groups, matrix by matrix.
  private let lists: [[Int32]]

  init(_ occupancy: BlockOccupancy, width: Int, unroll: Int) {
    (matrices, self.width, self.unroll, group, rest) = (occupancy.matrices, width, unroll, occupancy.group, occupancy.steps % occupancy.group)
    panels = (occupancy.columns + width - 1) / width
    let blocks = width / occupancy.lanes
    var lists: [[Int32]] = []
    for matrix in 0..<occupancy.matrices {
      for panel in 0..<panels { lists.append(occupancy.steps(matrix: matrix, firstBlock: panel * blocks, blocks: blocks)) }
    }
    self.lists = lists
  }

  private func padded(_ list: [Int32]) -> Int { (list.count + unroll - 1) / unroll * unroll }

  /// Groups of all panels together, padding included.
  var totalGroups: Int { lists.reduce(0) { $0 + padded($1) } }
  var averageGroups: Double { lists.isEmpty ? 0 : Double(totalGroups) / Double(lists.count) }
  /// Elements of a group.
  var groupElements: Int { width * group }
  /// Where the steps of the first panel begin in `table`.
  var tableStart: Int { lists.count + 1 }

  /// What the tiles look steps up in: where each panel begins (in groups) and the last one ends, then the first steps of the groups.
  var table: Tensor? {
    guard let total = Int32(exactly: totalGroups + unroll) else { return nil }
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

  /// The occupied groups of the operand, and what is left over: [group][width][step of the group].
  func packed(_ source: PanelSource) -> Tensor? {
    switch (source.element, source.tensor.element) {
    case (.f32, .f32): packed(source, Float.self) { $0 }
    case (.bf16, .f32): packed(source, Float.self) { Tensor.bfloat16($0) }
    case (.bf16, .bf16): packed(source, UInt16.self) { $0 }
    case (.u8, .u8), (.i8, .i8): packed(source, UInt8.self) { $0 }
    default: nil
    }
  }

  @inline(__always) private func packed<Number, Stored>(_ source: PanelSource, _ type: Number.Type, _ stored: (Number) -> Stored) -> Tensor? {
    let groups = totalGroups + (rest > 0 ? lists.count : 0)
    guard let count = elementCount(of: [groups, width, group]), source.isInside, source.columns <= panels * width else { return nil }
    return Tensor(source.element, [count]) { target in
      source.tensor.withBytes { bytes in
        let to = target.bindMemory(to: Stored.self)
        /// Lays some steps of a panel side by side for each column.
        func copy(_ number: Int, _ step: Int, steps: Int, to position: Int) {
          let (matrix, first) = (number / panels, number % panels * width)
          let start = matrix * source.matrixStride + first * source.columnStride + step * source.stepStride
          let used = min(width, source.columns - first)
          for place in 0..<steps {
            for column in 0..<used {
              let from = start + place * source.stepStride + column * source.columnStride
              to[position + column * group + place] = stored(bytes.loadUnaligned(fromByteOffset: from * MemoryLayout<Number>.size, as: type))
            }
          }
        }
        var position = 0
        for (number, list) in lists.enumerated() {
          for step in list {
            copy(number, Int(step), steps: group, to: position)
            position += groupElements
          }
          position += (padded(list) - list.count) * groupElements
        }
        if rest == 0 { return }
        for number in lists.indices {
          copy(number, source.steps - rest, steps: rest, to: position)
          position += groupElements
        }
      }
    }
  }
}
