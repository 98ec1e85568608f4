import GraphIR
import TensorTypes

extension Convolution: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (input, filter, result) = (operands[0], operands[1], results[0])
    if result.count == 0 || filter.count == 0 || input.count == 0 { return [result.zeros()] }
    let geometry = try ConvolutionGeometry(self, input.dimensions, filter.dimensions, result.dimensions, limits)
    if input.element.isFloatingPoint { return [geometry.convolve(Double.self, input, filter, result)] }
    return [geometry.convolve(Int64.self, input, filter, result)]
  }
}

/// The sizes of one convolution, and which input position each window position reads.
private struct ConvolutionGeometry {
  let isChannelsLast: Bool
  let batch: Int
  let groups: Int
  /// Channels of one group.
  let channels: Int
  let outputs: Int
  /// Products of the spatial extents.
  let inputPositions: Int
  let windowPositions: Int
  let outputPositions: Int
  /// For each spatial axis, for each output index, for each window index: the input index times its stride, or -1.
  private let tables: [[Int]]
  private let outputExtents: [Int]
  private let windowExtents: [Int]

  init(_ convolution: Convolution, _ input: [Int], _ filter: [Int], _ result: [Int], _ limits: EvaluationLimits) throws(EvaluationError) {
    let axes = convolution.axes(rank: input.count), filterAxes = convolution.filterAxes(rank: filter.count)
    isChannelsLast = convolution.layout == .channelsLast
    batch = input[axes.batch]
    groups = convolution.groups
    channels = filter[filterAxes.input]
    outputs = filter[filterAxes.output] / groups
    outputExtents = axes.spatial.map { result[$0] }
    windowExtents = filterAxes.window.map { filter[$0] }
    inputPositions = axes.spatial.reduce(1) { $0 * input[$1] }
    windowPositions = windowExtents.reduce(1, *)
    outputPositions = outputExtents.reduce(1, *)
    try limits.checkScratch(batch * groups * channels * inputPositions, of: 8)
    try limits.checkScratch(groups * columnBlocks(outputs) * 8, of: windowPositions * channels * 8)

    var tables: [[Int]] = []
    let strides = rowMajorStrides(axes.spatial.map { input[$0] })
    for (position, axis) in axes.spatial.enumerated() {
      let (extent, spread) = (input[axis], convolution.inputDilations[position])
      var table: [Int] = []
      try limits.checkScratch(outputExtents[position], of: windowExtents[position] * 8)
      for output in 0..<outputExtents[position] {
        let start = output * convolution.window.strides[position] - convolution.window.padsLow[position]
        for index in 0..<windowExtents[position] {
          let read = start + index * convolution.window.dilations[position]
          let isInside = read >= 0 && read % spread == 0 && read / spread < extent
          table.append(isInside ? read / spread * strides[position] : -1)
        }
      }
      tables.append(table)
    }
    self.tables = tables
  }

  /// The input position that each window position reads from one output position, or -1 in padding and in gaps of the input.
  private func reads(_ output: Int, into positions: UnsafeMutablePointer<Int>) {
    positions[0] = 0
    var known = 1
    var rest = output
    var indices = [Int](repeating: 0, count: outputExtents.count)
    for axis in outputExtents.indices.reversed() {
      indices[axis] = rest % outputExtents[axis]
      rest /= outputExtents[axis]
    }
    for axis in outputExtents.indices {
      let extent = windowExtents[axis]
      // Each entry becomes `extent` entries; from the end, so that none is overwritten before it is read.
      for entry in stride(from: known - 1, through: 0, by: -1) {
        let base = positions[entry]
        for index in 0..<extent {
          let offset = tables[axis][indices[axis] * extent + index]
          positions[entry * extent + index] = base < 0 || offset < 0 ? -1 : base + offset
        }
      }
      known *= extent
    }
  }

