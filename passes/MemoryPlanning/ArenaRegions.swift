import KernelIR
import TensorTypes

/// The parts of the arena whose sizes are known only during a run, and the steps that reserve them.
///
/// A region holds the buffers that get their places at the same moments: when the last of the symbols of their sizes is bound, on each way
/// there. Regions lie one behind the other in the order in which a run comes to them; a round of a loop begins with what lay there before the loop.
struct ArenaRegions {
  /// Buffers by the numbers of their sites.
  private var groups: [(sites: [Int], buffers: [Int])] = []
  private let timeline: ProgramTimeline

  init(_ program: KernelProgram, _ timeline: ProgramTimeline) {
    self.timeline = timeline
    let computed = Set(program.computedSymbols)
    for (number, buffer) in program.buffers.enumerated() {
      guard case .arena = buffer.placement else { continue }
      let symbols = buffer.elementCount.symbols
      guard symbols.contains(where: computed.contains), timeline.liveRange(of: number) != nil else { continue }
      let sites = timeline.sites(ofBuffer: number, symbols: symbols)
      if let known = groups.firstIndex(where: { $0.sites == sites }) { groups[known].buffers.append(number) } else { groups.append((sites, [number])) }
    }
  }

  /// Gives the buffers their places and adds the steps that reserve them.
  ///
  /// - Returns: False if a region's buffers together have more than 2^56 bytes, or units.
  func reserve(in program: inout KernelProgram) -> Bool {
    if groups.isEmpty { return true }
    let failure = program.addFailure("this run needs more memory than its limit allows")
    var additions: [Int: [KernelProgram.Step]] = [:]
    var carried: [Int: KernelProgram.Region] = [:]
    for (number, group) in groups.enumerated() {
      precondition(!group.sites.isEmpty, "no way to buffer \(group.buffers[0]) binds the symbols of its size")
      guard let layout = ArenaLayout(program, group.buffers, timeline, isTight: true) else { return false }
      let region = KernelProgram.Region(symbol: "%region\(number + 1)", byteCount: layout.byteCount)
      for (buffer, offset) in layout.offsets { program.buffers[buffer].placement = .arena(offset: Extent(symbol: region.symbol) + offset) }
      for site in group.sites {
        if timeline.sites[site].isAdvance {
          carried[site] = region
        }
        for unit in layout.units where !unit.isCertainlyNonNegative {
          let sign = program.addFailure("a tensor inside of the model would have a negative length")
          additions[site, default: []].append(.require(.nonNegative, unit.substituting(timeline.sites[site].values), failure: sign))
        }
        if !timeline.sites[site].isAdvance { additions[site, default: []].append(.reserve(region, failure: failure)) }
      }
    }
    var site = 0
    program.steps = rewritten(program.steps, additions, carried, &site)
    return true
  }

  /// The steps with what each site adds. Counts sites as `ProgramTimeline` does.
  private func rewritten(
    _ steps: [KernelProgram.Step], _ additions: [Int: [KernelProgram.Step]], _ carried: [Int: KernelProgram.Region], _ site: inout Int,
    first: [KernelProgram.Step] = []
  ) -> [KernelProgram.Step] {
    var result: [KernelProgram.Step] = []
    func additionsHere() -> [KernelProgram.Step] {
      site += 1
      return additions[site - 1] ?? []
    }
    // Conditions on a symbol follow its step, and come before a size is made of it.
    var waiting = first
    for step in steps {
      if case .require = step {
        result.append(step)
        continue
      }
      result += waiting
      waiting = []
      switch step {
      case .call, .require, .export, .reserve, .text: result.append(step)
      case .define, .set:
        result.append(step)
        waiting = additionsHere()
      case .branch(let view, let then, let otherwise):
        let first = rewritten(then, additions, carried, &site)
        result.append(.branch(if: view, then: first, else: rewritten(otherwise, additions, carried, &site)))
      case .loop(let symbol, let count, let body): result.append(.loop(symbol: symbol, count: count, body: rewritten(body, additions, carried, &site)))
      case .repeatWhile(let view, let symbol, let body):
        let first = additionsHere()
        result.append(.repeatWhile(view, symbol: symbol, body: rewritten(body, additions, carried, &site, first: first)))
        waiting = additionsHere()
      case .advance(var advance):
        advance.region = carried[site]
        result += waiting + additionsHere()
        waiting = []
        result.append(.advance(advance))
      }
    }
    return result + waiting
  }
}

extension Extent {
  /// True for what its form shows to be at least 0 whatever the symbols are: sums, products and quotients of such.
  var isCertainlyNonNegative: Bool {
    sumOfProducts.allSatisfy { term in
      term.coefficient >= 0
        && term.factors.allSatisfy { factor in
          switch factor {
          case .symbol: true
          case .floorDiv(let a, let b): a.isCertainlyNonNegative && (b.constant ?? 0) > 0
          case .maximum(let a, let b): a.isCertainlyNonNegative || b.isCertainlyNonNegative
          case .minimum(let a, let b): a.isCertainlyNonNegative && b.isCertainlyNonNegative
          case .modulo(_, let b): (b.constant ?? 0) > 0
          }
        }
    }
  }
}
