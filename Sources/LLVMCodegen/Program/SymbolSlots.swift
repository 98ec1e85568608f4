internal import CLLVM
import KernelIR

/// Where a body keeps what it finds out about sizes: the values of computed symbols, the first bytes of regions, and how much of the arena is in use.
///
/// Stack slots, which the optimizer turns into registers: the code that binds a symbol need not lie on the only way to the code that reads it.
final class SymbolSlots {
  private let b: FunctionBuilder
  private let firstComputed: Int
  private let computed: [String: Int]
  private var slots: [String: IRValue] = [:]
  /// The first byte of the arena that nothing has reserved; nil if nothing ever is.
  private var top: IRValue?
  /// For each loop around the current place: where its rounds begin to reserve.
  private var rounds: [IRValue?] = []

  /// - Parameters:
  ///   - firstComputed: The place of the first computed symbol in the caller's array of symbols.
  ///   - computed: Their names.
  init(_ b: FunctionBuilder, firstComputed: Int, computed: [String]) {
    self.b = b
    self.firstComputed = firstComputed
    self.computed = Dictionary(zip(computed, computed.indices)) { first, _ in first }
  }

  private func slot(_ name: String) -> IRValue { b.slot(b.i64, count: 1, alignment: 8, name) }

  func value(_ name: String) -> IRValue? { slots[name].map { b.load(b.i64, $0, alignment: 8) } }

  func bind(_ name: String, to value: IRValue) {
    let place: IRValue
    if let known = slots[name] { place = known } else {
      place = slot(name)
      slots[name] = place
    }
    b.store(value, place, alignment: 8)
    if let number = computed[name] { b.store(value, b.element(b.parameter(5), b.i64, at: firstComputed + number), alignment: 8) }
  }

  // MARK: The arena

  func beginArena(at bytes: IRValue) {
    let place = slot("top")
    b.store(bytes, place, alignment: 8)
    top = place
  }

  /// The first byte that nothing has reserved.
  var used: IRValue {
    get { top.map { b.load(b.i64, $0, alignment: 8) } ?? b.index(0) }
    set { if let top { b.store(newValue, top, alignment: 8) } }
  }

  /// Keeps what is in use before a loop. The result is for `beginRound`.
  func beginLoop() -> IRValue? {
    var kept: IRValue?
    if top != nil {
      let place = slot("round")
      b.store(used, place, alignment: 8)
      kept = place
    }
    rounds.append(kept)
    return kept
  }

  func beginRound(_ kept: IRValue?) { if let kept { used = b.load(b.i64, kept, alignment: 8) } }

  func endLoop() { rounds.removeLast() }

  /// What is in use now is so when the next round of the innermost loop begins.
  func keepForNextRound() { if let kept = rounds.last ?? nil { b.store(used, kept, alignment: 8) } }
}

extension [KernelProgram.Step] {
  /// True if any of them reserves a region.
  var haveRegions: Bool {
    contains { step in
      switch step {
      case .reserve: true
      case .advance(let advance): advance.region != nil
      default: step.bodies.contains { $0.haveRegions }
      }
    }
  }
}
