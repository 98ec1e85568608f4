import KernelIR
import TensorTypes

extension KernelProgram {
  /// Gives every buffer in the arena its place, so that buffers that are never alive together share bytes.
  ///
  /// Buffers of constant size are placed largest first at the lowest offset that is free for their whole live
  /// range (the greedy-by-size method of Pisarchyk and Lee, 2020, within a few percent of the lower bound on
  /// convolutional networks). Buffers of symbolic size follow behind them, in slots that buffers of the same size share.
  public func planningMemory() -> KernelProgram {
    var program = self
    let ranges = liveRanges()
    var placed: [(range: ClosedRange<Int>, offset: Int, end: Int)] = []
    var staticEnd = 0
    let constant = buffers.indices.compactMap { number -> (number: Int, bytes: Int, range: ClosedRange<Int>)? in
      guard case .arena = buffers[number].placement, let range = ranges[number], let bytes = buffers[number].byteCount.constant else { return nil }
      return (number, Self.aligned(bytes), range)
    }
    for buffer in constant.sorted(by: { ($0.bytes, $1.number) > ($1.bytes, $0.number) }) {
      var offset = 0
      for other in placed.filter({ $0.range.overlaps(buffer.range) }).sorted(by: { $0.offset < $1.offset }) {
        if other.offset - offset >= buffer.bytes { break }
        offset = max(offset, other.end)
      }
      placed.append((buffer.range, offset, offset + buffer.bytes))
      staticEnd = max(staticEnd, offset + buffer.bytes)
      program.buffers[buffer.number].placement = .arena(offset: Extent(offset))
    }

    // A slot is one symbolic size; buffers take turns in it.
    var slots: [(bytes: Extent, offset: Extent, uses: [ClosedRange<Int>])] = []
    var end = Extent(staticEnd)
    for number in buffers.indices {
      guard case .arena = buffers[number].placement, let range = ranges[number], buffers[number].byteCount.constant == nil else { continue }
      let bytes = (buffers[number].byteCount).ceilDivided(by: 64) * 64
      if let slot = slots.firstIndex(where: { $0.bytes == bytes && !$0.uses.contains { $0.overlaps(range) } }) {
        slots[slot].uses.append(range)
        program.buffers[number].placement = .arena(offset: slots[slot].offset)
      } else {
        slots.append((bytes, end, [range]))
        program.buffers[number].placement = .arena(offset: end)
        end = end + bytes
      }
    }
    program.arenaBytes = end
    return program
  }

  private static func aligned(_ bytes: Int) -> Int { (bytes + 63) & ~63 }

  /// The first and last step that touches each buffer. All steps of a loop count as one: what is touched inside
  /// stays alive from its beginning to its end.
  private func liveRanges() -> [Int: ClosedRange<Int>] {
    var ranges: [Int: ClosedRange<Int>] = [:]
    for (time, step) in steps.enumerated() {
      for buffer in Self.touched(by: step) {
        ranges[buffer] = (ranges[buffer]?.lowerBound ?? time)...time
      }
    }
    return ranges
  }

  private static func touched(by step: Step) -> Set<Int> {
    switch step {
    case .call(let call): Set(call.arguments.map(\.buffer))
    case .loop(_, _, let body): body.reduce(into: []) { $0.formUnion(touched(by: $1)) }
    }
  }
}
