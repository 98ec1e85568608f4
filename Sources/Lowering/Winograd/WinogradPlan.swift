import KernelIR
import TensorTypes

/// How a convolution is done by Winograd's method: which transform, how many tiles at once, where scratch elements lie, and what it costs.
///
/// Tiles of m x m results are numbered row by row, image by image. A block of them is transformed into `extent * extent` matrices of
/// [tiles, input channels], each multiplied with its own matrix of the filter, and the products are transformed back. Blocks are so
/// large that the filter, which passes by once for each, is worth its way from memory, and so small that the scratch elements
/// stay in the second-level cache where there are many tiles.
struct WinogradPlan {
  let transform: WinogradTransform
  let shape: TileShape
  let layout: PanelLayout
  /// Batches that are only known at run time are slices, each on its own; otherwise there is one slice of several images.
  let slices: Extent
  let images: Int
  let tilesDown: Int
  let tilesAcross: Int
  let tilesPerBlock: Int
  let inputs: Int
  let outputs: Int
  let groups: Int
  /// Tiles of a slice.
  var tiles: Int { images * tilesDown * tilesAcross }
  /// Blocks of one group of a slice.
  var blocks: Int { (tiles + tilesPerBlock - 1) / tilesPerBlock }
  /// Transformed elements of a tile and channel.
  var places: Int { transform.extent * transform.extent }
  /// One block for everything: transforms and products become kernels of their own, each with its own split over threads.
  var isStaged: Bool { blocks == 1 && groups == 1 && slices == 1 }

  // MARK: Scratch

  /// Distances between the channels of neighbouring tiles, and between matrices, in elements. Neither is a multiple of 4 KiB, so that
  /// what is read or written together lies in different sets of the first-level cache.
  static func rowStride(_ channels: Int) -> Int {
    let lines = (channels + 15) / 16
    return (lines % 8 == 0 ? lines + 1 : lines) * 16
  }
  static func matrixStride(_ channels: Int, tiles: Int) -> Int {
    let lines = rowStride(channels) / 16 * tiles
    return (lines | 1) * 16
  }
  var inputRow: Int { Self.rowStride(inputs) }
  var inputMatrix: Int { Self.matrixStride(inputs, tiles: tilesPerBlock) }
  var outputRow: Int { Self.rowStride(outputs) }
  var outputMatrix: Int { Self.matrixStride(outputs, tiles: tilesPerBlock) }
  /// Scratch elements of a block.
  var inputElements: Int { inputMatrix * places }
  var outputElements: Int { outputMatrix * places }

  // MARK: Candidates

  static let namePrefix = "Winograd"
  var name: String { Self.namePrefix + " F(\(transform.outputs)x\(transform.outputs)), tile \(shape), blocks of \(tilesPerBlock)" }

  /// With fewer channels on either side transforms take longer than they save.
  private static let fewestChannels = 8

  /// Why the method does not apply to a convolution, whatever its weights are; nil if it does. It takes 3x3 windows of f32 with stride 1 over
  /// images of a known size, a constant filter, channels last, and enough channels that the transforms are worth it.
  static func obstacle(_ problem: ConvolutionProblem) -> String? {
    if problem.element != .f32 { return "it multiplies \(problem.element.name), and the method is for f32" }
    if problem.operation.layout != .channelsLast { return "it is not held channels-last" }
    if !problem.isFilterConstant { return "its filter is not known when compiling" }
    guard problem.outer.count == 1 else { return "its window has another number of axes than two" }
    for axis in [problem.outer[0], problem.tiled] {
      if axis.size != 3 { return "its window is not 3x3" }
      if axis.stride != 1 { return "its stride is \(axis.stride)" }
      if axis.dilation != 1 || axis.inputDilation != 1 { return "its window or its input is dilated" }
      guard axis.input.isConstant, let output = axis.output.constant else { return "the size of its images is not known when compiling" }
      if !(1..<1 << 16).contains(output) { return "its images are empty, or larger than 65535" }
    }
    guard let inputs = problem.inputChannels.constant else { return "its number of channels is not known when compiling" }
    for (count, kind) in [(inputs, "input"), (problem.outputChannels, "output")] where !(fewestChannels..<1 << 16).contains(count) {
      return "\(count) \(kind) channel\(count == 1 ? "" : "s")\(problem.groups > 1 ? " in a group" : "") \(count == 1 ? "is" : "are") too \(count < fewestChannels ? "few" : "many") for its transforms"
    }
    return nil
  }

