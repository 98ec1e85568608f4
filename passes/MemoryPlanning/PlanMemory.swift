import KernelIR
import TensorTypes

extension KernelProgram {
  /// Gives every buffer in the arena its place, so that buffers that are never alive together share bytes.
  ///
  /// Buffers whose sizes name computed symbols lie in regions behind all others, which the steps reserve: see `ArenaRegions`.
  ///
  /// - Returns: Nil if all buffers together have more than 2^56 bytes, or units.
  public func planningMemory() -> KernelProgram? {
    var program = self
    let timeline = ProgramTimeline(self, steps: steps)
    let computed = Set(computedSymbols)
    let fixed = buffers.indices.filter { computed.isEmpty || !buffers[$0].elementCount.symbols.contains(where: computed.contains) }
    guard let layout = ArenaLayout(self, fixed, timeline) else { return nil }
    for (number, offset) in layout.offsets { program.buffers[number].placement = .arena(offset: offset) }
    program.arenaBytes = layout.byteCount
    guard ArenaRegions(self, timeline).reserve(in: &program) else { return nil }
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
    let timeline = ProgramTimeline(self, steps: steps ?? self.steps)
    for (number, buffer) in buffers.enumerated() {
      guard case .arena = buffer.placement, let range = timeline.liveRange(of: number) else { continue }
      guard let bytes = buffer.byteCount.evaluated(symbols), bytes >= 0 else { return nil }
      items.append(.init(size: ArenaLayout.aligned(bytes), range: range))
    }
    guard ArenaPacking.isPossible(items) else { return nil }
    return ArenaPacking.lowerBound(items)
  }
}

/// Places for some buffers of a program, from 0 on.
///
/// Buffers whose sizes are multiples of one product of symbols are planned together, in that product as unit: those of
/// constant size (the empty product), those that grow with the batch, those that grow with batch times length. Each
/// such group has a part of its own. Sizes that are sums take turns in slots of equal size behind them.
struct ArenaLayout {
  private(set) var offsets: [(buffer: Int, offset: Extent)] = []
  private(set) var byteCount = Extent(0)
  /// What sizes are multiples of.
  private(set) var units: [Extent] = []

  /// Buffers that are planned together, and the unit of their sizes and offsets.
  private struct Group {
    var unit: Extent
    var buffers: [Int] = []
    var items: [ArenaPacking.Item] = []
  }

  /// Nil if the buffers together have more than 2^56 bytes, or units.
  ///
  /// - Parameter isTight: Whether a few bytes for each unit are too much to give away for a common unit: what a run reserves counts against its limit.
  init?(_ program: KernelProgram, _ numbers: [Int], _ timeline: ProgramTimeline, isTight: Bool = false) {
    for group in Self.groups(program, numbers, timeline, isTight) {
      guard ArenaPacking.isPossible(group.items) else { return nil }
      let packing = ArenaPacking(group.items)
      for (number, offset) in zip(group.buffers, packing.offsets) { offsets.append((number, byteCount + group.unit * Extent(offset))) }
      byteCount = byteCount + group.unit * Extent(packing.end)
      units.append(group.unit)
    }
    if byteCount.isOverflow { return nil }
  }

  private static func groups(_ program: KernelProgram, _ numbers: [Int], _ timeline: ProgramTimeline, _ isTight: Bool) -> [Group] {
    var groups: [Group] = []
    for number in numbers {
      guard case .arena = program.buffers[number].placement, let range = timeline.liveRange(of: number) else { continue }
      let bytes = program.buffers[number].byteCount
      var (unit, size) = (bytes.ceilDivided(by: 64) * 64, 1)
      if let constant = bytes.constant {
        (unit, size) = (1, Self.aligned(constant))
      } else if let product = bytes.asMultiple, product.coefficient > 0, !isTight || product.coefficient % 64 == 0 || product.coefficient > 512 {
        // A multiple of 64 units is aligned whatever the symbols are.
        (unit, size) = (product.unit, Self.aligned(product.coefficient))
      }
      let group: Int
      if let known = groups.firstIndex(where: { $0.unit == unit }) { group = known } else {
        group = groups.count
        groups.append(Group(unit: unit))
      }
      groups[group].buffers.append(number)
      groups[group].items.append(.init(size: size, range: range))
    }
    // Constant offsets are the cheapest to compute.
    return groups.enumerated().sorted { ($0.element.unit == 1 ? 0 : 1, $0.offset) < ($1.element.unit == 1 ? 0 : 1, $1.offset) }.map(\.element)
  }

  static func aligned(_ bytes: Int) -> Int { (min(bytes, .max - 63) + 63) & ~63 }
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
