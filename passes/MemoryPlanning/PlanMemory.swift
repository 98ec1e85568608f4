import KernelIR
import TensorTypes

extension KernelProgram {
  /// Gives every buffer in the arena its place, so that buffers that are never alive together share bytes.
  ///
  /// Buffers whose sizes are multiples of one product of symbols are planned together, in that product as unit: those of
  /// constant size (the empty product), those that grow with the batch, those that grow with batch times length. Each
  /// such group has a part of the arena of its own. Sizes that are sums take turns in slots of equal size behind them.
  ///
  /// - Returns: Nil if all buffers together have more than 2^56 bytes, or units.
  public func planningMemory() -> KernelProgram? {
    var program = self
    var end = Extent(0)
    for group in arenaGroups() {
      guard ArenaPacking.isPossible(group.items) else { return nil }
      let packing = ArenaPacking(group.items)
      for (number, offset) in zip(group.buffers, packing.offsets) { program.buffers[number].placement = .arena(offset: end + group.unit * Extent(offset)) }
      end = end + group.unit * Extent(packing.end)
    }
    program.arenaBytes = end
    return program
  }

  /// The most that is alive at once, rounded up to the alignment of buffers: no plan of the arena needs less.
  ///
  /// - Parameters:
  ///   - steps: A variant's; nil means the program's own.
  ///   - symbols: Values for the program's symbols.
  /// - Returns: Nil where a size has no value.
  public func liveBytesBound(of steps: [Step]? = nil, _ symbols: [String: Int] = [:]) -> Int? {
    var items: [ArenaPacking.Item] = []
    let ranges = liveRanges(steps ?? self.steps)
    for (number, buffer) in buffers.enumerated() {
      guard case .arena = buffer.placement, let range = ranges[number] else { continue }
      guard let bytes = buffer.byteCount.evaluated(symbols), bytes >= 0 else { return nil }
      items.append(.init(size: Self.aligned(bytes), range: range))
    }
    guard ArenaPacking.isPossible(items) else { return nil }
    return ArenaPacking.lowerBound(items)
  }

  /// Buffers that are planned together, and the unit of their sizes and offsets.
  private struct ArenaGroup {
    var unit: Extent
    var buffers: [Int] = []
    var items: [ArenaPacking.Item] = []
  }

  private func arenaGroups() -> [ArenaGroup] {
    var groups: [ArenaGroup] = []
    let ranges = liveRanges(steps)
    for number in buffers.indices {
      guard case .arena = buffers[number].placement, let range = ranges[number] else { continue }
      let bytes = buffers[number].byteCount
      var (unit, size) = (bytes.ceilDivided(by: 64) * 64, 1)
      if let constant = bytes.constant {
        (unit, size) = (1, Self.aligned(constant))
      } else if let product = bytes.asMultiple, product.coefficient > 0 {
        // A multiple of 64 units is aligned whatever the symbols are.
        (unit, size) = (product.unit, Self.aligned(product.coefficient))
      }
      let group: Int
      if let known = groups.firstIndex(where: { $0.unit == unit }) { group = known } else {
        group = groups.count
        groups.append(ArenaGroup(unit: unit))
      }
      groups[group].buffers.append(number)
      groups[group].items.append(.init(size: size, range: range))
    }
    // Constant offsets are the cheapest to compute.
    return groups.enumerated().sorted { ($0.element.unit == 1 ? 0 : 1, $0.offset) < ($1.element.unit == 1 ? 0 : 1, $1.offset) }.map(\.element)
  }

  private static func aligned(_ bytes: Int) -> Int { (min(bytes, .max - 63) + 63) & ~63 }

  /// The first and last step that touches each buffer. All steps of a loop count as one: what is touched inside
  /// stays alive from its beginning to its end.
  private func liveRanges(_ steps: [Step]) -> [Int: ClosedRange<Int>] {
    var ranges: [Int: ClosedRange<Int>] = [:]
    for (time, step) in steps.enumerated() {
      for buffer in touched(by: step) {
        ranges[buffer] = (ranges[buffer]?.lowerBound ?? time)...time
      }
    }
    return ranges
  }

  private func touched(by step: Step) -> Set<Int> {
    let views = step.views(kernels)
    return step.bodies.joined().reduce(into: Set((views.read + views.written).map(\.buffer))) { $0.formUnion(touched(by: $1)) }
  }
}

extension Extent {
  /// Itself as a number times one product of symbols; nil for a sum of several.
  fileprivate var asMultiple: (coefficient: Int, unit: Extent)? {
    let terms = sumOfProducts
    guard !isOverflow, terms.count == 1, let term = terms.first else { return nil }
    var unit: Extent = 1
    for factor in term.factors {
      switch factor {
      case .symbol(let name): unit = unit * Extent(symbol: name)
      case .floorDiv(let a, let b): unit = unit * a.floorDivided(by: b)
      case .modulo(let a, let b): unit = unit * a.modulo(b)
      case .maximum(let a, let b): unit = unit * .maximum(a, b)
      case .minimum(let a, let b): unit = unit * .minimum(a, b)
      }
    }
    return unit * Extent(term.coefficient) == self ? (term.coefficient, unit) : nil
  }
}