  /// The best few plans, or none if the method does not apply.
  static func candidates(_ problem: ConvolutionProblem, outputs size: Int, target: LoweringTarget) -> [Candidate<ConvolutionTemplate.Way>] {
    guard obstacle(problem) == nil, let transform = WinogradTransform(outputs: size), let down = problem.outer[0].output.constant, let across = problem.tiled.output.constant,
      let inputs = problem.inputChannels.constant
    else { return [] }
    let images = problem.batch.constant ?? 1
    guard images > 0, images < 1 << 16 else { return [] }
    let (tilesDown, tilesAcross) = ((down + size - 1) / size, (across + size - 1) / size)
    let tiles = images * tilesDown * tilesAcross
    // The best of each doubling of the length, so that the lengths to measure differ.
    var found: [Int: Candidate<ConvolutionTemplate.Way>] = [:]
    var seen: Set<Int> = []
    for blocks in 1...min(tiles, 2048) {
      let perBlock = (tiles + blocks - 1) / blocks
      guard perBlock >= min(tiles, 4), seen.insert(perBlock).inserted else { continue }
      // What one block keeps between its stages must not grow with the image.
      let bytes = transform.extent * transform.extent * 4 * (rowStride(inputs) + rowStride(problem.outputChannels)) * perBlock
      if bytes > mostScratchBytes, blocks < tiles { continue }
      let shapes = TileShape.candidates(rows: perBlock, columns: problem.outputChannels, accumulator: .f32, strideBytes: rowStride(inputs) * 4, target)
      let plans = shapes.map { shape in
        let plan = WinogradPlan(
          transform: transform, shape: shape, layout: PanelLayout(steps: Extent(inputs), columns: Extent(problem.outputChannels), shape: shape),
          slices: problem.batch.isConstant ? 1 : problem.batch, images: images, tilesDown: tilesDown, tilesAcross: tilesAcross, tilesPerBlock: perBlock, inputs: inputs,
          outputs: problem.outputChannels, groups: problem.groups)
        return Candidate(plan.name, ConvolutionTemplate.Way(method: .winograd(plan), shape: shape), cost: plan.cost(threads: target.threads))
      }
      let octave = Int.bitWidth - perBlock.leadingZeroBitCount
      for plan in plans where found[octave].map({ plan.cost.total < $0.cost.total }) ?? true { found[octave] = plan }
    }
    return Array(found.sorted { ($0.value.cost.total, $0.key) < ($1.value.cost.total, $1.key) }.map(\.value).prefix(5))
  }

  private static let mostScratchBytes = 24 << 20
  /// Bytes of scratch elements that stay in the second-level cache, beside the filter that passes by.
  private static let cacheBytes = 640.0 * 1024
  /// Bytes of a filter that the shared cache keeps from one block to the next.
  private static let sharedCacheBytes = 16e6
  /// Bytes a cycle that one core gets from the shared cache and from memory.
  private static let sharedCacheRate = 14.0
  private static let memoryRate = 6.5

  /// Cycles for a slice, on the threads of the target.
  private func cost(threads: Int) -> KernelCost {
    let (places, blocks) = (Double(places), Double(blocks))
    func vectors(_ channels: Int) -> Double { Double((channels + shape.lanes - 1) / shape.lanes) }
    let rows = TileRows.sizes(of: tilesPerBlock, most: shape.rows).map { (count: Double($0.count), rows: $0.rows) }
    let rowTiles = rows.reduce(0) { $0 + $1.count }
    var cost = ContractionCost(
      slices: places * blocks, tiles: rows, columns: outputs, steps: Double(inputs), shape: shape, tileBytes: Double(shape.rows * inputRow * 4),
      panelBytes: Double(shape.width * inputs * 4), tilesPerBlock: rowTiles, blockedTiles: rowTiles, threads: 1, isParallel: false
    ).estimate
    // The filter comes from memory, and for all but the first block from the cache that the cores share if it fits there. Products hide
    // a part of the way: measured, 14x14x512 with F(4x4) takes half, 7x7x512 eight tenths of the filter's 1.5 ms more than its products.
    let filterBytes = places * Double(inputs * outputs) * 4
    let fromMemory = filterBytes / Self.memoryRate * (filterBytes > Self.sharedCacheBytes ? blocks : 1)
    let fromCache = filterBytes > Self.sharedCacheBytes ? 0 : filterBytes / Self.sharedCacheRate * (blocks - 1)
    cost[.panels] += max(fromMemory * 1.25 + fromCache - cost.total, fromMemory * 0.6 + fromCache * 0.03)
    // Cycles for each vector of a tile: about as many as it has elements, for the loads, the stores and both axes' sums.
    cost[.packing] = Double(tiles) * places * vectors(inputs) * 5
    cost[.output] += Double(tiles) * places * vectors(outputs) * 4.5
    let scratchBytes = places * Double(tilesPerBlock * (inputRow + outputRow)) * 4
    if scratchBytes > Self.cacheBytes { cost[.packing] += 2 * scratchBytes / Self.sharedCacheRate * blocks }
    cost = cost.scaled(by: Double(groups))
    guard threads > 1, cost.total >= Double(TileSchedule.parallelCycles) else { return cost }
    let shared = SharingCost.shared(cost, items: isStaged ? places * Double(layout.panels.constant ?? 1) : blocks * Double(groups), threads: threads)
    return isStaged ? shared + SharingCost.shared(KernelCost(), items: 1, threads: threads).scaled(by: 2) : shared
  }

  /// Estimated cycles on one thread, for the question whether threads are worth it.
  var cycles: Double { cost(threads: 1).total }
}
