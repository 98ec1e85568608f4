import GraphIR
import KernelIR
import TensorTypes

/// The loops around the tiles of a contraction: slices (batch, groups), blocks of row tiles, panels of columns, in
/// this order, so that the panel stays in the second-level cache while the tiles of a block pass by.
///
/// With several threads the three loops are one parallel loop, cut finely enough that its items spread evenly. If the
/// extents are symbolic and may be small, the number of items follows from them, so that a small run stays on one thread.
struct TileSchedule {
  private enum Sharing {
    case none
    case everything
    /// Ranges of slices, or of tiles; as many as there are threshold amounts of work.
    case slices(items: Extent)
    case tiles(items: Extent)
  }
  let slices: Extent
  let panels: Extent
  let tiles: Extent
  private(set) var tilesPerBlock: Int
  private(set) var blocks: Extent
  private let sharing: Sharing
  var isParallel: Bool { if case .none = sharing { false } else { true } }

  /// A hand-off to the other threads costs about 2 µs; a loop shorter than this many cycles is not worth it.
  static let parallelCycles = 16_000
  private static let cacheBytes = 1 << 20
  /// Rows that share one pass over panels that the cache does not hold: 64 / rows bytes a cycle then come from beyond it.
  private static let rowsPerPass = 256

  /// - Parameters:
  ///   - tileRows: Rows of the result in one tile.
  ///   - tileBytes: What one tile reads of the left operand.
  ///   - panelBytes: One panel of the right operand.
  ///   - cycles: Estimated duration on one thread.
  ///   - tilesPerBlock: The length of a block; nil for the usual one.
  init(
    slices: Extent, panels: Extent, tiles: Extent, tileRows: Int, tileBytes: Int, panelBytes: Int, cycles: Extent, tilesPerBlock: Int? = nil, target: LoweringTarget
  ) {
    (self.slices, self.panels, self.tiles) = (slices, panels, tiles)
    sharing = Self.sharing(slices: slices, tiles: tiles, cycles: cycles, threads: target.threads)
    let isParallel = if case .none = sharing { false } else { true }
    // Panels that fit into the cache together are passed once for each block; blocks are then small. Otherwise the
    // panels come from further away, and a block has so many rows that this takes a small part of the time.
    let rightBytes = panelBytes.multipliedReportingOverflow(by: panels.constant ?? 64).partialValue
    let most = tiles.constant ?? .max
    var perBlock = (rightBytes <= Self.cacheBytes / 2 ? Self.cacheBytes / 8 : Self.cacheBytes / 2) / max(1, tileBytes)
    if rightBytes > Self.cacheBytes / 2 { perBlock = max(perBlock, Self.rowsPerPass / max(1, tileRows)) }
    perBlock = max(1, min(most, perBlock))
    if panels.constant == 1 && !isParallel { perBlock = max(1, most == .max ? 1024 : most) }
    if let count = tiles.constant, count > 0 { perBlock = Self.even(count, perBlock) }
    if isParallel { perBlock = Self.balanced(perBlock, tiles: tiles, others: slices * panels, threads: target.threads) }
    if let tilesPerBlock { perBlock = max(1, min(most, tilesPerBlock)) }
    self.tilesPerBlock = perBlock
    blocks = tiles.ceilDivided(by: Extent(perBlock))
  }

  private static func sharing(slices: Extent, tiles: Extent, cycles: Extent, threads: Int) -> Sharing {
    if threads <= 1 { return .none }
    // The shortest run has 1 for every symbol.
    let least = cycles.evaluated(Dictionary(uniqueKeysWithValues: cycles.symbols.map { ($0, 1) })) ?? .max
    if least >= parallelCycles { return .everything }
    if cycles.isConstant { return .none }
    let items = cycles.floorDivided(by: Extent(parallelCycles)) + 1
    if slices != 1 { return .slices(items: .minimum(slices, items)) }
    return tiles == 1 ? .everything : .tiles(items: .minimum(tiles, items))
  }

  /// Lengths of blocks worth considering, this one's first: half and twice as long, and everything in one block.
  var blockLengths: [Int] {
    guard let count = tiles.constant, count > 1 else { return [tilesPerBlock] }
    var lengths = [tilesPerBlock]
    for wish in [(tilesPerBlock + 1) / 2, tilesPerBlock * 2, count] {
      let length = Self.even(count, max(1, min(count, wish)))
      if !lengths.contains(length) { lengths.append(length) }
    }
    return lengths
  }

  /// For the name of a candidate.
  var blockName: String {
    guard let count = blocks.constant else { return ", blocks of \(tilesPerBlock)" }
    return count <= 1 ? "" : ", blocks of \(tilesPerBlock)"
  }

  /// Blocks of nearly the same size.
  private static func even(_ count: Int, _ perBlock: Int) -> Int {
    let blocks = (count + perBlock - 1) / perBlock
    return (count + blocks - 1) / blocks
  }

  /// At most `perBlock`, smaller if the items would not spread evenly over the threads.
  private static func balanced(_ perBlock: Int, tiles: Extent, others: Extent, threads: Int) -> Int {
    guard let count = tiles.constant, count > 0 else { return min(perBlock, 8) }
    guard let others = others.constant, others > 0 else { return perBlock }
    var best = (perBlock: perBlock, idle: Double.infinity)
    var size = perBlock
    while size >= 1 {
      let (items, _) = ((count + size - 1) / size).multipliedReportingOverflow(by: others)
      let rounds = (items + threads - 1) / threads
      // The last block of a row may be smaller than the others: its idle time counts too.
      let idle = Double(rounds * threads * size) * Double((count + size - 1) / size) / Double(items) / Double(count) - 1
      if idle < best.idle - 0.01 { best = (size, idle) }
      if idle <= 0.04 || items >= 16 * threads { break }
      size = min(size - 1, even(count, max(1, size - 1)))
    }
    return best.perBlock
  }

