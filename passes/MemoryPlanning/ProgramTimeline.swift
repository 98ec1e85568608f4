import KernelIR
import TensorTypes

/// The steps of a program on one line of time: when each buffer is touched, and where computed symbols are bound.
struct ProgramTimeline {
  private struct Touch {
    var time: Int
    /// True if nothing that the buffer held before is read by this step or a later round of the same loop.
    var isFresh: Bool
  }

  private struct Loop {
    var range: ClosedRange<Int>
    /// What is bound when a round begins, whichever round it is.
    var bound: Set<String>
  }

  /// A moment at which symbols get values, in the order of the walk; `ArenaRegions` walks the same way.
  struct Site {
    var symbols: [String]
    /// What every way to this moment has bound, `symbols` included.
    var bound: Set<String>
    var time: Int
    /// True for a step `advance`, whose region belongs to the step itself.
    var isAdvance = false
    /// What an `advance` is about to give its symbols.
    var values: [String: Extent] = [:]
  }

  private var touches: [Int: [Touch]] = [:]
  private var loops: [Loop] = []
  private(set) var sites: [Site] = []
  /// For the sites of symbols that an `advance` carries on: the last of them before its loop.
  private(set) var carriedSites: [Int: Int] = [:]
  private var time = 0
  private var loopSymbols: Set<String> = []
  private var enclosing: [Int] = []
  private let kernels: [Kernel]

  init(_ program: KernelProgram, steps: [KernelProgram.Step]) {
    kernels = program.kernels
    var bound = Set(program.symbols)
    walk(steps, &bound)
    // What an output shows stays to the end.
    for case .export(let view, _) in steps { touches[view.buffer]?.append(Touch(time: time, isFresh: false)) }
  }

  /// From when to when a buffer's contents matter; nil if no step touches it.
  ///
  /// What a loop's body writes before it reads it lives within a round. Everything else that a loop touches lives as long as the loop.
  func liveRange(of buffer: Int) -> ClosedRange<Int>? {
    guard let all = touches[buffer], let first = all.first, let last = all.last else { return nil }
    var range = first.time...last.time
    for loop in loops.reversed() {
      guard let entered = all.first(where: { loop.range.contains($0.time) }) else { continue }
      let isLocal = entered.isFresh && loop.range.lowerBound <= range.lowerBound && range.upperBound <= loop.range.upperBound
      if !isLocal { range = min(range.lowerBound, loop.range.lowerBound)...max(range.upperBound, loop.range.upperBound) }
    }
    return range
  }

  /// The moments at which a buffer with symbols in its size gets its place.
  func sites(ofBuffer buffer: Int, symbols: [String]) -> [Int] {
    guard let all = touches[buffer] else { return [] }
    var found: Set<Int> = []
    for (number, site) in sites.enumerated() where site.symbols.contains(where: symbols.contains) && symbols.allSatisfy(site.bound.contains) {
      let isUsed = site.isAdvance || carriedSites[number] != nil || all.contains { touch in
        touch.time > site.time || loops.contains { $0.range.contains(site.time) && $0.range.contains(touch.time) }
      }
      if isUsed { found.insert(site.isAdvance ? number : carriedSites[number] ?? number) }
    }
    return found.sorted()
  }

  // MARK: The walk

  private mutating func touch(_ view: KernelProgram.View, isFresh: Bool) {
    touches[view.buffer, default: []].append(Touch(time: time, isFresh: isFresh && loopSymbols.isDisjoint(with: view.elementOffset.symbols)))
  }

  private mutating func walk(_ steps: [KernelProgram.Step], _ bound: inout Set<String>) {
    var settings: [(site: Int, symbol: String)] = []
    for step in steps {
      time += 1
      let views = step.views(kernels)
      for view in views.read { touch(view, isFresh: false) }
      for view in views.written { touch(view, isFresh: true) }
      switch step {
      case .call, .require, .export, .reserve, .text: break
      case .define(let symbols, _, _):
        bound.formUnion(symbols)
        sites.append(Site(symbols: symbols, bound: bound, time: time))
      case .set(let symbol, _, _):
        bound.insert(symbol)
        settings.append((sites.count, symbol))
        sites.append(Site(symbols: [symbol], bound: bound, time: time))
      case .branch(_, let then, let otherwise):
        var other = bound
        walk(then, &bound)
        walk(otherwise, &other)
        bound.formIntersection(other)
      case .loop(let symbol, _, let body):
        carry(body, settings)
        loopSymbols.insert(symbol)
        walk(round: body, bound.union([symbol]))
      case .repeatWhile(let view, let symbol, let body):
        carry(body, settings)
        bound.insert(symbol)
        loopSymbols.insert(symbol)
        sites.append(Site(symbols: [symbol], bound: bound.subtracting(body.symbolsBoundAnew), time: time))
        walk(round: body, bound)
        // The condition is read before the next round.
        touch(view, isFresh: false)
        sites.append(Site(symbols: [symbol], bound: bound, time: time))
      case .advance(let advance):
        sites.append(
          Site(
            symbols: advance.bindings.map(\.symbol), bound: enclosing.last.map { loops[$0].bound } ?? bound, time: time, isAdvance: true,
            values: Dictionary(advance.bindings.map { ($0.symbol, $0.value) }) { first, _ in first }))
      }
    }
  }

  private mutating func walk(round body: [KernelProgram.Step], _ bound: Set<String>) {
    // What the body binds anew is another thing in each round.
    var inner = bound.subtracting(body.symbolsBoundAnew)
    enclosing.append(loops.count)
    let number = loops.count
    loops.append(Loop(range: time...time, bound: inner))
    walk(body, &inner)
    loops[number].range = loops[number].range.lowerBound...time
    enclosing.removeLast()
  }

  /// Notes where the symbols begin that the loop with this body carries on.
  private mutating func carry(_ body: [KernelProgram.Step], _ settings: [(site: Int, symbol: String)]) {
    guard case .advance(let advance)? = body.last else { return }
    let carried = settings.filter { setting in advance.bindings.contains { $0.symbol == setting.symbol } }
    guard let last = carried.last else { return }
    for setting in carried { carriedSites[setting.site] = last.site }
  }
}