  func convolve<Scalar: ContractionScalar>(_ scalar: Scalar.Type, _ input: Tensor, _ filter: Tensor, _ result: ConcreteType) -> Tensor {
    let all = groups * channels, allOutputs = groups * outputs
    let blocks = columnBlocks(outputs)
    let image = pixelsFirst(scalar, input), weights = packed(scalar, filter)
    let padding = Scratch<Scalar>(channels, repeating: .zero)
    // Output positions in one round: their weights are read once from far away.
    let round = 32
    let reads = Scratch<Int>(round * windowPositions), sums = Scratch<Scalar>(outputPositions * allOutputs)
    return Tensor(result.element, result.dimensions) { target in
      guard let to = target.baseAddress else { return }
      for item in 0..<batch {
        let base = image.base + item * inputPositions * all
        for start in stride(from: 0, to: outputPositions, by: round) {
          let count = min(round, outputPositions - start)
          for pixel in 0..<count { self.reads(start + pixel, into: reads.base + pixel * windowPositions) }
          for group in 0..<groups {
            let row = base + group * channels
            for block in 0..<blocks {
              let columns = weights.base + (group * blocks + block) * windowPositions * channels
              for pixel in stride(from: 0, to: count, by: 2) {
                let hasSecond = pixel + 1 < count
                let (p, q) = (reads.base + pixel * windowPositions, reads.base + (hasSecond ? pixel + 1 : pixel) * windowPositions)
                var tile = ContractionTile<Scalar>()
                for window in 0..<windowPositions where p[window] >= 0 || q[window] >= 0 {
                  let x = p[window] < 0 ? padding.base : row + p[window] * all
                  let y = q[window] < 0 ? padding.base : row + q[window] * all
                  tile.add(x, y, columns + window * channels, count: channels)
                }
                let sum = sums.base + (start + pixel) * allOutputs + group * outputs + block * 8
                tile.store(sum, hasSecond ? sum + allOutputs : nil, columns: min(8, outputs - block * 8))
              }
            }
          }
        }
        store(sums.base, result.element, to, item)
      }
    }
  }

  /// The input as [N, spatial..., C].
  private func pixelsFirst<Scalar: ContractionScalar>(_ scalar: Scalar.Type, _ input: Tensor) -> Scratch<Scalar> {
    let image = Scratch<Scalar>(input.count)
    let all = groups * channels
    input.withBytes { bytes in
      guard let from = bytes.baseAddress else { return }
      if isChannelsLast { return Scalar.load(input.element, from, at: 0, count: input.count, into: image.base) }
      let plane = Scratch<Scalar>(inputPositions)
      for item in 0..<batch {
        for channel in 0..<all {
          Scalar.load(input.element, from, at: (item * all + channel) * inputPositions, count: inputPositions, into: plane.base)
          let target = image.base + item * inputPositions * all + channel
          for position in 0..<inputPositions { target[position * all] = plane[position] }
        }
      }
    }
    return image
  }

  /// The filter as [groups, O / 8, window..., C] vectors of eight output channels.
  private func packed<Scalar: ContractionScalar>(_ scalar: Scalar.Type, _ filter: Tensor) -> Scratch<SIMD8<Scalar>> {
    let blocks = columnBlocks(outputs)
    let packed = Scratch<SIMD8<Scalar>>(groups * blocks * windowPositions * channels, repeating: SIMD8(repeating: .zero))
    let plain = Scratch<Scalar>(filter.count)
    filter.withBytes { if let from = $0.baseAddress { Scalar.load(filter.element, from, at: 0, count: filter.count, into: plain.base) } }
    for output in 0..<groups * outputs {
      let (group, column) = (output / outputs, output % outputs)
      let target = packed.base + (group * blocks + column / 8) * windowPositions * channels
      for window in 0..<windowPositions {
        for channel in 0..<channels {
          let source =
            isChannelsLast
            ? (window * channels + channel) * groups * outputs + output : (output * channels + channel) * windowPositions + window
          target[window * channels + channel][column % 8] = plain[source]
        }
      }
    }
    return packed
  }

  /// Writes the sums [spatial..., O] of one item in the layout of the result.
  private func store<Scalar: ContractionScalar>(_ sums: UnsafePointer<Scalar>, _ element: ElementType, _ target: UnsafeMutableRawPointer, _ item: Int) {
    let all = groups * outputs
    if isChannelsLast { return Scalar.store(sums, element, target, at: item * outputPositions * all, count: outputPositions * all) }
    let plane = Scratch<Scalar>(outputPositions)
    for output in 0..<all {
      for position in 0..<outputPositions { plane[position] = sums[position * all + output] }
      Scalar.store(plane.base, element, target, at: (item * all + output) * outputPositions, count: outputPositions)
    }
  }
}