  /// Writes the loops. `body` gets the slice, the range of tiles and the panel.
  func loops(
    _ emitter: inout ElementEmitter,
    _ body: (inout ElementEmitter, _ slice: Expression, _ lower: Expression, _ upper: Expression, _ panel: Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let (tilesPerBlock, tiles, isSingle) = (tilesPerBlock, tiles, blocks == 1)
    switch sharing {
    case .none, .everything: break
    case .slices(let items):
      return try Self.ranges(&emitter, of: slices, items: items) { emitter, _, lower, upper throws(CompileError) in
        let slice = emitter.builder.variable("slice")
        emitter.ranges.set(slice, to: self.slices)
        let inner = try Self.nest(&emitter, [("block", self.blocks), ("panel", self.panels)], isParallel: false) { emitter, index throws(CompileError) in
          let first = index[0] * .index(tilesPerBlock)
          return try body(&emitter, .variable(slice), first, isSingle ? .of(tiles) : .indexMinimum(first + .index(tilesPerBlock), .of(tiles)), index[1])
        }
        return [.loop(Loop(slice, from: lower, to: upper, body: inner))]
      }
    case .tiles(let items):
      return try Self.ranges(&emitter, of: tiles, items: items) { emitter, _, lower, upper throws(CompileError) in
        try Self.nest(&emitter, [("panel", self.panels)], isParallel: false) { emitter, index throws(CompileError) in
          try body(&emitter, .index(0), lower, upper, index[0])
        }
      }
    }
    return try Self.nest(&emitter, [("slice", slices), ("block", blocks), ("panel", panels)], isParallel: isParallel) { emitter, index throws(CompileError) in
      let lower = index[1] * .index(tilesPerBlock)
      let upper: Expression = isSingle ? .of(tiles) : .indexMinimum(lower + .index(tilesPerBlock), .of(tiles))
      return try body(&emitter, index[0], lower, upper, index[2])
    }
  }

  /// A parallel loop whose items are ranges of nearly equal length.
  static func ranges(
    _ emitter: inout ElementEmitter, of total: Extent, items: Extent,
    _ body: (inout ElementEmitter, _ item: Expression, _ lower: Expression, _ upper: Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    [
      try emitter.loop("item", to: items, .parallel) { emitter, item throws(CompileError) in
        let lower = emitter.builder.variable("lower"), upper = emitter.builder.variable("upper")
        func boundary(_ item: Expression) -> Expression { (item * .of(total)).dividedByIndex(.of(items)) }
        let bindings: [Statement] = [.bind(lower, boundary(item)), .bind(upper, boundary(item + .index(1)))]
        return bindings + (try emitter.scoped { emitter throws(CompileError) in try body(&emitter, item, .variable(lower), .variable(upper)) })
      }
    ]
  }

  /// Loops over several axes, as one parallel loop or one inside the other; axes of extent 1 get no loop.
  static func nest(
    _ emitter: inout ElementEmitter, _ axes: [(name: String, extent: Extent)], isParallel: Bool,
    _ body: (inout ElementEmitter, [Expression]) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    let long = axes.indices.filter { axes[$0].extent != 1 }
    var index = [Expression](repeating: .index(0), count: axes.count)
    if isParallel, !long.isEmpty {
      let total = long.reduce(Extent(1)) { $0 * axes[$1].extent }
      return [
        try emitter.loop(long.count == 1 ? axes[long[0]].name : "item", to: total, .parallel) { emitter, item throws(CompileError) in
          var bindings: [Statement] = []
          var rest = item
          for (place, axis) in long.enumerated().reversed() {
            if place == 0 {
              index[axis] = long.count == 1 ? rest : bound(rest, axes[axis], &emitter, &bindings)
              break
            }
            index[axis] = bound(rest.remainderByIndex(.of(axes[axis].extent)), axes[axis], &emitter, &bindings)
            rest = rest.dividedByIndex(.of(axes[axis].extent))
          }
          return bindings + (try emitter.scoped { emitter throws(CompileError) in try body(&emitter, index) })
        }
      ]
    }
    func level(_ place: Int, _ emitter: inout ElementEmitter, _ index: [Expression]) throws(CompileError) -> [Statement] {
      if place == long.count { return try body(&emitter, index) }
      let axis = long[place]
      return [
        try emitter.loop(axes[axis].name, to: axes[axis].extent) { emitter, variable throws(CompileError) in
          var next = index
          next[axis] = variable
          return try level(place + 1, &emitter, next)
        }
      ]
    }
    return try emitter.scoped { emitter throws(CompileError) in try level(0, &emitter, index) }
  }

  private static func bound(
    _ value: Expression, _ axis: (name: String, extent: Extent), _ emitter: inout ElementEmitter, _ bindings: inout [Statement]
  ) -> Expression {
    let variable = emitter.builder.variable(axis.name)
    emitter.ranges.set(variable, to: axis.extent)
    bindings.append(.bind(variable, value))
    return .variable(variable)
  }
}
